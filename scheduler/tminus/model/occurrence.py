"""An occurrence: one job at one fire time, the unit that is claimed, run and recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tminus.errors import quoted
from tminus.instants import MS, parse_rfc3339, rfc3339
from tminus.model.chain import LinkStatus
from tminus.model.phases import Phases
from tminus.model.sent_request import SentRequest
from tminus.outcome import ChainResult, LinkState, OccurrenceState, Origin, Outcome, Resolved


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OccurrenceId:
    """The key of an occurrence. Its text is `job@2026-11-20T11:30:00Z`, or `…~1` if it was run again."""

    job: str
    fire_time_ns: int
    run: int = 0  #: 1, 2, … when a person or a backfill runs it again

    def __str__(self) -> str:
        return f"{self.job}@{rfc3339(self.fire_time_ns)}" + (f"~{self.run}" if self.run else "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse the text of an id.

        Raises:
            ValueError: the text is not the id of an occurrence.
        """
        job, at, rest = text.rpartition("@")
        fire_time, tilde, run = rest.partition("~")
        if not (job and at) or (tilde and not (run.isascii() and run.isdecimal() and len(run) < 10)):
            raise ValueError(f"{quoted(text)} is not an occurrence, such as crm_sync@2026-11-20T11:30:00Z")
        return cls(job=job, fire_time_ns=parse_rfc3339(fire_time), run=int(run or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCause:
    """The occurrence whose chain has started another one."""

    id: OccurrenceId
    outcome: Outcome | None = None  #: None if its row is gone
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try within an occurrence."""

    attempt: int
    started_at_ns: int | None  #: wall clock; None if it never started, or that is not known
    finished_at_ns: int
    duration_ns: int  #: by the monotonic clock; 0 if it never started, or that is not known
    armed: bool
    outcome: Outcome
    reason: str | None = None
    http_status: int | None = None
    headers: tuple[str, ...] = ()  #: of the response, one line each
    body: bytes = b""  #: the stored part of the response
    body_size: int = 0  #: bytes of the response that were read
    output: bytes = b""  #: output and log of a Python job
    request: SentRequest | None = None  #: what was sent, without secrets
    phases: Phases = field(default_factory=Phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The answer of an operator to what became of an occurrence that is unknown or missed."""

    resolved: Resolved
    by: str  #: `user@host`
    at_ns: int

    def as_json(self) -> dict[str, str]:
        """Return the JSON of `resolved`."""
        return {"as": self.resolved.value, "by": self.by, "at": rfc3339(self.at_ns)}

    def __str__(self) -> str:
        return f"resolved by {self.by}: {self.resolved.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An occurrence, as stored in the ledger."""

    id: OccurrenceId
    planned_at_ns: int
    origin: Origin
    state: OccurrenceState
    params: Mapping[str, Any] = field(default_factory=dict)
    retry_of: str | None = None
    count: int = 1
    outcome: Outcome | None = None
    reason: str | None = None
    started_at_ns: int | None = None
    finished_at_ns: int | None = None
    duration_ns: int | None = None
    armed: bool | None = None
    attempts: int = 0  #: those that have ended
    http_status: int | None = None
    executor: str | None = None
    config_version: str = ""
    buffered_ns: int | None = None  #: since when it waits, or had to wait, until its job has room
    next_attempt_ns: int | None = None  #: when another attempt is due
    cause: RunCause | None = None  #: None if no chain has started it
    chain: tuple[LinkStatus, ...] = ()
    chain_failure: bool | None = None  #: whether a failure flowed out of its chain; None until its end
    resolution: Resolution | None = None

    @property
    def start_offset_ns(self) -> int | None:
        """The actual start minus the planned start; None if it never started."""
        return None if self.started_at_ns is None else self.started_at_ns - self.planned_at_ns

    @property
    def is_attempted(self) -> bool:
        """Whether an attempt was released and has not ended."""
        return self.state is OccurrenceState.RUNNING and self.next_attempt_ns is None

    @property
    def is_over(self) -> bool:
        """Whether it has an outcome, and its chain has ended."""
        return self.outcome is not None and not any(link.state.is_open for link in self.chain)

    @property
    def has_succeeded(self) -> bool:
        """Whether it succeeded, and its chain did not fail."""
        return self.outcome is Outcome.SUCCEEDED and self.chain_result is not ChainResult.FAILED

    @property
    def chain_result(self) -> ChainResult | None:
        """What its chain has made of the run; None if it has not ended, or has only passed a failure on."""
        if self.chain_failure is None:
            return None
        broken = [link.state in (LinkState.FAILED, LinkState.UNKNOWN) for link in self.chain]
        is_last_broken = bool(broken) and broken[-1]
        succeeded = self.outcome is Outcome.SUCCEEDED
        if self.chain_failure or is_last_broken:
            return ChainResult.FAILED if succeeded or any(broken) else None
        return ChainResult.SUCCEEDED if succeeded else ChainResult.RESCUED

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of an occurrence, as `tminus history --json` prints it."""
        return {
            "id": str(self.id),
            "job": self.id.job,
            "fire_time": rfc3339(self.id.fire_time_ns),
            "run": self.id.run,
            "planned_at": rfc3339(self.planned_at_ns),
            "retry_of": self.retry_of,
            "cause": str(self.cause.id) if self.cause else None,
            "params": dict(self.params),
            "count": self.count,
            "origin": self.origin.value,
            "state": self.state.value,
            "outcome": self.outcome and self.outcome.value,
            "reason": self.reason,
            "start_offset_ms": milliseconds(self.start_offset_ns),
            "armed": self.armed,
            "started_at": timestamp(self.started_at_ns),
            "finished_at": timestamp(self.finished_at_ns),
            "duration_ms": milliseconds(self.duration_ns),
            "attempts": self.attempts + self.is_attempted,
            "next_attempt_at": timestamp(self.next_attempt_ns),
            "http_status": self.http_status,
            "chain": [link.as_json() for link in self.chain],
            "chain_result": self.chain_result and self.chain_result.value,
            "executor": self.executor,
            "config_version": self.config_version,
            "resolved": self.resolution.as_json() if self.resolution else None,
        }


def milliseconds(duration_ns: int | None) -> float | None:
    """Convert nanoseconds to milliseconds with three decimals."""
    return None if duration_ns is None else round(duration_ns / MS, 3)


def timestamp(instant_ns: int | None) -> str | None:
    """Convert an instant to RFC 3339; None to None."""
    return None if instant_ns is None else rfc3339(instant_ns)
