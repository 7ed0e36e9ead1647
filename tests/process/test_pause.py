"""`pause` and `resume`, as an operator types them."""

import getpass
import socket
from pathlib import Path

import pytest

from tests.support.checker import gaps
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

USER = f"{getpass.getuser()}@{socket.gethostname()}"
SAYS_WHO = f"paused by {USER} since "


def test_a_paused_job_skips_its_fire_times_until_it_is_resumed(
    shared: DaemonProcess, target: TargetServer
) -> None:
    tick = job("tick", f"{target.url}/ok", "every: 1s")
    shared.reload(jobs_file(tick))
    assert shared.tminus("pause", "tick", "--reason", "CRM is down").stdout == "tick is paused\n"
    (first, *_) = reversed(shared.wait_for(outcome="skipped", reason=SAYS_WHO, rows=2))
    assert first["reason"].endswith("Z: CRM is down")
    assert shared.json("next") == []
    (shown,) = shared.json("jobs")
    assert (shown["paused"], shown["suspended"], shown["next"]) == (True, False, None)
    assert SAYS_WHO in shared.tminus("jobs").stdout
    assert shared.json("status")["next"] is None
    assert shared.tminus("resume", "tick").stdout == "tick is resumed\n"
    assert shared.json("jobs")[0]["paused"] is False
    last = max(one["fire_time"] for one in shared.occurrences() if one["outcome"] == "skipped")
    shared.wait_for(outcome="succeeded", rows=1 + _count(shared, "succeeded", before=last))
    eventually(lambda: not gaps(shared.occurrences(), every_s=1), what="each fire time has a row")


def _count(running: DaemonProcess, outcome: str, *, before: str) -> int:
    return sum(one["outcome"] == outcome and one["fire_time"] <= before for one in running.occurrences())


def test_a_pause_lasts_over_a_restart_and_run_now_says_that_it_runs_anyway(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        assert running.json("pause", "tick")[0]["job"] == "tick"
        running.kill()
        running.start()
        running.wait_for(outcome="skipped", rows=2)
        said = running.tminus("run-now", "tick")
        assert (said.returncode, f"tick is {SAYS_WHO}" in said.stderr) == (0, True)
        assert "; it runs anyway" in said.stderr


def test_without_a_daemon_the_pause_waits_and_is_in_force_before_anything_starts(
    tmp_path: Path, target: TargetServer
) -> None:
    running = DaemonProcess(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s")))
    try:
        said = running.tminus("pause", "tick")
        assert (said.returncode, said.stdout) == (0, "")
        assert said.stderr == "no daemon runs on this ledger: the request waits until one starts\n"
        running.start()
        running.wait_for(outcome="skipped", reason=SAYS_WHO, rows=2)
        assert {one["outcome"] for one in running.occurrences()} <= {"skipped", None}
        assert target.arrivals == []
    finally:
        running.close()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        pytest.param(["pause"], 2, "error: which jobs?", id="no-job"),
        pytest.param(["pause", "tik"], 4, "error: no job 'tik'; did you mean 'tick'?", id="unknown-job"),
        pytest.param(["pause", "--all"], 2, "error: this pauses 2 jobs", id="unconfirmed"),
        pytest.param(["resume", "t*"], 2, "error: this resumes 2 jobs", id="unconfirmed-glob"),
        pytest.param(["pause", "tick", "--until", "-1h"], 2, "error: --until -1h is past", id="past"),
    ],
)
def test_what_cannot_be_paused_is_refused(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    url = "http://127.0.0.1:9/"
    running = DaemonProcess(tmp_path, jobs_file(job("tick", url, "manual") + job("tock", url, "manual")))
    said = running.tminus(*arguments)
    assert (said.returncode, said.stderr.splitlines()[0]) == (status, says)


def test_many_jobs_are_paused_with_yes_until_a_time(shared: DaemonProcess, target: TargetServer) -> None:
    two = "".join(job(name, f"{target.url}/ok", "every: 1h") for name in ("bread", "milk"))
    shared.reload(jobs_file(two))
    paused = shared.json("pause", "--all", "--yes", "--until", "+90m")
    assert [one["job"] for one in paused] == ["bread", "milk"]
    following = shared.json("next", "-n", "2")
    assert [one["job"] for one in following] == ["bread", "milk"]
    assert all(one["fire_time"] >= paused[0]["until"] for one in following)


def test_a_job_that_fails_again_and_again_is_paused_until_it_is_resumed(
    shared: DaemonProcess, target: TargetServer
) -> None:
    fails = job("fails", f"{target.url}/status/503", "every: 1s", "pause_on_failure: 2")
    shared.reload(jobs_file(fails))
    (skipped, *_) = shared.wait_for(outcome="skipped", reason="paused by tminus since ", rows=2)
    assert ": 2 consecutive failures, the last: status: 503" in skipped["reason"]
    status = shared.tminus("status")
    assert (status.returncode, "tminus resume fails ends that" in status.stdout) == (1, True)
    failed = _count(shared, "failed", before="9")
    assert shared.tminus("resume", "fails").stdout == "fails is resumed\n"
    shared.wait_for(outcome="failed", rows=failed + 2)


def test_a_suspended_job_skips_its_fire_times_with_the_configuration_that_says_so(
    shared: DaemonProcess, target: TargetServer
) -> None:
    def file(more: str) -> str:
        return jobs_file(job("rests", f"{target.url}/ok", "every: 1s", more))

    shared.reload(file(""))
    shared.wait_for(outcome="succeeded")
    shared.reload(file("suspend: true"))
    version = shared.json("status")["config_version"]
    reason = f"suspended by configuration {version} since "
    (skipped, *_) = shared.wait_for(outcome="skipped", reason=reason, rows=2)
    before = _count(shared, "succeeded", before="9")
    shared.reload(file(""))
    shared.wait_for(outcome="succeeded", rows=before + 1)
    told = shared.json("why", "rests", skipped["fire_time"])["sentences"][-1]
    assert told.startswith(f"The job was suspended by configuration {version} since ")
    eventually(lambda: not gaps(shared.occurrences(), every_s=1), what="each fire time has a row")
