"""A lane: a party that owns many small CurlMultis and performs them in turn."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import pycurl

from tminus.executors.http import transfer_errors
from tminus.executors.http.arming import Arming
from tminus.executors.http.fd_exhaustion import fd_exhaustion_errno
from tminus.executors.http.first_bytes import FirstBytes
from tminus.executors.http.lane_services import LaneServices
from tminus.executors.http.loop import EndedTransfer, Loop, read_ended
from tminus.executors.http.primer import PrimedConnections, reset_low_water_mark
from tminus.executors.http.results import Guard, Results
from tminus.executors.http.transfer import ReleaseFlag, Transfer
from tminus.executors.http.transfer_group import PER_MULTI, TransferGroup, group_transfers
from tminus.executors.http.wire import Request
from tminus.executors.protocol import HttpReport
from tminus.instants import SECOND
from tminus.policies.misfire import is_misfire
from tminus.release import priority
from tminus.release.party import Party

_LONGEST_TURN_NS = 1 * SECOND
#: Results that a report waits for, while more results come. Each report costs the daemon time, just when
#: functions start.
_RESULTS_PER_REPORT = 100
#: libcurl does not check a connection that was idle for less than this: its server may have closed it.
_UNCHECKED_NS = 1 * SECOND


class Lane(Party):
    """
    Many transfers on one thread. libcurl starts each in about 20 µs, without the GIL.

    Args:
        requests: At least one.
        max_connections: The most connections at a time. The other requests wait for one of them.
        realtime: Whether to take a real-time priority around T, if that is allowed.
        shard: The number of its shard, which is its token at the gate.
        all_out: Set when all lanes of the shard have released their requests.
        report: Takes results and errors. Called on the lane's thread.
    """

    def __init__(
        self,
        name: str,
        requests: Sequence[Request],
        *,
        max_connections: int,
        realtime: bool,
        shard: int,
        all_out: threading.Event,
        services: LaneServices,
        report: Callable[[HttpReport], None],
    ) -> None:
        super().__init__(name)
        self.armed = 0
        self.armed_at_ns = 0
        self._services = services
        self._shard = shard
        self._all_out = all_out
        self._realtime = realtime
        self._results = Results(shard, clock=services.clock, report=report)
        self._release_flag = ReleaseFlag()
        self._primed: PrimedConnections = {}
        self.requests = requests
        self._max_connections = max_connections
        self._arming: Arming | None = None
        self._groups: list[TransferGroup] = []
        self._open: dict[pycurl.Curl, tuple[TransferGroup, Transfer]] = {}
        self._waiting = deque(requests[max_connections:])
        self._withdrawing = threading.Lock()
        self._cancelled: deque[int] = deque()
        self._first_bytes = FirstBytes(services.clock)
        self._out_ns = 0
        self._latest_ns = min(request.latest_ns for request in requests)

    @property
    def connections(self) -> int:
        """The most connections that the lane may have at once from now on. Those of ended transfers count."""
        left = len(self._open) + len(self._waiting) if self._release_flag.released else len(self.requests)
        return min(self._max_connections, left) + sum(group.pooled for group in list(self._groups))

    def arm(self, deadline_ns: int) -> None:
        services = self._services
        self._loop = Loop(services.clock)
        self._groups = list(group_transfers(self._make_transfers(deadline_ns)))
        for group in self._groups:
            self._loop.add(group.multi)
        self._arming = arming = Arming(
            self._groups,
            loop=self._loop,
            primed=self._primed,
            resolver=services.resolver,
            clock=services.clock,
            guard=self._guard,
        )
        arming.run(deadline_ns=deadline_ns, gate=services.gate, own=self._shard)
        self.armed, self.armed_at_ns = len(self._primed), arming.armed_at_ns
        for group in self._groups:
            for transfer in group.transfers:
                with self._withdrawing, self._guard(group, transfer):
                    if not self._results.is_settled(transfer.request):
                        self._add_for_release(group, transfer)
        if self._realtime and not priority.raise_priority(priority.LANES):
            # If only `HOLDING` is allowed here, no thread of a runner takes it.
            priority.raise_priority(priority.HOLDING)

    def withdraw(self, indexes: set[int]) -> None:
        """
        Withdraw these requests: they are not sent and not reported. Called before the permit, on any thread.
        The lane may still be arming.
        """
        with self._withdrawing:
            self._results.withdraw(indexes)
            self._waiting = deque(request for request in self._waiting if request.index not in indexes)
            for group, transfer in list(self._open.values()):
                if transfer.request.index in indexes:
                    with self._guard(group, transfer):
                        self._close(transfer)

    def cancel(self, index: int) -> None:
        """Abort a request that was released, or never start it. Any thread may call this."""
        self._cancelled.append(index)

    def recheck(self) -> None:
        if self._arming is None:
            return
        self._arming.recheck()
        unchecked_since_ns = self._services.clock.monotonic_ns() - _UNCHECKED_NS
        for group in self._groups:
            for transfer in group.transfers if group.given_up else ():
                primed_ns = group.given_up.get(transfer.origin, 0)
                if transfer.curl in self._open and primed_ns > unchecked_since_ns:
                    with self._guard(group, transfer):
                        transfer.force_fresh_connection()

    def release(self, released_at_ns: int) -> None:
        if is_misfire(now_ns=released_at_ns, latest_start_ns=self._latest_ns):
            self._end_late(released_at_ns)
        self._release_flag.released_at_ns = released_at_ns
        wall_ns = self._services.clock.wall_ns
        for group in self._groups:
            group.began_ns = wall_ns()
            group.multi.perform()
        self._out_ns = wall_ns()
        priority.lower_priority()

    def drain(self) -> None:
        self._all_out.wait()  # reading is Python: it would take the GIL from a lane that is still releasing
        self._release_flag.shortage = fd_exhaustion_errno()
        for connection in self._primed.values():
            reset_low_water_mark(connection)
            # libcurl closes it after the response, and then another connection may get its number.
            connection.detach()
        ends = [*(group.began_ns for group in self._groups[1:]), self._out_ns]
        for group, ended_ns in zip(self._groups, ends, strict=True):
            for transfer in group.transfers:
                if transfer.curl in self._open:
                    with self._guard(group, transfer):
                        transfer.note_departure(group.began_ns, ended_ns)
                        self._first_bytes.expect(transfer)
        # First read from all connections, which shows when each request left. Then handle the responses.
        for group in self._groups:
            self._loop.resume(group.multi)
        for group in self._groups:
            self._finish_ended(read_ended(group.multi))
        for group, transfer in list(self._open.values()):
            with self._guard(group, transfer):
                transfer.close_after_response()
        # For the case that nothing is open, because all transfers have ended, broken or been withdrawn.
        self._start_waiting(self._groups[0])
        while self._open:
            self._close_groups([group for group in self._groups if not group.open])
            for group in self._groups:
                self._finish_ended(group.close_idle())
            now_ns = self._services.clock.monotonic_ns()
            wait_ns = 0 if self._results.waiting else self._first_bytes.wait_ns(_LONGEST_TURN_NS)
            ended = list(self._loop.run_once(wait_ns))
            self._finish_ended(ended)
            self._end_overdue(now_ns)
            self._end_cancelled()
            if not ended or self._results.waiting >= _RESULTS_PER_REPORT:
                self._results.flush()
        self._close_all()

    def stand_down(self) -> None:
        priority.lower_priority()
        for group, transfer in list(self._open.values()):
            with self._guard(group, transfer):
                self._close(transfer)
        self._close_all()

    def report_failure(self, error: BaseException) -> None:
        priority.lower_priority()
        begun = {transfer.request.index: transfer for _, transfer in self._open.values()}
        self._results.report_error(error)
        for request in self.requests:
            self._results.add_broken(request, error, begun.get(request.index))
        self._results.flush()
        for connection in self._primed.values():
            connection.detach()

    def _guard(self, group: TransferGroup, transfer: Transfer) -> Guard:
        return self._results.guard(transfer.request, transfer, undo=partial(self._take_out, group, transfer))

    def _take_out(self, group: TransferGroup, transfer: Transfer) -> None:
        with suppress(pycurl.error):  # perhaps it is in no multi
            group.multi.remove_handle(transfer.curl)
        if self._open.pop(transfer.curl, None):
            group.open -= 1
        self._services.reaper.close_later([transfer.curl])

    def _make_transfers(self, deadline_ns: int) -> list[Transfer]:
        transfers = []
        for index, request in enumerate(self.requests[: self._max_connections]):
            if index % PER_MULTI == 0:
                self._services.gate.wait_open(own=self._shard, deadline_ns=deadline_ns)
            with self._results.guard(request):
                transfers += self._make_transfer(request)
        return transfers

    def _make_transfer(self, request: Request) -> list[Transfer]:
        """
        Return the transfer of a request; nothing if libcurl does not accept the request, which then has
        failed.
        """
        try:
            return [
                Transfer(
                    request, release_flag=self._release_flag, primed=self._primed, clock=self._services.clock
                )
            ]
        except (pycurl.error, ValueError) as error:
            self._results.add_refused(request, error)
            return []

    def _add_for_release(self, group: TransferGroup, transfer: Transfer) -> None:
        transfer.disable_prereq_callback()
        # From here on nothing may run this multi before T, because libcurl would send.
        self._add(group, transfer)

    def _add(self, group: TransferGroup, transfer: Transfer) -> None:
        if self._waiting or self._release_flag.released:
            # Others wait for a connection, and a server may close this one just when it is reused.
            transfer.close_after_response()
        group.multi.add_handle(transfer.curl)
        group.open += 1
        self._open[transfer.curl] = (group, transfer)

    def _end_late(self, released_at_ns: int) -> None:
        for group, transfer in list(self._open.values()):
            if is_misfire(now_ns=released_at_ns, latest_start_ns=transfer.request.latest_ns):
                with self._guard(group, transfer):
                    self._close(transfer)
                    self._results.add_late(transfer.request)

    def _start_waiting(self, group: TransferGroup) -> None:
        """Start waiting requests while there are connections for them."""
        while self._waiting and len(self._open) < self._max_connections:
            request = self._waiting.popleft()
            with self._results.guard(request):
                if is_misfire(now_ns=self._services.clock.wall_ns(), latest_start_ns=request.latest_ns):
                    self._results.add_late(request)
                    continue
                for transfer in self._make_transfer(request):
                    with self._guard(group, transfer):
                        self._start_transfer(group, transfer)

    def _start_transfer(self, group: TransferGroup, transfer: Transfer) -> None:
        if group.given_up:
            transfer.force_fresh_connection()
        self._first_bytes.expect(transfer)
        self._add(group, transfer)
        self._loop.run_soon(group.multi)

    def _finish_ended(self, ended: Iterable[EndedTransfer]) -> None:
        for curl, code, message in ended:
            group, transfer = self._open[curl]
            with self._guard(group, transfer):
                self._results.add(transfer.finish(code, message))
                self._close(transfer)
            self._start_waiting(group)

    def _end_overdue(self, now_ns: int) -> None:
        for transfer, lasted_ns in self._first_bytes.overdue(now_ns):
            if transfer.curl in self._open:
                group, _ = self._open[transfer.curl]
                with self._guard(group, transfer):
                    if not transfer.has_response:
                        failure = transfer_errors.no_first_byte(transfer.request, sent=transfer.sent)
                        self._results.add(transfer.end_with(failure, lasted_ns=lasted_ns))
                        self._close(transfer)
                self._start_waiting(group)

    def _end_cancelled(self) -> None:
        while self._cancelled:
            index = self._cancelled.popleft()
            for request in [one for one in self._waiting if one.index == index]:
                self._waiting.remove(request)
                self._results.add_cancelled(request)
            for group, transfer in list(self._open.values()):
                if transfer.request.index == index:
                    with self._guard(group, transfer):
                        self._results.add_cancelled(transfer.request, transfer)
                        self._close(transfer)
                    self._start_waiting(group)

    def _close(self, transfer: Transfer) -> None:
        group, _ = self._open[transfer.curl]
        group.multi.remove_handle(transfer.curl)
        del self._open[transfer.curl]
        group.open -= 1
        group.pooled += transfer.leaves_connection
        self._services.reaper.close_later([transfer.curl])

    def _close_groups(self, ended: Sequence[TransferGroup]) -> None:
        """Close these multis soon, with the connections that are left in them."""
        for group in ended:
            self._loop.forget(group.multi)
            self._groups.remove(group)
        self._services.reaper.close_later(group.multi for group in ended)

    def _close_all(self) -> None:
        self._results.flush()
        for connection in self._primed.values():
            connection.detach()
        self._close_groups(list(self._groups))
        self._loop.close()
        if self._arming is not None:
            self._arming.close()
