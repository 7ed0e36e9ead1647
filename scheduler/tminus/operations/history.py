"""Past occurrences: lists of them, and the log of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tminus.errors import NotFound, UsageError
from tminus.ledger import history
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import Unreadable
from tminus.model.chain import LinkStatus
from tminus.model.definitions import Definitions
from tminus.model.occurrence import Attempt, Occurrence, OccurrenceId, milliseconds, timestamp
from tminus.operations.select import select


@dataclass(frozen=True, slots=True)
class OccurrenceLog:
    """An occurrence with its attempts and the links of its chain."""

    occurrence: Occurrence
    attempts: Sequence[Attempt]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of `tminus logs`."""
        last = self.attempts[-1] if self.attempts else None
        return {
            "occurrence": self.occurrence.as_json(),
            "attempts": [_attempt_json(attempt) for attempt in self.attempts],
            "output": ((last.output or last.body) if last else b"").decode(errors="replace"),
            "links": [_link_json(link) for link in self.occurrence.chain],
        }


def past_jobs(
    ledger: Ledger,
    words: Sequence[str],
    definitions: Callable[[], Definitions | None],
    *,
    unreadable: Unreadable,
) -> Sequence[str]:
    """
    Return the names of jobs that have a history or are in the file. An empty list stands for all jobs.

    Args:
        ledger: The open ledger.
        words: Jobs, as for `select`. A job that is not in the file any more still has its history. Empty for
            all.
        definitions: Returns the definitions, or None if there is no valid jobs file. Called only if there are
            words.
        unreadable: See `ledger.rows`.

    Raises:
        NotFound: a word selects no job.
    """
    if not words or not (found := definitions()):
        return words
    known = history.last_of_each(ledger, words, unreadable=unreadable)
    removed = [word for word in words if word in known and word not in found.jobs]
    others = [word for word in words if word not in removed]
    return [*removed, *(select(others, found).names if others else ())]


def occurrence_log(ledger: Ledger, word: str, *, unreadable: Unreadable) -> OccurrenceLog:
    """
    Return the log of an occurrence, or of the last occurrence of a job.

    Args:
        ledger: The open ledger.
        word: The id of the occurrence, or the name of the job.
        unreadable: See `ledger.rows`.

    Raises:
        UsageError: `word` has an @ and is not the id of an occurrence.
        NotFound: there is no such occurrence.
    """
    if "@" in word:
        try:
            identity = OccurrenceId.parse(word)
        except ValueError as error:
            raise UsageError(str(error)) from None
        found = history.find_by_ids(ledger, [identity], unreadable=unreadable)
        missing = NotFound(f"no occurrence {word}", hint=f"tminus history {identity.job}")
    else:
        found = history.find(ledger, jobs=[word], limit=1, unreadable=unreadable)
        missing = NotFound(f"no occurrence of {word}", hint="tminus history; tminus jobs")
    if not found:
        raise missing
    return OccurrenceLog(found[0], history.find_attempts(ledger, found[0].id, unreadable=unreadable))


def _attempt_json(attempt: Attempt) -> dict[str, object]:
    return {
        "attempt": attempt.attempt,
        "started_at": timestamp(attempt.started_at_ns),
        "finished_at": timestamp(attempt.finished_at_ns),
        "duration_ms": milliseconds(attempt.duration_ns or None),
        "armed": attempt.armed,
        "http_status": attempt.http_status,
        "outcome": attempt.outcome.value,
        "reason": attempt.reason,
        "phases_ms": attempt.phases.as_json(),
        "request": attempt.request and attempt.request.as_json(),
        "headers": list(attempt.headers),
        "body": attempt.body.decode(errors="replace"),
        "body_size": attempt.body_size,
    }


def _link_json(link: LinkStatus) -> dict[str, object]:
    times = {"started_at": timestamp(link.started_at_ns), "finished_at": timestamp(link.finished_at_ns)}
    return {**link.as_json(), **times, "output": link.output.decode(errors="replace")}
