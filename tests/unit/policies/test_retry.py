"""When a failed attempt is followed by another one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND
from tminus.outcome import Cause
from tminus.policies.retry import FailedAttempt, Jitter, Retry, backoff_ns, due_ns, next_attempt_ns

NOW_NS = 1_763_638_200 * SECOND
POLICY = Retry(
    max_attempts=3,
    initial_interval_ns=2 * SECOND,
    max_interval_ns=60 * SECOND,
    jitter=Jitter.NONE,
    statuses=(range(500, 600), range(429, 430)),
)
TIMEOUT = FailedAttempt(number=1, cause=Cause.TIMEOUT)


def wait_s(policy: Retry = POLICY, failed: FailedAttempt = TIMEOUT, *, draw: float = 0.5) -> float | None:
    """The wait until the next attempt; None if there is none."""
    at_ns = next_attempt_ns(policy, failed, now_ns=NOW_NS, draw=draw)
    return None if at_ns is None else (at_ns - NOW_NS) / SECOND


def test_each_wait_is_longer_than_the_one_before_up_to_the_longest() -> None:
    policy = replace(POLICY, max_attempts=100)
    waits = [wait_s(policy, replace(TIMEOUT, number=number)) for number in range(1, 8)]
    assert waits == [2, 4, 8, 16, 32, 60, 60]


def test_the_last_attempt_is_followed_by_none() -> None:
    assert wait_s(failed=replace(TIMEOUT, number=2)) == 4
    assert wait_s(failed=replace(TIMEOUT, number=3)) is None


def test_with_full_jitter_the_wait_is_a_random_part_of_the_backoff() -> None:
    policy = replace(POLICY, jitter=Jitter.FULL)
    assert [wait_s(policy, draw=draw) for draw in (0, 0.25, 1)] == [0, 0.5, 2]


def test_only_what_retry_on_names_is_tried_again() -> None:
    for cause in (Cause.DNS, Cause.CONNECT, Cause.DIED, Cause.PEER_PREEMPTED, Cause.TIMEOUT, Cause.EXCEPTION):
        assert wait_s(failed=replace(TIMEOUT, cause=cause)) == 2, cause
    for cause in (Cause.TLS, Cause.DEFINITION, Cause.BLOCKED_ADDRESS, Cause.TOO_LARGE, Cause.RESULT):
        assert wait_s(failed=replace(TIMEOUT, cause=cause)) is None, cause


def test_a_status_is_tried_again_if_its_code_or_class_is_named() -> None:
    refused = FailedAttempt(number=1, cause=Cause.STATUS)
    waits = {status: wait_s(failed=replace(refused, status=status)) for status in (404, 429, 500, 599)}
    assert waits == {404: None, 429: 2, 500: 2, 599: 2}


def test_an_exception_is_tried_again_if_it_or_a_base_of_it_is_named() -> None:
    raised = FailedAttempt(
        number=1, cause=Cause.EXCEPTION, raised=["shop.errors.Busy", "builtins.OSError", "builtins.Exception"]
    )
    for names, wait in (
        (["shop.errors.Busy"], 2),
        (["Busy"], 2),
        (["OSError"], 2),
        (["errors.Busy"], None),
        (["ValueError"], None),
    ):
        assert wait_s(replace(POLICY, words=(), exceptions=names), raised) == wait, names


def test_retry_after_is_respected_up_to_the_longest_wait() -> None:
    policy = replace(POLICY, max_interval_ns=10 * SECOND)
    busy = FailedAttempt(number=1, cause=Cause.STATUS, status=503)
    for text, wait in (
        ("7", 7),
        ("1", 2),
        ("86400", 10),
        ("9" * 400, 10),
        ("Thu, 20 Nov 2025 11:30:05 GMT", 5),
        ("Thu, 20 Nov 2025 11:29:00 GMT", 2),
        ("Thu, 20 Nov 9999 11:29:00 GMT", 10),
        ("soon", 2),
        ("-3", 2),
        ("", 2),
    ):
        assert wait_s(policy, replace(busy, retry_after=text)) == wait, text
    assert wait_s(replace(policy, respect_retry_after=False), replace(busy, retry_after="7")) == 2


@given(
    number=st.integers(1, 10_000),
    draw=st.floats(0, 1),
    coefficient=st.floats(1, 100),
    initial_ns=st.integers(0, 86_400 * SECOND),
    longest_ns=st.integers(0, 86_400 * SECOND),
)
def test_a_wait_is_never_negative_and_never_longer_than_allowed(
    number: int, draw: float, coefficient: float, initial_ns: int, longest_ns: int
) -> None:
    policy = Retry(
        max_attempts=20_000,
        initial_interval_ns=initial_ns,
        backoff_coefficient=coefficient,
        max_interval_ns=longest_ns,
    )
    assert 0 <= backoff_ns(policy, number, draw=draw) <= longest_ns
    at_ns = next_attempt_ns(policy, replace(TIMEOUT, number=number), now_ns=NOW_NS, draw=draw)
    assert at_ns is not None
    assert NOW_NS <= at_ns <= NOW_NS + longest_ns + 50 * MS


@given(at_ns=st.integers(0, 1 << 62))
def test_due_times_lie_on_a_grid_so_that_many_share_a_batch(at_ns: int) -> None:
    assert 0 <= due_ns(at_ns) - at_ns < 50 * MS
    assert due_ns(at_ns) % (50 * MS) == 0
