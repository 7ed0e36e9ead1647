"""`resolve`, as an operator types it."""

import getpass
import socket
from pathlib import Path

from tests.support.daemon import daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

BY = f"{getpass.getuser()}@{socket.gethostname()}"


def test_an_unknown_one_is_resolved_and_history_and_logs_say_so(tmp_path: Path, target: TargetServer) -> None:
    held = job("slow", f"{target.url}/hold", "manual", "timeout: {total: 10m}")
    with daemon(tmp_path, jobs_file(held)) as running:
        (one,) = running.json("run-now", "slow", "--no-wait")
        target.wait_for(1)
        running.wait_for(state="running")
        early = running.tminus("resolve", one["id"], "--ran")
        assert (early.returncode, early.stderr.splitlines()[0]) == (1, f"error: {one['id']} is running")
        running.kill()
        target.release_held()
        running.start()
        running.wait_for(outcome="unknown")
        said = running.tminus("resolve", one["id"], "--not-ran")
        assert (said.returncode, said.stdout) == (0, f"{one['id']} is resolved: it did not run\n")
        (found,) = running.json("history")
        assert (found["outcome"], found["resolved"]["as"], found["resolved"]["by"]) == (
            "unknown",
            "not_ran",
            BY,
        )
        assert f"; resolved by {BY}: it did not run" in running.tminus("history").stdout
        assert f"  resolved by {BY}: it did not run, " in running.tminus("logs", "slow").stdout
        running.assert_all_is_well(target)


def test_resolve_asks_for_one_of_two_words(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("pay", f"{target.url}/ok", "manual"))) as running:
        (one,) = running.json("run-now", "pay")
        for words in ([], ["--ran", "--not-ran"]):
            said = running.tminus("resolve", one["id"], *words)
            assert (said.returncode, said.stderr.splitlines()[0]) == (2, "error: did it run?")
        assert running.tminus("resolve", "pay@2020-01-01T00:00:00Z", "--ran").returncode == 4
