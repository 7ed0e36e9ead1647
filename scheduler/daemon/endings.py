"""How the occurrences of one batch end: each is handed to the recorder once, and a line tells how the batch went."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import structlog

from scheduler.daemon import judge
from scheduler.daemon.flight import Flight
from scheduler.daemon.shards import Lost
from scheduler.daemon.station import Station
from scheduler.instants import rfc3339
from scheduler.model.batch import Decided, Due, Ended
from scheduler.model.definitions import History
from scheduler.model.occurrence import milliseconds
from scheduler.outcome import Outcome

log = structlog.get_logger()


#: Of one batch, in the log.
_MOST_WARNINGS = 20


class Endings:
    """
    Belongs to the thread of its countdown.

    Args:
        planned_at_ns: T, wall clock.
        history: What is kept of answers.
    """

    def __init__(self, station: Station, *, planned_at_ns: int, history: History) -> None:
        self._station = station
        self._planned_at_ns = planned_at_ns
        self._history = history
        self._outcomes: Counter[str] = Counter()
        self._offsets: list[int] = []
        self._warnings_left = _MOST_WARNINGS

    def withdrawn(self, decided: Iterable[Decided]) -> None:
        """The commit has written these."""
        self._outcomes.update(one.outcome for one in decided)

    def finished(self, flight: Flight, reports: Iterable[judge.Finished]) -> None:
        """An executor reports."""
        for one in reports:
            due = flight.outstanding.pop(one.index, None)
            if due is not None:
                if one.started_ns:
                    self._offsets.append(one.started_ns - self._planned_at_ns)
                name, redaction, printed = flight.supervisor.name, flight.redactions[one.index], flight.printed[one.index]
                self._put(judge.judge(due, one, executor=name, history=self._history, redaction=redaction, printed=printed))

    def not_sent(self, due: Due, why: str) -> None:
        """It could not be made into something to do."""
        self._put(judge.not_sent(due, why, now_ns=self._station.clock.wall_ns()))

    def unsendable(self, flight: Flight, works: Mapping[int, str]) -> Lost:
        """These works cannot be encoded, for these reasons. The others were not sent: as if their executor was lost before T."""
        for index, why in works.items():
            if due := flight.outstanding.pop(index, None):
                self.not_sent(due, why)
        return Lost(0, "it was not sent", {})

    def broken(self, flight: Flight, why: str) -> None:
        """The executor of all these cannot work."""
        for due in _taken(flight):
            self.not_sent(due, why)

    def too_late(self, flight: Flight, why: str) -> None:
        """Of these, those whose grace is over have not started."""
        now_ns = self._station.clock.wall_ns()
        over = [i for i, due in flight.outstanding.items() if now_ns > self._planned_at_ns + due.job.misfire_grace_ns]
        self.missed([flight.outstanding.pop(index) for index in over], why)

    def late(self, flight: Flight, why: str) -> None:
        """None of these has started."""
        self.missed(_taken(flight), why)

    def missed(self, dues: Sequence[Due], why: str) -> None:
        """They have not started."""
        for due in dues:
            self._warn(str(due.id), Outcome.MISSED, why)
            self._outcomes[Outcome.MISSED] += 1
            self._station.running.end(due.id)
            self._station.recorder.put(due.ends(Outcome.MISSED, why))

    def lost(self, flight: Flight, why: str, entered: Mapping[int, int] | None = None) -> None:
        """
        Nobody can say what became of these.

        Args:
            flight: Of it those that had begun, or all.
            why: For people.
            entered: When they had begun, wall clock; None where that is not known, so that all may have.
        """
        now_ns = self._station.clock.wall_ns()
        begun = dict.fromkeys(flight.outstanding, 0) if entered is None else entered
        for index, started_ns in begun.items():
            if due := flight.outstanding.pop(index, None):
                name = flight.supervisor.name
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

    def _put(self, ended: Ended) -> None:
        self._warn(str(ended.id), ended.outcome, ended.reason)
        self._outcomes[ended.outcome] += 1
        self._station.running.end(ended.id)
        self._station.recorder.put(ended)

    def _warn(self, occurrence: str, outcome: Outcome, reason: str | None) -> None:
        """By name, but not ten thousand times: the ledger has them all."""
        if outcome is not Outcome.SUCCEEDED and self._warnings_left:
            self._warnings_left -= 1
            log.warning(outcome.value, occurrence=occurrence, reason=reason)
            if not self._warnings_left:
                log.warning("further ones of this batch stand in the ledger", see="tminus history")


def _taken(flight: Flight) -> list[Due]:
    dues, flight.outstanding = list(flight.outstanding.values()), {}
    return dues
