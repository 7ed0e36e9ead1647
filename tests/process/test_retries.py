"""Retries: one occurrence, several attempts, whatever happens between them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, daemon
from tests.support.jobs import QUICK, job, jobs_file
from tests.support.postgres import a_schema_of_its_own
from tests.support.target import Arrival, TargetServer

TWICE_BUSY = "/statuses/503,503,200"
SOON = "retry: {max_attempts: 3, initial_interval: 250ms, jitter: none}"


def assert_one_occurrence_with_its_attempts(arrivals: list[Arrival], method: str) -> None:
    """All of them name one occurrence, and count its attempts."""
    headers = [one.headers for one in arrivals]
    assert len({one["x-tminus-occurrence"] for one in headers}) == 1
    assert [one["x-tminus-attempt"] for one in headers] == [str(n) for n in range(1, len(headers) + 1)]
    if method == "POST":
        assert {one["idempotency-key"] for one in headers} == {headers[0]["x-tminus-occurrence"]}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_is_busy_twice_gets_a_third_request(
    shared: DaemonProcess, target: TargetServer, method: str
) -> None:
    url = f"{{url: '{target.url}{TWICE_BUSY}', method: {method}}}"
    shared.reload(jobs_file(f"  busy: {{schedule: manual, http: {url}, {SOON}}}\n", daemon=QUICK))
    (one,) = shared.json("run-now", "busy")
    assert (one["outcome"], one["attempts"], one["http_status"]) == ("succeeded", 3, 200)
    assert_one_occurrence_with_its_attempts(target.arrivals, method)
    attempts = shared.json("logs", one["id"])["attempts"]
    assert [(each["attempt"], each["outcome"], each["http_status"]) for each in attempts] == [
        (1, "failed", 503),
        (2, "failed", 503),
        (3, "succeeded", 200),
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a ledger of each kind; None for the daemon's own."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(a_schema_of_its_own()) if request.param == "postgresql" else None


def test_a_daemon_that_is_killed_between_two_attempts_changes_nothing(
    tmp_path: Path, target: TargetServer, ledger: str | None
) -> None:
    url = f"{target.url}{TWICE_BUSY}?after=4"
    retry = "retry: {max_attempts: 3, initial_interval: 1s, jitter: none}, misfire_grace_time: 1h"
    jobs = jobs_file(job("busy", url, "manual", retry), daemon=QUICK)
    with daemon(tmp_path, jobs, ledger=ledger) as running:
        running.tminus("run-now", "busy", "--no-wait")
        for killed in (1, 2):
            running.wait_for_retry(attempts=killed)
            running.kill()
            assert len(target.arrivals) == killed
            running.start()
        (one,) = running.wait_for(state="finished")
        assert (one["outcome"], one["attempts"]) == ("succeeded", 3)
        assert_one_occurrence_with_its_attempts(target.arrivals, "GET")
        running.assert_all_is_well(target)


def test_what_retry_on_does_not_name_is_not_tried_again(shared: DaemonProcess, target: TargetServer) -> None:
    jobs = job("gone", f"{target.url}/status/404", "manual", SOON)
    shared.reload(jobs_file(jobs, daemon=QUICK))
    (one,) = shared.json("run-now", "gone")
    assert (one["outcome"], one["attempts"]) == ("failed", 1)


def test_the_last_attempt_decides(shared: DaemonProcess, target: TargetServer) -> None:
    jobs = job("busy", f"{target.url}/statuses/503,502,404", "manual", SOON)
    shared.reload(jobs_file(jobs, daemon=QUICK))
    (one,) = shared.json("run-now", "busy")
    assert (one["outcome"], one["reason"]) == ("failed", "status: 404 instead of 2xx")


def test_between_two_attempts_the_job_counts_as_running(tmp_path: Path, target: TargetServer) -> None:
    retry = "retry: {max_attempts: 2, initial_interval: 1h, max_interval: 1h, jitter: none}"
    with daemon(tmp_path, jobs_file(job("busy", f"{target.url}/status/503", "every: 1s", retry))) as running:
        waiting = running.wait_for_retry()
        running.wait_for(outcome="skipped", reason=f"overlap: {waiting['id']} ")
        running.kill()
        running.start()
        running.wait_for(rows=len(running.occurrences()) + 2, outcome="skipped", reason="overlap: ")
        assert len(target.arrivals) == 1


def test_run_now_without_a_daemon_makes_all_attempts(tmp_path: Path, target: TargetServer) -> None:
    busy = jobs_file(job("busy", f"{target.url}{TWICE_BUSY}", "manual", SOON), daemon=QUICK)
    (one,) = DaemonProcess(tmp_path, busy).json("run-now", "busy")
    assert (one["outcome"], one["attempts"]) == ("succeeded", 3)
    assert_one_occurrence_with_its_attempts(target.arrivals, "GET")


def test_an_exception_that_is_named_is_tried_again_and_another_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from pathlib import Path\n"
        "class Busy(ConnectionError): ...\n"
        "def fails(name, error):\n"
        "    with Path(name).open('a') as file: file.write('x')\n"
        "    raise {'Busy': Busy, 'ValueError': ValueError}[error]('no')\n"
    )
    retry = "retry: {max_attempts: 3, initial_interval: 100ms, jitter: none, retry_on: [ConnectionError]}"
    jobs = "".join(
        f"  {name}: {{schedule: manual, {retry}, "
        f"call: {{ref: 'shop:fails', kwargs: {{name: {name}, error: {name}}}}}}}\n"
        for name in ("Busy", "ValueError")
    )
    with daemon(tmp_path, jobs_file(jobs, daemon=QUICK)) as running:
        rows = running.json("run-now", "Busy", "ValueError")
        assert {one["job"]: (one["outcome"], one["attempts"]) for one in rows} == {
            "Busy": ("failed", 3),
            "ValueError": ("failed", 1),
        }
        assert [len((tmp_path / name).read_text()) for name in ("Busy", "ValueError")] == [3, 1]
