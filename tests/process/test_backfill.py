"""`tminus backfill`, as an operator calls it."""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.instants import SECOND, rfc3339

HOUR = 3_600 * SECOND


def test_past_fire_times_run_one_after_another_each_with_its_own_day(
    tmp_path: Path, target: TargetServer
) -> None:
    url = f"{target.url}/ok?day={{{{ fire_time }}}}"
    end_ns = SystemClock().wall_ns() // HOUR * HOUR - 48 * HOUR
    stretch = ("--from", rfc3339(end_ns - 3 * HOUR), "--to", rfc3339(end_ns))
    with daemon(tmp_path, jobs_file(job("hourly", url, "every: 1h"))) as running:
        said = running.tminus("backfill", "hourly", *stretch, "--dry-run")
        assert (said.returncode, said.stdout) == (0, "hourly: 4 would run, 0 left alone\n")
        assert target.arrivals == []
        assert running.tminus("backfill", "hourly", *stretch).stdout == "hourly: 4 to run, 0 left alone\n"
        running.wait_for(rows=4, origin="backfill", outcome="succeeded")
        days = [arrival.path.partition("day=")[2] for arrival in target.arrivals]
        assert days == sorted(days)
        assert len(set(days)) == 4
        again = running.tminus("backfill", "hourly", *stretch)
        assert again.stdout == "hourly: 0 to run, 4 left alone\n"
        running.assert_all_is_well(target)
