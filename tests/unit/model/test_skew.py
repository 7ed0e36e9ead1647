"""Statistics of start offsets: each percentile is the offset of one of the jobs."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND
from tminus.model.skew import Offset, Skew

T = 1_795_174_200 * SECOND  # 2026-11-20T11:30:00Z


def skew(*offsets_ns: int, jobs: int | None = None) -> Skew:
    offsets = [
        Offset(id=str(number), offset_ns=offset, armed=True)
        for number, offset in enumerate(sorted(offsets_ns))
    ]
    return Skew(planned_at_ns=T, jobs=len(offsets) if jobs is None else jobs, offsets=offsets)


def nearest_rank(offsets_ns: list[int], percent: int) -> int:
    """The smallest offset that at least so many percent of all do not exceed, found by counting."""
    enough = max(Fraction(percent, 100) * len(offsets_ns), Fraction(1))
    return min(one for one in offsets_ns if sum(other <= one for other in offsets_ns) >= enough)


@given(
    st.lists(st.integers(min_value=-MS, max_value=SECOND), min_size=1, max_size=250),
    st.sampled_from([0, 1, 50, 90, 99, 100]),
)
def test_a_percentile_is_the_nearest_rank(offsets_ns: list[int], percent: int) -> None:
    found = skew(*offsets_ns).percentile_ns(percent / 100)
    assert found == nearest_rank(offsets_ns, percent)
    assert found in offsets_ns


@pytest.mark.parametrize("jobs", [*range(1, 301), 1_000, 9_999, 10_000])
def test_the_figures_of_n_jobs_are_those_of_their_ranks(jobs: int) -> None:
    offsets = skew(*range(1, jobs + 1))
    assert offsets.percentile_ns(0.5) == math.ceil(Fraction(jobs, 2))
    assert offsets.percentile_ns(0.99) == math.ceil(Fraction(99 * jobs, 100))


@given(st.lists(st.integers(min_value=-MS, max_value=SECOND), min_size=1, max_size=50))
def test_first_and_last_are_the_extremes_and_the_spread_is_between_them(offsets_ns: list[int]) -> None:
    batch = skew(*offsets_ns)
    assert (batch.first_ns, batch.last_ns) == (min(offsets_ns), max(offsets_ns))
    assert batch.spread_ns == max(offsets_ns) - min(offsets_ns)


def test_a_batch_of_which_nothing_started_has_no_figures() -> None:
    assert skew(jobs=3).as_json() == {
        "planned_at": "2026-11-20T11:30:00Z",
        "jobs": 3,
        "started": 0,
        "first_ms": None,
        "p50_ms": None,
        "p99_ms": None,
        "last_ms": None,
        "spread_ms": None,
        "offsets": [],
    }


def test_a_batch_is_told_in_milliseconds() -> None:
    assert skew(1_200_000, 700_400, 2_000_600, jobs=4).as_json() == {
        "planned_at": "2026-11-20T11:30:00Z",
        "jobs": 4,
        "started": 3,
        "first_ms": 0.7,
        "p50_ms": 1.2,
        "p99_ms": 2.001,
        "last_ms": 2.001,
        "spread_ms": 1.3,
        "offsets": [
            {"id": "0", "ms": 0.7, "armed": True},
            {"id": "1", "ms": 1.2, "armed": True},
            {"id": "2", "ms": 2.001, "armed": True},
        ],
    }
