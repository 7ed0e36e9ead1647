"""
`run-now` without a daemon: run one batch as the daemon would, with its chains, and touch no other
occurrence.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection

from tminus.clock import Clock
from tminus.daemon.batches.backlog import Backlog
from tminus.daemon.batches.countdown import Countdown
from tminus.daemon.batches.planner import Planner
from tminus.daemon.runs.chain_writer import ChainWriter
from tminus.daemon.runs.chains import Chains
from tminus.daemon.runtime import Runtime, open_runtime
from tminus.errors import TminusError
from tminus.instants import MS
from tminus.ledger import requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.batch import DueOccurrence
from tminus.model.chain import StartJob
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.operations.run_now import RunNowRequest, accept, check
from tminus.operations.user import current_user
from tminus.outcome import Outcome

_LAST_WRITES_S = 10
#: Between two looks at whether something is left to do.
_LOOK_NS = 20 * MS


def run_here(
    ledger: Ledger,
    definitions: Definitions,
    run_request: RunNowRequest,
    *,
    clock: Clock,
    follow: Callable[[Sequence[OccurrenceId], int], None],
) -> None:
    """
    Run the jobs in this process, which holds the ledger's lock.

    Args:
        ledger: The ledger, locked.
        definitions: The definitions of the jobs file.
        run_request: What to run.
        clock: The only source of time.
        follow: Called with the occurrences and their T once they are stored; returns when they have ended.

    Raises:
        TminusError: the request is not possible, the executor does not start, or an outcome could not be
            stored.
    """
    check(run_request, definitions, now_ns=clock.wall_ns())
    with open_runtime(ledger, definitions, kind="run-now", clock=clock) as runtime:
        runtime.start(_with_followers(run_request.jobs, definitions))
        try:
            _run(runtime, run_request, follow)
        finally:
            are_written = runtime.stop(_LAST_WRITES_S)
        if not are_written:
            raise TminusError("the outcomes could not be written", hint="`tminus doctor` looks at the ledger")


def _run(
    runtime: Runtime, run_request: RunNowRequest, follow: Callable[[Sequence[OccurrenceId], int], None]
) -> None:
    due_occurrences: list[DueOccurrence] = []
    try:
        with _running(runtime) as batches:
            _accept(runtime, run_request, batches.planner.lead_ns, due_occurrences)
            batches.planner.add(due_occurrences)
            follow([due.id for due in due_occurrences], due_occurrences[0].planned_at_ns)
            batches.join()
    except KeyboardInterrupt:
        for due in due_occurrences:
            runtime.recorder.put(due.ends(Outcome.CANCELLED, "interrupted"))
        raise


class _Batches:
    """The batches of this process: the requested one, further attempts, and those that chains start."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._countdowns: list[Countdown] = []
        recorder = runtime.recorder
        self.planner = Planner(
            clock=runtime.clock, launch=self._launch, on_unstarted=recorder.put, undecided=recorder.undecided
        )
        self.backlog = Backlog(runtime, on_due=self.planner.add)
        runtime.on_held_back, runtime.in_flight.on_end = self.backlog.hold, self.backlog.end
        runtime.on_put_back = self.planner.add
        writer = ChainWriter(runtime, on_due=self.planner.add, lead_ns=self.planner.lead_ns)
        self.chains = Chains(runtime, writer)
        recorder.on_chains_begun = self.chains.follow
        recorder.on_retries = self.planner.add

    def start(self) -> None:
        """Start without any schedule."""
        self.planner.start(self._runtime.definitions, {})
        self.backlog.start()
        self.chains.start()

    def join(self) -> None:
        """Wait until nothing is left to do. A batch may start a chain, and a chain a batch."""
        joined = 0
        while joined < len(self._countdowns) or self.backlog or not self.planner.is_idle:
            for countdown in self._countdowns[joined:]:
                countdown.join()
                joined += 1
            self._runtime.recorder.flush(_LAST_WRITES_S)
            self.chains.wait_until_idle()
            self._runtime.clock.pause(_LOOK_NS)

    def abandon(self) -> None:
        """Stop waiting."""
        self.chains.stop(0)  # first, because chains start batches
        self.backlog.stop(0)
        self.planner.stop()
        for countdown in self._countdowns:
            countdown.abandon()
            countdown.join()

    def _launch(self, planned_at_ns: int, due_occurrences: Sequence[DueOccurrence]) -> None:
        countdown = Countdown(
            self._runtime,
            planned_at_ns=planned_at_ns,
            due_occurrences=due_occurrences,
            on_ended=lambda _: None,
        )
        countdown.start()
        self._countdowns.append(countdown)


@contextmanager
def _running(runtime: Runtime) -> Iterator[_Batches]:
    batches = _Batches(runtime)
    batches.start()
    try:
        yield batches
    finally:
        batches.abandon()


def _with_followers(names: Iterable[str], definitions: Definitions) -> list[Job]:
    """Return the jobs with these names, and those that their chains may start."""
    found: dict[str, Job] = {}
    left = list(names)
    while left:
        job = definitions.jobs[left.pop()]
        found[job.name] = job
        handlers = (handler for link in job.then for handler in link.handlers)
        left += [
            handler.job for handler in handlers if isinstance(handler, StartJob) and handler.job not in found
        ]
    return list(found.values())


def _accept(
    runtime: Runtime,
    run_request: RunNowRequest,
    lead_ns: Callable[[Sequence[Job]], int],
    due_occurrences: list[DueOccurrence],
) -> None:
    """Store the occurrences. The list has them before they are durable, so that an interrupt finds them."""
    ledger, clock = runtime.ledger, runtime.clock

    def execute(connection: Connection) -> Mapping[str, Any]:
        accepted = accept(connection, request, runtime.definitions, now_ns=clock.wall_ns(), lead_ns=lead_ns)
        due_occurrences[:] = accepted.due_occurrences
        return accepted.answer

    request = requests.add_request(
        ledger, RequestKind.RUN_NOW, run_request.as_body(), now_ns=clock.wall_ns(), by=current_user()
    )
    requests.take(ledger, request, instance=runtime.instance, execute=execute)
