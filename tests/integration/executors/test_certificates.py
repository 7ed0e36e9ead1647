"""Certificates that do not hold: no request leaves, and a person reads why."""

import re
import ssl
from typing import Any

import pytest

from tests.support.executor import ExecutorProcess, a_request
from tests.support.target import Authority, TargetServer
from tminus.outcome import Cause


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the job does not trust."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def said_of(
    context: ssl.SSLContext, executor: ExecutorProcess, host: str = "localhost", **different: Any
) -> str:
    """What a person reads, once it is sure that nothing was sent."""
    with TargetServer(context) as target:
        finished = executor.run([a_request(f"https://{host}:{target.port}/", **different)])[0]
        assert (finished.cause, finished.started_ns, finished.armed) == (Cause.TLS, 0, False)
        assert target.arrivals == []
    words = finished.detail.removeprefix(f"no TLS session with {host} port {target.port}: ")
    assert words != finished.detail
    return words


def test_a_certificate_of_an_unknown_authority(
    executor: ExecutorProcess, authority: Authority, stranger: Authority
) -> None:
    words = said_of(stranger.context(), executor, ca=authority.path)
    assert words == "SSL certificate OpenSSL verify result: unable to get local issuer certificate (20)"


def test_a_certificate_that_has_expired(executor: ExecutorProcess, authority: Authority) -> None:
    words = said_of(authority.context(expired=True), executor, ca=authority.path)
    assert words == "SSL certificate OpenSSL verify result: certificate has expired (10)"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_of_another_host(host: str, executor: ExecutorProcess, authority: Authority) -> None:
    words = said_of(authority.context("shop.example.com"), executor, host, ca=authority.path)
    assert re.fullmatch(
        rf"SSL: no alternative certificate subject name matches target (hostname|IPv4 address) '{host}'",
        words,
    )


def test_an_authority_file_that_is_not_there(executor: ExecutorProcess, authority: Authority) -> None:
    assert "/no/such/authority.pem" in said_of(authority.context(), executor, ca="/no/such/authority.pem")


def test_a_tls_version_that_is_too_old(executor: ExecutorProcess, authority: Authority) -> None:
    context = authority.context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert said_of(context, executor, ca=authority.path).startswith("TLS connect error: ")


def test_a_server_that_does_not_speak_tls(executor: ExecutorProcess, target: TargetServer) -> None:
    with TargetServer(patience_s=0.05) as target:
        finished = executor.run_unarmed([a_request(f"https://127.0.0.1:{target.port}/")])[0]
    assert (finished.cause, finished.started_ns) == (Cause.TLS, 0)
    assert finished.detail.startswith(f"no TLS session with 127.0.0.1 port {target.port}: ")


def test_a_job_that_asks_not_to_check_is_obeyed(executor: ExecutorProcess, stranger: Authority) -> None:
    with TargetServer(stranger.context("shop.example.com", expired=True)) as target:
        finished = executor.run_armed([a_request(target.url, insecure=True)])[0]
    assert (finished.cause, finished.status, finished.armed) == (None, 200, True)


def test_a_bad_certificate_holds_nobody_else_up(
    executor: ExecutorProcess, authority: Authority, stranger: Authority
) -> None:
    with TargetServer(authority.context()) as good, TargetServer(stranger.context()) as bad:
        requests = [
            a_request((bad if index % 2 else good).url, index, ca=authority.path) for index in range(20)
        ]
        shard = executor.run_armed(requests, armed=10)
        assert [shard[index].cause for index in range(20)] == [None, Cause.TLS] * 10
        assert all(shard[index].armed for index in range(0, 20, 2))
        assert (len(good.arrivals), len(bad.arrivals)) == (10, 0)
