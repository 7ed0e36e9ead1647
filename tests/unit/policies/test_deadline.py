"""Deadlines: the last start of a late occurrence, and when it should have finished."""

from hypothesis import given
from hypothesis import strategies as st

from tminus.policies.deadline import is_finish_late, is_past

instants = st.integers()


@given(instants, instants)
def test_at_its_deadline_an_occurrence_is_in_time(deadline_ns: int, now_ns: int) -> None:
    assert is_past(deadline_ns=deadline_ns, now_ns=now_ns) is (now_ns > deadline_ns)
    assert not is_past(deadline_ns=None, now_ns=now_ns)


@given(instants, instants, instants)
def test_what_has_finished_in_time_is_never_late(by_ns: int, finished_at_ns: int, now_ns: int) -> None:
    late = is_finish_late(finish_by_ns=by_ns, finished_at_ns=finished_at_ns, now_ns=now_ns)
    assert late is (finished_at_ns > by_ns)
    assert is_finish_late(finish_by_ns=by_ns, finished_at_ns=None, now_ns=now_ns) is (now_ns > by_ns)
    assert not is_finish_late(finish_by_ns=None, finished_at_ns=None, now_ns=now_ns)
