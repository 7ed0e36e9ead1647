"""The part of a response that was read: the lines of its heads, and the beginning of its body."""

from tminus.clock import Clock
from tminus.executors.http.wire import Request


class ResponseBuffer:
    """
    Filled by libcurl's callbacks, after T.

    Attributes:
        began_ns: When its first line came, wall clock; 0 before.
        lines: The lines of all its heads, including informational ones, redirects and trailers.
        body: The part of the body that is kept.
        size: The number of bytes of the body that were read.
    """

    __slots__ = ("_clock", "_keep", "_most", "began_ns", "body", "lines", "size")

    def __init__(self, request: Request, clock: Clock) -> None:
        self.began_ns = 0
        self.lines: list[bytes] = []
        self.body = bytearray()
        self.size = 0
        self._clock = clock
        self._keep = request.keep_body
        self._most = request.max_body

    def take_line(self, line: bytes) -> None:
        """Add a line of a head."""
        if not self.lines:
            self.began_ns = self._clock.wall_ns()
        self.lines.append(line)

    def take_body(self, data: bytes) -> bool:
        """Add a piece of the body; return False if the body is longer than may be read."""
        self.size += len(data)
        if self.size > self._most:
            return False
        if len(self.body) < self._keep:
            self.body += data[: self._keep - len(self.body)]
        return True

    @property
    def status(self) -> int:
        """The status of the last head; 0 if none has come."""
        for line in reversed(self.lines):
            if line.startswith(b"HTTP/"):
                return int(line.split(None, 2)[1])
        return 0

    @property
    def has_head(self) -> bool:
        """Whether the last head is complete. libcurl accepts half of one."""
        for line in reversed(self.lines):
            if not line.strip():
                return True
            if line.startswith(b"HTTP/"):
                return False
        return False
