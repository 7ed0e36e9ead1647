"""Notify: the first failure is told at once, no failure is forgotten, and a delivery is retried for a day."""

import itertools
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import SECOND
from tminus.policies.notify import (
    GATHER_LATER_NS,
    GATHER_NS,
    KEEP_NS,
    Alert,
    after_failure,
    after_message,
    after_success,
    is_batch_due,
    is_given_up,
    is_over,
    may_tell,
    next_try_ns,
)

T = 1_763_638_200 * SECOND
THROTTLE = 600 * SECOND
#: What happens to a job, one after the other: how many seconds later, and whether it fails.
LIVES = st.lists(st.tuples(st.integers(0, 900), st.booleans()), max_size=60)


@dataclass
class Told:
    """A channel that follows the policy, and what it has told."""

    alert: Alert | None = None
    failures: list[tuple[int, int]] = field(default_factory=list)  #: when, and how many
    recoveries: list[int] = field(default_factory=list)
    covered: int = 0  #: failures that a message has told of

    def look(self, now_ns: int) -> None:
        """As the daemon does between outcomes."""
        if self.alert and self.alert.untold and may_tell(self.alert, now_ns=now_ns, throttle_ns=THROTTLE):
            self.tell(now_ns)
        if self.alert and is_over(self.alert, now_ns=now_ns, throttle_ns=THROTTLE):
            self.alert = None

    def tell(self, now_ns: int) -> None:
        assert self.alert
        self.failures.append((now_ns, self.alert.untold))
        self.covered += self.alert.untold
        self.alert = after_message(self.alert, now_ns=now_ns)

    def live(self, now_ns: int, *, fails: bool) -> None:
        self.look(now_ns)
        if fails:
            is_told = may_tell(self.alert, now_ns=now_ns, throttle_ns=THROTTLE)
            self.alert = after_failure(self.alert, planned_at_ns=now_ns, last="failed")
            if is_told:
                self.tell(now_ns)
        elif self.alert is not None:
            is_news = self.alert.is_recovery_due
            if is_news:
                self.recoveries.append(now_ns)
                self.covered += self.alert.untold
            self.alert = after_success(self.alert, is_told=is_news)


def lived(life: list[tuple[int, bool]]) -> tuple[Told, list[tuple[int, bool]]]:
    told, now_ns, events = Told(), T, []
    for later_s, fails in life:
        now_ns += later_s * SECOND
        told.live(now_ns, fails=fails)
        events.append((now_ns, fails))
    return told, events


@given(LIVES)
def test_every_failure_is_told_in_the_end_once(life: list[tuple[int, bool]]) -> None:
    told, events = lived(life)
    told.look((events[-1][0] if events else T) + THROTTLE)
    assert told.covered == sum(fails for _, fails in events)


@given(LIVES)
def test_two_messages_about_failures_of_a_job_are_a_throttle_apart(life: list[tuple[int, bool]]) -> None:
    told, _ = lived(life)
    times = [at_ns for at_ns, _ in told.failures]
    assert all(later - earlier >= THROTTLE for earlier, later in itertools.pairwise(times))


@given(LIVES)
def test_a_failure_after_a_quiet_time_is_told_at_once(life: list[tuple[int, bool]]) -> None:
    told, events = lived(life)
    times = {at_ns for at_ns, _ in told.failures}
    for at_ns, fails in events:
        if fails and not any(at_ns - THROTTLE < before < at_ns for before in times):
            assert at_ns in times


@given(LIVES)
def test_a_recovery_is_told_only_after_a_failure_was_told(life: list[tuple[int, bool]]) -> None:
    told, _ = lived(life)
    messages = sorted([(at, 0) for at, _ in told.failures] + [(at, 1) for at in told.recoveries])
    kinds = [kind for _, kind in messages]
    assert all(kind == 0 or before == 0 for before, kind in itertools.pairwise([1, *kinds])), (
        "two recoveries in a row, or one without a failure"
    )


@given(LIVES)
def test_nothing_is_kept_of_a_job_that_succeeds_for_a_throttle(life: list[tuple[int, bool]]) -> None:
    told, events = lived(life)
    now_ns = events[-1][0] if events else T
    told.live(now_ns, fails=False)
    for later_ns in (now_ns + THROTTLE, now_ns + 2 * THROTTLE):
        told.look(later_ns)
    assert told.alert is None


def test_a_clock_that_was_set_back_does_not_silence_a_channel() -> None:
    alert = after_message(after_failure(None, planned_at_ns=T, last="failed"), now_ns=T)
    assert not may_tell(alert, now_ns=T + SECOND, throttle_ns=THROTTLE)
    assert may_tell(alert, now_ns=T - 3_600 * SECOND, throttle_ns=THROTTLE)


@given(st.integers(0, 200 * SECOND), st.booleans(), st.booleans())
def test_outcomes_of_a_batch_wait_for_its_end_but_not_long(
    waited_ns: int, is_complete: bool, is_later: bool
) -> None:
    longest_ns = GATHER_LATER_NS if is_later else GATHER_NS
    due = is_batch_due(first_ns=T, now_ns=T + waited_ns, is_complete=is_complete, is_later=is_later)
    assert due == (is_complete or waited_ns >= longest_ns)


@given(st.integers(1, 10_000))
def test_the_pause_between_two_tries_grows_to_ten_minutes(tries: int) -> None:
    pause_ns = next_try_ns(tries=tries, now_ns=T) - T
    later_ns = next_try_ns(tries=tries + 1, now_ns=T) - T
    assert 5 * SECOND <= pause_ns <= later_ns <= 600 * SECOND


def test_a_delivery_is_given_up_after_a_day() -> None:
    assert not is_given_up(created_ns=T, now_ns=T + KEEP_NS - 1)
    assert is_given_up(created_ns=T, now_ns=T + KEEP_NS)
