"""Many small multis: how the transfers of a lane are spread over CurlMultis."""

import errno
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pycurl

from tminus.executors.http.fd_exhaustion import fd_exhaustion_errno
from tminus.executors.http.loop import EndedTransfer, read_ended
from tminus.executors.http.resolver import HostPort
from tminus.executors.http.transfer import Transfer

#: libcurl's search for a pooled connection is linear in the connections that a multi holds to one host.
PER_MULTI = 50
#: HTTP/2 transfers to one host share one connection, up to the number of streams that servers commonly allow.
STREAMS = 100


@dataclass(slots=True)
class TransferGroup:
    """
    One CurlMulti and the transfers that start in it.

    Attributes:
        began_ns: When the lane began to release them, wall clock.
        open: The number of transfers in the multi.
        pooled: The number of ended transfers that may have left a connection in the multi.
        given_up: Servers that closed an idle connection, or sent something on it. Each has the time at which
            its youngest such connection was primed, monotonic clock.
    """

    multi: pycurl.CurlMulti
    transfers: list[Transfer]
    shares_connections: bool
    began_ns: int = 0
    open: int = 0
    pooled: int = 0
    given_up: dict[HostPort, int] = field(default_factory=dict)

    def close_idle(self) -> Iterable[EndedTransfer]:
        """
        Close the connections that ended transfers have left, unless a transfer of the group follows redirects
        or uses HTTP/2, and so may need another connection.

        Returns:
            The transfers that have ended meanwhile, because libcurl continues all of them.
        """
        if not (self.open and self.pooled) or any(
            transfer.request.keeps_connection for transfer in self.transfers
        ):
            return ()
        _close_idle(self.multi)
        self.pooled = 0
        return read_ended(self.multi)

    @property
    def primers(self) -> list[Transfer]:
        """The transfers whose connections are opened before T."""
        return self.transfers[:1] if self.shares_connections else self.transfers


def _close_idle(multi: pycurl.CurlMulti) -> None:
    """
    Close the idle connections of a multi. Call this only while a transfer of the multi has a connection.

    PycURL has no call for that. But at the limit of connections, libcurl closes idle ones as soon as another
    transfer wants a connection. That transfer is a dummy: it waits, and is removed. It may open no socket.
    """
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, "http://127.0.0.1/")
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.OPENSOCKETFUNCTION, lambda _purpose, _address: pycurl.SOCKET_BAD)
    multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, 1)
    multi.add_handle(curl)
    multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
    multi.remove_handle(curl)
    multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, 0)
    curl.close()


def group_transfers(transfers: Sequence[Transfer]) -> Iterator[TransferGroup]:
    """
    Yield the groups of these transfers: HTTP/1.1 in their order, HTTP/2 by host. There is at least one group,
    which may be empty.
    """
    if not transfers:
        yield TransferGroup(_multi(), [], shares_connections=False)
    own = [transfer for transfer in transfers if not transfer.request.http2]
    for start in range(0, len(own), PER_MULTI):
        yield TransferGroup(_multi(), own[start : start + PER_MULTI], shares_connections=False)
    shared = sorted((t for t in transfers if t.request.http2), key=lambda transfer: transfer.origin)
    for _, group in itertools.groupby(shared, key=lambda transfer: transfer.origin):
        same_host = list(group)
        for start in range(0, len(same_host), STREAMS):
            yield TransferGroup(_multi(), same_host[start : start + STREAMS], shares_connections=True)


def _multi() -> pycurl.CurlMulti:
    try:
        multi = pycurl.CurlMulti()
    except pycurl.error:
        raise OSError(fd_exhaustion_errno() or errno.ENOMEM, "libcurl makes no multi") from None
    # By default libcurl keeps four connections for each handle in the multi. But a primer that has ended is
    # in no multi, so libcurl would close its connection.
    multi.setopt(pycurl.M_MAXCONNECTS, 2 * STREAMS)
    return multi
