"""One request in a lane: its handle, its callbacks, and how it ended."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pycurl

from scheduler.clock import Clock
from scheduler.executors.http import verdict as verdicts
from scheduler.executors.http.answer import Answer
from scheduler.executors.http.callbacks import Callbacks
from scheduler.executors.http.guard import is_allowed
from scheduler.executors.http.names import origin_of
from scheduler.executors.http.primer import ConnectionKey, Standing, find, listen, make_primer, silence, unmake_primer
from scheduler.executors.http.redirects import would_leak
from scheduler.executors.http.request import last_request, set_connection, set_request
from scheduler.executors.http.shortage import shortage
from scheduler.executors.http.verdict import Verdict
from scheduler.executors.http.wire import Finished, Request
from scheduler.instants import SECOND

#: Statuses after which libcurl may send once more: a redirect, or a round of authentication.
_ASK_AGAIN = frozenset({301, 302, 303, 307, 308, 401, 407})
_REQUEST_TIMEOUT = 408
#: A longer body may need more than one write; if the connection dies between two of them, libcurl sends it all again.
_ONE_WRITE = 16 << 10
_NO_SOCKET = 1  # CURL_SOCKOPT_ERROR


@dataclass(slots=True)
class Start:
    """Whether a lane is released: no byte leaves before; and the errno if descriptors were short then, otherwise 0."""

    released: bool = False
    shortage: int = 0


class Transfer:
    """
    Belongs to its lane's thread. At most one request leaves per transfer, except for redirects that the job allows.

    Args:
        start: Of the lane.
        standing: The lane's primed connections.
    """

    __slots__ = (
        "_answer",
        "_callbacks",
        "_connection",
        "_descriptors",
        "_heard",
        "_is_hushed",
        "_left_between",
        "_on_leaving",
        "_own_verdict",
        "_standing",
        "_start",
        "_tls",
        "_wall_ns",
        "armed",
        "curl",
        "leaves_connection",
        "origin",
        "request",
        "sent",
    )

    def __init__(self, request: Request, *, start: Start, standing: Standing, clock: Clock) -> None:
        self.request = request
        self.origin = origin_of(request.url)
        self.curl = pycurl.Curl()
        self.armed = self.sent = False
        self.leaves_connection = True  #: in its multi, when it has ended
        self._start = start
        self._standing = standing
        self._wall_ns = clock.wall_ns
        self._tls = request.url[:6].lower() == "https:"
        self._connection: ConnectionKey | None = None
        self._answer = Answer(request, clock)
        self._heard, self._is_hushed = 0, False
        self._left_between = (0, 0)
        self._own_verdict: Callable[[Request], Verdict] | None = None
        self._callbacks = Callbacks()
        self._on_leaving = self._callbacks.guard(self._leaving, failed=pycurl.PREREQFUNC_ABORT)
        set_connection(self.curl, request)
        set_request(self.curl, request)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._on_leaving)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._answer.take_line)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._callbacks.guard(self._received, failed=-1))

    @property
    def may_have_left(self) -> bool:
        """Whether the request may have been sent."""
        return self.sent or (self._is_hushed and self._start.released)

    @property
    def answered(self) -> bool:
        """Whether a byte of an answer has come."""
        return bool(self._answer.lines)

    @property
    def idle_bytes_matter(self) -> bool:
        """Whether bytes on its idle connection mean that the server has given up; with TLS they are only session tickets."""
        return not self._tls

    def prime(self, pins: list[str]) -> None:
        """
        Make the handle a primer of the connection that the request will need.

        Args:
            pins: The addresses of the host, for CURLOPT_RESOLVE; the request goes there, too.
        """
        if pins:
            self.curl.setopt(pycurl.RESOLVE, pins)
        make_primer(self.curl)
        self._descriptors: list[int] = []
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self._callbacks.guard(self._note_descriptor, failed=_NO_SOCKET))
        self.curl.setopt(pycurl.PREREQFUNCTION, self._callbacks.guard(self._connected, failed=pycurl.PREREQFUNC_ABORT))

    def unprime(self) -> None:
        """
        Make the handle the request again, primed or not.

        Raises:
            Exception: what a callback of the primer has raised.
        """
        unmake_primer(self.curl)
        self.curl.unsetopt(pycurl.SOCKOPTFUNCTION)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._on_leaving)
        self._callbacks.reraise()

    def find_primed(self) -> tuple[ConnectionKey, socket.socket] | None:
        """Return the connection that its primer has opened; call this after the primer has ended well."""
        connection = self._connection and find(self._descriptors, self._connection)
        if not (self._connection and connection):
            return None
        if self._tls:
            silence(connection)
        return self._connection, connection

    def hush(self) -> None:
        """
        Take the callback away for the release, if the connection is primed and the request leaves in one write.

        A callback costs little, but it takes the GIL, and lanes that wait for the GIL start late (measured: the last of 1000 at
        18 ms instead of 12). The callback is not needed before `note_departure`: the address was checked when the connection was
        primed, and libcurl notices its death later. A job that follows redirects keeps the callback, because a quick answer may
        be read, and followed, in the same pass.
        """
        one_write = len(self.request.body or b"") <= _ONE_WRITE and not self.request.follow
        if one_write and self._connection in self._standing:
            self.curl.unsetopt(pycurl.PREREQFUNCTION)
            self._is_hushed = True

    def part_after(self) -> None:
        """Close the connection after the answer, if no other transfer can use it."""
        if not self.request.leaves_connection:
            self.curl.setopt(pycurl.FORBID_REUSE, 1)
            self.leaves_connection = False

    def start_afresh(self) -> None:
        """Use none of the primed connections: at least one of them is dead, and libcurl may not know it."""
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._on_leaving)
        self._is_hushed = False

    def note_departure(self, began_ns: int, ended_ns: int) -> None:
        """
        Note whether the lane's first pass has sent it, and have the callback again from here on.

        Args:
            began_ns: Wall clock before the pass over its multi.
            ended_ns: Wall clock after it.
        """
        if not self.sent and self.curl.getinfo(pycurl.REQUEST_SIZE) > 0:
            self.sent = True
            self.armed = self.curl.getinfo(pycurl.NUM_CONNECTS) == 0
            self._left_between = (began_ns, ended_ns)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._on_leaving)
        self._is_hushed = False

    def finish(self, code: int, words: str) -> Finished:
        """
        Return the result, after libcurl has ended the transfer.

        Args:
            code: curl's code; 0 is a complete answer.
            words: curl's own words.

        Raises:
            Exception: what a callback of this transfer has raised.
        """
        self._callbacks.reraise()
        request = last_request(self.curl, self.request)
        if self._own_verdict is not None:
            return self._finished(self._own_verdict(request))
        if code:
            os_errno, answered = self.curl.getinfo(pycurl.OS_ERRNO), len(self._answer.lines) > self._heard
            if code == pycurl.E_COULDNT_CONNECT and not os_errno:
                os_errno = self._start.shortage or shortage()
            return self._finished(verdicts.verdict(request, code, words, os_errno=os_errno, sent=self.sent, answered=answered))
        if not self._answer.has_head:
            return self._finished(verdicts.broke_off(request))
        if self._tls and self.armed and self.curl.getinfo(pycurl.RESPONSE_CODE) == _REQUEST_TIMEOUT:
            return self._finished(verdicts.preempted(request))
        return self._finished(None)

    def end_by(self, verdict: Verdict, *, lasted_ns: int = 0) -> Finished:
        """Return the result of a transfer that we end after this time: libcurl's own times end with the last event."""
        return self._finished(verdict, lasted_ns=lasted_ns)

    def _finished(self, verdict: Verdict | None, *, lasted_ns: int = 0) -> Finished:
        total_ns = self._curl_time(pycurl.TOTAL_TIME)
        # With redirects, this includes all that came before the last request.
        before_ns = 0 if self.curl.getinfo(pycurl.REDIRECT_COUNT) else self._curl_time(pycurl.PRETRANSFER_TIME)
        duration_ns = max(total_ns - before_ns if self.sent else total_ns, lasted_ns)
        started_ns = self._started_ns(duration_ns) if self.sent else 0
        return Finished(
            index=self.request.index,
            started_ns=started_ns,
            finished_ns=started_ns + duration_ns if self.sent else self._wall_ns(),
            duration_ns=duration_ns,
            armed=self.armed,
            status=self.curl.getinfo(pycurl.RESPONSE_CODE),
            cause=verdict.cause if verdict else None,
            detail=verdict.detail if verdict else "",
            unknown=verdict.unknown if verdict else False,
            headers=[line.decode("latin-1").rstrip("\r\n") for line in self._answer.lines],
            body=bytes(self._answer.body),
            body_size=self._answer.size,
        )

    def _started_ns(self, duration_ns: int) -> int:
        """
        Return when the request left, to some microseconds.

        libcurl knows how long before the answer's first byte the request left, and we know when that byte came. It also left
        during the lane's first pass over its multi, which takes some hundred microseconds.
        """
        earliest, latest = self._left_between
        if earliest == latest:
            return earliest
        if self._answer.began_ns:
            waited_ns = self._curl_time(pycurl.STARTTRANSFER_TIME) - self._curl_time(pycurl.PRETRANSFER_TIME)
            left_ns = self._answer.began_ns - waited_ns
        else:
            left_ns = self._wall_ns() - duration_ns
        return min(max(left_ns, earliest), latest)

    def _curl_time(self, info: int) -> int:
        seconds: float = self.curl.getinfo(info)
        return round(seconds * SECOND)

    def _note_descriptor(self, descriptor: int, _purpose: int) -> int:
        self._descriptors.append(descriptor)
        return 0

    def _connected(self, peer: str, _local: str, peer_port: int, local_port: int) -> int:
        if not is_allowed(peer):
            return pycurl.PREREQFUNC_ABORT
        self._connection = (peer, peer_port, local_port)
        return pycurl.PREREQFUNC_OK

    def _leaving(self, peer: str, _local: str, peer_port: int, local_port: int) -> int:
        if self.sent or not self._start.released or not is_allowed(peer):
            return self._may_leave_all_the_same(peer)
        connection = self._standing.get((peer, peer_port, local_port))
        if connection is not None:
            self.armed = True
            if self._tls:
                listen(connection)
        self.sent = True
        now = self._wall_ns()
        self._left_between = (now, now)
        return pycurl.PREREQFUNC_OK

    def _may_leave_all_the_same(self, peer: str) -> int:
        if not is_allowed(peer):
            self._own_verdict = partial(verdicts.blocked, peer=peer)
        elif not self.sent:
            pass  # not released yet
        elif len(self._answer.lines) > self._heard and self._answer.status in _ASK_AGAIN:
            self._heard = len(self._answer.lines)
            if not (names := would_leak(self.request, self._answer.status, self._answer.lines)):
                return pycurl.PREREQFUNC_OK
            self._own_verdict = partial(verdicts.leads_elsewhere, names=names)
        else:
            # libcurl silently sends again if a reused connection dies without an answer: a POST would arrive twice.
            self._own_verdict = verdicts.died
        return pycurl.PREREQFUNC_ABORT

    def _received(self, data: bytes) -> int | None:
        if self._answer.take_body(data):
            return None
        self._own_verdict = verdicts.too_large
        return -1
