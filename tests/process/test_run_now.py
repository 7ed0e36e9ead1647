"""run-now beside a daemon, without one, and where either dies on the way."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer


@pytest.fixture
def running(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with two jobs to run by hand, one with params, and one that takes its time."""
    url = f"{target.url}/day/{{{{ params.day }}}}/{{{{ params.limit }}}}"
    jobs = job("pay", url, "manual", "params: {day: today, limit: 5}") + job(
        "pack", f"{target.url}/ok", "manual"
    )
    with daemon(
        tmp_path, jobs_file(jobs + job("slow", f"{target.url}/stall", "manual"), daemon="reload: sighup")
    ) as running:
        yield running


def test_several_jobs_start_as_one_batch_and_are_waited_for(
    running: DaemonProcess, target: TargetServer
) -> None:
    found = running.json("run-now", "pay", "pack")
    assert {one["job"]: (one["outcome"], one["origin"]) for one in found} == {
        "pay": ("succeeded", "manual"),
        "pack": ("succeeded", "manual"),
    }
    assert len({one["planned_at"] for one in found}) == 1
    running.assert_all_is_well(target)


def test_other_params_are_put_in_and_stand_in_the_occurrence(
    running: DaemonProcess, target: TargetServer
) -> None:
    (one,) = running.json("run-now", "pay", "--set", "day=2026-11-20", "--set", "limit=7")
    assert one["params"] == {"day": "2026-11-20", "limit": 7}
    assert [arrival.path for arrival in target.arrivals] == ["/day/2026-11-20/7"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        pytest.param(["pai"], 4, "error: no job 'pai'; did you mean 'pay'?", id="unknown-job"),
        pytest.param(
            ["pay", "--set", "dai=1"],
            2,
            "error: job 'pay' has no param 'dai'; did you mean 'day'?",
            id="unknown-param",
        ),
        pytest.param(
            ["pay", "--set", "limit=NaN"], 2, "error: --set limit: 'NaN' is not like 5", id="another-kind"
        ),
        pytest.param(["pay", "--at", "-90s"], 2, "is past", id="past"),
    ],
)
def test_what_cannot_be_run_is_refused_and_writes_nothing(
    running: DaemonProcess, arguments: list[str], status: int, says: str
) -> None:
    said = running.tminus("run-now", *arguments)
    assert (said.returncode, says in said.stderr.splitlines()[0]) == (status, True)
    assert running.occurrences() == []


def test_a_job_that_the_daemon_does_not_have_yet_is_refused_in_its_words(
    running: DaemonProcess, target: TargetServer
) -> None:
    running.write(jobs_file(job("pay_all", f"{target.url}/ok", "manual"), daemon="reload: sighup"))
    said = running.tminus("run-now", "pay_all")
    assert (said.returncode, said.stderr.splitlines()[0]) == (
        4,
        "error: no job 'pay_all'; did you mean 'pay'?",
    )


def test_no_wait_prints_what_was_queued(running: DaemonProcess, target: TargetServer) -> None:
    (one,) = running.json("run-now", "pack", "--no-wait", "--at", "+1s")
    assert (one["job"], one["outcome"]) == ("pack", None)
    running.wait_for(id=one["id"], outcome="succeeded")
    running.assert_all_is_well(target)


def test_a_daemon_that_dies_meanwhile_and_does_not_come_back_is_status_3(
    running: DaemonProcess, target: TargetServer
) -> None:
    by_hand = subprocess.Popen(
        running.command("run-now", "slow"), env=running.environment(), stderr=subprocess.PIPE, text=True
    )
    target.wait_for(1)
    running.kill()
    _, said = by_hand.communicate(timeout=PATIENCE_S)
    assert by_hand.returncode == 3
    assert "error: the daemon has ended before all jobs had run" in said
    assert "hint: the next start decides; tminus history slow" in said


def test_a_daemon_that_comes_back_in_time_is_waited_for(running: DaemonProcess, target: TargetServer) -> None:
    by_hand = subprocess.Popen(
        running.command("run-now", "pack", "--at", coming(15), "--json"),
        env=running.environment(),
        stdout=subprocess.PIPE,
    )
    running.wait_for(rows=1)
    running.kill()
    running.start()
    said, _ = by_hand.communicate(timeout=PATIENCE_S)
    assert (by_hand.returncode, json.loads(said)[0]["outcome"]) == (0, "succeeded")
    running.assert_all_is_well(target)


def test_without_a_daemon_it_touches_no_other_occurrence(
    running: DaemonProcess, target: TargetServer
) -> None:
    running.stop()
    running.tminus("run-now", "pay", "--no-wait", "--at", "+1h")
    (one,) = running.json("run-now", "pack")
    assert one["outcome"] == "succeeded"
    assert [arrival.headers["x-tminus-job"] for arrival in target.arrivals] == ["pack"]


def test_killed_without_a_daemon_what_it_had_sent_is_unknown_after_the_next_start(
    running: DaemonProcess, target: TargetServer
) -> None:
    running.stop()
    by_hand = subprocess.Popen(running.command("run-now", "slow"), env=running.environment())
    target.wait_for(1)
    by_hand.kill()
    by_hand.wait()
    running.start()
    (one,) = running.wait_for(state="finished")
    assert one["outcome"] == "unknown"
    running.assert_all_is_well(target)


def test_a_second_one_waits_for_the_first_and_then_runs(running: DaemonProcess, target: TargetServer) -> None:
    running.stop()
    first = subprocess.Popen(
        running.command("run-now", "pack", "--at", coming(600)), env=running.environment()
    )
    eventually(lambda: running.occurrences("pack"), what="the first holds the ledger")
    command = running.command("run-now", "pay")
    with subprocess.Popen(command, env=running.environment(), stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr
        assert f"waiting for the run-now with pid {first.pid}" in second.stderr.readline()
        first.send_signal(signal.SIGINT)
        assert first.wait() == 130
        second.stderr.read()
    assert second.returncode == 0
    running.start()
    running.assert_all_is_well(target)
