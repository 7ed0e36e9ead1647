"""
kill -9 at every crash point: each fire time has exactly one outcome, nothing is sent twice or early, and an
outcome that is in the journal is not `unknown`.

`python -m bench.soak --only crash-points` kills at later passages, too, and on PostgreSQL.
"""

from pathlib import Path

import pytest

from tests.support.crash_sweep import GROUPS, Sweep
from tests.support.target import TargetServer
from tminus.crash_points import POINTS


def test_the_sweep_kills_at_every_point_of_the_table_once() -> None:
    assert sorted(point for points in GROUPS.values() for point in points) == sorted(POINTS)


@pytest.mark.parametrize("group", GROUPS)
def test_killed_at_each_point_once_no_fire_time_is_lost_or_doubled(
    group: str, tmp_path: Path, target: TargetServer
) -> None:
    sweep = Sweep(tmp_path, target)
    try:
        for point in GROUPS[group]:
            sweep.kill_at(point)
        assert sweep.finish() == []
    finally:
        sweep.close()
