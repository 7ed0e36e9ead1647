"""
The limit in Python, if there is no C compiler: open sockets before T, one `send` each at T.

Arguments as for limit.c: N AT_NS HOST PORT PREFIX.
"""

import contextlib
import json
import socket
import sys
import time

from bench.waiting import hold_until, pause

_CONNECTIONS_AT_ONCE = 200
_PAUSE_S = 0.004
_PATIENCE_S = 5


def main(n: int, at_ns: int, host: str, port: int, prefix: str) -> int:
    """Run the limit. Return the exit status."""
    sockets = []
    for index in range(n):
        connection = socket.create_connection((host, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(connection)
        if index % _CONNECTIONS_AT_ONCE == _CONNECTIONS_AT_ONCE - 1:
            pause(_PAUSE_S)
    texts = [f"GET {prefix}{index} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for index in range(n)]
    prepared = list(zip(sockets, texts, strict=True))
    if time.time_ns() > at_ns:
        print("connected too late", file=sys.stderr)
        return 1
    hold_until(at_ns)
    for connection, text in prepared:
        connection.send(text)
    ok = 0
    for connection in sockets:
        connection.settimeout(_PATIENCE_S)
        with contextlib.suppress(OSError):
            ok += connection.recv(512)[9:12] == b"200"
    print(json.dumps({"ok": ok, "failed": n - ok}))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]))
