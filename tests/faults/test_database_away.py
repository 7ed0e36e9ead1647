"""
A database server stops under a daemon and comes back: nothing that was claimed is missed, and no outcome is
lost.
"""

from pathlib import Path

from tests.support.daemon import coming, daemon
from tests.support.jobs import job, jobs_file, many
from tests.support.postgres import a_server_of_its_own
from tests.support.target import TargetServer


def test_what_was_claimed_or_sent_before_the_server_stopped_ends_once_it_is_back(
    tmp_path: Path, target: TargetServer
) -> None:
    sent = many(5, f"{target.url}/hold", f"at: '{coming(10)}'")
    claimed = job("claimed", f"{target.url}/ok", f"at: '{coming(16)}'", "misfire_grace_time: 10m")
    jobs = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))
    with a_server_of_its_own() as server:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        with daemon(tmp_path, jobs, ledger=url) as running:
            running.reload(jobs_file(sent + claimed, daemon="lead: 10s, reload: sighup"))
            target.wait_for(5)
            running.wait_for(job="claimed", state="claimed")
            server.stop()
            target.release_held()
            running.wait_until_said("the ledger does not work, trying again")
            server.start()
            ended = running.wait_for(rows=6, state="finished")
            assert {one["outcome"] for one in ended} == {"succeeded"}
            running.assert_all_is_well(target)
