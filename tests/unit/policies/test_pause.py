"""Which planned starts a pause covers, and how it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ledgers import T
from tminus.instants import SECOND
from tminus.policies.pause import FORGOTTEN_NS, Pause, PauseKind, is_forgotten


def a_pause(until_ns: int | None = None, reason: str = "CRM is down") -> Pause:
    return Pause(since_ns=T, until_ns=until_ns, reason=reason, by="ann@desk")


@given(planned_at_ns=st.integers(0, 2**63 - 1))
def test_a_pause_without_an_end_covers_every_start(planned_at_ns: int) -> None:
    assert a_pause().covers(planned_at_ns)


@given(planned_at_ns=st.integers(0, 2**63 - 1))
def test_a_pause_with_an_end_covers_exactly_the_starts_before_it(planned_at_ns: int) -> None:
    assert a_pause(until_ns=T + 60 * SECOND).covers(planned_at_ns) == (planned_at_ns < T + 60 * SECOND)


@pytest.mark.parametrize(("reason", "end"), [("CRM is down", ": CRM is down"), ("", "")])
def test_a_pause_says_who_since_when_and_why(reason: str, end: str) -> None:
    assert str(a_pause(reason=reason)) == f"paused by ann@desk since 2025-11-20T11:30:00Z{end}"


def test_a_suspension_says_which_configuration_and_since_when() -> None:
    pause = Pause(
        kind=PauseKind.SUSPEND, since_ns=T, until_ns=None, reason="", by="configuration 0123456789ab"
    )
    assert str(pause) == "suspended by configuration 0123456789ab since 2025-11-20T11:30:00Z"


@given(
    kind=st.sampled_from(PauseKind),
    until_ns=st.one_of(st.none(), st.just(T + 10 * FORGOTTEN_NS)),
    age_ns=st.integers(0, 5 * FORGOTTEN_NS),
)
def test_a_pause_is_forgotten_if_it_has_no_end_and_nobody_ended_it_soon(
    kind: PauseKind, until_ns: int | None, age_ns: int
) -> None:
    pause = Pause(kind=kind, since_ns=T, until_ns=until_ns, reason="", by="ann@desk")
    is_old = age_ns >= FORGOTTEN_NS or kind is PauseKind.FAILURES
    assert is_forgotten(pause, T + age_ns) is (until_ns is None and kind is not PauseKind.SUSPEND and is_old)
