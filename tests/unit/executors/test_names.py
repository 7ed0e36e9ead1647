"""Names: origins of URLs, addresses for libcurl, and look-ups that do not wait for each other."""

import socket
import threading

import pytest

from scheduler.executors.http.names import Resolver, is_literal, origin_of, pin


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
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["http://", "file:///etc/passwd", "http://h:99999/", "http://[", ""])
def test_what_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        origin_of(url)


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", False), ("1.2.3.4.example", False)]
)
def test_an_address_is_no_name(host: str, expected: bool) -> None:
    assert is_literal(host) is expected


def test_a_line_for_libcurl() -> None:
    assert pin(("shop.example.com", 443), ["192.0.2.1", "2001:db8::1"]) == "+shop.example.com:443:192.0.2.1,[2001:db8::1]"


def test_a_name_is_resolved() -> None:
    assert "127.0.0.1" in Resolver().look_up(("localhost", 80)).result(20)


def test_a_name_that_does_not_exist_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        Resolver().look_up(("nowhere.invalid", 80)).result(60)


def test_a_name_server_that_hangs_on_some_names_holds_no_other_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, real = threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: object, **more: object) -> object:
        if host.startswith("hangs"):
            answered.wait(60)
        return real("localhost", 80)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = Resolver()
    for _ in range(3):
        hanging = [resolver.look_up((f"hangs-{index}", 80)) for index in range(4)]
        assert resolver.look_up(("quick", 80)).result(20)
        assert not any(future.done() for future in hanging)
    answered.set()
