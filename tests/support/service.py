"""The service of a daemon within the test's process, and one batch of many kinds of jobs after another."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from scheduler.clock import Clock, SystemClock
from scheduler.daemon.service import Service
from scheduler.instants import MS
from scheduler.jobsfile.load import JobsFile
from scheduler.ledger import history, instances
from scheduler.ledger.engine import Ledger, open_ledger
from scheduler.ledger.tables import occurrences
from scheduler.model.batch import Due
from scheduler.model.occurrence import Occurrence, OccurrenceId
from scheduler.outcome import Origin
from tests.support.daemon import eventually
from tests.support.target import TargetServer

_CALL = "call: {ref: 'shop:look', app: shop}"
#: What a job is, by its kind; `%s` is its name.
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
SHOP = """
import os, threading
from flask import Flask

app = Flask(__name__)


@app.get("/view")
def view():
    return "seen"


def look():
    return 1


def wait():
    # A line for each process that enters it.
    with open(os.path.join(os.path.dirname(__file__), "entered"), "a") as file:
        print(os.getpid(), file=file)
    threading.Event().wait()


def follow(result):
    return 2


def prepare(request):
    request.headers["X-Prepared"] = "yes"
"""


@dataclass(slots=True)
class Batch:
    """A batch that has ended: its jobs' names, what the ledger has of each, and the paths of the requests that came."""

    t_ns: int
    names: Sequence[str]
    occurrences: Sequence[Occurrence | None]
    arrivals: Sequence[str]

    def last_start_ns(self, kinds: Sequence[str], *, without: Collection[str] = ()) -> int:
        """How long after T the last job of these kinds started."""
        found = [
            one.started_at_ns for one in self.occurrences if one and one.id.job not in without and _kind(one.id.job) in kinds
        ]
        return max((at for at in found if at), default=self.t_ns) - self.t_ns


@dataclass(slots=True)
class Batches:
    """Runs batches on a service; all of them have the same jobs."""

    service: Service
    ledger: Ledger
    target: TargetServer
    names: Sequence[str]

    def run(self, lead_ns: int = 500 * MS) -> Batch:
        """One batch, from its claim to the last outcome and the last link."""
        definitions = self.service.station.definitions
        t_ns = self.service.station.clock.wall_ns() + lead_ns
        dues = [
            Due(
                id=OccurrenceId(job=name, fire_time_ns=t_ns),
                job=definitions.jobs[name],
                planned_at_ns=t_ns,
                origin=Origin.MANUAL,
                config_version=definitions.version,
            )
            for name in self.names
        ]
        before = len(self.target.arrivals)
        self.service.launch(t_ns, dues)
        eventually(lambda: self.service.is_idle, what="the batch ends")
        found = {one.id: one for one in history.of_batch(self.ledger, t_ns)}
        arrivals = [one.path[1:] for one in self.target.arrivals[before:]]
        return Batch(t_ns, self.names, [found.get(due.id) for due in dues], arrivals)

    def name_of(self, row: int) -> str:
        """The job of an occurrence, by its row number."""
        with self.ledger.read() as connection:
            return str(connection.scalar(sa.select(occurrences.c.job).where(occurrences.c.id == row)))


@contextmanager
def batches(folder: Path, target: TargetServer, kinds: Sequence[str], *, clock: Clock | None = None) -> Iterator[Batches]:
    """
    A service that runs batches.

    Args:
        folder: Where its files lie.
        target: Gets the requests.
        kinds: Of each job of a batch, in its order.
        clock: Of the service; its executors have the kernel's.
    """
    clock = clock or SystemClock()
    names = [f"{kind}_{index:02}" for index, kind in enumerate(kinds)]
    lines = [KINDS[_kind(name)].replace("URL", target.url).replace("%s", name) for name in names]
    jobs = "".join(f"  {name}: {line}\n" for name, line in zip(names, lines, strict=True))
    (folder / "shop.py").write_text(SHOP)
    (folder / "jobs.yaml").write_text(
        "version: 1\ndaemon: {lead: 400ms}\napps: {shop: {app: 'shop:app'}}\ndefaults: {schedule: manual, timeout: {total: 30s}}\njobs:\n"
        f"{jobs}  started: {{http: '{target.url}/started', overlap: allow_all}}\n"
    )
    file = JobsFile(str(folder / "jobs.yaml"))
    definitions = file.load().definitions
    assert definitions is not None
    ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
    try:
        now_ns = clock.wall_ns()
        instance = instances.register(ledger, kind="daemon", config_version=definitions.version, now_ns=now_ns)
        service = Service(ledger, definitions, clock=clock, instance=instance, since_ns=now_ns)
        service.start(service.station.executors.fresh(file.apps.values(), file.folder))
        try:
            yield Batches(service, ledger, target, names)
        finally:
            service.stop()
    finally:
        ledger.close()


def _kind(name: str) -> str:
    return name.partition("_")[0]
