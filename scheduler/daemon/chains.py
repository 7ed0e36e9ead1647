"""
What follows a run: link by link, each durable before the next, each at most once.

One thread. Each pass writes in one transaction what has happened since the last one: which functions have returned, which links
are passed over, which jobs are started, which functions are about to be called. Only then are they called. So after a crash a
link that is `running` may have run, and one that waits has not.
"""

import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import structlog

from scheduler.daemon.calls import KILLED, MOST, Calls
from scheduler.daemon.left_behind import dues_of, unreadable
from scheduler.daemon.links import ActiveChain, Returned, call_of, due_of, returned
from scheduler.daemon.station import Station
from scheduler.daemon.steps import Abandoned, Steps
from scheduler.ledger import chains
from scheduler.ledger.chains import OpenChain, Step
from scheduler.model.batch import Due
from scheduler.model.chain import Failure, Function, Start, Value, value_of
from scheduler.model.job import RunnerKey
from scheduler.outcome import Cause, LinkState, Outcome

log = structlog.get_logger()

_LOOK_S = 0.1


class Chains:
    """
    Thread-safe.

    Args:
        launch: Takes the occurrences that chains start; they are in the ledger.
        lead_ns: Returns the lead for this many jobs.
    """

    def __init__(self, station: Station, *, launch: Callable[[Sequence[Due]], None], lead_ns: Callable[[int], int]) -> None:
        self._station = station
        self._clock = station.clock
        self._begun: queue.SimpleQueue[Sequence[Due] | None] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._calls = Calls(station, wake=self._wake.set)
        self._open: dict[int, ActiveChain] = {}
        self._closed: dict[int, ActiveChain] = {}  #: their end is not written yet
        self._ready: list[ActiveChain] = []
        self._waiting: defaultdict[RunnerKey, deque[ActiveChain]] = defaultdict(deque)
        self._steps = Steps(station, launch=launch, lead_ns=lead_ns)
        self._accepted_ns = 0
        self._idle = threading.Event()
        self._beginning = threading.Lock()  #: `_begun` and `_idle` change together
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chains", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def resume(self) -> None:
        """Go on with all chains that an earlier process has left open."""
        self._begin(None)

    def follow(self, dues: Sequence[Due]) -> None:
        """Follow these runs, whose chains have begun; that is durable."""
        if dues:
            self._begin(dues)

    def wait_until_idle(self) -> None:
        """Wait until all chains have ended."""
        while not self.is_idle:
            self._idle.wait(_LOOK_S)

    @property
    def is_idle(self) -> bool:
        """Whether all chains have ended."""
        return self._idle.is_set() and self._begun.empty()

    def leave(self) -> None:
        """Call nothing more: the next process goes on."""
        self._stopping.set()

    def stop(self, timeout_s: float) -> None:
        """Leave, and wait at most this long for what was called."""
        self.leave()
        self._wake.set()
        self._thread.join(timeout_s)
        self._steps.abandoned.set()
        self._thread.join(5 * _LOOK_S)  # it may wait for a locked ledger

    def _begin(self, dues: Sequence[Due] | None) -> None:
        with self._beginning:
            self._begun.put(dues)
            self._idle.clear()
        self._wake.set()

    def _run(self) -> None:
        while not self._steps.abandoned.is_set() and not (self._stopping.is_set() and not self._calls):
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            try:
                self._pass()
            except Abandoned:
                return
            except Exception:
                log.exception("chains broke; the next start goes on with them")
                self._let_go(self._nowhere())
            with self._beginning:
                if not self._open and self._begun.empty() and self._steps.are_written:
                    self._idle.set()

    def _pass(self) -> None:
        while not self._begun.empty():
            self._load(self._begun.get())
        for came in self._calls.came():
            if chain := self._open.get(came.owner):
                chain.called = chain.position if came.was_called else chain.called
                with self._guard(came.owner):
                    self._take(returned(came, str(chain.handler)))
        called = self._advance()
        while broken := self._steps.write():
            for number in broken:
                self._break_off(number, "its steps cannot be written, see the log")
        self._closed.clear()
        for key, chains_of_it in called.items():
            self._call(key, [chain for chain in chains_of_it if chain.number in self._open])

    @contextmanager
    def _guard(self, number: int, states: Sequence[LinkState] = ()) -> Iterator[None]:
        """Run a step that handles one chain: an unforeseen exception ends this chain alone."""
        try:
            yield
        except Abandoned:
            raise
        except Exception as error:
            log.exception("a chain broke, the others go on", chain=number)
            self._break_off(number, f"it broke ({type(error).__name__})", states)

    def _break_off(self, number: int, why: str, states: Sequence[LinkState] = ()) -> None:
        """End a chain; if its end cannot be written either, leave it to the next start."""
        chain = self._open.get(number) or self._closed.pop(number, None)
        if states := chain.states if chain else states:
            self._forget({number})
            self._steps.fail(number, states, why)
            self._wake.set()

    def _let_go(self, gone: Collection[int]) -> None:
        """Drop these chains: the next start goes on with them."""
        if gone:
            self._steps.drop(gone)
            self._forget(gone)

    def _forget(self, gone: Collection[int]) -> None:
        self._open = {number: chain for number, chain in self._open.items() if number not in gone}
        self._ready = [chain for chain in self._ready if chain.number not in gone]
        for key, waiting in self._waiting.items():
            self._waiting[key] = deque(chain for chain in waiting if chain.number not in gone)

    def _nowhere(self) -> set[int]:
        """Return chains that neither wait nor are called: a bug has lost them."""
        waiting = (chain.number for some in (self._ready, *self._waiting.values()) for chain in some)
        return self._open.keys() - set(waiting) - self._calls.owners()

    def _load(self, dues: Sequence[Due] | None) -> None:
        """Open the chains of these runs, or for None all that an earlier process has left open, by the definitions in force."""
        ledger, insist = self._station.ledger, self._steps.insist
        ids = None if dues is None else [due.id for due in dues]
        every = insist(lambda: chains.find(ledger, ids, unreadable=unreadable))
        found = [one for one in every if one.occurrence not in self._open]
        if dues is None:
            known = insist(lambda: dues_of(ledger, self._station.definitions, [one.id for one in found]))
        else:
            known = {due.id: due for due in dues}
        for one in found:
            with self._guard(one.occurrence, one.states):
                self._open_one(one, known.get(one.id))

    def _open_one(self, one: OpenChain, due: Due | None) -> None:
        if due is None or not one.has(due.job.then):
            why = "its job does not have these links any more"
            log.error("a chain cannot go on", occurrence=str(one.id), error=why)
            self._steps.fail(one.occurrence, one.states, why)
            return
        position = next((at for at, state in enumerate(one.states) if state.is_open), len(one.states))
        chain = self._open[one.occurrence] = ActiveChain(one.occurrence, due, position, one.failure)
        if position < len(one.states) and one.states[position] is LinkState.RUNNING:
            killed = Failure(outcome=Outcome.UNKNOWN, kind=Cause.EXECUTOR, message=KILLED)
            self._take(Returned(chain=chain.number, state=LinkState.UNKNOWN, value=killed))
        else:
            self._ready.append(chain)

    def _take(self, ended: Returned) -> None:
        """Note the end of a function; its result or failure flows on."""
        chain, value = self._open[ended.chain], ended.value
        error = None
        if isinstance(value, Failure) and ended.state is not LinkState.SUCCEEDED:
            error = value.message
            link = str(chain.due.job.then[chain.position])
            log.warning("link", occurrence=str(chain.due.id), link=link, state=ended.state.value, error=error)
        self._step(chain, ended.state, error=error, output=ended.output, value=value)
        self._ready.append(chain)

    def _advance(self) -> dict[RunnerKey, list[ActiveChain]]:
        """Advance each chain to the next function that it calls; return the chains that call one, by runner."""
        if self._stopping.is_set():
            return {}
        ready, self._ready = self._ready, []
        for chain in ready:
            with self._guard(chain.number):
                if function := self._next_function(chain):
                    self._waiting[RunnerKey(function.app)].append(chain)
                else:
                    self._steps.end(chain.number)
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
        while chain.position < len(chain.due.job.then):
            match chain.handler:
                case Function() as function:
                    return function
                case Start(job=name):
                    self._start(chain, name)
                case None:
                    self._step(chain, LinkState.PASSED_OVER)
        return None

    def _start(self, chain: ActiveChain, name: str) -> None:
        definitions = self._station.definitions
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
        starts: Due | None = None,
    ) -> None:
        """Note the state of the next link; if that has ended, the link after it is next."""
        step = Step(
            occurrence=chain.number,
            position=chain.position,
            state=state,
            at_ns=self._clock.wall_ns(),
            error=error,
            output=output,
            value=value,
            starts=starts,
        )
        self._steps.note(step)
        if value is not None:
            chain.failure = isinstance(value, Failure)
        if not state.is_open:
            chain.position += 1

    def _call(self, key: RunnerKey, called: Sequence[ActiveChain]) -> None:
        numbers = [chain.number for chain in called]
        texts = self._steps.insist(lambda: chains.values(self._station.ledger, numbers))
        calls = []
        for chain in called:
            with self._guard(chain.number):
                function = chain.handler
                if isinstance(function, Function) and chain.number in texts:
                    calls.append(call_of(chain.number, chain.due, function, value_of(texts[chain.number])))
        self._calls.begin(key, calls)
        self._let_go({chain.number for chain in called if chain.number in self._open} - self._calls.owners())
