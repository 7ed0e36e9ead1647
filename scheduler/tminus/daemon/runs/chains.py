"""
Chains: what follows a run, link by link. Each link is durable before the next one, and runs at most once.

There is one thread. Each pass writes in one transaction what has happened since the last pass: which
functions have returned, which links are passed over, which jobs start, which functions are about to be
called. Only then are these functions called. So after a crash a link that is `running` may have run. A link
that is waiting has not.
"""

import queue
import threading
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import structlog

from tminus.daemon.calls.calls import KILLED, MOST, Calls
from tminus.daemon.ledger_retry import GivenUp
from tminus.daemon.runs.chain_links import ActiveChain, LinkResult, due_of, to_call, to_link_result
from tminus.daemon.runs.chain_writer import ChainWriter
from tminus.daemon.runs.left_behind import runs_by_id, unreadable
from tminus.daemon.runtime import Runtime
from tminus.daemon.service_thread import DrainingThread
from tminus.ledger import chains
from tminus.ledger.chains import LinkUpdate, OpenChain
from tminus.model.batch import AnyRun, DueOccurrence
from tminus.model.chain import Failure, Function, StartJob, Value, value_of
from tminus.model.job import RunnerKey
from tminus.outcome import Cause, LinkState, Outcome

log = structlog.get_logger()

_LOOK_S = 0.1


