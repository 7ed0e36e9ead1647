"""The fire times to come, as `next`, `status` and `watch` show them."""

import pytest

from tests.support.ledgers import T
from tests.support.scheduling import definitions_of
from tests.support.values import a_job
from tminus.instants import SECOND
from tminus.model.job import Cron
from tminus.operations.next_times import next_of, upcoming
from tminus.policies.jitter import jittered
from tminus.policies.pause import Pause
from tminus.policies.withheld import Withheld

MINUTE = 60 * SECOND
#: T is a whole minute.
JOB = a_job("pay", schedule=(Cron("0 * * * * *", "UTC"),), jitter_ns=MINUTE)
START_NS = jittered(JOB.name, JOB.jitter_ns)(T)


def paused_until(until_ns: int) -> Withheld:
    return Withheld(pauses={"pay": Pause(since_ns=T - MINUTE, until_ns=until_ns, reason="", by="ann@desk")})


@pytest.mark.parametrize(("until_ns", "first_ns"), [(START_NS, T), (START_NS + 1, T + MINUTE)])
def test_a_pause_ends_by_planned_starts_and_not_by_fire_times(until_ns: int, first_ns: int) -> None:
    assert T < START_NS < T + MINUTE
    withheld = paused_until(until_ns)
    assert next_of(JOB, T - 1, withheld) == first_ns
    (first,) = upcoming(definitions_of(JOB), ["pay"], from_ns=T - 1, to_ns=None, most=1, withheld=withheld)
    assert first.fire_time_ns == first_ns


def test_what_is_skipped_is_left_out() -> None:
    assert next_of(JOB, T - 1, Withheld(skips={("pay", T): "ann@desk"})) == T + MINUTE
