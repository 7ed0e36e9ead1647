"""
One epoll for the many small multis of a lane, through libcurl's multi-socket interface.

`curl_multi_fdset` cannot handle descriptors beyond 1023, and one `select` per multi would wake up for each of
them. Source: curl.se/libcurl/c/curl_multi_socket_action.html
"""

import contextlib
import select
from collections.abc import Iterator
from typing import Any

import pycurl

from tminus.clock import Clock
from tminus.instants import MS, SECOND

#: The handle, curl's code (0: a complete response), and curl's own message.
EndedTransfer = tuple[pycurl.Curl, int, str]

_EVENTS = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


class Loop:
    """Drives CurlMultis. Belongs to one thread, and so do its multis."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._owner: dict[int, pycurl.CurlMulti] = {}
        self._due: dict[pycurl.CurlMulti, int] = {}

    def add(self, multi: pycurl.CurlMulti) -> None:
        """Drive this multi from now on."""
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, lambda timeout_ms: self._wake(multi, timeout_ms))

    def resume(self, multi: pycurl.CurlMulti) -> None:
        """Continue the transfers of a `perform`, which has not announced their sockets to this loop."""
        multi.socket_all()

    def run_soon(self, multi: pycurl.CurlMulti) -> None:
        """Run the multi in the next `run_once`, because handles were added to it."""
        self._due[multi] = 0

    def run_once(self, wait_ns: int) -> Iterator[EndedTransfer]:
        """Wait at most this long for events, let libcurl handle them, and yield the transfers that ended."""
        now = self._clock.monotonic_ns()
        if self._due:
            wait_ns = min(wait_ns, min(self._due.values()) - now)
        touched: dict[pycurl.CurlMulti, None] = {}
        for descriptor, events in self._epoll.poll(max(wait_ns, 0) / SECOND):
            multi = self._owner.get(descriptor)
            if multi is not None:
                multi.socket_action(descriptor, _mask(events))
                touched[multi] = None
        now = self._clock.monotonic_ns()
        for multi in [multi for multi, due in self._due.items() if due <= now]:
            del self._due[multi]
            multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            touched[multi] = None
        for multi in touched:
            yield from read_ended(multi)

    def forget(self, multi: pycurl.CurlMulti) -> None:
        """Drop the sockets and the timer of a multi that is about to be closed."""
        multi.setopt(pycurl.M_SOCKETFUNCTION, None)
        multi.setopt(pycurl.M_TIMERFUNCTION, None)
        self._due.pop(multi, None)
        for descriptor in [fd for fd, owner in self._owner.items() if owner is multi]:
            self._unwatch(descriptor)

    def close(self) -> None:
        """Close the epoll descriptor. The multis are not closed."""
        self._epoll.close()

    def _watch(self, event: int, descriptor: int, multi: pycurl.CurlMulti, _: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            self._unwatch(descriptor)
            return
        self._owner[descriptor] = multi
        try:
            self._epoll.register(descriptor, _EVENTS[event])
        except FileExistsError:
            self._epoll.modify(descriptor, _EVENTS[event])

    def _unwatch(self, descriptor: int) -> None:
        if self._owner.pop(descriptor, None) is not None:
            with contextlib.suppress(OSError):  # already closed, which has unregistered it
                self._epoll.unregister(descriptor)

    def _wake(self, multi: pycurl.CurlMulti, timeout_ms: int) -> None:
        if timeout_ms < 0:
            self._due.pop(multi, None)
        else:
            self._due[multi] = self._clock.monotonic_ns() + timeout_ms * MS


def read_ended(multi: pycurl.CurlMulti) -> Iterator[EndedTransfer]:
    """Yield the transfers of this multi that have ended since the last call, as `Loop.run_once` does."""
    more = 1
    while more:
        more, succeeded, failed = multi.info_read()
        for curl in succeeded:
            yield curl, 0, ""
        yield from failed


def _mask(events: int) -> int:
    mask = 0
    if events & (select.EPOLLIN | select.EPOLLHUP):
        mask |= pycurl.CSELECT_IN
    if events & select.EPOLLOUT:
        mask |= pycurl.CSELECT_OUT
    if events & select.EPOLLERR:
        mask |= pycurl.CSELECT_ERR
    return mask
