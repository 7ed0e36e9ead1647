"""
The primer: a transfer that opens a connection (DNS, TCP, TLS) and ends before a byte of HTTP is sent.

The connection then stays in its multi's pool, and the real request uses it at T. libcurl has no option for
that: CONNECT_ONLY connections are never reused, and a transfer aborted in PREREQFUNCTION closes an HTTP/1.1
connection. So the primer is a conditional GET with an impossible date. libcurl rejects the date while it
builds the request. This is not documented: `doctor` checks it on this machine, and
tests/integration/executors/test_priming.py pins it.
"""

import contextlib
import socket
from collections.abc import Iterable

import pycurl

#: No date: libcurl cannot write the year, and fails the transfer with BAD_FUNCTION_ARGUMENT.
_NO_DATE = 2**60
ENDED_WELL = pycurl.E_BAD_FUNCTION_ARGUMENT
#: A TLS 1.3 server sends its session tickets, some hundred bytes, a round trip after the handshake. libcurl
#: drops an idle HTTP/1.1 connection on which anything waits to be read. Below this mark `poll` does not
#: report the tickets, but still reports a FIN or a RST. Source: socket(7), SO_RCVLOWAT.
_LOW_WATER = 8192


#: A connection as PREREQFUNCTION describes it: the peer's address and port, the local port.
ConnectionKey = tuple[str, int, int]
#: The primed connections of a lane. libcurl owns the descriptors, so code that removes a socket from here
#: detaches it.
PrimedConnections = dict[ConnectionKey, socket.socket]


def make_primer(curl: pycurl.Curl) -> None:
    """Turn a handle that has its connection's options into a primer."""
    # Otherwise it would use the connection that an earlier primer has opened.
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    curl.setopt(pycurl.TIMECONDITION, pycurl.TIMECONDITION_IFMODSINCE)
    curl.setopt(pycurl.TIMEVALUE, _NO_DATE)


def unmake_primer(curl: pycurl.Curl) -> None:
    """Turn a primer that has ended into an ordinary handle."""
    curl.setopt(pycurl.FRESH_CONNECT, 0)
    curl.setopt(pycurl.TIMECONDITION, pycurl.TIMECONDITION_NONE)
    curl.setopt(pycurl.TIMEVALUE, 0)


def find_socket(descriptors: Iterable[int], key: ConnectionKey) -> socket.socket | None:
    """
    Return the descriptor of a connection, as a socket. The descriptor is not duplicated, because descriptors
    are scarce.

    Args:
        descriptors: All that libcurl opened for the transfer, because IPv4 and IPv6 may race. From
            SOCKOPTFUNCTION.
        key: From PREREQFUNCTION.

    Returns:
        A socket, to be detached after use, because libcurl owns the descriptor and closes it. None if the
        connection is gone.
    """
    for descriptor in descriptors:
        try:
            found = socket.socket(fileno=descriptor)
        except OSError:  # the loser of the race is closed, and its number may be that of a file
            continue
        if found.getsockname()[1:2] == (key[2],):  # the name of a socket of another kind may be a text
            return found
        found.detach()
    return None


def raise_low_water_mark(connection: socket.socket) -> None:
    """
    Hide session tickets on an idle TLS connection from libcurl.

    Never on plain TCP: there, early bytes mean that the server has given up, so they must stay visible.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _LOW_WATER)


def reset_low_water_mark(connection: socket.socket) -> None:
    """Undo `raise_low_water_mark` when the request leaves, so that its response is seen at once."""
    with contextlib.suppress(OSError):  # the peer has given the connection up, and libcurl has closed it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
