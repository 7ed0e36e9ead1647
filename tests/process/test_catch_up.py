"""Catch-up after a stop: the fire times of the window run, one after another, also over a kill in the middle."""

from pathlib import Path

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.moments import wait_until
from tests.support.target import Arrival, TargetServer
from tminus.clock import SystemClock
from tminus.instants import SECOND

AT_ONCE = "shutdown_grace: 0s"
POLICIES = "coalesce: all, catchup_window: 1h, misfire_grace_time: 1s"


def fire_times(arrivals: list[Arrival], name: str) -> list[str]:
    return [one.headers["x-tminus-occurrence"] for one in arrivals if one.headers["x-tminus-job"] == name]


def has_ended(running: DaemonProcess) -> bool:
    return all(one["state"] == "finished" for one in running.occurrences())


def test_catch_ups_run_one_after_another_and_survive_a_kill_in_the_middle(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = jobs_file(job("tick", f"{target.url}/delay/300", "every: 1s", POLICIES), daemon=AT_ONCE)
    with daemon(tmp_path, jobs) as running:
        running.wait_for(outcome="succeeded")
        running.stop()
        stopped_ns = SystemClock().wall_ns()
        wait_until(stopped_ns + 10 * SECOND)
        running.start()
        running.wait_for(origin="catch_up", outcome="succeeded")
        running.kill()
        before = {one["id"] for one in running.occurrences() if one["origin"] == "catch_up"}
        assert len(before) >= 5
        running.start()
        running.wait_for(rows=len(before), origin="catch_up", state="finished")
        running.reload(jobs.replace("every: 1s", "every: 1h").replace(AT_ONCE, "lead: 1s"))
        eventually(lambda: has_ended(running), what="nothing is left to catch up")
        running.assert_all_is_well(target)
        ended = [one for one in running.occurrences() if one["origin"] == "catch_up"]
        assert {one["outcome"] for one in ended} <= {"succeeded", "unknown"}
        assert sum(one["outcome"] == "unknown" for one in ended) <= 1
        came = [one for one in fire_times(target.arrivals, "tick") if one in {row["id"] for row in ended}]
        assert came == sorted(came)
