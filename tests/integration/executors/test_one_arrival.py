"""
One attempt is one request on the wire: libcurl sends again by itself when a connection dies, and must not.
"""

import pytest

from tests.support.executor import ExecutorProcess, a_request, many
from tests.support.target import Authority, TargetServer
from tminus.outcome import Cause

SAFE = ["GET", "HEAD", "OPTIONS"]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]
#: Leaves in one write, and in several: the lanes watch these two in different ways.
BODIES = {"small": b"x", "large": b"x" * 300_000}


@pytest.mark.parametrize("path", ["/close", "/reset"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_unsafe_request_whose_connection_dies_is_unknown(
    path: str, body: bytes, executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    requests = [
        a_request(either.url + path, index, method=method, body=body, ca=authority.path)
        for index, method in enumerate(UNSAFE)
    ]
    shard = executor.run_armed(requests)
    for index, method in enumerate(UNSAFE):
        words = f"{either.name} closed the connection before an answer: it may or may not have acted on the {method}"
        assert (shard[index].cause, shard[index].detail) == (Cause.DIED, words)
        assert (shard[index].unknown, shard[index].armed) == (True, True)
    assert sorted(arrival.method for arrival in either.arrivals) == sorted(UNSAFE)


def test_a_safe_request_whose_connection_dies_has_failed(
    executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    requests = [
        a_request(f"{either.url}/close", index, method=method, ca=authority.path)
        for index, method in enumerate(SAFE)
    ]
    shard = executor.run(requests)
    words = f"{either.name} closed the connection before an answer"
    assert {(one.cause, one.detail, one.unknown) for one in shard.finished} == {(Cause.DIED, words, False)}
    assert sorted(arrival.method for arrival in either.arrivals) == sorted(SAFE)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/close", "/reset"])
def test_two_hundred_whose_connections_die_arrive_once_each(
    method: str, path: str, executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run(many(200, target.url + path, method=method, body=b"x" if method == "POST" else None))
    assert {(finished.cause, finished.unknown) for finished in shard.finished} == {
        (Cause.DIED, method == "POST")
    }
    assert sorted(arrival.path for arrival in target.arrivals) == sorted(
        f"{path}/{index}" for index in range(200)
    )


@pytest.mark.parametrize(
    ("code", "method", "unknown"),
    [(307, "POST", True), (308, "PUT", True), (307, "GET", False), (303, "POST", False)],
)
def test_a_redirected_request_whose_connection_dies_is_not_sent_again(
    code: int, method: str, unknown: bool, executor: ExecutorProcess, target: TargetServer
) -> None:
    body = None if method == "GET" else b"x"
    url = f"{target.url}/redirect?code={code}&to=/close"
    finished = executor.run([a_request(url, method=method, body=body, follow=5)])[0]
    assert (finished.cause, finished.unknown) == (Cause.DIED, unknown)
    assert [arrival.path for arrival in target.arrivals] == [f"/redirect?code={code}&to=/close", "/close"]


def test_a_server_that_dies_after_reading_leaves_a_post_unknown(
    executor: ExecutorProcess, authority: Authority
) -> None:
    with TargetServer() as target:
        shard = executor.arm([a_request(f"{target.url}/stall", method="POST", body=b"x")])
        executor.wait_armed(shard)
        executor.release(shard)
        target.wait_for(1)
    finished = executor.collect(shard)[0]
    assert (finished.cause, finished.unknown) == (Cause.DIED, True)
    assert len(target.arrivals) == 1


def test_a_server_that_closes_after_each_response_loses_no_request_that_waited(
    executor: ExecutorProcess,
) -> None:
    with TargetServer(closes_after_answer=True) as target:
        shard = executor.run(many(40, target.url, method="POST", body=b"x"), max_connections=4)
        assert {(finished.cause, finished.status) for finished in shard.finished} == {(None, 200)}
        assert len(target.arrivals) == target.connections == 40


def test_a_request_that_had_to_wait_and_whose_connection_dies_arrives_once(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run(many(12, f"{target.url}/close", method="POST", body=b"x"), max_connections=3)
    assert {(finished.cause, finished.unknown) for finished in shard.finished} == {(Cause.DIED, True)}
    assert len(target.arrivals) == 12
