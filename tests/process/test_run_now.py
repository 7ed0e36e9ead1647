"""run-now beside a daemon, without one, and where either dies on the way."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, eventually
from tests.support.jobs import QUICK, job, jobs_file
from tests.support.target import TargetServer
from tminus.ledger.engine import open_ledger


def jobs(target: TargetServer) -> str:
    """Two jobs to run by hand, one with params, and one that takes its time."""
    url = f"{target.url}/day/{{{{ params.day }}}}/{{{{ params.limit }}}}"
    pay = job("pay", url, "manual", "params: {day: today, limit: 5}")
    others = job("pack", f"{target.url}/ok", "manual") + job("slow", f"{target.url}/stall", "manual")
    return jobs_file(pay + others, daemon=QUICK)


@pytest.fixture
def idle(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with these jobs that has not been started."""
    idle = DaemonProcess(tmp_path, jobs(target))
    yield idle
    idle.close()


@pytest.fixture
def running(idle: DaemonProcess) -> DaemonProcess:
    """The same, started."""
    return idle.start()


@pytest.fixture
def loaded(shared: DaemonProcess, target: TargetServer) -> DaemonProcess:
    """The daemon of all tests that do not stop it, with these jobs."""
    shared.reload(jobs(target))
    return shared


def test_several_jobs_start_as_one_batch_and_are_waited_for(
    loaded: DaemonProcess, target: TargetServer
) -> None:
    found = loaded.json("run-now", "pay", "pack")
    assert {one["job"]: (one["outcome"], one["origin"]) for one in found} == {
        "pay": ("succeeded", "manual"),
        "pack": ("succeeded", "manual"),
    }
    assert len({one["planned_at"] for one in found}) == 1
    eventually(lambda: any(one["succeeded"] == 2 for one in loaded.said("batch")), what="the batch is logged")


def test_other_params_are_put_in_and_stand_in_the_occurrence(
    loaded: DaemonProcess, target: TargetServer
) -> None:
    (one,) = loaded.json("run-now", "pay", "--set", "day=2026-11-20", "--set", "limit=7")
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
    loaded: DaemonProcess, arguments: list[str], status: int, says: str
) -> None:
    said = loaded.tminus("run-now", *arguments)
    assert (said.returncode, says in said.stderr.splitlines()[0]) == (status, True)
    assert loaded.occurrences() == []


def test_a_job_that_the_daemon_does_not_have_yet_is_refused_in_its_words(
    loaded: DaemonProcess, target: TargetServer
) -> None:
    loaded.write(jobs_file(job("pay_all", f"{target.url}/ok", "manual"), daemon=QUICK))
    said = loaded.tminus("run-now", "pay_all")
    assert (said.returncode, said.stderr.splitlines()[0]) == (
        4,
        "error: no job 'pay_all'; did you mean 'pay'?",
    )


def test_no_wait_prints_what_was_queued(loaded: DaemonProcess, target: TargetServer) -> None:
    (one,) = loaded.json("run-now", "pack", "--no-wait", "--at", "+1s")
    assert (one["job"], one["outcome"]) == ("pack", None)
    loaded.wait_for(id=one["id"], outcome="succeeded")


def test_a_daemon_that_dies_meanwhile_and_does_not_come_back_is_status_3(
    running: DaemonProcess, target: TargetServer
) -> None:
    with running.beside("run-now", "slow") as by_hand:
        target.wait_for(1)
        running.kill()
        assert by_hand.wait() == 3
        assert "error: the daemon has ended before all jobs had run" in by_hand.stderr
        assert (
            "hint: the next start of the daemon decides about the others: tminus history slow"
            in by_hand.stderr
        )


def test_a_daemon_that_comes_back_in_time_is_waited_for(running: DaemonProcess, target: TargetServer) -> None:
    with running.beside("run-now", "pack", "--at", coming(5), "--json") as by_hand:
        running.wait_for(rows=1)
        running.kill()
        running.start()
        assert by_hand.wait() == 0
        assert json.loads(by_hand.stdout)[0]["outcome"] == "succeeded"
    running.assert_all_is_well(target)


def test_without_a_daemon_it_touches_no_other_occurrence(idle: DaemonProcess, target: TargetServer) -> None:
    idle.tminus("run-now", "pay", "--no-wait", "--at", "+1h")
    (one,) = idle.json("run-now", "pack")
    assert one["outcome"] == "succeeded"
    assert [arrival.headers["x-tminus-job"] for arrival in target.arrivals] == ["pack"]


def test_killed_without_a_daemon_what_it_had_sent_is_unknown_after_the_next_start(
    idle: DaemonProcess, target: TargetServer
) -> None:
    with idle.beside("run-now", "slow") as by_hand:
        target.wait_for(1)
        by_hand.kill()
    idle.start()
    (one,) = idle.wait_for(state="finished")
    assert one["outcome"] == "unknown"
    idle.assert_all_is_well(target)


def test_a_second_one_waits_for_the_first_and_then_runs(idle: DaemonProcess, target: TargetServer) -> None:
    open_ledger(idle.ledger).close()
    with idle.beside("run-now", "pack", "--at", coming(600)) as first:
        eventually(lambda: idle.occurrences("pack"), what="the first holds the ledger")
        with idle.beside("run-now", "pay") as second:
            second.wait_until_it_says(f"waiting for the run-now with pid {first.pid}")
            assert first.interrupt() == 130
            assert second.wait() == 0
    (pay,), (pack,) = idle.occurrences("pay"), idle.occurrences("pack")
    assert (pay["outcome"], pack["outcome"]) == ("succeeded", "cancelled")
    assert [arrival.headers["x-tminus-job"] for arrival in target.arrivals] == ["pay"]
