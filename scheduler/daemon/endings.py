"""The outcomes of one batch: each goes to the recorder once, and a log line sums up the batch."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import structlog

from scheduler.daemon import judge
from scheduler.daemon.flight import Flight
from scheduler.daemon.shards import Lost
from scheduler.daemon.station import Station
from scheduler.executors.python import wire as python_wire
from scheduler.instants import rfc3339
from scheduler.model.batch import Decided, Due, Ended
from scheduler.model.chain import Failure
from scheduler.model.definitions import History
from scheduler.model.occurrence import OccurrenceId, milliseconds
from scheduler.outcome import Cause, Outcome

log = structlog.get_logger()

#: Failures of one batch that are logged by name.
_MOST_WARNINGS = 20


class Endings:
    """
    Belongs to the thread of its countdown.

    Args:
        planned_at_ns: T, wall clock.
        dues: The due occurrences of the batch. Each gets exactly one outcome here, unless another process owns it.
        history: What is kept of responses.
    """

    def __init__(self, station: Station, *, planned_at_ns: int, dues: Sequence[Due], history: History) -> None:
        self._station = station
        self._planned_at_ns = planned_at_ns
        self._history = history
        self._open = {due.id: due for due in dues}
        self._outcomes: Counter[str] = Counter()
        self._offsets: list[int] = []
        self._warnings_left = _MOST_WARNINGS

    def is_open(self, due: Due) -> bool:
        """Whether this process owns an occurrence and it has no outcome yet."""
        return due.id in self._open

    def keep(self, ours: Collection[OccurrenceId]) -> None:
        """Keep these occurrences; the others belong to other processes."""
        for identity in self._open.keys() - set(ours):
            del self._open[identity]

    @contextmanager
    def guard(self, step: str, due: Due, *, may_be_sent: bool = False, executor: str | None = None) -> Iterator[None]:
        """
        Run a step that handles one job: an unforeseen exception ends this job alone.

        Args:
            step: For people, such as `rendering`.
            due: The job's occurrence.
            may_be_sent: Whether its request may have left, or its function may have been entered.
            executor: The name of its executor.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001  the guard's whole purpose; it is logged with its traceback
            self.break_off(step, due, error, may_be_sent=may_be_sent, executor=executor)

    def break_off(self, step: str, due: Due, error: Exception, *, may_be_sent: bool = False, executor: str | None = None) -> None:
        """Give an occurrence its outcome after an unforeseen exception. Arguments as for `guard`."""
        outcome = Outcome.UNKNOWN if may_be_sent else Outcome.FAILED
        why = f"{step} broke ({type(error).__name__})" + ("; how far it came is not known" if may_be_sent else "")
        reason = f"{Cause.OTHER}: {why}" if may_be_sent else f"{Cause.OTHER}, not sent: {why}"
        chain = due.chain(Failure(outcome=outcome, kind=Cause.OTHER, message=why))
        now_ns = self._station.clock.wall_ns()
        if may_be_sent:
            self._put(Ended(id=due.id, outcome=outcome, reason=reason, finished_at_ns=now_ns, executor=executor, chain=chain))
        else:  # unlike an `Ended`, this needs no row in the ledger: it may be the claim that broke
            self._put(replace(due.ends(outcome, reason), chain=chain))
        log.error("a job broke, the others go on", occurrence=str(due.id), step=step, exc_info=error)

    def break_off_all(self, step: str, error: Exception, *, released: Collection[OccurrenceId]) -> None:
        """Give each occurrence without an outcome one. Only those that were released may have been sent."""
        for identity, due in list(self._open.items()):
            self.break_off(step, due, error, may_be_sent=identity in released)

    def withdrawn(self, decided: Iterable[Decided]) -> None:
        """Count these as ended: the commit has written them."""
        for one in decided:
            if self._open.pop(one.id, None):
                self._outcomes[one.outcome] += 1

    def not_committed(self, decided: Iterable[Decided]) -> None:
        """Write these decisions, which the commit has not written."""
        for one in decided:
            self._put(one)

    def finished(self, flight: Flight, reports: Iterable[judge.Finished]) -> None:
        """Evaluate the reports of an executor."""
        for one in reports:
            due = flight.outstanding.pop(one.index, None)
            if due is not None:
                name, was_sent = flight.supervisor.name, bool(one.started_ns) or one.unknown
                with self.guard("evaluation", due, may_be_sent=was_sent, executor=name):
                    self._evaluate(flight, due, one)

    def _evaluate(self, flight: Flight, due: Due, one: judge.Finished) -> None:
        if one.started_ns:
            self._offsets.append(one.started_ns - self._planned_at_ns)
        name, redaction, printed = flight.supervisor.name, flight.redactions[one.index], flight.printed[one.index]
        ended = judge.judge(due, one, executor=name, history=self._history, redaction=redaction, printed=printed)
        if isinstance(one, python_wire.Finished) and one.still_runs:
            self._put(ended, counts_on=True)
            flight.when_left(one.index, partial(self._station.running.end, due.id))
        else:
            self._put(ended)

    def not_sent(self, due: Due, why: str, *, cause: Cause = Cause.DEFINITION) -> None:
        """End an occurrence as `failed`, because there is nothing that could be sent."""
        with self.guard("evaluation", due):
            self._put(judge.not_sent(due, why, now_ns=self._station.clock.wall_ns(), cause=cause))

    def unsendable(self, flight: Flight, works: Mapping[int, str]) -> Lost:
        """End works that cannot be encoded. Return an event for the others: they were not sent, as if their executor had died."""
        for index, why in works.items():
            if due := flight.outstanding.pop(index, None):
                self.not_sent(due, why)
        return Lost(0, "it was not sent", {})

    def broken(self, flight: Flight, why: str, *, cause: Cause = Cause.DEFINITION) -> None:
        """End every occurrence of a flight as `failed`: its executor does not work."""
        for due in _taken(flight):
            self.not_sent(due, why, cause=cause)

    def too_late(self, flight: Flight, why: str) -> None:
        """End those of a flight as `missed` whose grace is over."""
        now_ns = self._station.clock.wall_ns()
        over = [i for i, due in flight.outstanding.items() if now_ns > self._planned_at_ns + due.job.misfire_grace_ns]
        self.missed([flight.outstanding.pop(index) for index in over], why)

    def late(self, flight: Flight, why: str) -> None:
        """End every occurrence of a flight as `missed`: none has started."""
        self.missed(_taken(flight), why)

    def missed(self, dues: Sequence[Due], why: str) -> None:
        """End these as `missed`: they have not started."""
        for due in dues:
            with self.guard("evaluation", due):
                self._put(due.ends(Outcome.MISSED, why))

    def lost(self, flight: Flight, why: str, entered: Mapping[int, int] | None = None) -> None:
        """
        End those of a flight as `unknown` that had begun.

        Args:
            flight: The flight whose executor died.
            why: The reason, for people.
            entered: When they had begun, by their index, wall clock; None if that is unknown: then all may have begun.
        """
        now_ns = self._station.clock.wall_ns()
        begun = dict.fromkeys(flight.outstanding, 0) if entered is None else entered
        for index, started_ns in begun.items():
            if due := flight.outstanding.pop(index, None):
                name = flight.supervisor.name
                with self.guard("evaluation", due, may_be_sent=True, executor=name):
                    self._put(judge.lost(due, why, executor=name, now_ns=now_ns, started_ns=started_ns))

    def say(self) -> None:
        """Log how the batch went."""
        if self._outcomes:
            offsets = sorted(self._offsets)
            log.info(
                "batch",
                planned_at=rfc3339(self._planned_at_ns),
                started=len(offsets),
                first_ms=milliseconds(offsets[0]) if offsets else None,
                last_ms=milliseconds(offsets[-1]) if offsets else None,
                **dict(sorted(self._outcomes.items())),
            )

    def _put(self, item: Ended | Decided, *, counts_on: bool = False) -> None:
        """
        Put an outcome to the recorder; a second one for the same occurrence changes nothing.

        Args:
            counts_on: Whether its thread still runs, so that it still counts for `overlap`.
        """
        if item.id in self._open:
            if not counts_on:
                self._station.running.end(item.id)
            self._station.recorder.put(item)
            del self._open[item.id]
            self._outcomes[item.outcome] += 1
            self._warn(str(item.id), item.outcome, item.reason)

    def _warn(self, occurrence: str, outcome: Outcome, reason: str | None) -> None:
        """Log a failure by name, up to a limit: the ledger has all of them."""
        if outcome is not Outcome.SUCCEEDED and self._warnings_left:
            self._warnings_left -= 1
            log.warning(outcome.value, occurrence=occurrence, reason=reason)
            if not self._warnings_left:
                log.warning("more failures in this batch, see the ledger", see="tminus history")


def _taken(flight: Flight) -> list[Due]:
    dues, flight.outstanding = list(flight.outstanding.values()), {}
    return dues
