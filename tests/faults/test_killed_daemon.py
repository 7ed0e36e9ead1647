"""
kill -9 of the daemon at each phase of the countdown, then a start: nothing runs twice, and nothing is without
an outcome.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.instants import MS, parse_rfc3339

NOBODY_KNOWS = (
    "executor: tminus was killed between the release and the answer; whether the request arrived is not known"
)

#: All is claimed and armed long before T: a busy machine needs time to kill the daemon before it.
EARLY = "lead: 10s, reload: sighup"

Moment = Callable[[DaemonProcess, TargetServer], object]


@pytest.fixture
def ready(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with nothing to do yet."""
    with daemon(tmp_path, jobs_file(job("idle", target.url, "manual"))) as running:
        yield running


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda running, _: running.wait_for(state="claimed"), id="just-claimed"),
        pytest.param(lambda _, target: target.wait_for_connections(20), id="armed"),
    ],
)
def test_what_was_claimed_and_not_released_runs_once_after_the_next_start(
    ready: DaemonProcess, target: TargetServer, moment: Moment
) -> None:
    ready.reload(jobs_file(many(20, f"{target.url}/ok", f"at: '{coming(8)}'"), daemon=EARLY))
    moment(ready, target)
    ready.kill()
    assert {one["state"] for one in ready.occurrences()} == {"claimed"}
    assert target.arrivals == []
    ready.start()
    ended = ready.wait_for(rows=20, state="finished")
    assert {(one["outcome"], one["origin"]) for one in ended} == {("succeeded", "schedule")}
    ready.assert_all_is_well(target)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda running, _: running.wait_for(state="running"), id="between-the-commit-and-T"),
        pytest.param(lambda _, target: target.wait_for(1), id="at-T"),
        pytest.param(lambda _, target: target.wait_for(20), id="waiting-for-answers"),
    ],
)
def test_what_was_released_and_not_answered_is_unknown_and_not_sent_again(
    ready: DaemonProcess, target: TargetServer, moment: Moment
) -> None:
    ready.reload(jobs_file(many(20, f"{target.url}/stall", f"at: '{coming(3)}'")))
    moment(ready, target)
    ready.kill()
    ready.start()
    ended = ready.wait_for(rows=20, state="finished")
    assert {(one["outcome"], one["reason"]) for one in ended} == {("unknown", NOBODY_KNOWS)}
    ready.assert_all_is_well(target)


def test_outcomes_that_were_written_stay_and_the_others_are_unknown(
    ready: DaemonProcess, target: TargetServer
) -> None:
    at = f"at: '{coming(3)}'"  # one T, also on a machine on which the next line takes long
    slow = "".join(job(f"slow_{index}", f"{target.url}/stall", at) for index in range(10))
    ready.reload(jobs_file(many(200, f"{target.url}/ok", at) + slow))
    before = {one["id"] for one in ready.wait_for(outcome="succeeded")}
    ready.kill()
    ready.start()
    ended = {one["id"]: one["outcome"] for one in ready.wait_for(rows=210, state="finished")}
    assert {ended[name] for name in before} == {"succeeded"}
    assert {outcome for name, outcome in ended.items() if name.startswith("slow_")} == {"unknown"}
    ready.assert_all_is_well(target)


def test_what_is_later_than_its_grace_after_the_next_start_is_missed_and_says_so(
    ready: DaemonProcess, target: TargetServer
) -> None:
    jobs = many(3, f"{target.url}/ok", f"at: '{(at := coming(6))}'", "misfire_grace_time: 100ms")
    ready.reload(jobs_file(jobs, daemon=EARLY))
    ready.wait_for(rows=3, state="claimed")
    ready.kill()
    wait_until(parse_rfc3339(at) + 200 * MS)
    ready.start()
    ended = ready.wait_for(rows=3, state="finished")
    reason = "not started in time: later than its misfire_grace_time of 0.1 s"
    assert {(one["outcome"], one["reason"], one["count"]) for one in ended} == {("missed", reason, 1)}
    ready.assert_all_is_well(target)


def test_what_ended_before_the_kill_is_left_alone_by_every_later_start(
    ready: DaemonProcess, target: TargetServer
) -> None:
    ready.reload(jobs_file(many(3, f"{target.url}/ok", f"at: '{coming(1.5)}'")))
    ended = ready.wait_for(rows=3, state="finished")
    for _ in range(2):
        ready.kill()
        ready.start()
    assert ready.occurrences() == ended
    ready.assert_all_is_well(target)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_killed_again_and_again_at_random_moments_no_fire_time_is_lost_or_doubled(
    tmp_path: Path, target: TargetServer, seed: int
) -> None:
    dice = random.Random(seed)
    jobs = many(10, f"{target.url}/delay/{dice.choice([1, 100, 900])}", "every: 1s", "overlap: allow_all")
    with daemon(tmp_path, jobs_file(jobs, daemon="reload: sighup")) as running:
        for _ in range(2):
            target.wait_for(len(target.arrivals) + dice.randrange(1, 15))
            wait_until(SystemClock().wall_ns() + dice.randrange(1000) * MS)
            running.kill()
            running.start()
        last = len(running.occurrences())
        eventually(lambda: len(running.occurrences()) > last + 20, what="it goes on")
        running.assert_all_is_well(target, every_s=1)
