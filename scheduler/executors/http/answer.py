"""What has come back of an answer, bounded: the lines of its heads, and so much of its body as is kept."""

from scheduler.clock import Clock
from scheduler.executors.http.wire import Request


class Answer:
    """
    Filled by libcurl's callbacks, after T.

    Attributes:
        began_ns: When (wall clock) its first byte came; 0 before.
        lines: Of all its heads: informational ones, redirects and trailers included.
        body: What is kept of it.
        size: How much of it was read.
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
        """A line of a head has come."""
        if not self.lines:
            self.began_ns = self._clock.wall_ns()
        self.lines.append(line)

    def take_body(self, data: bytes) -> bool:
        """Some of the body has come; False where that is more than may be read."""
        self.size += len(data)
        if self.size > self._most:
            return False
        if len(self.body) < self._keep:
            self.body += data[: self._keep - len(self.body)]
        return True

    @property
    def status(self) -> int:
        """Of the last head; 0 where none has come."""
        for line in reversed(self.lines):
            if line.startswith(b"HTTP/"):
                return int(line.split(None, 2)[1])
        return 0

    @property
    def has_head(self) -> bool:
        """Whether the last head came to its end; libcurl is content with half a one."""
        for line in reversed(self.lines):
            if not line.strip() or line.startswith(b"HTTP/"):
                return not line.strip()
        return False
