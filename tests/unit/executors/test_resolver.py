"""Names: origins of URLs, addresses for libcurl, and look-ups that do not wait for each other."""

import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tests.support.threads import no_thread
from tminus.clock import SystemClock
from tminus.executors.http import resolver as resolver_module
from tminus.executors.http.resolver import MOST_THREADS, THREADS, Resolver, host_port, is_literal, pin
from tminus.instants import MS, SECOND


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://shop.example.com/a", ("shop.example.com", 80)),
        ("https://shop.example.com", ("shop.example.com", 443)),
        ("HTTPS://Shop.Example.com:8443/", ("shop.example.com", 8443)),
        ("http://[::1]:81/", ("::1", 81)),
    ],
)
def test_the_origin_of_a_url(url: str, origin: tuple[str, int]) -> None:
    assert host_port(url) == origin


@pytest.mark.parametrize("url", ["http://", "file:///etc/passwd", "http://h:99999/", "http://[", ""])
def test_what_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        host_port(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", False), ("1.2.3.4.example", False)],
)
def test_an_address_is_no_name(host: str, expected: bool) -> None:
    assert is_literal(host) is expected


def test_a_line_for_libcurl() -> None:
    assert (
        pin(("shop.example.com", 443), ["192.0.2.1", "2001:db8::1"])
        == "+shop.example.com:443:192.0.2.1,[2001:db8::1]"
    )


LONG_NS = 60 * SECOND


class NameServer:
    """
    Stands in for the system's: names that begin with `hangs` are answered when it is told so, and it keeps
    what was asked.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        self._changed = threading.Condition()
        self._real = socket.getaddrinfo

    def wait_for(self, number: int) -> None:
        """Wait until so many names were asked for."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= number, timeout=PATIENCE_S)

    def __call__(self, host: str, *_rest: object, **_more: object) -> object:
        with self._changed:
            self.asked.append(host)
            self._changed.notify_all()
        if host.startswith("hangs"):
            self.answers.wait(PATIENCE_S)
        if host.startswith("breaks"):
            raise MemoryError
        return self._real("localhost", 80)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    yield server
    server.answers.set()


@pytest.fixture
def resolver(clock: FakeClock, name_server: NameServer) -> Iterator[Resolver]:
    made = Resolver(clock)
    yield made
    name_server.answers.set()
    _settled(
        made, clock, [look_up.future for look_up in list(made._open.values())]
    )  # its threads must not ask the next server


def _settled(resolver: Resolver, clock: FakeClock, futures: Iterable["Future[list[str]]"]) -> None:
    """Wait for these as those who arm do."""
    for future in futures:
        while not future.done():
            clock.pass_by(100 * MS)
            resolver.go_on()
            wait([future], timeout=0.01)


def test_a_name_is_resolved() -> None:
    assert "127.0.0.1" in Resolver(SystemClock()).look_up("localhost", until_ns=1 << 62).result(PATIENCE_S)


def test_a_name_that_does_not_exist_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        Resolver(SystemClock()).look_up("nowhere.invalid", until_ns=1 << 62).result(PATIENCE_S)


def test_a_name_that_hangs_is_asked_for_once_however_often_it_is_wanted(
    resolver: Resolver, name_server: NameServer, clock: FakeClock
) -> None:
    hanging = [resolver.look_up("hangs", until_ns=LONG_NS) for _ in range(200)]
    _settled(resolver, clock, [resolver.look_up("quick", until_ns=LONG_NS)])
    assert not any(future.done() for future in hanging)
    assert sorted(name_server.asked) == ["hangs", "quick"]
    name_server.answers.set()
    assert len({tuple(future.result(PATIENCE_S)) for future in hanging}) == 1
    assert name_server.asked.count("hangs") == 1


def test_names_that_hang_hold_no_other_up_even_if_they_are_more_than_the_threads(
    resolver: Resolver, name_server: NameServer, clock: FakeClock
) -> None:
    hanging = [resolver.look_up(f"hangs-{index}", until_ns=LONG_NS) for index in range(THREADS + 8)]
    quick = [resolver.look_up(f"quick-{index}", until_ns=LONG_NS) for index in range(20)]
    _settled(resolver, clock, quick)
    assert not any(future.done() for future in hanging)


def test_what_nobody_waits_for_any_more_is_never_asked(
    resolver: Resolver, name_server: NameServer, clock: FakeClock
) -> None:
    hanging = [resolver.look_up(f"hangs-{index}", until_ns=LONG_NS) for index in range(THREADS)]
    name_server.wait_for(THREADS)
    dropped = [resolver.look_up(f"late-{index}", until_ns=2 * SECOND) for index in range(20)]
    kept = [resolver.look_up("late-7", until_ns=LONG_NS)]
    clock.pass_by(3 * SECOND)
    _settled(resolver, clock, kept)
    assert kept[0].result(0)
    assert [isinstance(future.exception(PATIENCE_S), OSError) for future in dropped] == [
        index != 7 for index in range(20)
    ]
    assert not any(future.done() for future in hanging)
    assert [host for host in name_server.asked if host.startswith("late")] == ["late-7"]


def test_more_names_than_may_wait_are_refused_at_once(
    resolver: Resolver, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "MOST_WAITING", 3)
    for index in range(3):
        resolver.look_up(f"hangs-{index}", until_ns=LONG_NS)
    with pytest.raises(OSError, match="too many names"):
        resolver.look_up("one-more", until_ns=LONG_NS).result(0)


def test_a_name_for_which_there_is_no_thread_is_looked_up_once_there_is_one(
    resolver: Resolver, name_server: NameServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        asked = [resolver.look_up(f"quick-{index}", until_ns=LONG_NS) for index in range(THREADS + 1)]
    _settled(resolver, clock, asked)
    assert len(name_server.asked) == THREADS + 1


def test_an_error_in_a_look_up_costs_that_name_only(
    resolver: Resolver, name_server: NameServer, clock: FakeClock
) -> None:
    broken = [resolver.look_up(f"breaks-{index}", until_ns=LONG_NS) for index in range(MOST_THREADS)]
    _settled(resolver, clock, [*broken, resolver.look_up("quick", until_ns=LONG_NS)])
    assert {type(future.exception(0)) for future in broken} == {OSError}
    with pytest.raises(OSError, match="MemoryError"):
        resolver.look_up("breaks-0", until_ns=LONG_NS).result(PATIENCE_S)
