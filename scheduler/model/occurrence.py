"""An occurrence: one job at one fire time, the unit that is claimed, run and recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from scheduler.errors import quoted
from scheduler.instants import MS, parse_rfc3339, rfc3339
from scheduler.model.chain import LinkRun
from scheduler.outcome import Origin, Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OccurrenceId:
    """The key of an occurrence; its text is `job@2026-11-20T11:30:00Z`, run again `…~1`."""

    job: str
    fire_time_ns: int
    run: int = 0  #: 1, 2, … when a person or a backfill runs it again

    def __str__(self) -> str:
        return f"{self.job}@{rfc3339(self.fire_time_ns)}" + (f"~{self.run}" if self.run else "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Raises:
            ValueError: the text is no occurrence's id.
        """
        job, at, rest = text.rpartition("@")
        fire_time, tilde, run = rest.partition("~")
        if not (job and at) or (tilde and not (run.isascii() and run.isdecimal() and len(run) < 10)):
            raise ValueError(f"{quoted(text)} is not an occurrence, such as crm_sync@2026-11-20T11:30:00Z")
        return cls(job=job, fire_time_ns=parse_rfc3339(fire_time), run=int(run or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try within an occurrence."""

    attempt: int
    started_at_ns: int | None  #: when its request left, wall clock; None where it never did
    finished_at_ns: int
    duration_ns: int  #: from its start to its end, by the monotonic clock
    armed: bool
    outcome: Outcome
    reason: str | None = None
    http_status: int | None = None
    headers: tuple[str, ...] = ()  #: of the answer, a line each
    body: bytes = b""  #: what is kept of the answer
    body_size: int = 0  #: bytes of the answer that were read
    output: bytes = b""  #: what a Python job printed and logged


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An occurrence as the ledger has it."""

    id: OccurrenceId
    planned_at_ns: int
    origin: Origin
    state: State
    params: Mapping[str, Any] = field(default_factory=dict)
    retry_of: str | None = None
    count: int = 1
    outcome: Outcome | None = None
    reason: str | None = None
    started_at_ns: int | None = None
    finished_at_ns: int | None = None
    duration_ns: int | None = None
    armed: bool | None = None
    attempts: int = 0
    http_status: int | None = None
    executor: str | None = None
    config_version: str = ""
    chain: tuple[LinkRun, ...] = ()

    @property
    def start_offset_ns(self) -> int | None:
        """When it really started, minus when it was to start."""
        return None if self.started_at_ns is None else self.started_at_ns - self.planned_at_ns

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen: it has its outcome, and what follows it has ended."""
        return self.outcome is not None and not any(link.state.is_open for link in self.chain)

    def as_json(self) -> dict[str, Any]:
        """The shape that the contract fixes."""
        return {
            "id": str(self.id),
            "job": self.id.job,
            "fire_time": rfc3339(self.id.fire_time_ns),
            "run": self.id.run,
            "planned_at": rfc3339(self.planned_at_ns),
            "retry_of": self.retry_of,
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
            "attempts": self.attempts,
            "http_status": self.http_status,
            "chain": [link.as_json() for link in self.chain],
            "executor": self.executor,
            "config_version": self.config_version,
        }


def milliseconds(duration_ns: int | None) -> float | None:
    """Nanoseconds as milliseconds with three decimals, for people and JSON."""
    return None if duration_ns is None else round(duration_ns / MS, 3)


def timestamp(instant_ns: int | None) -> str | None:
    """An instant that may not be there as RFC 3339 text."""
    return None if instant_ns is None else rfc3339(instant_ns)
