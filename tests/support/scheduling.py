"""
A daemon's planning without its processes and threads: a test takes each step, which may fail or be the last.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.support.values import an_ending
from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.batches.agenda import Agenda
from tminus.daemon.batches.overdue_occurrences import missed
from tminus.daemon.high_water import HighWater
from tminus.daemon.recovery import recover
from tminus.errors import LedgerError
from tminus.ledger import claims, instances, outcomes
from tminus.ledger.engine import Ledger
from tminus.model.batch import BatchClaim, DueOccurrence, UnstartedResult
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.policies.lead import LONGEST_NS
from tminus.schedule.fire_times import after


def definitions_of(*jobs: Job) -> Definitions:
    """Return a configuration with these jobs."""
    return Definitions(
        paths=("jobs.yaml",),
        version="0123456789ab",
        text="{}",
        zone="UTC",
        jobs={job.name: job for job in jobs},
    )


@dataclass
class Batch:
    """A countdown: the occurrences that it is to claim, and its claim."""

    planned_at_ns: int
    due_occurrences: list[DueOccurrence]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    release: BatchClaim | None = None


class SteppedDaemon:
    """A daemon that starts with its constructor; to kill it, drop it."""

    def __init__(self, ledger: Ledger, definitions: Definitions, *, since_ns: int, now_ns: int) -> None:
        self.ledger = ledger
        self.definitions = definitions
        self.now_ns = now_ns
        self.undecided = Undecided()
        self.batches: list[Batch] = []
        self.decided: list[UnstartedResult] = []
        self.backlog: list[DueOccurrence] = []
        self.instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=now_ns)
        recovered = recover(ledger, definitions, since_ns=since_ns, now_ns=now_ns)
        self.agenda = Agenda(
            definitions,
            recovered.decided_until,
            undecided=self.undecided,
            due_occurrences=recovered.due_occurrences,
        )
        self._wait_for_room(recovered.backlog)
        self.high_water = HighWater(ledger, instance=self.instance, mark=self.mark)

    def mark(self) -> int | None:
        """Return the high-water mark, as the planner computes it."""
        jobs = self.definitions.jobs
        firsts = [after(jobs[name].schedule, collected) for name, collected in self.agenda.collected.items()]
        firsts.append(self.undecided.first())
        return min([self.now_ns, *(at - 1 for at in firsts if at is not None)])

    def wake(self, name: str, now_ns: int) -> None:
        """Collect the fire times of a job, as its wake-up does."""
        if name in self.agenda.collected:
            self._put(self.agenda.collect(name, until_ns=now_ns + LONGEST_NS, now_ns=now_ns))
            self._wait_for_room(self.agenda.backlog)
            self.agenda.backlog = []

    def close(self, planned_at_ns: int) -> None:
        """Close the batch of this T."""
        self.batches.append(Batch(planned_at_ns, self.agenda.take(planned_at_ns)))

    def claim(self, batch: Batch, *, raises: bool = False) -> None:
        """Claim a batch; if `raises`, the claim is durable and the countdown does not know it."""
        release = claims.claim(
            self.ledger,
            batch.due_occurrences,
            planned_at_ns=batch.planned_at_ns,
            instance=self.instance,
            token=batch.token,
        )
        if not raises:
            batch.release = release
            self.undecided.discard(due.id for due in batch.due_occurrences)

    def give_up(self, batch: Batch) -> None:
        """End a batch that could not be claimed in time."""
        self.batches.remove(batch)
        self._put([missed(due) for due in batch.due_occurrences])

    def run(self, batch: Batch) -> None:
        """Commit a batch, run it, and record its outcomes."""
        self.batches.remove(batch)
        assert batch.release is not None
        may_start = claims.commit(self.ledger, batch.release, withdrawn=[], now_ns=batch.planned_at_ns)
        outcomes.record(self.ledger, [an_ending(due) for due in batch.due_occurrences if due.id in may_start])

    def write(self, decided: Sequence[UnstartedResult], now_ns: int) -> None:
        """Write these outcomes, as the recorder does."""
        self.decided = [one for one in self.decided if one not in decided]
        outcomes.record_unstarted(self.ledger, decided, now_ns=now_ns)
        self.undecided.discard(one.id for one in decided)

    def put_off(self, most: int) -> None:
        """The backlog writes what waits for room, then lets it wait for a T."""
        some, self.backlog = self.backlog[:most], self.backlog[most:]
        claims.put_off(self.ledger, some)
        self.undecided.discard(due.id for due in some)
        for due in some:
            self.agenda.add(replace(due, is_written=True))

    def reload(self, definitions: Definitions, now_ns: int, *, raises: bool = False) -> None:
        """Reload; if `raises`, the reload is durable and the daemon does not know it."""

        def plan(decided_until: Mapping[str, int]) -> None:
            if raises:
                raise LedgerError("the commit raised")
            self.definitions = definitions
            self._put(self.agenda.replan(definitions, decided_until, now_ns=now_ns))
            self._wait_for_room(self.agenda.backlog)
            self.agenda.backlog = []

        self.high_water.adopt(definitions, before=self.definitions, now_ns=now_ns, plan=plan)

    def beat(self, now_ns: int) -> None:
        """Record a heartbeat with the high-water mark."""
        self.now_ns = now_ns
        self.high_water.record_heartbeat(now_ns)

    def finish(self) -> None:
        """Claim and run all that waits, and write all that is decided."""
        self.put_off(len(self.backlog))
        for planned_at_ns in list(self.agenda.waiting):
            self.close(planned_at_ns)
        for batch in list(self.batches):
            if batch.release is None:
                self.claim(batch)
            self.run(batch)
        self.write(list(self.decided), self.now_ns)

    def _wait_for_room(self, due_occurrences: Sequence[DueOccurrence]) -> None:
        self.undecided.add(due.id for due in due_occurrences if not due.is_written)
        self.backlog += due_occurrences

    def _put(self, decided: Sequence[UnstartedResult]) -> None:
        self.undecided.add(one.id for one in decided)
        self.decided += decided
