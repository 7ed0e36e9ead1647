"""
The primer: a transfer that opens a connection (DNS, TCP, TLS) and ends before a byte of HTTP is sent.

The connection then stays in its multi's pool, and the real request uses it at T. libcurl has no option for that:
CONNECT_ONLY connections are never reused, and a transfer aborted in PREREQFUNCTION closes an HTTP/1.1 connection. So
the primer is a conditional GET whose date cannot be a date; libcurl rejects it while it builds the request. This is
behaviour, not a documented promise: `doctor` says whether it works here, and tests/integration/executors/test_priming.py pins it.
"""

import contextlib
import socket
from collections.abc import Iterable

import pycurl

#: No date: libcurl cannot write the year, and fails the transfer with BAD_FUNCTION_ARGUMENT.
_NO_DATE = 2**60
ENDED_WELL = pycurl.E_BAD_FUNCTION_ARGUMENT
#: A TLS 1.3 server sends its session tickets, some hundred bytes, a round trip after the handshake, and libcurl throws
#: away an idle HTTP/1.1 connection on which anything waits to be read. Below this mark `poll` stays silent about them,
#: but still reports a FIN or a RST. Source: socket(7), SO_RCVLOWAT.
_LOW_WATER = 8192


#: A connection as PREREQFUNCTION describes it: the peer's address and port, the local port.
ConnectionKey = tuple[str, int, int]
#: The primed connections of a lane. libcurl owns the descriptors: whoever drops a socket from here detaches it.
Standing = dict[ConnectionKey, socket.socket]


def make_primer(curl: pycurl.Curl) -> None:
    """Turn a handle that has its connection's options into a primer."""
    # Otherwise it would use the connection that the primer before it has opened.
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    curl.setopt(pycurl.TIMECONDITION, pycurl.TIMECONDITION_IFMODSINCE)
    curl.setopt(pycurl.TIMEVALUE, _NO_DATE)


def unmake_primer(curl: pycurl.Curl) -> None:
    """Turn a primer that has ended into an ordinary handle."""
    curl.setopt(pycurl.FRESH_CONNECT, 0)
    curl.setopt(pycurl.TIMECONDITION, pycurl.TIMECONDITION_NONE)
    curl.setopt(pycurl.TIMEVALUE, 0)


def find(descriptors: Iterable[int], key: ConnectionKey) -> socket.socket | None:
    """
    Find the descriptor of a connection, and wrap it for its methods. It is never duplicated, because descriptors are scarce.

    Args:
        descriptors: From SOCKOPTFUNCTION: all that libcurl opened for the transfer; IPv4 and IPv6 may race.
        key: From PREREQFUNCTION.

    Returns:
        A socket that has to be detached after use: libcurl owns the descriptor and closes it. None if the connection is gone.
    """
    for descriptor in descriptors:
        try:
            found = socket.socket(fileno=descriptor)
        except OSError:  # the loser of the race is closed already, and its number may be that of a file
            continue
        if found.getsockname()[1:2] == (key[2],):  # or of a socket of another kind, whose name is a text
            return found
        found.detach()
    return None


def silence(connection: socket.socket) -> None:
    """
    Keep session tickets from spoiling an idle TLS connection.

    Never on plain TCP: there, early bytes must stay visible, because they mean that the server has given up.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _LOW_WATER)


def listen(connection: socket.socket) -> None:
    """Report an answer at once again: the request leaves."""
    with contextlib.suppress(OSError):  # the peer has given it up, and libcurl has closed it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
