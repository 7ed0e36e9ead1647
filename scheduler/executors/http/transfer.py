"""One request in a lane: its handle, its callbacks, and how it ended."""

import socket

import pycurl

from scheduler.clock import Clock
from scheduler.executors.http import verdict as verdicts
from scheduler.executors.http.guard import is_allowed
from scheduler.executors.http.primer import ConnectionKey, Standing, find, listen, make_primer, silence, unmake_primer
from scheduler.executors.http.request import set_connection, set_request
from scheduler.executors.http.verdict import Verdict
from scheduler.executors.http.wire import Finished, Request
from scheduler.instants import SECOND

#: Answers after which libcurl rightly sends once more: a redirect, or a round of authentication.
_ASK_AGAIN = frozenset({301, 302, 303, 307, 308, 401, 407})
_REQUEST_TIMEOUT = 408
#: A longer body may need more than one write; if the connection dies between two of them, libcurl sends it all again.
_ONE_WRITE = 16 << 10


class Start:
    """Whether a lane has been let go; not a byte of its requests leaves before that."""

    __slots__ = ("released",)

    def __init__(self) -> None:
        self.released = False


class Transfer:
    """
    Belongs to its lane's thread. At most one request leaves for each transfer, but for redirects that the job allows.

    Args:
        request: What to send.
        start: The lane's.
        standing: The lane's primed connections.
    """

    __slots__ = (
        "_answered_ns",
        "_body",
        "_connection",
        "_descriptors",
        "_headers",
        "_left_between",
        "_own_verdict",
        "_size",
        "_standing",
        "_start",
        "_tls",
        "_wall_ns",
        "armed",
        "curl",
        "request",
        "sent",
    )

    def __init__(self, request: Request, *, start: Start, standing: Standing, clock: Clock) -> None:
        self.request = request
        self.curl = pycurl.Curl()
        self.armed = False
        self.sent = False
        self._start = start
        self._standing = standing
        self._wall_ns = clock.wall_ns
        self._tls = request.url[:6].lower() == "https:"
        self._descriptors: list[int] = []
        self._connection: ConnectionKey | None = None
        self._headers: list[bytes] = []
        self._body = bytearray()
        self._size = 0
        self._answered_ns = 0
        self._left_between = (0, 0)
        self._own_verdict: Verdict | None = None
        set_connection(self.curl, request)
        set_request(self.curl, request)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._leaving)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._header)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._received)

    @property
    def answered(self) -> bool:
        """A byte of an answer has come."""
        return bool(self._headers)

    @property
    def idle_bytes_matter(self) -> bool:
        """Bytes on its idle connection mean that the server has given up; with TLS they are only session tickets."""
        return not self._tls

    def prime(self, pins: list[str]) -> None:
        """
        Make the handle a primer of the connection that the request will want.

        Args:
            pins: What the host was resolved to, for CURLOPT_RESOLVE; the request goes there, too.
        """
        if pins:
            self.curl.setopt(pycurl.RESOLVE, pins)
        make_primer(self.curl)
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self._note_descriptor)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._connected)

    def unprime(self) -> None:
        """Make the handle the request again, primed or not."""
        unmake_primer(self.curl)
        self.curl.unsetopt(pycurl.SOCKOPTFUNCTION)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._leaving)

    def find_primed(self) -> tuple[ConnectionKey, socket.socket] | None:
        """The connection that its primer has opened, once that has ended well."""
        connection = self._connection and find(self._descriptors, self._connection)
        if not (self._connection and connection):
            return None
        if self._tls:
            silence(connection)
        return self._connection, connection

    def hush(self) -> None:
        """
        Spare the release the callback, where the connection is primed and the request leaves in one write.

        A callback costs little, but it takes the GIL, and lanes that wait for each other's GIL start late (measured: the
        last of 1000 at 18 ms instead of 12). What the callback guards cannot happen before `note_departure`: the guard has
        judged the connection when it was primed, and libcurl resends only when it hears that the connection has died.
        """
        if self._connection in self._standing and len(self.request.body or b"") <= _ONE_WRITE:
            self.curl.unsetopt(pycurl.PREREQFUNCTION)

    def note_departure(self, began_ns: int, ended_ns: int) -> None:
        """
        See what the lane's first pass has done with it, and watch it from here on.

        Args:
            began_ns: Wall clock before the pass over its multi.
            ended_ns: Wall clock after it.
        """
        if not self.sent and self.curl.getinfo(pycurl.PRETRANSFER_TIME) > 0:
            self.sent = True
            self.armed = self.curl.getinfo(pycurl.NUM_CONNECTS) == 0
            self._left_between = (began_ns, ended_ns)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._leaving)

    def finish(self, code: int, words: str) -> Finished:
        """
        How it went, once libcurl has ended it.

        Args:
            code: curl's code; 0 is a complete answer.
            words: curl's own words.
        """
        verdict = self._own_verdict
        if verdict is None and code:
            os_errno = self.curl.getinfo(pycurl.OS_ERRNO)
            verdict = verdicts.verdict(self.request, code, words, os_errno=os_errno, sent=self.sent, answered=self.answered)
        if verdict is None and self.armed and self.curl.getinfo(pycurl.RESPONSE_CODE) == _REQUEST_TIMEOUT:
            verdict = verdicts.preempted(self.request)
        return self._finished(verdict)

    def end_by(self, verdict: Verdict) -> Finished:
        """How it went, where we ended it ourselves."""
        return self._finished(verdict)

    def too_late(self) -> Finished:
        """It was let go later than its grace allows, and went home."""
        return Finished(
            index=self.request.index, started_ns=0, finished_ns=self._wall_ns(), duration_ns=0, armed=False, late=True
        )

    def _finished(self, verdict: Verdict | None) -> Finished:
        total_ns = self._curl_time(pycurl.TOTAL_TIME)
        # With redirects, libcurl adds up all that came before the last request.
        before_ns = 0 if self.curl.getinfo(pycurl.REDIRECT_COUNT) else self._curl_time(pycurl.PRETRANSFER_TIME)
        duration_ns = total_ns - before_ns if self.sent else total_ns
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
            headers=[line.decode("latin-1").rstrip("\r\n") for line in self._headers],
            body=bytes(self._body),
            body_size=self._size,
        )

    def _started_ns(self, duration_ns: int) -> int:
        """
        When the request left, to some microseconds.

        libcurl knows how long before the answer's first byte that was, we know when that byte came; and it was in the
        lane's first pass over its multi, some hundred microseconds long.
        """
        earliest, latest = self._left_between
        if earliest == latest:
            return earliest
        if self._answered_ns:
            waited_ns = self._curl_time(pycurl.STARTTRANSFER_TIME) - self._curl_time(pycurl.PRETRANSFER_TIME)
            left_ns = self._answered_ns - waited_ns
        else:
            left_ns = self._wall_ns() - duration_ns
        return min(max(left_ns, earliest), latest)

    def _curl_time(self, info: int) -> int:
        seconds: float = self.curl.getinfo(info)
        return round(seconds * SECOND)

    def _header(self, line: bytes) -> None:
        if not self._headers:
            self._answered_ns = self._wall_ns()
        self._headers.append(line)

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
            self._own_verdict = verdicts.blocked(self.request, peer)
        elif not self.sent:
            pass  # not let go yet
        elif self._last_status() in _ASK_AGAIN:
            return pycurl.PREREQFUNC_OK
        else:
            # libcurl sends silently again when a reused connection dies without an answer: a POST would arrive twice.
            self._own_verdict = verdicts.died(self.request)
        return pycurl.PREREQFUNC_ABORT

    def _last_status(self) -> int:
        for line in reversed(self._headers):
            if line.startswith(b"HTTP/"):
                return int(line.split(None, 2)[1])
        return 0

    def _received(self, data: bytes) -> int | None:
        self._size += len(data)
        if self._size > self.request.max_body:
            self._own_verdict = verdicts.too_large(self.request)
            return -1
        if len(self._body) < self.request.keep_body:
            self._body += data[: self.request.keep_body - len(self._body)]
        return None
