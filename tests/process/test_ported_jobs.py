"""
Jobs as users of Flask-APScheduler run, pause and resume them. `tests/ported_cases.py` lists the cases, also those
that other tests show.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.web_worker import web_worker
from tminus.clock import SystemClock
from tminus.errors import UsageError
from tminus.instants import parse_rfc3339, rfc3339

_BY_APPLICATION = "paused by application shop since "


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, DaemonProcess]]:
    """The application as a web worker has it, and the daemon that runs its jobs."""
    folder = tmp_path_factory.mktemp("site")
    settings = {"lead": "200ms", "reload": "sighup"}
    with (
        pytest.MonkeyPatch.context() as patch,
        web_worker(folder, "operated", patch) as module,
        daemon(folder, shop_file(daemon=settings)) as process,
    ):
        eventually(lambda: _jobs(process) == 5, what="the jobs in the code are known")
        yield module, process


def _jobs(running: DaemonProcess) -> int:
    """Return how many jobs the configuration in force has."""
    return int([*running.said("ready"), *running.said("reloaded")][-1]["jobs"])


@pytest.fixture
def running(site: tuple[Any, DaemonProcess], monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonProcess]:
    """The daemon of all tests. No job is paused when a test begins."""
    module, process = site
    monkeypatch.setenv("TMINUS_LEDGER", process.ledger)
    yield process
    module.scheduler.resume("inventory")


@pytest.fixture
def shop(site: tuple[Any, DaemonProcess], running: DaemonProcess) -> Any:
    """The application of all tests."""
    return site[0]


def listed(running: DaemonProcess, job: str) -> dict[str, Any]:
    """Return a job as the command line lists it."""
    (found,) = [one for one in running.json("jobs") if one["job"] == job]
    return dict(found)


def upcoming(running: DaemonProcess, job: str) -> list[str]:
    """Return the next fire time of a job; nothing if it has none."""
    return [one["fire_time"] for one in running.json("next", job, "-n", "1")]


def started(running: DaemonProcess, job: str) -> list[int]:
    """Return the fire times at which a job was started."""
    return [parse_rfc3339(one["fire_time"]) for one in running.occurrences(job) if one["started_at"]]


def test_a_job_that_the_application_pauses_is_skipped_until_it_is_resumed(
    shop: Any, running: DaemonProcess
) -> None:
    eventually(lambda: started(running, "tick"), what="it runs")
    assert shop.scheduler.pause("tick", reason="stocktaking")
    skipped = running.wait_for(job="tick", outcome="skipped", reason=_BY_APPLICATION, rows=2)
    assert skipped[0]["reason"].endswith(": stocktaking")
    assert shop.scheduler.resume("tick")
    first, last = (parse_rfc3339(skipped[index]["fire_time"]) for index in (-1, 0))
    eventually(lambda: max(started(running, "tick")) > last, what="it runs again")
    assert [at for at in started(running, "tick") if first <= at <= last] == []


def test_a_pause_with_an_end_ends_by_itself(shop: Any, running: DaemonProcess) -> None:
    until = coming(3)
    assert shop.scheduler.pause("tock", until=until)
    skipped = running.wait_for(job="tock", outcome="skipped", reason=_BY_APPLICATION)
    first = parse_rfc3339(skipped[-1]["fire_time"])
    eventually(lambda: max(started(running, "tock"), default=0) > first, what="it runs again")
    assert min(at for at in started(running, "tock") if at > first) >= parse_rfc3339(until)


def test_an_end_of_a_pause_that_is_past_is_refused(shop: Any, running: DaemonProcess) -> None:
    past = rfc3339(SystemClock.wall_ns() - 1)
    with pytest.raises(ValueError, match=r"until .*Z is past"):
        shop.scheduler.pause("inventory", until=past)
    assert not listed(running, "inventory")["paused"]


def test_a_paused_job_has_no_next_fire_time_until_it_is_resumed(shop: Any, running: DaemonProcess) -> None:
    before = upcoming(running, "inventory")
    assert len(before) == 1
    shop.scheduler.pause("inventory")
    assert (upcoming(running, "inventory"), listed(running, "inventory")["next"]) == ([], None)
    shop.scheduler.resume("inventory")
    assert upcoming(running, "inventory") == before


def test_a_second_pause_replaces_the_first_and_one_resume_ends_both(
    shop: Any, running: DaemonProcess
) -> None:
    assert shop.scheduler.pause("inventory", reason="the first")
    assert shop.scheduler.pause("inventory", reason="the second")
    said = running.tminus("jobs").stdout
    assert ("the first" in said, "the second" in said) == (False, True)
    assert shop.scheduler.resume("inventory")
    assert not listed(running, "inventory")["paused"]


def test_a_job_that_is_not_paused_can_be_resumed_and_stays_as_it_is(
    shop: Any, running: DaemonProcess
) -> None:
    before = listed(running, "inventory")
    assert shop.scheduler.resume("inventory")
    assert listed(running, "inventory") == before


def test_the_command_resumes_what_the_application_pauses_and_the_other_way_round(
    shop: Any, running: DaemonProcess
) -> None:
    shop.scheduler.pause("inventory")
    assert running.tminus("resume", "inventory").stdout == "inventory is resumed\n"
    assert not listed(running, "inventory")["paused"]
    assert running.tminus("pause", "inventory").stdout == "inventory is paused\n"
    shop.scheduler.resume("inventory")
    assert not listed(running, "inventory")["paused"]


def test_a_pause_of_one_job_pauses_no_other(shop: Any, running: DaemonProcess) -> None:
    shop.scheduler.pause("inventory")
    assert {one["job"] for one in running.json("jobs") if one["paused"]} == {"inventory"}


def test_a_paused_job_still_runs_by_hand_and_stays_paused(shop: Any, running: DaemonProcess) -> None:
    shop.scheduler.pause("inventory")
    running.wait_for(id=shop.scheduler.run_now("inventory"), outcome="succeeded")
    assert listed(running, "inventory")["paused"]


def test_a_run_by_hand_gets_the_jobs_arguments_and_leaves_its_next_fire_time(
    shop: Any, running: DaemonProcess
) -> None:
    before = upcoming(running, "inventory")
    occurrence = shop.scheduler.run_now("inventory")
    (one,) = running.wait_for(id=occurrence, outcome="succeeded")
    assert one["origin"] == "manual"
    assert '"all of it"' in running.tminus("logs", occurrence).stdout
    assert upcoming(running, "inventory") == before


def test_each_run_by_hand_is_an_occurrence_of_its_own(shop: Any, running: DaemonProcess) -> None:
    first, second = shop.scheduler.run_now("audit"), shop.scheduler.run_now("audit")
    assert first != second
    for occurrence in (first, second):
        running.wait_for(id=occurrence, outcome="succeeded")


def test_a_run_by_hand_that_fails_is_an_outcome_and_no_error_of_its_caller(
    shop: Any, running: DaemonProcess
) -> None:
    occurrence = shop.scheduler.run_now("breaks")
    (one,) = running.wait_for(id=occurrence, state="finished")
    assert (one["outcome"], one["reason"]) == ("failed", "exception: ValueError: it is broken")


def test_a_view_of_ones_own_runs_pauses_and_resumes_jobs(shop: Any, running: DaemonProcess) -> None:
    browser = shop.app.test_client()
    assert browser.post("/jobs/inventory/pause").get_json() == {"done": True}
    assert listed(running, "inventory")["paused"]
    assert browser.post("/jobs/inventory/resume").get_json() == {"done": True}
    assert not listed(running, "inventory")["paused"]
    running.wait_for(id=browser.post("/jobs/inventory/run").get_json()["done"], outcome="succeeded")


@pytest.mark.parametrize("operation", ["run", "pause", "resume"])
def test_an_unknown_job_is_an_error_of_each_operation(
    shop: Any, running: DaemonProcess, operation: str
) -> None:
    response = shop.app.test_client().post(f"/jobs/inventori/{operation}")
    assert response.status_code == 404
    assert response.get_json() == {"error": "no job 'inventori'; did you mean 'inventory'?"}


def test_a_job_that_a_web_worker_defines_at_run_time_is_none(shop: Any, running: DaemonProcess) -> None:
    shop.scheduler.job("added", every="1h")(shop.audit)
    with pytest.raises(UsageError, match="no job 'added'"):
        shop.scheduler.run_now("added")
    assert "added" not in {one["job"] for one in running.json("jobs")}
