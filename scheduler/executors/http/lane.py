"""A lane: a party that owns many small CurlMultis and performs them in turn."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import pycurl

from scheduler.executors.http import verdict, wire
from scheduler.executors.http.arming import Arming
from scheduler.executors.http.bundle import PER_MULTI, Bundle, bundles
from scheduler.executors.http.first_bytes import FirstBytes
from scheduler.executors.http.loop import Ended, Loop, ended
from scheduler.executors.http.primer import Standing, listen
from scheduler.executors.http.results import Guard, Results
from scheduler.executors.http.shortage import shortage
from scheduler.executors.http.surroundings import Surroundings
from scheduler.executors.http.transfer import Start, Transfer
from scheduler.executors.http.wire import Request
from scheduler.instants import SECOND
from scheduler.release import priority
from scheduler.release.party import Party

_LONGEST_TURN_NS = 1 * SECOND
#: This many results are reported at once, fewer when no more come: a report costs the daemon time just when functions start.
_ENOUGH = 100
#: libcurl reuses a connection that has been idle for less than this without checking that its peer is still there.
_UNSEEN_NS = 1 * SECOND


class Lane(Party):
    """
    Many transfers on one thread: libcurl starts each in about 20 µs, without the GIL.

    Args:
        requests: At least one.
        at_once: The most connections at a time; the other requests follow as these become free.
        realtime: Take a real-time priority around T, if that is allowed.
        shard: The number of its shard, which is its token at the gate.
        all_out: Set once all lanes of the shard have released their requests.
        report: Takes results and errors; called on the lane's thread.
    """

    def __init__(
        self,
        name: str,
        requests: Sequence[Request],
        *,
        at_once: int,
        realtime: bool,
        shard: int,
        all_out: threading.Event,
        around: Surroundings,
        report: Callable[[wire.Report], None],
    ) -> None:
        super().__init__(name)
        self.armed = 0
        self.armed_at_ns = 0
        self._around = around
        self._shard = shard
        self._all_out = all_out
        self._realtime = realtime
        self._results = Results(shard, clock=around.clock, report=report)
        self._start = Start()
        self._standing: Standing = {}
        self.requests = requests
        self._at_once = at_once
        self._arming: Arming | None = None
        self._bundles: list[Bundle] = []
        self._open: dict[pycurl.Curl, tuple[Bundle, Transfer]] = {}
        self._waiting = deque(requests[at_once:])
        self._withdrawing = threading.Lock()
        self._first_bytes = FirstBytes(around.clock)
        self._out_ns = 0
        self._latest_ns = min(request.latest_ns for request in requests)

    @property
    def connections(self) -> int:
        """The connections that it has, or may open at once from now on."""
        left = len(self._open) + len(self._waiting) if self._start.released else len(self.requests)
        return min(self._at_once, left) + sum(bundle.pooled for bundle in list(self._bundles))

    def arm(self, deadline_ns: int) -> None:
        around = self._around
        self._loop = Loop(around.clock)
        self._bundles = list(bundles(self._make_transfers(deadline_ns)))
        for bundle in self._bundles:
            self._loop.adopt(bundle.multi)
        self._arming = arming = Arming(
            self._bundles,
            loop=self._loop,
            standing=self._standing,
            resolver=around.resolver,
            clock=around.clock,
            guard=self._guard,
        )
        arming.run(deadline_ns=deadline_ns, gate=around.gate, own=self._shard)
        self.armed, self.armed_at_ns = len(self._standing), arming.armed_at_ns
        for bundle in self._bundles:
            for transfer in bundle.transfers:
                with self._withdrawing, self._guard(bundle, transfer):
                    if not self._results.is_settled(transfer.request):
                        self._hold(bundle, transfer)
        if self._realtime and not priority.raise_priority(priority.LANES):
            priority.raise_priority(priority.HOLDING)  # only the lowest is allowed here, and nobody else takes it then

    def withdraw(self, indexes: set[int]) -> None:
        """Take these out, unreported. Called before the release is permitted, on any thread; the lane may still be arming."""
        with self._withdrawing:
            self._results.withdraw(indexes)
            self._waiting = deque(request for request in self._waiting if request.index not in indexes)
            for bundle, transfer in list(self._open.values()):
                if transfer.request.index in indexes:
                    with self._guard(bundle, transfer):
                        self._close(transfer)

    def last_look(self) -> None:
        if self._arming is None:
            return
        self._arming.look_again()
        youngest_ns = self._around.clock.monotonic_ns() - _UNSEEN_NS
        for bundle in self._bundles:
            for transfer in bundle.transfers if bundle.given_up else ():
                if transfer.curl in self._open and bundle.given_up.get(transfer.origin, 0) > youngest_ns:
                    with self._guard(bundle, transfer):
                        transfer.start_afresh()

    def go(self, released_at_ns: int) -> None:
        if released_at_ns > self._latest_ns:
            self._send_late_ones_home(released_at_ns)
        self._start.released = True
        wall_ns = self._around.clock.wall_ns
        for bundle in self._bundles:
            bundle.began_ns = wall_ns()
            bundle.multi.perform()
        self._out_ns = wall_ns()
        priority.lower_priority()

    def drain(self) -> None:
        self._all_out.wait()  # reading is Python: it would take the GIL from a lane that is still releasing
        self._start.shortage = shortage()
        for connection in self._standing.values():
            listen(connection)
            connection.detach()  # libcurl closes it after the answer; then its number may be that of another one
        ends = [*(bundle.began_ns for bundle in self._bundles[1:]), self._out_ns]
        for bundle, ended_ns in zip(self._bundles, ends, strict=True):
            for transfer in bundle.transfers:
                if transfer.curl in self._open:
                    with self._guard(bundle, transfer):
                        transfer.note_departure(bundle.began_ns, ended_ns)
                        self._first_bytes.expect(transfer)
        # First read from all connections, which tells when each request left; then handle the answers.
        for bundle in self._bundles:
            self._loop.resume(bundle.multi)
        for bundle in self._bundles:
            self._take_in(ended(bundle.multi))
        for bundle, transfer in list(self._open.values()):
            with self._guard(bundle, transfer):
                transfer.part_after()
        self._start_waiting(self._bundles[0])  # nothing may be open: all that was has ended, broken or been withdrawn
        while self._open:
            self._bury([bundle for bundle in self._bundles if not bundle.open])
            for bundle in self._bundles:
                self._take_in(bundle.close_idle())
            now_ns = self._around.clock.monotonic_ns()
            turn = list(self._loop.turn(0 if self._results.waiting else self._first_bytes.wait_ns(_LONGEST_TURN_NS)))
            self._take_in(turn)
            self._end_overdue(now_ns)
            if not turn or self._results.waiting >= _ENOUGH:
                self._results.flush()
        self._bury_all()

    def go_home(self) -> None:
        priority.lower_priority()
        for bundle, transfer in list(self._open.values()):
            with self._guard(bundle, transfer):
                self._close(transfer)
        self._bury_all()

    def give_up(self, error: BaseException) -> None:
        priority.lower_priority()
        begun = {transfer.request.index: transfer for _, transfer in self._open.values()}
        self._results.tell(error)
        for request in self.requests:
            self._results.add_broken(request, error, begun.get(request.index))
        self._results.flush()
        for connection in self._standing.values():
            connection.detach()

    def _guard(self, bundle: Bundle, transfer: Transfer) -> Guard:
        return self._results.guard(transfer.request, transfer, undo=partial(self._take_out, bundle, transfer))

    def _take_out(self, bundle: Bundle, transfer: Transfer) -> None:
        with suppress(pycurl.error):  # it may be in no multi
            bundle.multi.remove_handle(transfer.curl)
        if self._open.pop(transfer.curl, None):
            bundle.open -= 1
        self._around.reaper.bury([transfer.curl])

    def _make_transfers(self, deadline_ns: int) -> list[Transfer]:
        transfers = []
        for index, request in enumerate(self.requests[: self._at_once]):
            if index % PER_MULTI == 0:
                self._around.gate.wait_open(own=self._shard, deadline_ns=deadline_ns)
            with self._results.guard(request):
                transfers += self._transfer(request)
        return transfers

    def _transfer(self, request: Request) -> list[Transfer]:
        """Make the transfer of a request; none if libcurl does not take the request, which ends that one alone."""
        try:
            return [Transfer(request, start=self._start, standing=self._standing, clock=self._around.clock)]
        except (pycurl.error, ValueError) as error:
            self._results.add_refused(request, error)
            return []

    def _hold(self, bundle: Bundle, transfer: Transfer) -> None:
        transfer.hush()
        # From here on nothing may run this multi before T: libcurl would send.
        self._add(bundle, transfer)

    def _add(self, bundle: Bundle, transfer: Transfer) -> None:
        if self._waiting or self._start.released:
            transfer.part_after()  # others wait for a connection, and a server may close one just when it is reused
        bundle.multi.add_handle(transfer.curl)
        bundle.open += 1
        self._open[transfer.curl] = (bundle, transfer)

    def _send_late_ones_home(self, released_at_ns: int) -> None:
        for bundle, transfer in list(self._open.values()):
            if transfer.request.latest_ns < released_at_ns:
                with self._guard(bundle, transfer):
                    self._close(transfer)
                    self._results.add_late(transfer.request)

    def _start_waiting(self, bundle: Bundle) -> None:
        """Start requests that wait for a connection, as many as there are connections for."""
        while self._waiting and len(self._open) < self._at_once:
            request = self._waiting.popleft()
            with self._results.guard(request):
                if request.latest_ns < self._around.clock.wall_ns():
                    self._results.add_late(request)
                    continue
                for transfer in self._transfer(request):
                    with self._guard(bundle, transfer):
                        self._begin(bundle, transfer)

    def _begin(self, bundle: Bundle, transfer: Transfer) -> None:
        if bundle.given_up:
            transfer.start_afresh()
        self._first_bytes.expect(transfer)
        self._add(bundle, transfer)
        self._loop.kick(bundle.multi)

    def _take_in(self, these: Iterable[Ended]) -> None:
        for curl, code, words in these:
            bundle, transfer = self._open[curl]
            with self._guard(bundle, transfer):
                self._results.add(transfer.finish(code, words))
                self._close(transfer)
            self._start_waiting(bundle)

    def _end_overdue(self, now_ns: int) -> None:
        for transfer, lasted_ns in self._first_bytes.overdue(now_ns):
            if transfer.curl in self._open:
                bundle, _ = self._open[transfer.curl]
                with self._guard(bundle, transfer):
                    if not transfer.answered:
                        late = verdict.no_first_byte(transfer.request, sent=transfer.sent)
                        self._results.add(transfer.end_by(late, lasted_ns=lasted_ns))
                        self._close(transfer)
                self._start_waiting(bundle)

    def _close(self, transfer: Transfer) -> None:
        bundle, _ = self._open[transfer.curl]
        bundle.multi.remove_handle(transfer.curl)
        del self._open[transfer.curl]
        bundle.open -= 1
        bundle.pooled += transfer.leaves_connection
        self._around.reaper.bury([transfer.curl])

    def _bury(self, ended: Sequence[Bundle]) -> None:
        """Have these multis closed, with the connections that are left in them."""
        for bundle in ended:
            self._loop.forget(bundle.multi)
            self._bundles.remove(bundle)
        self._around.reaper.bury(bundle.multi for bundle in ended)

    def _bury_all(self) -> None:
        self._results.flush()
        for connection in self._standing.values():
            connection.detach()
        self._bury(list(self._bundles))
        self._loop.close()
        if self._arming is not None:
            self._arming.close()
