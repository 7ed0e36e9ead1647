"""The texts of notifications: a title of one line, a text of several, and the same for machines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from tminus.instants import format_duration, rfc3339
from tminus.ledger.late_finishes import LateFinish
from tminus.ledger.notices import BatchSize, NotedOutcome
from tminus.model.notification import Notification, NotificationKind
from tminus.outcome import Outcome
from tminus.policies.notify import Alert

#: Occurrences of a batch that a message lists.
_MOST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """
    Writes the notifications of one round.

    Attributes:
        now_ns: Wall clock.
        zone: The time zone in which times are shown.
        host: The name of this machine.
    """

    now_ns: int
    zone: ZoneInfo
    host: str

    def failures(
        self, channel: str, ones: Sequence[NotedOutcome], alerts: Sequence[Alert], size: BatchSize
    ) -> Notification:
        """
        Return the message about the failures of one batch.

        Args:
            channel: The name of the channel.
            ones: The occurrences that have failed.
            alerts: For each of them the alert of its job, with all failures that are not told yet.
            size: The size of the batch.
        """
        words = Counter(_word(one.outcome) for one in ones)
        if size.jobs == 1:
            title = f"{ones[0].id.job} {_verb(ones[0])}"
        else:
            title = f"{len(ones)} of {size.jobs} {' or '.join(words)}"
            title += f": {ones[0].id.job}" if len(ones) == 1 else ""
        lines = [f"{failure_line(one)}{_before(alert, one)}" for one, alert in zip(ones, alerts, strict=True)]
        return self._batch(NotificationKind.FAILED, channel, title, ones, lines, size)

    def recoveries(
        self, channel: str, ones: Sequence[NotedOutcome], alerts: Sequence[Alert], size: BatchSize
    ) -> Notification:
        """Return the message about jobs that have succeeded after failures. Arguments as for `failures`."""
        who = ones[0].id.job if len(ones) == 1 else f"{len(ones)} jobs"
        lines = [
            f"{one.id} succeeded after {_failures(alert.failures)} since {self._time(alert.since_ns)}"
            for one, alert in zip(ones, alerts, strict=True)
        ]
        return self._batch(NotificationKind.RECOVERED, channel, f"{who} succeeded again", ones, lines, size)

    def successes(self, channel: str, ones: Sequence[NotedOutcome], size: BatchSize) -> Notification:
        """Return the message about the successes of one batch. Arguments as for `failures`."""
        title = f"{len(ones)} of {size.jobs} succeeded" if size.jobs > 1 else f"{ones[0].id.job} succeeded"
        lines = [f"{one.id} succeeded{_took(one)}" for one in ones]
        return self._batch(NotificationKind.SUCCEEDED, channel, title, ones, lines, size)

    def merged(self, messages: Sequence[Notification]) -> Notification:
        """Return one message instead of several about failures of one channel, each about one batch."""
        outcomes, occurrences, lines = Counter[str](), list[Any](), list[str]()
        for one in messages:
            outcomes.update(one.data["outcomes"])
            occurrences += one.data["occurrences"]
            lines += [line for line in one.text.splitlines()[1:] if not line.startswith("and ")]
        count, jobs = outcomes.total(), sum(one.data["jobs"] for one in messages)
        words = " or ".join(_word(Outcome(outcome)) for outcome in outcomes)
        return replace(
            messages[0],
            title=f"{count} of {jobs} {words} in {len(messages)} batches",
            text="\n".join([f"on {self.host}", *_cut(lines, count)]),
            data={
                "host": self.host,
                "batches": len(messages),
                "jobs": jobs,
                "count": count,
                "outcomes": dict(outcomes),
                "occurrences": occurrences[:_MOST_LINES],
            },
        )

    def further_failures(self, channel: str, alerts: Mapping[str, Alert]) -> Notification:
        """Return the message that sums up failures that were only counted, by their jobs."""
        lines = [
            f"{job}: {_more(alert.untold, 'failure')}"
            f"{'' if alert.is_failing else ', it has succeeded since'}; the last one: {alert.last}"
            for job, alert in alerts.items()
        ]
        what = _more(_untold(alerts), "failure")
        return self._further(NotificationKind.FAILED, channel, alerts, what, lines)

    def further_late_batches(self, channel: str, alert: Alert) -> Notification:
        """Return the message that sums up late batches that were only counted."""
        return self._message(
            NotificationKind.LATE_START,
            channel,
            f"further until {self.now_ns}",
            title=_more(alert.untold, "late batch", "es"),
            lines=[f"the last one: {alert.last}", f"on {self.host}"],
            data={"count": alert.untold},
        )

    def late_finishes(self, channel: str, ones: Sequence[LateFinish], size: BatchSize) -> Notification:
        """
        Return the message about occurrences of a batch that have not finished by their `finish_by`.

        Args:
            channel: The name of the channel.
            ones: The occurrences.
            size: The size of the batch.
        """
        planned_at_ns = ones[0].planned_at_ns
        who = ones[0].id.job if len(ones) == 1 else f"{len(ones)} of {size.jobs}"
        lines = [f"{one.id} has not finished by {self._time(one.finish_by_ns)} (finish_by)" for one in ones]
        return self._message(
            NotificationKind.LATE_FINISH,
            channel,
            f"{planned_at_ns} {ones[0].number}",
            title=f"{who} ha{'s' if len(ones) == 1 else 've'} not finished in time",
            lines=[f"planned at {self._time(planned_at_ns)}, on {self.host}", *_cut(lines, len(lines))],
            data={
                "planned_at": rfc3339(planned_at_ns),
                "jobs": size.jobs,
                "unfinished": size.unfinished,
                "count": len(ones),
                "occurrences": [
                    {
                        "id": str(one.id),
                        "job": one.id.job,
                        "fire_time": rfc3339(one.id.fire_time_ns),
                        "finish_by": rfc3339(one.finish_by_ns),
                    }
                    for one in ones[:_MOST_LINES]
                ],
            },
        )

    def further_late_finishes(self, channel: str, alerts: Mapping[str, Alert]) -> Notification:
        """Return the message that sums up late finishes that were only counted, by their jobs."""
        lines = [f"{job}: {alert.untold} more; the last one: {alert.last}" for job, alert in alerts.items()]
        total = _untold(alerts)
        what = f"{_more(total, 'run')} that {'has' if total == 1 else 'have'} not finished in time"
        return self._further(NotificationKind.LATE_FINISH, channel, alerts, what, lines)

    def _further(
        self,
        kind: NotificationKind,
        channel: str,
        alerts: Mapping[str, Alert],
        what: str,
        lines: Sequence[str],
    ) -> Notification:
        """Return the message that sums up, by their jobs, what was only counted."""
        who = next(iter(alerts)) if len(alerts) == 1 else f"{len(alerts)} jobs"
        return self._message(
            kind,
            channel,
            f"further until {self.now_ns}",
            title=f"{who}: {what}",
            lines=[f"on {self.host}", *_cut(lines, len(lines))],
            data={"count": _untold(alerts), "jobs": len(alerts)},
        )

    def late_start(
        self, channel: str, planned_at_ns: int, ones: Sequence[NotedOutcome], *, limit_ns: int, jobs: int
    ) -> Notification:
        """
        Return the message about a batch that has started late.

        Args:
            channel: The name of the channel.
            planned_at_ns: T.
            ones: The occurrences that have started later than the limit.
            limit_ns: The limit.
            jobs: How many occurrences the batch has.
        """
        worst = max(ones, key=_offset_ns)
        late, limit = format_duration(_offset_ns(worst)), format_duration(limit_ns)
        return self._message(
            NotificationKind.LATE_START,
            channel,
            str(planned_at_ns),
            title=f"a batch started late: the last of {jobs} after {late}",
            lines=[
                f"planned at {self._time(planned_at_ns)}, on {self.host}",
                f"{len(ones)} of {jobs} started later than {limit}, the last one {worst.id}",
            ],
            data={
                "planned_at": rfc3339(planned_at_ns),
                "jobs": jobs,
                "late": len(ones),
                "last_ms": _offset_ns(worst) / 1e6,
                "limit_ms": limit_ns / 1e6,
            },
        )

    def ping(self, channel: str, kind: NotificationKind, one: NotedOutcome) -> Notification:
        """Return the ping about the end of an occurrence."""
        return Notification(
            channel=channel,
            kind=kind,
            about=str(one.id),
            job=one.id.job,
            created_ns=self.now_ns,
            title=f"{one.id} {_word(one.outcome)}{_took(one)}",
            text=one.reason or "",
        )

    def _batch(
        self,
        kind: NotificationKind,
        channel: str,
        title: str,
        ones: Sequence[NotedOutcome],
        lines: Sequence[str],
        size: BatchSize,
    ) -> Notification:
        planned_at_ns = ones[0].planned_at_ns
        running = f", {size.unfinished} not ended yet" if size.unfinished else ""
        return self._message(
            kind,
            channel,
            f"{planned_at_ns} {ones[0].number}",
            title=title,
            lines=[
                f"planned at {self._time(planned_at_ns)}, on {self.host}{running}",
                *_cut(lines, len(lines)),
            ],
            data={
                "planned_at": rfc3339(planned_at_ns),
                "jobs": size.jobs,
                "unfinished": size.unfinished,
                "count": len(ones),
                "outcomes": dict(Counter(one.outcome.value for one in ones)),
                "occurrences": [_as_json(one) for one in ones[:_MOST_LINES]],
            },
        )

    def _message(
        self,
        kind: NotificationKind,
        channel: str,
        about: str,
        *,
        title: str,
        lines: Sequence[str],
        data: Mapping[str, Any],
    ) -> Notification:
        return Notification(
            channel=channel,
            kind=kind,
            about=about,
            created_ns=self.now_ns,
            title=title,
            text="\n".join(lines),
            data={"host": self.host, **data},
        )

    def _time(self, instant_ns: int) -> str:
        return rfc3339(instant_ns, self.zone)


def failure_line(one: NotedOutcome) -> str:
    """Return a failure in one line, because lines are counted. A reason may have several."""
    reason = " ".join((one.reason or "no reason").splitlines())
    return f"{one.id} {_word(one.outcome)}: {reason}"


def _as_json(one: NotedOutcome) -> Mapping[str, Any]:
    return {
        "id": str(one.id),
        "job": one.id.job,
        "fire_time": rfc3339(one.id.fire_time_ns),
        "outcome": one.outcome.value,
        "reason": one.reason,
        "count": one.count,
    }


def _cut(lines: Sequence[str], count: int) -> list[str]:
    """Return the first of the lines, then how many of `count` are left out."""
    shown = list(lines[:_MOST_LINES])
    return shown if count <= len(shown) else [*shown, f"and {count - len(shown)} more"]


def _word(outcome: Outcome) -> str:
    return outcome.value.replace("_", " ")


def _verb(one: NotedOutcome) -> str:
    match one.outcome:
        case Outcome.MISSED if one.count > 1:
            return f"missed {one.count} fire times"
        case Outcome.MISSED | Outcome.SKIPPED | Outcome.CANCELLED:
            return f"was {_word(one.outcome)}"
        case Outcome.UNKNOWN:
            return "ended with an unknown outcome"
        case _:
            return _word(one.outcome)


def _before(alert: Alert, one: NotedOutcome) -> str:
    """Return the failures before this one that no message has told."""
    earlier = alert.untold - one.count
    return (
        f" (after {_failures(earlier)} that {'was' if earlier == 1 else 'were'} not told)" if earlier else ""
    )


def _took(one: NotedOutcome) -> str:
    return "" if one.duration_ns is None else f" in {format_duration(one.duration_ns)}"


def _failures(count: int) -> str:
    return f"{count} failure{'' if count == 1 else 's'}"


def _untold(alerts: Mapping[str, Alert]) -> int:
    return sum(alert.untold for alert in alerts.values())


def _more(count: int, what: str, plural: str = "s") -> str:
    return f"{count} more {what}{'' if count == 1 else plural}"


def _offset_ns(one: NotedOutcome) -> int:
    return (one.started_at_ns or one.planned_at_ns) - one.planned_at_ns
