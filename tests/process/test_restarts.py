"""
What a job owes after a stop: late within its grace, coalesced into the latest, or one `missed` row with a
count.
"""

from pathlib import Path

from tests.support.daemon import DaemonProcess, coming, daemon
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.instants import MS, SECOND, parse_rfc3339

IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))
#: Stops without waiting for a T that is near.
AT_ONCE = "lead: 200ms, shutdown_grace: 0s"


def whole_seconds_from_now(seconds: int) -> int:
    now_ns = SystemClock().wall_ns()
    return now_ns - now_ns % SECOND + seconds * SECOND


def test_a_daemon_that_is_ready_a_second_before_T_starts_the_batch_at_T(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = many(20, f"{target.url}/ok", f"at: '{coming(2)}'")
    with daemon(tmp_path, jobs_file(jobs, daemon="lead: 10s, reload: sighup")) as running:
        ended = running.wait_for(rows=20, state="finished")
        assert {one["outcome"] for one in ended} == {"succeeded"}
        running.assert_all_is_well(target)


def test_a_restart_through_T_starts_the_batch_late_and_loses_nothing(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(20, f"{target.url}/ok", f"at: '{(at := coming(6))}'"), daemon=AT_ONCE))
        assert running.stop() == 0
        wait_until(parse_rfc3339(at))
        assert target.arrivals == []
        running.start()
        ended = running.wait_for(rows=20, state="finished")
        assert {(one["outcome"], one["origin"]) for one in ended} == {("succeeded", "schedule")}
        assert len({one["planned_at"] for one in ended}) == 1
        assert all(one["start_offset_ms"] > 0 for one in ended)
        running.assert_all_is_well(target)


def test_of_several_late_fire_times_the_latest_runs_and_the_others_are_coalesced(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = jobs_file(job("tick", f"{target.url}/ok", "every: 1s", "overlap: allow_all"), daemon=AT_ONCE)
    with daemon(tmp_path, jobs) as running:
        running.wait_for(outcome="succeeded")
        running.stop()
        before = len(running.occurrences())
        wait_until(whole_seconds_from_now(4))
        running.start()
        after = running.occurrences()[:-before]
        first, second, *_ = [one["reason"] for one in reversed(after) if one["outcome"] == "skipped"]
        assert first == second
        running.wait_for(id=first.removeprefix("coalesced into "), outcome="succeeded")
        running.reload(jobs.replace(AT_ONCE, "lead: 1s"))
        running.assert_all_is_well(target, every_s=1)


def test_unclaimed_fire_times_older_than_the_grace_are_one_missed_row_per_stop(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = jobs_file(job("tick", f"{target.url}/ok", "every: 1s", "misfire_grace_time: 1s"), daemon=AT_ONCE)
    with daemon(tmp_path, jobs) as running:
        for _ in range(2):
            target.wait_for(len(target.arrivals) + 1)
            running.stop()
            before = {one["id"] for one in running.occurrences()}
            wait_until(whole_seconds_from_now(6))
            running.start()
            (missed,) = [
                one for one in running.occurrences() if one["count"] >= 3 and one["id"] not in before
            ]
            words = f"{missed['count']} fire times were not started in time: later than the misfire_grace_time of 1 s"
            assert (missed["outcome"], missed["reason"]) == ("missed", words)
            assert running.said("missed while tminus was not running")[-1]["fire_times"] >= missed["count"]
        running.reload(jobs.replace(AT_ONCE, "lead: 1s"))
        running.assert_all_is_well(target, every_s=1)


def test_a_new_job_owes_nothing_from_before_it_was_there(tmp_path: Path, target: TargetServer) -> None:
    jobs = job("tick", f"{target.url}/ok", "every: 1s")
    with daemon(tmp_path, jobs_file(jobs)) as running:
        running.wait_for(outcome="succeeded")
        running.stop()
        running.write(jobs_file(jobs + job("new", f"{target.url}/ok", "every: 1s")))
        started_ns = SystemClock().wall_ns()
        running.start()
        running.wait_for(job="new", outcome="succeeded")
        assert all(parse_rfc3339(one["fire_time"]) >= started_ns for one in running.occurrences("new"))
        running.assert_all_is_well(target, every_s=1)


def test_a_job_that_was_taken_away_while_tminus_was_stopped_owes_nothing(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(job("gone", f"{target.url}/ok", f"at: '{coming(10)}'"), daemon="lead: 10s"))
        running.wait_for(job="gone", state="claimed")
        running.kill()
        running.write(IDLE)
        running.start()
        (gone,) = running.wait_for(state="finished")
        assert (gone["outcome"], gone["reason"]) == ("cancelled", "the job was deleted from the jobs file")
        running.assert_all_is_well(target)


def test_what_was_asked_for_by_hand_survives_a_kill_and_starts_at_its_T(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, jobs_file(job("pay", f"{target.url}/ok", "manual"))) as running:
        assert running.tminus("run-now", "pay", "--at", "+5s", "--no-wait").returncode == 0
        running.kill()
        running.start()
        (one,) = running.wait_for(state="finished")
        assert (one["outcome"], one["origin"]) == ("succeeded", "manual")
        running.assert_all_is_well(target)


def test_what_was_asked_for_by_hand_and_is_too_late_is_missed(tmp_path: Path, target: TargetServer) -> None:
    jobs = jobs_file(job("pay", f"{target.url}/ok", "manual", "misfire_grace_time: 100ms"))
    stopped = DaemonProcess(tmp_path, jobs)
    assert stopped.tminus("run-now", "pay", "--at", "+1s", "--no-wait").returncode == 0
    wait_until(SystemClock().wall_ns() + 1200 * MS)
    try:
        stopped.start()
        (one,) = stopped.wait_for(state="finished")
        assert (one["outcome"], one["reason"]) == ("missed", "released later than its misfire_grace_time")
        stopped.assert_all_is_well(target)
    finally:
        stopped.close()