class Chains:
    """
    The thread that advances chains. Thread-safe.

    Args:
        writer: Writes the steps of the chains, on their thread.
    """

    def __init__(self, runtime: Runtime, writer: ChainWriter) -> None:
        self._runtime = runtime
        self._clock = runtime.clock
        self._begun: queue.SimpleQueue[Sequence[AnyRun] | None] = queue.SimpleQueue()
        self._thread = DrainingThread(
            "chains",
            self._run,
            pause_s=_LOOK_S,
            is_draining=lambda: bool(self._calls),
            abandoned=writer.abandoned,
        )
        self._calls = Calls(runtime, wake=self._thread.wake.set)
        self._open: dict[int, ActiveChain] = {}
        self._closed: dict[int, ActiveChain] = {}  #: their end is not written yet
        self._ready: list[ActiveChain] = []
        self._waiting: defaultdict[RunnerKey, deque[ActiveChain]] = defaultdict(deque)
        self._writer = writer
        self._accepted_ns = 0
        self._idle = threading.Event()
        self._beginning = threading.Lock()  #: `_begun` and `_idle` change together

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def resume(self) -> None:
        """Continue all chains that an earlier process has left open."""
        self._begin(None)

    def follow(self, runs: Sequence[AnyRun]) -> None:
        """Run the chains of these runs. The ledger has these chains already."""
        if runs:
            self._begin(runs)

    def wait_until_idle(self) -> None:
        """Wait until all chains have ended."""
        while not self.is_idle:
            self._idle.wait(_LOOK_S)

    @property
    def is_idle(self) -> bool:
        """Whether all chains have ended."""
        return self._idle.is_set() and self._begun.empty()

    def leave(self) -> None:
        """Call nothing more; the next process continues."""
        self._thread.stopping.set()

    def stop(self, timeout_s: float) -> None:
        """Call nothing more, and wait at most this long for the functions that were called."""
        self._thread.drain(timeout_s)

    def _begin(self, runs: Sequence[AnyRun] | None) -> None:
        with self._beginning:
            self._begun.put(runs)
            self._idle.clear()
        self._thread.wake.set()

    def _run(self) -> None:
        try:
            self._pass()
        except GivenUp:
            return
        except Exception:
            log.exception("chains broke; the next start goes on with them")
            self._drop(self._find_lost())
        with self._beginning:
            if not self._open and self._begun.empty() and self._writer.are_written:
                self._idle.set()

    def _pass(self) -> None:
        while not self._begun.empty():
            self._load(self._begun.get())
        for result in self._calls.take_results():
            if chain := self._open.get(result.owner):
                if result.was_called:
                    chain.called = chain.position
                with self._guard(result.owner):
                    self._take(to_link_result(result, str(chain.handler)))
        called = self._advance()
        while broken := self._writer.write():
            for number in broken:
                self._break_off(number, "its steps cannot be written, see the log")
        self._closed.clear()
        for key, chains_of_runner in called.items():
            self._call(key, [chain for chain in chains_of_runner if chain.number in self._open])

    @contextmanager
    def _guard(self, number: int, states: Sequence[LinkState] = ()) -> Iterator[None]:
        """Run a step that handles one chain: an unforeseen exception ends this chain alone."""
        try:
            yield
        except GivenUp:
            raise
        except Exception as error:
            log.exception("a chain broke, the others go on", chain=number)
            self._break_off(number, f"it broke ({type(error).__name__})", states)

    def _break_off(self, number: int, why: str, states: Sequence[LinkState] = ()) -> None:
        """End a chain; if its end cannot be written either, leave it to the next start."""
        chain = self._open.get(number) or self._closed.pop(number, None)
        if chain:
            states = chain.states
        if states:
            self._forget({number})
            self._writer.fail(number, states, why)
            self._thread.wake.set()

    def _drop(self, numbers: Collection[int]) -> None:
        """Drop these chains; the next start continues them."""
        if numbers:
            self._writer.drop(numbers)
            self._forget(numbers)

    def _forget(self, numbers: Collection[int]) -> None:
        self._open = {number: chain for number, chain in self._open.items() if number not in numbers}
        self._ready = [chain for chain in self._ready if chain.number not in numbers]
        for key, waiting in self._waiting.items():
            self._waiting[key] = deque(chain for chain in waiting if chain.number not in numbers)

    def _find_lost(self) -> set[int]:
        """Return the chains that a bug has lost: they neither wait nor are called."""
        waiting = (chain.number for some in (self._ready, *self._waiting.values()) for chain in some)
        return self._open.keys() - set(waiting) - self._calls.owners()

    def _load(self, runs: Sequence[AnyRun] | None) -> None:
        """
        Open the chains of these runs. None stands for all that an earlier process has left open; these
        continue by the definitions in force.
        """
        ledger, retry = self._runtime.ledger, self._writer.retry_until_abandoned
        ids = None if runs is None else [run.id for run in runs]
        every = retry(lambda: chains.find(ledger, ids, unreadable=unreadable))
        found = [chain for chain in every if chain.occurrence not in self._open]
        if runs is None:
            known = retry(
                lambda: runs_by_id(ledger, self._runtime.definitions, [chain.id for chain in found])
            )
        else:
            known = {run.id: run for run in runs}
        for chain in found:
            with self._guard(chain.occurrence, chain.states):
                self._open_one(chain, known.get(chain.id))

    def _open_one(self, one: OpenChain, run: AnyRun | None) -> None:
        if run is None or not one.has(run.then):
            why = "its job does not have these links any more"
            log.error("a chain cannot go on", occurrence=str(one.id), error=why)
            self._writer.fail(one.occurrence, one.states, why)
            return
        position = next((at for at, state in enumerate(one.states) if state.is_open), len(one.states))
        chain = self._open[one.occurrence] = ActiveChain(one.occurrence, run, position, one.failure)
        if position < len(one.states) and one.states[position] is LinkState.RUNNING:
            killed = Failure(outcome=Outcome.UNKNOWN, kind=Cause.EXECUTOR, message=KILLED)
            self._take(LinkResult(chain=chain.number, state=LinkState.UNKNOWN, value=killed))
        else:
            self._ready.append(chain)

    def _take(self, result: LinkResult) -> None:
        """Note the result of a function, which flows on."""
        chain, value = self._open[result.chain], result.value
        error = None
        if isinstance(value, Failure) and result.state is not LinkState.SUCCEEDED:
            error = value.message
            link = str(chain.run.then[chain.position])
            log.warning(
                "link", occurrence=str(chain.run.id), link=link, state=result.state.value, error=error
            )
        self._step(chain, result.state, error=error, output=result.output, value=value)
        self._ready.append(chain)

    def _advance(self) -> dict[RunnerKey, list[ActiveChain]]:
        """
        Advance each chain to the next function that it calls; return the chains that call one, by runner.
        """
        if self._thread.stopping.is_set():
            return {}
        ready, self._ready = self._ready, []
        for chain in ready:
            with self._guard(chain.number):
                if function := self._next_function(chain):
                    self._waiting[RunnerKey(function.app)].append(chain)
                else:
                    self._writer.end(chain.number)
                    self._closed[chain.number] = self._open.pop(chain.number)
        running, called = self._calls.running(), defaultdict[RunnerKey, list[ActiveChain]](list)
        for key, waiting in self._waiting.items():
            for chain in [waiting.popleft() for _ in range(min(MOST - running[key], len(waiting)))]:
                with self._guard(chain.number):
                    self._step(chain, LinkState.RUNNING)
                    called[key].append(chain)
        return called

    def _next_function(self, chain: ActiveChain) -> Function | None:
        """Pass links over and start jobs; return the next function, or None if the chain has ended."""
        while chain.position < len(chain.run.then):
            match chain.handler:
                case Function() as function:
                    return function
                case StartJob(job=name):
                    self._start(chain, name)
                case None:
                    self._step(chain, LinkState.PASSED_OVER)
        return None

    def _start(self, chain: ActiveChain, name: str) -> None:
        definitions = self._runtime.definitions
        if job := definitions.jobs.get(name):
            self._accepted_ns = max(self._clock.wall_ns(), self._accepted_ns + 1)
            due = due_of(job, accepted_ns=self._accepted_ns, version=definitions.version)
            self._step(chain, LinkState.SUCCEEDED, starts=due)
        else:
            why = f"there is no job {name!r} any more"
            failure = Failure(outcome=Outcome.FAILED, kind=Cause.DEFINITION, message=why)
            self._step(chain, LinkState.FAILED, error=why, value=failure)

    def _step(
        self,
        chain: ActiveChain,
        state: LinkState,
        *,
        error: str | None = None,
        output: bytes = b"",
        value: Value | None = None,
        starts: DueOccurrence | None = None,
    ) -> None:
        """Note the state of the next link. If the link has ended, go on to the link after it."""
        step = LinkUpdate(
            occurrence=chain.number,
            position=chain.position,
            state=state,
            at_ns=self._clock.wall_ns(),
            error=error,
            output=output,
            value=value,
            starts=starts,
        )
        self._writer.note(step)
        if value is not None:
            chain.failure = isinstance(value, Failure)
        if not state.is_open:
            chain.position += 1

    def _call(self, key: RunnerKey, called: Sequence[ActiveChain]) -> None:
        numbers = [chain.number for chain in called]
        texts = self._writer.retry_until_abandoned(lambda: chains.next_inputs(self._runtime.ledger, numbers))
        calls = []
        for chain in called:
            with self._guard(chain.number):
                function = chain.handler
                if isinstance(function, Function) and chain.number in texts:
                    calls.append(to_call(chain.number, chain.run, function, value_of(texts[chain.number])))
        self._calls.begin(key, calls)
        self._drop({chain.number for chain in called if chain.number in self._open} - self._calls.owners())
