"""One request in a lane: its handle, its callbacks, and how it ended."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pycurl

from tminus.clock import Clock
from tminus.executors.http import transfer_errors
from tminus.executors.http.callbacks import Callbacks
from tminus.executors.http.fd_exhaustion import fd_exhaustion_errno
from tminus.executors.http.phase_times import connection_phases, curl_time_ns
from tminus.executors.http.primer import (
    ConnectionKey,
    PrimedConnections,
    find_socket,
    make_primer,
    raise_low_water_mark,
    reset_low_water_mark,
    unmake_primer,
)
from tminus.executors.http.redirects import leaked_headers
from tminus.executors.http.request import last_request, set_connection, set_request
from tminus.executors.http.resolver import host_port
from tminus.executors.http.response_buffer import ResponseBuffer
from tminus.executors.http.transfer_errors import TransferFailure
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult
from tminus.outcome import Phase
from tminus.policies.addresses import may_connect

#: Statuses after which libcurl may send once more: a redirect, or a round of authentication.
_ASK_AGAIN = frozenset({301, 302, 303, 307, 308, 401, 407})
_REQUEST_TIMEOUT = 408
#: A longer body may need more than one write. If the connection dies between two of them, libcurl sends
#: everything again.
_ONE_WRITE = 16 << 10
_NO_SOCKET = 1  # CURL_SOCKOPT_ERROR


@dataclass(slots=True)
class ReleaseFlag:
    """
    The release of a lane.

    Attributes:
        released_at_ns: When the lane was released, wall clock; 0 before.
        shortage: EMFILE or ENFILE if descriptors were short at the release, otherwise 0.
    """

    released_at_ns: int = 0
    shortage: int = 0

    @property
    def released(self) -> bool:
        """Whether the lane is released. No byte leaves before."""
        return self.released_at_ns > 0


class Transfer:
    """
    One request. Belongs to its lane's thread. At most one request leaves per transfer, except for redirects
    that the job allows.

    Args:
        release_flag: The flag of the lane.
        primed: The lane's primed connections.
    """

    __slots__ = (
        "_callbacks",
        "_connection",
        "_descriptors",
        "_earlier_lines",
        "_is_callback_off",
        "_left_between",
        "_own_failure",
        "_prereq_callback",
        "_primed",
        "_release_flag",
        "_response",
        "_tls",
        "_wall_ns",
        "armed",
        "curl",
        "leaves_connection",
        "origin",
        "primed_phases",
        "request",
        "sent",
    )

    def __init__(
        self, request: Request, *, release_flag: ReleaseFlag, primed: PrimedConnections, clock: Clock
    ) -> None:
        self.request = request
        self.origin = host_port(request.url)
        self.curl = pycurl.Curl()
        self.armed = self.sent = False
        self.primed_phases: dict[str, int] = {}  #: of the connection that was primed for it
        self.leaves_connection = True  #: to its multi, at its end
        self._release_flag = release_flag
        self._primed = primed
        self._wall_ns = clock.wall_ns
        self._tls = request.url[:6].lower() == "https:"
        self._connection: ConnectionKey | None = None
        self._response = ResponseBuffer(request, clock)
        self._earlier_lines, self._is_callback_off = 0, False
        self._left_between = (0, 0)
        self._own_failure: Callable[[Request], TransferFailure] | None = None
        self._callbacks = Callbacks()
        self._prereq_callback = self._callbacks.guard(self._on_request, failed=pycurl.PREREQFUNC_ABORT)
        set_connection(self.curl, request)
        set_request(self.curl, request)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._prereq_callback)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._response.take_line)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._callbacks.guard(self._received, failed=-1))

    @property
    def may_have_left(self) -> bool:
        """Whether the request may have been sent."""
        return self.sent or (self._is_callback_off and self._release_flag.released)

    @property
    def has_response(self) -> bool:
        """Whether a byte of a response has come."""
        return bool(self._response.lines)

    @property
    def idle_bytes_matter(self) -> bool:
        """
        Whether bytes on its idle connection mean that the server has given up. With TLS they are only session
        tickets.
        """
        return not self._tls

    def prime(self, pins: list[str]) -> None:
        """
        Make the handle a primer of the connection that the request will need.

        Args:
            pins: The addresses of the host, for CURLOPT_RESOLVE. The request uses them, too.
        """
        if pins:
            self.curl.setopt(pycurl.RESOLVE, pins)
        make_primer(self.curl)
        self._descriptors: list[int] = []
        self.curl.setopt(
            pycurl.SOCKOPTFUNCTION, self._callbacks.guard(self._note_descriptor, failed=_NO_SOCKET)
        )
        self.curl.setopt(
            pycurl.PREREQFUNCTION, self._callbacks.guard(self._on_connection, failed=pycurl.PREREQFUNC_ABORT)
        )

    def unprime(self) -> None:
        """
        Make the handle the request again, primed or not.

        Raises:
            Exception: what a callback of the primer has raised.
        """
        unmake_primer(self.curl)
        self.curl.unsetopt(pycurl.SOCKOPTFUNCTION)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._prereq_callback)
        self._callbacks.reraise()

    def read_phases(self) -> dict[str, int]:
        """Return when the phases of its primer ended. Call this right after the primer has ended well."""
        now_ns = self._wall_ns()
        began_ns = now_ns - curl_time_ns(self.curl, pycurl.TOTAL_TIME)
        return {**connection_phases(self.curl, began_ns=began_ns), Phase.ARMED: now_ns}

    def find_primed(self) -> tuple[ConnectionKey, socket.socket] | None:
        """Return the connection that its primer has opened. Call this after the primer has ended well."""
        if self._connection is None:
            return None
        connection = find_socket(self._descriptors, self._connection)
        if connection is None:
            return None
        if self._tls:
            raise_low_water_mark(connection)
        return self._connection, connection

    def disable_prereq_callback(self) -> None:
        """
        Remove the callback for the release, if the connection is primed and the request leaves in one write.

        A callback costs little, but it takes the GIL, and lanes that wait for the GIL start late (measured:
        the last of 1000 at 18 ms instead of 12). The callback is not needed before `note_departure`: the
        address was checked when the connection was primed, and libcurl notices a dead connection later. A
        request that follows redirects keeps the callback, because a quick response may be read and followed
        in the same pass.
        """
        one_write = len(self.request.body or b"") <= _ONE_WRITE and not self.request.follow
        if one_write and self._connection in self._primed:
            self.curl.unsetopt(pycurl.PREREQFUNCTION)
            self._is_callback_off = True

    def close_after_response(self) -> None:
        """Close the connection after the response, if no other transfer can use it."""
        if not self.request.keeps_connection:
            self.curl.setopt(pycurl.FORBID_REUSE, 1)
            self.leaves_connection = False

    def force_fresh_connection(self) -> None:
        """Use no primed connection, because at least one of them is dead, and libcurl may not know that."""
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._prereq_callback)
        self._is_callback_off = False

    def note_departure(self, began_ns: int, ended_ns: int) -> None:
        """
        Note whether the lane's first pass has sent the request, and restore the callback.

        Args:
            began_ns: Wall clock before the pass over its multi.
            ended_ns: Wall clock after it.
        """
        if not self.sent and self.curl.getinfo(pycurl.REQUEST_SIZE) > 0:
            self.sent = True
            self.armed = self.curl.getinfo(pycurl.NUM_CONNECTS) == 0
            self._left_between = (began_ns, ended_ns)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._prereq_callback)
        self._is_callback_off = False

    def finish(self, code: int, message: str) -> AttemptResult:
        """
        Return the result, after libcurl has ended the transfer.

        Args:
            code: curl's code; 0 for a complete response.
            message: curl's own message.

        Raises:
            Exception: what a callback of this transfer has raised.
        """
        self._callbacks.reraise()
        request = last_request(self.curl, self.request)
        if self._own_failure is not None:
            return self._finished(self._own_failure(request))
        if code:
            os_errno = self.curl.getinfo(pycurl.OS_ERRNO)
            answered = len(self._response.lines) > self._earlier_lines
            if code == pycurl.E_COULDNT_CONNECT and not os_errno:
                os_errno = self._release_flag.shortage or fd_exhaustion_errno()
            return self._finished(
                transfer_errors.classify_failure(
                    request, code, message, os_errno=os_errno, sent=self.sent, answered=answered
                )
            )
        if not self._response.has_head:
            return self._finished(transfer_errors.broke_off(request))
        if self._tls and self.armed and self.curl.getinfo(pycurl.RESPONSE_CODE) == _REQUEST_TIMEOUT:
            return self._finished(transfer_errors.preempted(request))
        return self._finished(None)

    def end_with(self, failure: TransferFailure, *, lasted_ns: int = 0) -> AttemptResult:
        """
        Return the result of a transfer that this process ends. `lasted_ns` is its duration, because libcurl's
        own times end with the last event.
        """
        return self._finished(failure, lasted_ns=lasted_ns)

    def _finished(self, failure: TransferFailure | None, *, lasted_ns: int = 0) -> AttemptResult:
        total_ns, before_ns = curl_time_ns(self.curl, pycurl.TOTAL_TIME), 0
        if not self.curl.getinfo(pycurl.REDIRECT_COUNT):
            # With redirects, this would include the time before the last request.
            before_ns = curl_time_ns(self.curl, pycurl.PRETRANSFER_TIME)
        duration_ns = max(total_ns - before_ns if self.sent else total_ns, lasted_ns)
        started_ns = self._started_ns(duration_ns) if self.sent else 0
        finished_ns = started_ns + duration_ns if self.sent else self._wall_ns()
        began_ns = started_ns - before_ns if self.sent else finished_ns - duration_ns
        return AttemptResult(
            index=self.request.index,
            started_ns=started_ns,
            finished_ns=finished_ns,
            duration_ns=duration_ns,
            armed=self.armed,
            status=self.curl.getinfo(pycurl.RESPONSE_CODE),
            cause=failure.cause if failure else None,
            detail=failure.detail if failure else "",
            unknown=failure.unknown if failure else False,
            headers=[line.decode("latin-1").rstrip("\r\n") for line in self._response.lines],
            body=bytes(self._response.body),
            body_size=self._response.size,
            phases=self._phases(began_ns, finished_ns),
        )

    def _phases(self, began_ns: int, finished_ns: int) -> dict[str, int]:
        """
        Return when its phases ended. libcurl's times count from `began_ns`. That is too early if other
        threads ran between a callback and libcurl's own look at the clock.
        """
        began_ns = max(began_ns, self._release_flag.released_at_ns)
        phases = self.primed_phases if self.armed else connection_phases(self.curl, began_ns=began_ns)
        if self._response.began_ns:
            return {**phases, Phase.FIRST_BYTE: min(self._response.began_ns, finished_ns)}
        return phases

    def _started_ns(self, duration_ns: int) -> int:
        """
        Return when the request left, within some microseconds.

        libcurl knows how long before the response's first byte the request left, and `ResponseBuffer` knows
        when that byte came. The request also left during the lane's first pass over its multi, which takes
        some hundred microseconds.
        """
        earliest, latest = self._left_between
        if earliest == latest:
            return earliest
        if self._response.began_ns:
            first_byte_ns = curl_time_ns(self.curl, pycurl.STARTTRANSFER_TIME)
            waited_ns = first_byte_ns - curl_time_ns(self.curl, pycurl.PRETRANSFER_TIME)
            left_ns = self._response.began_ns - waited_ns
        else:
            left_ns = self._wall_ns() - duration_ns
        return min(max(left_ns, earliest), latest)

    def _note_descriptor(self, descriptor: int, _purpose: int) -> int:
        self._descriptors.append(descriptor)
        return 0

    def _on_connection(self, peer: str, _local: str, peer_port: int, local_port: int) -> int:
        if not may_connect(peer):
            return pycurl.PREREQFUNC_ABORT
        self._connection = (peer, peer_port, local_port)
        return pycurl.PREREQFUNC_OK

    def _on_request(self, peer: str, _local: str, peer_port: int, local_port: int) -> int:
        if self.sent or not self._release_flag.released or not may_connect(peer):
            return self._send_again_or_abort(peer)
        connection = self._primed.get((peer, peer_port, local_port))
        if connection is not None:
            self.armed = True
            if self._tls:
                reset_low_water_mark(connection)
        self.sent = True
        now = self._wall_ns()
        self._left_between = (now, now)
        return pycurl.PREREQFUNC_OK

    def _send_again_or_abort(self, peer: str) -> int:
        """
        Return libcurl's code: OK if the request was sent and may be sent again, for a redirect or a round of
        authentication. Otherwise abort; `_own_failure` has the reason, except before the release.
        """
        if not may_connect(peer):
            self._own_failure = partial(transfer_errors.blocked, peer=peer)
        elif not self.sent:
            pass  # not released yet
        elif len(self._response.lines) > self._earlier_lines and self._response.status in _ASK_AGAIN:
            self._earlier_lines = len(self._response.lines)
            if not (names := leaked_headers(self.request, self._response.status, self._response.lines)):
                return pycurl.PREREQFUNC_OK
            self._own_failure = partial(transfer_errors.leads_elsewhere, names=names)
        else:
            # If a reused connection dies without a response, libcurl silently sends again. A POST would
            # arrive twice.
            self._own_failure = transfer_errors.died
        return pycurl.PREREQFUNC_ABORT

    def _received(self, data: bytes) -> int | None:
        if self._response.take_body(data):
            return None
        self._own_failure = transfer_errors.too_large
        return -1
