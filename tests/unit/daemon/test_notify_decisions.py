"""What channels are told: one message per batch and channel, and pings for checks."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import a_job
from tminus.daemon.notifications.decisions import Decisions, decide, watch_of
from tminus.instants import MS, SECOND
from tminus.ledger.late_finishes import LateFinish
from tminus.ledger.notices import AlertKey, BatchSize, DecisionInput, NotedOutcome
from tminus.model.definitions import Definitions
from tminus.model.notification import FAILURES, Channel, ChannelType, NotificationKind, StartSlo
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Origin, Outcome
from tminus.policies.notify import Alert

T = 1_763_638_200 * SECOND  # 2025-11-20T11:30:00Z
NOW = T + SECOND
OPS = Channel(name="ops", type=ChannelType.WEBHOOK, url="https://x.example.com/", recovered=True)
BEAT = Channel(name="beat", type=ChannelType.HEALTHCHECKS, url="https://hc.example.com/1")


def definitions(*jobs: str, notify: Sequence[str] = ("ops",), **more: Any) -> Definitions:
    channels = more.pop("channels", (OPS, BEAT))
    return Definitions(
        paths=(),
        version="0",
        text="",
        zone="Europe/Berlin",
        jobs={name: a_job(name, notify=tuple(notify)) for name in jobs},
        channels={channel.name: channel for channel in channels},
        **more,
    )


def noted(job: str, outcome: Outcome = Outcome.FAILED, **different: Any) -> NotedOutcome:
    values: dict[str, Any] = {
        "number": abs(hash((job, different.get("planned_at_ns")))) % 10**6,
        "planned_at_ns": T,
        "origin": Origin.SCHEDULE,
        "count": 1,
        "reason": "status: 503",
        "started_at_ns": T + MS,
        "finished_at_ns": T + 5 * MS,
        "duration_ns": 4 * MS,
    }
    values |= different
    identity = OccurrenceId(job=job, fire_time_ns=values["planned_at_ns"])
    return NotedOutcome(id=identity, outcome=outcome, **values)


def decided(
    ones: Sequence[NotedOutcome],
    found: Definitions,
    *,
    sizes: Mapping[int, tuple[int, int]] | None = None,
    alerts: Mapping[AlertKey, Alert] | None = None,
    now_ns: int = NOW,
    told_in_part: Sequence[int] = (),
    late_finishes: Sequence[LateFinish] = (),
) -> Decisions:
    planned = {one.planned_at_ns for one in ones} | {one.planned_at_ns for one in late_finishes}
    counts = dict.fromkeys(planned, (len(ones), 0)) | dict(sizes or {})
    given = DecisionInput(
        noted=ones,
        batches={at: BatchSize(*size) for at, size in counts.items()},
        alerts=alerts or {},
        late_finishes=late_finishes,
    )
    return decide(given, found, now_ns=now_ns, host="here", told_in_part=told_in_part)


def late(job: str, *, planned_at_ns: int = T) -> LateFinish:
    """An occurrence that has not finished a second after its T."""
    identity = OccurrenceId(job=job, fire_time_ns=planned_at_ns)
    return LateFinish(number=7, id=identity, planned_at_ns=planned_at_ns, finish_by_ns=planned_at_ns + SECOND)


def titles(decisions: Decisions) -> list[str]:
    return [message.title for message in decisions.messages]


def test_a_failure_is_told_with_its_reason() -> None:
    found = decided([noted("pay")], definitions("pay"))
    (message,) = found.messages
    assert (message.channel, message.kind, message.title) == ("ops", NotificationKind.FAILED, "pay failed")
    assert message.text.splitlines() == [
        "planned at 2025-11-20T12:30:00+01:00, on here",
        "pay@2025-11-20T11:30:00Z failed: status: 503",
    ]
    assert len(found.decided) == 1


def test_the_failures_of_a_batch_are_one_message_per_channel() -> None:
    jobs = [f"job_{index}" for index in range(7)]
    found = decided([noted(job) for job in jobs], definitions(*jobs), sizes={T: (100, 0)})
    (message,) = found.messages
    assert message.title == "7 of 100 failed"
    assert message.data["count"] == 7
    assert len(found.decided) == 7


def test_a_long_batch_is_not_listed_whole() -> None:
    jobs = [f"job_{index}" for index in range(25)]
    found = decided([noted(job) for job in jobs], definitions(*jobs))
    assert found.messages[0].text.splitlines()[-1] == "and 5 more"


def test_a_batch_that_still_runs_is_waited_for_a_moment() -> None:
    ones, known = [noted("pay")], definitions("pay")
    waiting = decided(ones, known, sizes={T: (3, 2)})
    assert (waiting.messages, waiting.decided, waiting.changed) == ([], [], {})
    told = decided(ones, known, sizes={T: (3, 2)}, now_ns=T + 3 * SECOND)
    assert titles(told) == ["1 of 3 failed: pay"]
    assert "2 not ended yet" in told.messages[0].text
    assert told.told_in_part == {T}


def test_what_fails_later_in_a_batch_waits_for_its_end() -> None:
    ones, known = [noted("pay", finished_at_ns=T + 30 * SECOND)], definitions("pay")
    for now_s, left, is_told in ((40, 1, False), (40, 0, True), (90, 1, True)):
        found = decided(ones, known, sizes={T: (3, left)}, now_ns=T + now_s * SECOND, told_in_part=[T])
        assert bool(found.messages) == is_told


def test_outcomes_that_a_channel_does_not_want_are_not_told() -> None:
    found = decided([noted("pay", Outcome.SKIPPED)], definitions("pay"))
    assert (found.messages, found.changed, len(found.decided)) == ([], {}, 1)


def test_a_job_that_is_gone_is_not_told_of() -> None:
    found = decided([noted("gone")], definitions("pay"))
    assert (found.messages, len(found.decided)) == ([], 1)


def test_further_failures_are_counted_and_summed_up() -> None:
    known = definitions("pay")
    alerts = {("ops", "pay"): Alert(since_ns=T, failures=1, told_at_ns=T, is_failing=True, is_told=True)}
    quiet = decided([noted("pay")], known, alerts=alerts)
    assert quiet.messages == []
    (counted,) = quiet.changed.values()
    assert counted
    assert (counted.failures, counted.untold) == (2, 1)
    later = decided([], known, alerts={("ops", "pay"): counted}, now_ns=T + 600 * SECOND)
    assert titles(later) == ["pay: 1 more failure"]
    assert "status: 503" in later.messages[0].text
    again = decided(
        [noted("pay", planned_at_ns=T + 600 * SECOND, finished_at_ns=T + 600 * SECOND)],
        known,
        alerts={("ops", "pay"): counted},
        now_ns=T + 601 * SECOND,
    )
    assert titles(again) == ["pay failed"]
    assert "(after 1 failure that was not told)" in again.messages[0].text


def test_further_failures_of_many_jobs_are_one_message() -> None:
    jobs = [f"job_{index}" for index in range(30)]
    alert = Alert(
        since_ns=T, failures=10, untold=9, told_at_ns=T, is_failing=True, is_told=True, last="failed"
    )
    alerts = {("ops", job): alert for job in jobs}
    found = decided([], definitions(*jobs), alerts=alerts, now_ns=T + 600 * SECOND)
    assert titles(found) == ["30 jobs: 270 more failures"]
    assert found.messages[0].text.splitlines()[-1] == "and 10 more"


def test_what_many_batches_have_missed_is_one_message() -> None:
    jobs = [f"job_{index}" for index in range(25)]
    ones = [
        noted(job, Outcome.MISSED, number=index, planned_at_ns=T - index * SECOND, started_at_ns=None)
        for index, job in enumerate(jobs)
    ]
    sizes = {one.planned_at_ns: (1, 0) for one in ones}
    found = decided(ones, definitions(*jobs), sizes=sizes)
    assert titles(found) == ["25 of 25 missed in 25 batches"]
    assert found.messages[0].text.splitlines()[-1] == "and 5 more"
    assert found.messages[0].data["outcomes"] == {"missed": 25}
    assert len(found.decided) == 25
    assert {alert and alert.untold for alert in found.changed.values()} == {0}


def test_a_reason_of_several_lines_is_one_line_in_the_list_of_many_batches() -> None:
    jobs = [f"job_{index}" for index in range(25)]
    reason = "call: two orders:\nand 3 of them\x0b late"
    ones = [
        noted(job, number=index, planned_at_ns=T - index * SECOND, reason=reason)
        for index, job in enumerate(jobs)
    ]
    sizes = {one.planned_at_ns: (1, 0) for one in ones}
    found = decided(ones, definitions(*jobs), sizes=sizes)
    _, *lines, last = found.messages[0].text.splitlines()
    assert {line.partition(" ")[2] for line in lines} == {"failed: call: two orders: and 3 of them  late"}
    assert (len(lines), last) == (20, "and 5 more")
    assert {alert and alert.last.partition(" ")[2] for alert in found.changed.values()} == {
        "failed: call: two orders: and 3 of them  late"
    }


def test_one_new_failure_of_a_batch_tells_of_all() -> None:
    alerts = {("ops", "old"): Alert(since_ns=T, failures=1, told_at_ns=T, is_failing=True, is_told=True)}
    found = decided([noted("old"), noted("new")], definitions("old", "new"), alerts=alerts)
    assert titles(found) == ["2 of 2 failed"]
    assert {alert and alert.untold for alert in found.changed.values()} == {0}


def test_a_recovery_is_told_once() -> None:
    alert = Alert(since_ns=T - SECOND, failures=3, told_at_ns=T, is_failing=True, is_told=True)
    ones, known = [noted("pay", Outcome.SUCCEEDED, reason=None)], definitions("pay")
    found = decided(ones, known, alerts={("ops", "pay"): alert})
    assert titles(found) == ["pay succeeded again"]
    assert "after 3 failures since 2025-11-20T12:29:59+01:00" in found.messages[0].text
    (after,) = found.changed.values()
    assert after
    assert decided(ones, known, alerts={("ops", "pay"): after}).messages == []


def test_a_channel_that_does_not_want_recoveries_gets_none() -> None:
    channel = Channel(name="ops", type=ChannelType.WEBHOOK, url="")
    alert = Alert(since_ns=T, failures=3, told_at_ns=T, is_failing=True, is_told=True)
    known = definitions("pay", channels=[channel])
    found = decided([noted("pay", Outcome.SUCCEEDED)], known, alerts={("ops", "pay"): alert})
    assert found.messages == []
    (after,) = found.changed.values()
    assert after
    assert not after.is_failing


def test_the_outcomes_of_a_job_are_told_in_their_order() -> None:
    failed = noted("pay")
    later = noted("pay", Outcome.SUCCEEDED, planned_at_ns=T + SECOND, finished_at_ns=T + SECOND)
    sizes = {T: (2, 1), T + SECOND: (1, 0)}
    known = definitions("pay")
    assert decided([failed, later], known, sizes=sizes, now_ns=T + SECOND).decided == []
    found = decided([failed, later], known, sizes=sizes, now_ns=T + 3 * SECOND)
    assert titles(found) == ["1 of 2 failed: pay", "pay succeeded again"]


def test_successes_are_told_if_they_are_asked_for() -> None:
    channel = Channel(name="ops", type=ChannelType.WEBHOOK, url="", outcomes=frozenset({Outcome.SUCCEEDED}))
    known = definitions("pay", "other", channels=[channel])
    found = decided([noted("pay", Outcome.SUCCEEDED), noted("other", Outcome.SUCCEEDED)], known)
    assert [(one.kind, one.title) for one in found.messages] == [
        (NotificationKind.SUCCEEDED, "2 of 2 succeeded")
    ]
    assert found.changed == {}


def test_a_check_is_pinged_with_each_end_at_once() -> None:
    known = definitions("pay", "other", "skipped", notify=["beat"])
    ones = [noted("pay", Outcome.SUCCEEDED), noted("other"), noted("skipped", Outcome.SKIPPED)]
    found = decided(ones, known, sizes={T: (9, 6)}, now_ns=T)
    assert {(one.job, one.kind) for one in found.messages} == {
        ("pay", NotificationKind.PING_SUCCESS),
        ("other", NotificationKind.PING_FAIL),
    }
    assert len(found.decided) == 3


def test_a_batch_that_starts_late_is_told_of_once() -> None:
    known = definitions("pay", "other", notify=(), start_slo=StartSlo(last_ns=50 * MS, notify=("ops",)))
    ones = [
        noted("pay", Outcome.SUCCEEDED, started_at_ns=T + 132 * MS),
        noted("other", Outcome.SUCCEEDED, started_at_ns=T + 60 * MS),
    ]
    found = decided(ones, known, sizes={T: (100, 0)})
    assert titles(found) == ["a batch started late: the last of 100 after 132 ms"]
    assert found.messages[0].about == str(T)
    assert (found.messages[0].data["last_ms"], found.messages[0].data["late"]) == (132.0, 2)
    next_one = [noted("pay", Outcome.SUCCEEDED, planned_at_ns=T + SECOND, started_at_ns=T + 2 * SECOND)]
    alerts = {key: alert for key, alert in found.changed.items() if alert}
    counted = decided(next_one, known, alerts=alerts, now_ns=T + 3 * SECOND)
    assert counted.messages == []
    alerts = {key: alert for key, alert in counted.changed.items() if alert}
    assert titles(decided([], known, alerts=alerts, now_ns=T + 700 * SECOND)) == ["1 more late batch"]


def test_what_has_not_finished_in_time_is_told_with_its_finish_by() -> None:
    found = decided([], definitions("pay"), late_finishes=[late("pay")], sizes={T: (1, 1)})
    assert titles(found) == ["pay has not finished in time"]
    assert found.messages[0].text.splitlines() == [
        "planned at 2025-11-20T12:30:00+01:00, on here",
        "pay@2025-11-20T11:30:00Z has not finished by 2025-11-20T12:30:01+01:00 (finish_by)",
    ]
    assert found.late_finishes_decided == [7]


def test_what_of_a_batch_has_not_finished_in_time_is_one_message() -> None:
    found = decided(
        [], definitions("pay", "pack"), late_finishes=[late("pay"), late("pack")], sizes={T: (100, 40)}
    )
    assert titles(found) == ["2 of 100 have not finished in time"]


def test_further_runs_that_do_not_finish_in_time_are_counted_and_summed_up() -> None:
    found = decided([], definitions("pay"), late_finishes=[late("pay")])
    for number in (1, 2):
        alerts = {key: alert for key, alert in found.changed.items() if alert}
        more = [late("pay", planned_at_ns=T + number * SECOND)]
        found = decided([], definitions("pay"), late_finishes=more, alerts=alerts)
        assert titles(found) == []
    alerts = {key: alert for key, alert in found.changed.items() if alert}
    summed = decided([], definitions("pay"), alerts=alerts, now_ns=NOW + 700 * SECOND)
    assert titles(summed) == ["pay: 2 more runs that have not finished in time"]
    assert summed.messages[0].text.splitlines()[1:] == ["pay: 2 more; the last one: pay@2025-11-20T11:30:02Z"]


def test_a_run_that_has_not_finished_in_time_is_no_failure_to_recover_from() -> None:
    found = decided([], definitions("pay"), late_finishes=[late("pay")])
    alerts = {key: alert for key, alert in found.changed.items() if alert}
    succeeded = noted("pay", Outcome.SUCCEEDED)
    assert titles(decided([succeeded], definitions("pay"), alerts=alerts)) == []


def test_a_check_is_not_told_of_what_has_not_finished_in_time() -> None:
    found = decided([], definitions("pay", notify=("beat",)), late_finishes=[late("pay")])
    assert (found.messages, found.late_finishes_decided) == ([], [7])


def test_an_alert_of_a_channel_that_is_gone_is_forgotten() -> None:
    alert = Alert(since_ns=T, untold=3)
    found = decided([], definitions("pay"), alerts={("gone", "pay"): alert})
    assert (found.messages, found.changed) == ([], {("gone", "pay"): None})


def test_only_the_outcomes_of_jobs_with_channels_are_watched() -> None:
    known = definitions("pay", notify=["ops", "beat"], start_slo=StartSlo(last_ns=MS, notify=("ops",)))
    watch = watch_of(known)
    assert watch.outcomes == {"pay": FAILURES | {Outcome.SUCCEEDED}}
    assert watch.start_within_ns == MS
    assert watch_of(definitions("pay", notify=())).outcomes == {}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from(Outcome), st.integers(0, 3)),
        max_size=30,
        unique_by=lambda one: one[:2],
    ),
    st.integers(0, 100),
)
def test_every_notice_is_decided_when_its_batch_has_ended(
    lives: list[tuple[int, int, Outcome, int]], now_s: int
) -> None:
    jobs = [f"job_{index}" for index in range(5)]
    ones = [
        noted(
            jobs[job],
            outcome,
            number=index,
            planned_at_ns=T + batch * SECOND,
            finished_at_ns=T + (batch + took) * SECOND,
        )
        for index, (batch, job, outcome, took) in enumerate(lives)
    ]
    known = definitions(*jobs, notify=["ops", "beat"])
    found = decided(ones, known, now_ns=T + now_s * SECOND)
    assert sorted(found.decided) == [one.number for one in ones]
    failed = {(one.planned_at_ns, one.id.job) for one in ones if one.outcome in FAILURES}
    told = sum(one.data["count"] for one in found.messages if one.kind is NotificationKind.FAILED)
    untold = sum(alert.untold for alert in found.changed.values() if alert)
    assert told <= len(failed)
    assert told + untold <= len(failed)
    abouts = [(one.channel, one.kind, one.about) for one in found.messages]
    assert len(set(abouts)) == len(abouts)
