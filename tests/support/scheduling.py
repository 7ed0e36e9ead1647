"""A daemon's planning without its processes and threads: each step of it is taken by hand, may fail, and may be the last."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.daemon.agenda import Agenda
from scheduler.daemon.high_water import HighWater
from scheduler.daemon.late import missed
from scheduler.daemon.recovery import recover
from scheduler.daemon.undecided import Undecided
from scheduler.errors import LedgerError
from scheduler.ledger import claims, instances, outcomes
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Decided, Due, Release
from scheduler.model.definitions import Definitions
from scheduler.model.job import Job
from scheduler.policies.lead import LONGEST_NS
from scheduler.schedule.fire_times import after
from tests.support.values import an_ending


def definitions_of(*jobs: Job) -> Definitions:
    """A configuration of these jobs."""
    return Definitions(paths=("jobs.yaml",), version="0123456789ab", text="{}", zone="UTC", jobs={job.name: job for job in jobs})


@dataclass
class Batch:
    """A countdown: what it wants to claim, and its claim."""

    planned_at_ns: int
    dues: list[Due]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    release: Release | None = None


class SteppedDaemon:
    """Starts when it is made; to kill it, forget it."""

    def __init__(self, ledger: Ledger, definitions: Definitions, *, since_ns: int, now_ns: int) -> None:
        self.ledger = ledger
        self.definitions = definitions
        self.now_ns = now_ns
        self.undecided = Undecided()
        self.batches: list[Batch] = []
        self.decided: list[Decided] = []
        self.instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=now_ns)
        recovered = recover(ledger, definitions, since_ns=since_ns, now_ns=now_ns)
        self.agenda = Agenda(definitions, recovered.after, undecided=self.undecided, dues=recovered.dues)
        self.high_water = HighWater(ledger, instance=self.instance, mark=self.mark)

    def mark(self) -> int | None:
        """As the planner computes it."""
        jobs = self.definitions.jobs
        firsts = [after(jobs[name].schedule, collected) for name, collected in self.agenda.collected.items()]
        firsts.append(self.undecided.first())
        return min([self.now_ns, *(at - 1 for at in firsts if at is not None)])

    def wake(self, name: str, now_ns: int) -> None:
        """The wake-up of a job."""
        if name in self.agenda.collected:
            self._put(self.agenda.collect(name, until_ns=now_ns + LONGEST_NS, now_ns=now_ns))

    def close(self, planned_at_ns: int) -> None:
        """A batch is closed."""
        self.batches.append(Batch(planned_at_ns, self.agenda.take(planned_at_ns)))

    def claim(self, batch: Batch, *, raises: bool = False) -> None:
        """A countdown claims; if it raises, the claim is durable and the countdown does not know it."""
        release = claims.claim(
            self.ledger, batch.dues, planned_at_ns=batch.planned_at_ns, instance=self.instance, token=batch.token
        )
        if not raises:
            batch.release = release
            self.undecided.discard(due.id for due in batch.dues)

    def give_up(self, batch: Batch) -> None:
        """A countdown could not claim in time."""
        self.batches.remove(batch)
        self._put([missed(due) for due in batch.dues])

    def run(self, batch: Batch) -> None:
        """A countdown commits, runs and ends."""
        self.batches.remove(batch)
        assert batch.release is not None
        may_start = claims.commit(self.ledger, batch.release, withdrawn=[], now_ns=batch.planned_at_ns)
        outcomes.record(self.ledger, [an_ending(due) for due in batch.dues if due.id in may_start])

    def write(self, decided: Sequence[Decided], now_ns: int) -> None:
        """The recorder writes."""
        self.decided = [one for one in self.decided if one not in decided]
        outcomes.decide(self.ledger, decided, now_ns=now_ns)
        self.undecided.discard(one.id for one in decided)

    def reload(self, definitions: Definitions, now_ns: int, *, raises: bool = False) -> None:
        """A reload; if it raises, it is durable and the daemon does not know it."""

        def plan(decided_until: Mapping[str, int]) -> None:
            if raises:
                raise LedgerError("the commit raised")
            self.definitions = definitions
            self._put(self.agenda.replan(definitions, decided_until, now_ns=now_ns))

        self.high_water.adopt(definitions, before=self.definitions, now_ns=now_ns, plan=plan)

    def beat(self, now_ns: int) -> None:
        """The heartbeat, with the high-water mark."""
        self.now_ns = now_ns
        self.high_water.beat(now_ns)

    def finish(self) -> None:
        """All that waits is claimed and run, and all that is decided is written."""
        for planned_at_ns in list(self.agenda.waiting):
            self.close(planned_at_ns)
        for batch in list(self.batches):
            if batch.release is None:
                self.claim(batch)
            self.run(batch)
        self.write(list(self.decided), self.now_ns)

    def _put(self, decided: Sequence[Decided]) -> None:
        self.undecided.add(one.id for one in decided)
        self.decided += decided
