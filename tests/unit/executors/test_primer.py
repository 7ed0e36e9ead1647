"""
The descriptor of a primed connection is found among all that libcurl has opened, and nothing else is touched.
"""

import os
import socket
from collections.abc import Iterator

import pytest

from tminus.executors.http.primer import ConnectionKey, find_socket


@pytest.fixture
def connection() -> Iterator[tuple[int, ConnectionKey]]:
    """The descriptor and the key of a connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connected,
    ):
        host, port = server.getsockname()
        yield connected.fileno(), (host, port, connected.getsockname()[1])


def test_it_is_found_behind_descriptors_that_are_something_else_by_now(
    connection: tuple[int, ConnectionKey],
) -> None:
    descriptor, key = connection
    ours, theirs = socket.socketpair()
    reads, writes = os.pipe()
    with ours, theirs, os.fdopen(reads), os.fdopen(writes, "w"), socket.socket() as other:
        found = find_socket([reads, ours.fileno(), other.fileno(), 1 << 16, descriptor], key)
        assert found
        assert found.detach() == descriptor
        theirs.sendall(b"it is open")
        assert ours.recv(100) == b"it is open"


def test_it_is_not_found_where_it_is_not(connection: tuple[int, ConnectionKey]) -> None:
    descriptor, (host, port, local_port) = connection
    assert find_socket([descriptor], (host, port, local_port + 1)) is None
    os.fstat(descriptor)
