"""
Connections that are opened before T: every method uses them, and whoever could not be armed starts all the
same.
"""

import pytest

from tests.support.executor import FAR_NS, ExecutorProcess, ShardInFlight, a_request, many
from tests.support.target import Authority, TargetServer
from tminus.executors.http.wire import Request
from tminus.instants import MS, SECOND
from tminus.outcome import Cause

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
BODIES = {
    "none": None,
    "empty": b"",
    "text": b"a=1",
    "binary": bytes(range(256)),
    "large": b"\x00\xffx" * 700_000,
}


def a_post(url: str) -> Request:
    return a_request(url, method="POST", body=b"x")


def succeeded(shard: ShardInFlight) -> set[tuple[str | None, int, bool]]:
    return {(finished.cause, finished.status, finished.armed) for finished in shard.finished}


def test_every_method_leaves_on_its_primed_connection(
    executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    bodies = {method: b"x" if method in ("POST", "PUT", "PATCH") else b"" for method in METHODS}
    requests = [
        a_request(f"{either.url}/ok", index, method=method, body=bodies[method] or None, ca=authority.path)
        for index, method in enumerate(METHODS)
    ]
    shard = executor.arm_all(requests)
    connections = either.connections
    assert either.arrivals == []
    executor.release(shard)
    assert succeeded(executor.collect(shard)) == {(None, 200, True)}
    assert {arrival.method: arrival.body for arrival in either.arrivals} == bodies
    assert (len(either.arrivals), either.connections) == (len(METHODS), connections)
    assert min(finished.started_ns for finished in shard.finished) >= shard.release_at_ns
    assert min(arrival.at_ns for arrival in either.arrivals) >= shard.release_at_ns


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_body_arrives_as_it_is(
    method: str, executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    requests = [
        a_request(f"{either.url}/{name}", index, method=method, body=body, ca=authority.path)
        for index, (name, body) in enumerate(BODIES.items())
    ]
    assert succeeded(executor.run_armed(requests)) == {(None, 200, True)}
    arrivals = {arrival.path.removeprefix("/"): arrival for arrival in either.arrivals}
    assert {name: arrival.body for name, arrival in arrivals.items()} == {
        name: body or b"" for name, body in BODIES.items()
    }
    assert len(either.arrivals) == len(BODIES)
    for name, arrival in arrivals.items():
        is_silent = method == "DELETE" and BODIES[name] is None
        assert arrival.headers.get("content-length") == (None if is_silent else str(len(arrival.body)))
        assert not {"expect", "content-type"} & set(arrival.headers)


def test_a_header_beyond_ascii_is_sent_as_utf_8(executor: ExecutorProcess, target: TargetServer) -> None:
    shard = executor.run_armed([a_request(target.url, headers=["X-Name: Jürgen"])])
    assert succeeded(shard) == {(None, 200, True)}
    assert target.arrivals[0].headers["x-name"] == "Jürgen".encode().decode("latin-1")


def test_a_request_that_libcurl_does_not_take_fails_alone(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run(
        [a_request(target.url, 0), a_request(f"{target.url}/\0", 1), a_request(target.url, 2)]
    )
    assert (shard[1].cause, shard[1].detail) == (
        Cause.DEFINITION,
        "libcurl does not take this request: ValueError",
    )
    assert [shard[index].status for index in (0, 2)] == [200, 200]
    assert shard.indexes == [0, 1, 2]


def test_a_whole_shard_that_libcurl_does_not_take_ends(executor: ExecutorProcess) -> None:
    shard = executor.run([a_request("http://127.0.0.1/\0")])
    assert (shard[0].cause, shard[0].started_ns) == (Cause.DEFINITION, 0)


def test_a_server_that_closes_what_was_primed_gets_the_request_on_a_fresh_connection(
    executor: ExecutorProcess,
) -> None:
    with TargetServer() as target:
        shard = executor.arm_all([a_post(target.url)])
        primed = target.connections
        target.close_connections()
        executor.release(shard)
        assert succeeded(executor.collect(shard)) == {(None, 200, False)}
        assert (len(target.arrivals), target.connections) == (1, primed + 1)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_hundred_whose_primed_connections_are_closed_all_arrive_once(
    reset: bool, executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    requests = many(100, either.url, method="POST", body=b"x", ca=authority.path)
    shard = executor.arm_all(requests, lead_ns=1_500 * MS)
    either.close_connections(reset=reset)
    executor.release(shard)
    assert succeeded(executor.collect(shard)) == {(None, 200, False)}
    assert sorted(arrival.path for arrival in either.arrivals) == sorted(f"/{index}" for index in range(100))


def test_what_another_server_closes_does_not_disarm_the_rest(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    with TargetServer() as closing:
        shard = executor.arm_all(
            [a_request(closing.url, 0), *(a_request(target.url, index) for index in range(1, 6))]
        )
        closing.close_connections()
        executor.release(shard)
        executor.collect(shard)
        assert [shard[index].armed for index in range(6)] == [False, True, True, True, True, True]
        assert {finished.status for finished in shard.finished} == {200}


@pytest.mark.parametrize(
    "early",
    [b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"\x00garbage"],
    ids=["408", "garbage"],
)
def test_a_server_that_speaks_first_gets_the_request_on_a_fresh_connection(
    early: bytes, executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.arm_all([a_post(target.url)])
    target.say_early(early)
    executor.release(shard)
    assert succeeded(executor.collect(shard)) == {(None, 200, False)}
    assert len(target.arrivals) == 1


def test_a_server_that_goes_away_during_the_hold_is_reported_as_not_reached(
    executor: ExecutorProcess,
) -> None:
    with TargetServer() as target:
        shard = executor.arm_all([a_post(target.url)])
    executor.release(shard)
    finished = executor.collect(shard)[0]
    words = f"could not connect to 127.0.0.1 port {target.port}: connection refused"
    assert (finished.cause, finished.detail, finished.unknown, finished.started_ns) == (
        Cause.CONNECT,
        words,
        False,
        0,
    )


def test_a_connection_that_is_closed_while_there_is_time_is_primed_again(target: TargetServer) -> None:
    with ExecutorProcess() as executor:
        executor.arm([a_post(target.url)], release_at_ns=executor.clock.wall_ns() + FAR_NS)
        target.wait_for_connections(1)
        target.close_connections()
        target.wait_for_connections(2)


def test_a_server_that_closes_the_first_connections_is_primed_until_one_stands(
    executor: ExecutorProcess,
) -> None:
    with TargetServer(refuses=2) as target:
        shard = executor.arm_all([a_post(target.url)], lead_ns=2 * SECOND)
        executor.release(shard)
        executor.collect(shard)
        assert (shard[0].cause, shard[0].status, shard[0].armed) == (None, 200, True)
        assert (len(target.arrivals), target.connections >= 3) == (1, True)


def test_a_server_that_never_lets_a_connection_wait_still_gets_each_request_once(
    executor: ExecutorProcess,
) -> None:
    with TargetServer(patience_s=0.05) as target:
        shard = executor.run(
            many(20, target.url, method="POST", body=b"x"),
            release_at_ns=executor.clock.wall_ns() + 1_500 * MS,
        )
        assert succeeded(shard) == {(None, 200, False)}
        assert len(target.arrivals) == 20


def test_a_start_without_time_to_arm_is_the_same_but_later(
    executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    shard = executor.run_unarmed(many(60, either.url, ca=authority.path))
    assert succeeded(shard) == {(None, 200, False)}
    assert len(either.arrivals) == 60
    assert min(finished.started_ns for finished in shard.finished) >= shard.release_at_ns


def test_two_shards_that_overlap_each_keep_their_own_t(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    now_ns = executor.clock.wall_ns()
    first = executor.arm(many(80, f"{target.url}/hold"), release_at_ns=now_ns + 800 * MS)
    second = executor.arm(many(80, f"{target.url}/second"), release_at_ns=now_ns + 1_200 * MS)
    for shard in (first, second):
        executor.wait_armed(shard)
        executor.release(shard)
    target.wait_for(160)
    target.release_held()
    for shard in (first, second):
        assert {(one.cause, one.status) for one in executor.collect(shard).finished} == {(None, 200)}
        assert min(finished.started_ns for finished in shard.finished) >= shard.release_at_ns
    assert len(target.arrivals) == 160
