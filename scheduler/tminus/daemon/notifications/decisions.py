"""Decisions on what channels are told about noted outcomes: a pure function of the ledger and the time."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from tminus.daemon.notifications.messages import Writer, failure_line
from tminus.ledger.late_finishes import LateFinish
from tminus.ledger.notices import AlertKey, BatchSize, DecisionInput, NotedOutcome
from tminus.model.definitions import Definitions
from tminus.model.notification import Channel, ChannelType, Notification, NotificationKind, OutcomeWatch
from tminus.outcome import Outcome
from tminus.policies.notify import (
    Alert,
    after_failure,
    after_message,
    after_success,
    is_batch_due,
    is_over,
    may_tell,
)

#: In the key of an alert, in place of a job: for the batches that start late.
_LATE_START = ""
#: In the key of an alert, after the name of a job: for its late finishes. No name has a space.
_LATE_FINISH = " finish_by"
#: Batches of one round whose failures are told one by one.
_MOST_BATCHES = 3


def watch_of(definitions: Definitions) -> OutcomeWatch:
    """Return the outcomes for which a notice is written: those that a channel of the job may be told of."""
    watched = {
        job.name: frozenset[Outcome]().union(
            *(definitions.channels[name].watched for name in job.notify if name in definitions.channels)
        )
        for job in definitions.jobs.values()
        if job.notify
    }
    slo = definitions.start_slo
    return OutcomeWatch(outcomes=watched, start_within_ns=slo.last_ns if slo else None)


@dataclass(slots=True, kw_only=True)
class Decisions:
    """
    The decisions of one round.

    Attributes:
        decided: The row numbers of the occurrences whose notices are decided.
        messages: The notifications.
        changed: The alerts that have changed; None for one that is over.
        told_in_part: The T of batches that are told of in part, and have not ended.
        late_finishes_decided: The row numbers of the late finishes that are decided.
    """

    decided: list[int] = field(default_factory=list)
    messages: list[Notification] = field(default_factory=list)
    changed: dict[AlertKey, Alert | None] = field(default_factory=dict)
    told_in_part: set[int] = field(default_factory=set)
    late_finishes_decided: list[int] = field(default_factory=list)


def decide(
    found: DecisionInput,
    definitions: Definitions,
    *,
    now_ns: int,
    host: str,
    told_in_part: Collection[int] = (),
) -> Decisions:
    """
    Decide what each channel is told.

    Args:
        found: What is noted.
        definitions: The definitions in force.
        now_ns: Wall clock.
        host: The name of this machine.
        told_in_part: `Decisions.told_in_part` of earlier rounds, without the batches that have ended since.
    """
    writer = Writer(now_ns=now_ns, zone=ZoneInfo(definitions.zone), host=host)
    return _Round(found, definitions, writer, told_in_part).decide()


class _Round:
    def __init__(
        self, found: DecisionInput, definitions: Definitions, writer: Writer, told_in_part: Collection[int]
    ) -> None:
        self._found = found
        self._definitions = definitions
        self._writer = writer
        self._now_ns = writer.now_ns
        self._told_in_part = told_in_part
        self._alerts: dict[AlertKey, Alert | None] = dict(found.alerts)
        self._waiting_jobs: set[str] = set()
        self._decisions = Decisions()

    def decide(self) -> Decisions:
        batches: defaultdict[int, list[NotedOutcome]] = defaultdict(list)
        for one in sorted(self._found.noted, key=lambda one: (one.finished_at_ns, one.number)):
            batches[one.planned_at_ns].append(one)
        for planned_at_ns, ones in batches.items():
            self._decide_batch(planned_at_ns, ones)
        self._merge_failures()
        self._tell_late_finishes()
        self._look_at_alerts()
        self._decisions.changed = {
            key: alert for key, alert in self._alerts.items() if alert != self._found.alerts.get(key)
        }
        return self._decisions

    def _decide_batch(self, planned_at_ns: int, ones: Sequence[NotedOutcome]) -> None:
        size, is_later = self._found.batches[planned_at_ns], planned_at_ns in self._told_in_part
        is_complete = size.unfinished == 0
        gathered = [one for one in ones if self._is_gathered(one)]
        is_due = not gathered or is_batch_due(
            first_ns=gathered[0].finished_at_ns,
            now_ns=self._now_ns,
            is_complete=is_complete,
            is_later=is_later,
        )
        # The outcomes of a job are told in their order, also those of different batches.
        if not is_due or any(one.id.job in self._waiting_jobs for one in gathered):
            self._waiting_jobs.update(one.id.job for one in gathered)
            waiting = {one.number for one in gathered}
            ones = [one for one in ones if one.number not in waiting]
        elif gathered:
            self._tell(gathered, size)
            self._tell_late_start(planned_at_ns, gathered, size, is_later=is_later)
        if (is_later or (gathered and is_due)) and not is_complete:
            self._decisions.told_in_part.add(planned_at_ns)
        self._ping(ones)
        self._decisions.decided += (one.number for one in ones)

    def _is_gathered(self, one: NotedOutcome) -> bool:
        """Return whether an outcome may be part of a message, and so waits for others of its batch."""
        if self._is_late(one) or one.id.job in self._waiting_jobs:
            return True
        return any(
            one.outcome in channel.outcomes or self._is_recovery(channel, one)
            for channel in self._told_channels_of(one.id.job)
        )

    def _is_late(self, one: NotedOutcome) -> bool:
        slo = self._definitions.start_slo
        return bool(slo and one.started_at_ns and one.started_at_ns - one.planned_at_ns > slo.last_ns)

    def _is_recovery(self, channel: Channel, one: NotedOutcome) -> bool:
        alert = self._alerts.get((channel.name, one.id.job))
        return one.outcome is Outcome.SUCCEEDED and alert is not None and alert.is_failing

    def _channels_of(self, job: str) -> Iterable[Channel]:
        definition, channels = self._definitions.jobs.get(job), self._definitions.channels
        return [channels[name] for name in definition.notify if name in channels] if definition else []

    def _told_channels_of(self, job: str) -> Iterable[Channel]:
        """Return the channels of a job that get messages. Checks get pings."""
        return [one for one in self._channels_of(job) if one.type is not ChannelType.HEALTHCHECKS]

    def _tell(self, ones: Sequence[NotedOutcome], size: BatchSize) -> None:
        by_channel: defaultdict[str, list[NotedOutcome]] = defaultdict(list)
        for one in ones:
            for channel in self._told_channels_of(one.id.job):
                by_channel[channel.name].append(one)
        for name, its_ones in by_channel.items():
            channel = self._definitions.channels[name]
            successes = [one for one in its_ones if one.outcome is Outcome.SUCCEEDED]
            self._tell_failures(
                channel,
                [
                    one
                    for one in its_ones
                    if one.outcome in channel.outcomes and one.outcome is not Outcome.SUCCEEDED
                ],
                size,
            )
            self._tell_recoveries(channel, successes, size)
            if successes and Outcome.SUCCEEDED in channel.outcomes:
                self._decisions.messages.append(self._writer.successes(name, successes, size))

    def _tell_failures(self, channel: Channel, ones: Sequence[NotedOutcome], size: BatchSize) -> None:
        is_told = False
        for one in ones:
            key = channel.name, one.id.job
            alert = self._alerts.get(key)
            is_told |= may_tell(alert, now_ns=self._now_ns, throttle_ns=channel.throttle_ns)
            self._alerts[key] = after_failure(
                alert, planned_at_ns=one.planned_at_ns, last=failure_line(one), count=one.count
            )
        if not is_told:
            return
        # One failure of the batch is news, so the message tells of all.
        alerts = [self._alerts[channel.name, one.id.job] or Alert(since_ns=0) for one in ones]
        self._decisions.messages.append(self._writer.failures(channel.name, ones, alerts, size))
        self._after_message((channel.name, one.id.job) for one in ones)

    def _tell_recoveries(self, channel: Channel, ones: Sequence[NotedOutcome], size: BatchSize) -> None:
        told: list[tuple[NotedOutcome, Alert]] = []
        for one in ones:
            key = channel.name, one.id.job
            if (alert := self._alerts.get(key)) is None:
                continue
            is_told = channel.recovered and alert.is_recovery_due
            if is_told:
                told.append((one, alert))
            self._alerts[key] = after_success(alert, is_told=is_told)
        if told:
            recovered, alerts = zip(*told, strict=True)
            self._decisions.messages.append(self._writer.recoveries(channel.name, recovered, alerts, size))

    def _tell_late_start(
        self, planned_at_ns: int, ones: Sequence[NotedOutcome], size: BatchSize, *, is_later: bool
    ) -> None:
        slo, late = self._definitions.start_slo, [one for one in ones if self._is_late(one)]
        if slo is None or not late or is_later:
            return
        for name in slo.notify:
            channel, key = self._definitions.channels[name], (name, _LATE_START)
            alert = self._alerts.get(key)
            message = self._writer.late_start(name, planned_at_ns, late, limit_ns=slo.last_ns, jobs=size.jobs)
            is_told = may_tell(alert, now_ns=self._now_ns, throttle_ns=channel.throttle_ns)
            alert = _after_event(alert, planned_at_ns=planned_at_ns, last=message.title)
            if is_told:
                self._decisions.messages.append(message)
                alert = after_message(alert, now_ns=self._now_ns)
            self._alerts[key] = alert

    def _tell_late_finishes(self) -> None:
        """Tell of occurrences that have not finished by their `finish_by`: one message for a batch."""
        by_batch: defaultdict[tuple[str, int], list[LateFinish]] = defaultdict(list)
        for one in self._found.late_finishes:
            for channel in self._told_channels_of(one.id.job):
                by_batch[channel.name, one.planned_at_ns].append(one)
        for (name, planned_at_ns), ones in by_batch.items():
            self._tell_late_finishes_of(
                self._definitions.channels[name], ones, self._found.batches[planned_at_ns]
            )
        self._decisions.late_finishes_decided += (one.number for one in self._found.late_finishes)

    def _tell_late_finishes_of(self, channel: Channel, ones: Sequence[LateFinish], size: BatchSize) -> None:
        is_told, name = False, channel.name
        for one in ones:
            key = name, one.id.job + _LATE_FINISH
            alert = self._alerts.get(key)
            is_told |= may_tell(alert, now_ns=self._now_ns, throttle_ns=channel.throttle_ns)
            self._alerts[key] = _after_event(alert, planned_at_ns=one.planned_at_ns, last=str(one.id))
        if is_told:
            self._decisions.messages.append(self._writer.late_finishes(name, ones, size))
            self._after_message((name, one.id.job + _LATE_FINISH) for one in ones)

    def _after_message(self, keys: Iterable[AlertKey]) -> None:
        for key in keys:
            if alert := self._alerts[key]:
                self._alerts[key] = after_message(alert, now_ns=self._now_ns)

    def _ping(self, ones: Sequence[NotedOutcome]) -> None:
        for one in ones:
            for channel in self._channels_of(one.id.job):
                if channel.type is not ChannelType.HEALTHCHECKS:
                    continue
                if one.outcome is Outcome.SUCCEEDED:
                    kind = NotificationKind.PING_SUCCESS
                elif one.outcome in channel.outcomes:
                    kind = NotificationKind.PING_FAIL
                else:
                    continue
                self._decisions.messages.append(self._writer.ping(channel.name, kind, one))

    def _look_at_alerts(self) -> None:
        """Tell of failures that were only counted, and forget what is over."""
        further: defaultdict[str, dict[str, Alert]] = defaultdict(dict)
        for key, alert in self._alerts.items():
            name, job = key
            channel = self._definitions.channels.get(name)
            if alert is None or channel is None:
                self._alerts[key] = None
                continue
            if alert.untold and may_tell(alert, now_ns=self._now_ns, throttle_ns=channel.throttle_ns):
                further[name][job] = alert
                alert = self._alerts[key] = after_message(alert, now_ns=self._now_ns)
            if is_over(alert, now_ns=self._now_ns, throttle_ns=channel.throttle_ns):
                self._alerts[key] = None
        for name, alerts in further.items():
            keys = [key for key in alerts if key.endswith(_LATE_FINISH)]
            if late_finishes := {key.removesuffix(_LATE_FINISH): alerts.pop(key) for key in keys}:
                self._decisions.messages.append(self._writer.further_late_finishes(name, late_finishes))
            if late := alerts.pop(_LATE_START, None):
                self._decisions.messages.append(self._writer.further_late_batches(name, late))
            if alerts:
                self._decisions.messages.append(self._writer.further_failures(name, alerts))

    def _merge_failures(self) -> None:
        """After a stop, many batches may have been missed: they share a message."""
        by_channel: defaultdict[str, list[Notification]] = defaultdict(list)
        for one in self._decisions.messages:
            if one.kind is NotificationKind.FAILED:
                by_channel[one.channel].append(one)
        for channel, messages in by_channel.items():
            if len(messages) > _MOST_BATCHES:
                others = [
                    one
                    for one in self._decisions.messages
                    if one.channel != channel or one.kind is not NotificationKind.FAILED
                ]
                self._decisions.messages = [self._writer.merged(messages), *others]


def _after_event(alert: Alert | None, *, planned_at_ns: int, last: str) -> Alert:
    """Return the alert after something that is over when it is told: nothing recovers from it."""
    return after_success(after_failure(alert, planned_at_ns=planned_at_ns, last=last), is_told=False)


def running_checks(definitions: Definitions) -> Mapping[str, Sequence[str]]:
    """Return the checks of each job that are told when it has started."""
    checks = {
        name for name, channel in definitions.channels.items() if channel.type is ChannelType.HEALTHCHECKS
    }
    found = {job.name: [name for name in job.notify if name in checks] for job in definitions.jobs.values()}
    return {job: names for job, names in found.items() if names}
