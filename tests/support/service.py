"""The service of a daemon within the test's process, which runs batches of many kinds of jobs."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tests.support.apps import install
from tests.support.daemon import eventually
from tests.support.moments import stretched
from tests.support.new_ledgers import new_ledger
from tests.support.target import TargetServer
from tminus.clock import Clock, SystemClock
from tminus.daemon.runtime import open_runtime
from tminus.daemon.service import Service
from tminus.instants import MS
from tminus.jobsfile.load import JobsFile
from tminus.ledger import history
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import occurrences
from tminus.model.batch import DueOccurrence
from tminus.model.occurrence import Occurrence, OccurrenceId
from tminus.outcome import Origin

_CALL = "call: {ref: 'shop:look', app: shop}"
#: The definition of a job by its kind; `%s` is its name.
KINDS = {
    "http": "{http: {url: 'URL/%s', headers: {X-Key: '${env:SERVICE_KEY}'}}}",
    "followed": "{http: {url: 'URL/%s'}, then: [{callback: 'shop:follow'}, {errback: 'shop:follow'}, {callback: {run: started}}]}",
    "prepared": "{http: {url: 'URL/%s', method: POST, body: hello}, app: shop, prepare: 'shop:prepare'}",
    "flask": "{flask: {app: shop, url: '/view'}}",
    "call": f"{{{_CALL}, then: [{{both: 'shop:follow'}}]}}",
    "isolated": "{call: {ref: 'shop:look', isolate: process}}",
    "unanswered": "{http: {url: 'URL/stall', method: POST, body: hello}}",
    "endless": "{call: {ref: 'shop:wait', app: shop}}",
}


@dataclass(slots=True)
class Batch:
    """
    A batch that has ended: the names of its jobs, their occurrences, and the paths of the requests that
    arrived.
    """

    planned_at_ns: int
    names: Sequence[str]
    occurrences: Sequence[Occurrence | None]
    arrivals: Sequence[str]

    def last_start_ns(self, kinds: Sequence[str], *, without: Collection[str] = ()) -> int:
        """Return how long after T the last job of these kinds started."""
        found = [
            one.started_at_ns
            for one in self.occurrences
            if one and one.id.job not in without and _kind(one.id.job) in kinds
        ]
        return max((at for at in found if at), default=self.planned_at_ns) - self.planned_at_ns


@dataclass(slots=True)
class Batches:
    """Batches of the same jobs on one service."""

    service: Service
    ledger: Ledger
    target: TargetServer
    names: Sequence[str]

    def run(self, lead_ns: int = 500 * MS) -> Batch:
        """
        Run one batch from its claim to the last outcome and the last link; return it. A busy machine gets a
        longer lead.
        """
        definitions = self.service.runtime.definitions
        planned_at_ns = self.service.runtime.clock.wall_ns() + stretched(lead_ns)
        due_occurrences = [
            DueOccurrence(
                id=OccurrenceId(job=name, fire_time_ns=planned_at_ns),
                job=definitions.jobs[name],
                planned_at_ns=planned_at_ns,
                origin=Origin.MANUAL,
                config_version=definitions.version,
            )
            for name in self.names
        ]
        before = len(self.target.arrivals)
        self.service.launch(planned_at_ns, due_occurrences)
        eventually(lambda: self.service.is_idle, what="the batch ends")
        found = {one.id: one for one in history.find_batch(self.ledger, planned_at_ns)}
        arrivals = [one.path[1:] for one in self.target.arrivals[before:]]
        return Batch(planned_at_ns, self.names, [found.get(due.id) for due in due_occurrences], arrivals)

    def name_of(self, row: int) -> str:
        """Return the job of an occurrence, by its row number."""
        with self.ledger.read() as connection:
            return str(connection.scalar(sa.select(occurrences.c.job).where(occurrences.c.id == row)))


@contextmanager
def batches(
    folder: Path, target: TargetServer, kinds: Sequence[str], *, clock: Clock | None = None
) -> Iterator[Batches]:
    """
    Yield a service that runs batches; stop it at the end.

    Args:
        folder: The folder for its files.
        target: Receives the requests.
        kinds: The kind of each job of a batch, in order.
        clock: The clock of the service; its executors use the kernel's.
    """
    clock = clock or SystemClock()
    names = [f"{kind}_{index:02}" for index, kind in enumerate(kinds)]
    lines = [KINDS[_kind(name)].replace("URL", target.url).replace("%s", name) for name in names]
    jobs = "".join(f"  {name}: {line}\n" for name, line in zip(names, lines, strict=True))
    install("service", folder)
    (folder / "jobs.yaml").write_text(
        "version: 1\ndaemon: {lead: 400ms}\napps: {shop: {app: 'shop:app'}}\ndefaults: {schedule: manual, timeout: {connect: 4m, total: 4m}, misfire_grace_time: 10m}\njobs:\n"
        f"{jobs}  started: {{http: '{target.url}/started', overlap: allow_all}}\n"
    )
    file = JobsFile(str(folder / "jobs.yaml"))
    definitions = file.load().definitions
    assert definitions is not None
    ledger = new_ledger(folder)
    try:
        with open_runtime(ledger, definitions, kind="daemon", clock=clock) as runtime:
            service = Service(runtime, since_ns=clock.wall_ns())
            service.start(runtime.executors.start_runners(file.apps.values(), file.folder))
            try:
                yield Batches(service, ledger, target, names)
            finally:
                service.stop()
    finally:
        ledger.close()


def _kind(name: str) -> str:
    return name.partition("_")[0]
