"""`run-now` without a daemon: run one batch as the daemon would, with what follows it, and touch no other occurrence."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection

from scheduler.clock import Clock
from scheduler.daemon.chains import Chains
from scheduler.daemon.countdown import Countdown
from scheduler.daemon.executors import Executors
from scheduler.daemon.handovers import Handovers
from scheduler.daemon.recorder import Recorder
from scheduler.daemon.station import Station
from scheduler.errors import TminusError
from scheduler.ledger import instances, requests, upkeep
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Kind
from scheduler.model.batch import Due
from scheduler.model.chain import Start
from scheduler.model.definitions import Definitions
from scheduler.model.job import Job
from scheduler.model.occurrence import OccurrenceId
from scheduler.operations.run_now import Wish, accept, check
from scheduler.outcome import Outcome
from scheduler.policies.lead import Lead
from scheduler.release.gate import Gate

_LAST_WRITES_S = 10


def run_here(
    ledger: Ledger,
    definitions: Definitions,
    wish: Wish,
    *,
    clock: Clock,
    follow: Callable[[Sequence[OccurrenceId], int], None],
) -> None:
    """
    Run the jobs in this process, which holds the ledger's lock.

    Args:
        ledger: Locked.
        definitions: By the jobs file.
        wish: What to run.
        clock: The only source of time.
        follow: Called with the occurrences and their T once they are written down; returns when they have ended.

    Raises:
        TminusError: the wish cannot be granted, the executor does not start, or an outcome could not be written.
    """
    check(wish, definitions, now_ns=clock.wall_ns())
    with _station(ledger, definitions, _with_followers(wish.jobs, definitions), clock) as station:
        dues = _accept(station, wish)
        planned_at_ns = dues[0].planned_at_ns
        try:
            clock.wait_until(planned_at_ns - _lead(definitions).for_batch(len(dues)), threading.Event())
            with _running(station) as batches:
                batches.launch(dues)
                follow([due.id for due in dues], planned_at_ns)
                batches.join()
        except KeyboardInterrupt:
            for due in dues:
                station.recorder.put(due.ends(Outcome.CANCELLED, "interrupted before its start"))
            raise


class _Batches:
    """Those of this process: what was asked for, and what chains start."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._countdowns: list[Countdown] = []
        self.chains = Chains(station, launch=self.launch, lead_ns=_lead(station.definitions).for_batch)
        station.recorder.followed = self.chains.follow

    def launch(self, dues: Sequence[Due]) -> None:
        """Run these, which have one T."""
        countdown = Countdown(self._station, planned_at_ns=dues[0].planned_at_ns, dues=dues, ended=lambda _: None)
        self._countdowns.append(countdown)
        countdown.start()

    def join(self) -> None:
        """Wait until nothing is left to do: a batch may begin a chain, and that start a batch."""
        joined = 0
        while joined < len(self._countdowns):
            while joined < len(self._countdowns):
                self._countdowns[joined].join()
                joined += 1
            self._station.recorder.flush(_LAST_WRITES_S)
            self.chains.wait_until_idle()

    def abandon(self) -> None:
        """Wait for nothing more."""
        self.chains.stop(0)  # first: it starts batches
        for countdown in self._countdowns:
            countdown.abandon()
            countdown.join()


@contextmanager
def _running(station: Station) -> Iterator[_Batches]:
    batches = _Batches(station)
    batches.chains.start()
    try:
        yield batches
    finally:
        batches.abandon()


def _with_followers(names: Iterable[str], definitions: Definitions) -> list[Job]:
    """These jobs, and those that their chains may start."""
    found: dict[str, Job] = {}
    left = list(names)
    while left:
        job = definitions.jobs[left.pop()]
        found[job.name] = job
        handlers = (handler for link in job.then for handler in link.handlers)
        left += [handler.job for handler in handlers if isinstance(handler, Start) and handler.job not in found]
    return list(found.values())


def _accept(station: Station, wish: Wish) -> Sequence[Due]:
    ledger, clock, dues = station.ledger, station.clock, list[Due]()

    def answer(connection: Connection) -> Mapping[str, Any]:
        lead_ns = _lead(station.definitions).for_batch
        accepted = accept(connection, request, station.definitions, now_ns=clock.wall_ns(), lead_ns=lead_ns)
        dues.extend(accepted.dues)
        return accepted.answer

    request = requests.ask(ledger, Kind.RUN_NOW, wish.as_body(), now_ns=clock.wall_ns())
    requests.take(ledger, request, instance=station.instance, answer=answer)
    return dues


def _lead(definitions: Definitions) -> Lead:
    return Lead(definitions.daemon.lead_ns)


@contextmanager
def _station(ledger: Ledger, definitions: Definitions, jobs: Sequence[Job], clock: Clock) -> Iterator[Station]:
    gate = Gate(clock)
    station = Station(
        clock=clock,
        ledger=ledger,
        instance=instances.register(ledger, kind="run-now", config_version=definitions.version, now_ns=clock.wall_ns()),
        definitions=definitions,
        executors=Executors(clock, handovers=Handovers(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=gate, clock=clock),
        gate=gate,
    )
    upkeep.keep_config(ledger, definitions.version, definitions.text, now_ns=clock.wall_ns())
    station.executors.start(definitions, jobs)
    station.recorder.start()
    try:
        yield station
    finally:
        well = station.recorder.stop(_LAST_WRITES_S)
        station.executors.stop()
        instances.stopped(ledger, station.instance, clock.wall_ns())
        if not well:
            raise TminusError("the outcomes could not be written", hint="`tminus doctor` looks at the ledger")
