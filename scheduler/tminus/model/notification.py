"""Notifications: channels, and what is sent to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tminus.instants import SECOND
from tminus.outcome import Outcome

#: The outcomes that a channel is told of unless it says otherwise.
FAILURES = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.MISSED, Outcome.UNKNOWN})


class ChannelType(StrEnum):
    """The kind of receiver at the other end of a channel."""

    APPRISE = "apprise"  #: a service that the library Apprise knows: mail, Slack, Telegram, …
    WEBHOOK = "webhook"  #: an HTTP server that gets a signed JSON document
    HEALTHCHECKS = "healthchecks"  #: a check of healthchecks.io, or of a server like it, that gets pings


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """
    A place to send notifications to, with its policy.

    Attributes:
        url: As written: may contain `${…}`.
        secret: The key that signs a webhook, as written; None for no signature.
        outcomes: The outcomes that it is told of.
        throttle_ns: For this long after a message about a job, its further failures are only counted, unless
            they share a batch with one that is sent.
        recovered: Whether it is told of the first success after failures.
    """

    name: str
    type: ChannelType
    url: str
    secret: str | None = None
    outcomes: frozenset[Outcome] = FAILURES
    throttle_ns: int = 600 * SECOND
    recovered: bool = False

    @property
    def watched(self) -> frozenset[Outcome]:
        """
        The outcomes that always get a notice. A check is told of each success. For other channels, a success
        gets one only after a failure.
        """
        is_check = self.type is ChannelType.HEALTHCHECKS
        return self.outcomes | {Outcome.SUCCEEDED} if is_check else self.outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSlo:
    """
    The limit for the last start of a batch.

    Attributes:
        last_ns: The largest start offset that is not told of.
        notify: The names of the channels.
    """

    last_ns: int
    notify: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeWatch:
    """
    The outcomes for which a notice is written, in the transaction of the outcome.

    Attributes:
        outcomes: The outcomes by job; a job without channels is not there. A success after a failure of such
            a job is noted, too.
        start_within_ns: Starts that are later than this after T get a notice, too; None for no limit.
    """

    outcomes: Mapping[str, frozenset[Outcome]] = field(default_factory=dict)
    start_within_ns: int | None = None


class NotificationKind(StrEnum):
    """The subject of a notification. The last three are pings."""

    FAILED = "failed"  #: occurrences with one of the channel's outcomes
    RECOVERED = "recovered"  #: jobs that have succeeded after failures
    SUCCEEDED = "succeeded"  #: occurrences that have succeeded, if the channel asks for them
    LATE_FINISH = "overdue"  #: occurrences that have not finished by their `finish_by`
    LATE_START = "late_start"  #: a batch that has started later than `start_slo`
    TEST = "test"
    PING_START = "start"
    PING_SUCCESS = "success"
    PING_FAIL = "fail"

    @property
    def is_ping(self) -> bool:
        """
        Whether it reports the start or the end of a run to a check. A newer ping replaces those that are not
        delivered.
        """
        return self in (
            NotificationKind.PING_START,
            NotificationKind.PING_SUCCESS,
            NotificationKind.PING_FAIL,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """
    A message or a ping to one channel.

    Attributes:
        channel: The name of the channel.
        about: The key of its subject: the id of an occurrence for a ping, T and a row number for a message
            about a batch. There is one notification per channel, kind and `about`.
        job: The job that a ping is about; empty for messages.
        created_ns: When it was decided, wall clock.
        title: One line for people.
        text: The message for people, several lines.
        data: The same for machines, as a JSON object.
        id: Its row number in the ledger; 0 if it is in none.
        tries: How many times its delivery has failed.
    """

    channel: str
    kind: NotificationKind
    about: str
    created_ns: int
    title: str
    job: str = ""
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    tries: int = 0
