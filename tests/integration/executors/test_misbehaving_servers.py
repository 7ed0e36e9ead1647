"""
Servers that misbehave: what a person reads of each, how often the request arrived, and that nobody else is
late for it.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.executor import ExecutorProcess, ShardInFlight, a_request
from tests.support.target import TargetServer, black_hole, raw
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult
from tminus.instants import MS
from tminus.outcome import Cause

OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

CLOSED_EARLY = "{server} closed the connection before an answer"
BROKE_OFF = "{server} closed the connection in the middle of its answer"
NOT_HTTP = "what {server} answered is not HTTP"
UNREADABLE = "what {server} answered cannot be read as HTTP: "
NO_ANSWER = "no answer from {server} within 1 s (timeout.first_byte)"
NO_END = "no complete answer from {server} within 2 s (timeout.total)"
#: The limit that ends a request: nobody else has a short one.
LIMITS = {NO_ANSWER: {"first_byte_ms": 1_000}, NO_END: {"total_ms": 2_000}}
NOT_FOLLOWED = "a redirect to something other than http or https is not followed"
NO_URL = "a redirect cannot be followed: its target is not a URL"

#: What the server does: its path, and what is said of it.
CASES = {
    "closes-before-a-byte": ("/close", Cause.DIED, CLOSED_EARLY),
    "resets-before-a-byte": ("/reset", Cause.DIED, CLOSED_EARLY),
    "closes-in-the-status-line": (raw(b"HTTP/1.1 2"), Cause.DIED, CLOSED_EARLY),
    "resets-in-the-status-line": (raw(b"HTTP/1.1 2", "reset"), Cause.DIED, CLOSED_EARLY),
    "closes-in-the-headers": (raw(OK + b"Content-Len"), Cause.PARTIAL, BROKE_OFF),
    "closes-between-two-headers": (raw(OK + b"X-A: b\r\n"), Cause.PARTIAL, BROKE_OFF),
    "resets-in-the-headers": (raw(OK + b"Content-Len", "reset"), Cause.PARTIAL, BROKE_OFF),
    "closes-in-the-body": ("/partial", Cause.PARTIAL, BROKE_OFF),
    "resets-in-the-body": (raw(OK + b"Content-Length: 9\r\n\r\nonly", "reset"), Cause.PARTIAL, BROKE_OFF),
    "closes-between-two-chunks": (raw(CHUNKED + b"5\r\nhello\r\n"), Cause.PARTIAL, BROKE_OFF),
    "breaks-its-chunks": (raw(CHUNKED + b"zz\r\n"), Cause.PROTOCOL, UNREADABLE + "chunk hex-length char not a hex digit: 0x7a"),
    "lies-about-a-chunk": (raw(CHUNKED + b"1\r\nhi\r\n"), Cause.PROTOCOL, UNREADABLE + "Malformed encoding found in chunked-encoding"),
    "talks-bytes": ("/garbage", Cause.PROTOCOL, NOT_HTTP),
    "talks-ssh": (raw(b"SSH-2.0-OpenSSH_9\r\n"), Cause.PROTOCOL, NOT_HTTP),
    "talks-http-9": (raw(b"HTTP/9.9 200 OK\r\n\r\n"), Cause.PROTOCOL, UNREADABLE + "Unsupported HTTP version in response"),
    "has-a-status-of-letters": (raw(b"HTTP/1.1 abc\r\n\r\n"), Cause.PROTOCOL, UNREADABLE + "Unsupported HTTP/1 subversion in response"),
    "has-a-negative-length": (raw(OK + b"Content-Length: -1\r\n\r\n"), Cause.PROTOCOL, UNREADABLE + "Invalid Content-Length: value"),
    "has-a-nul-in-a-header": (raw(OK + b"X: \0\r\n\r\n"), Cause.PROTOCOL, UNREADABLE + "NUL byte in header"),
    "codes-its-answer-oddly": (raw(OK + b"Transfer-Encoding: odd\r\n\r\n"), Cause.PROTOCOL, UNREADABLE + "Unsolicited Transfer-Encoding (odd) found"),
    "has-huge-headers": ("/headers/4000", Cause.PROTOCOL, "{server} answered with more headers than can be read (300 KiB)"),
    "has-a-huge-header": ("/header/200000", Cause.PROTOCOL, "{server} answered with a header that is longer than can be read (100 KiB)"),
    "never-ends": ("/endless", Cause.TOO_LARGE, "the answer is longer than 1 MiB (http.max_body)"),
    "never-answers": ("/stall", Cause.TIMEOUT, NO_ANSWER),
    "stalls-in-the-headers": (raw(OK, "stall"), Cause.TIMEOUT, NO_END),
    "stalls-in-the-body": (raw(OK + b"Content-Length: 9\r\n\r\nonly", "stall"), Cause.TIMEOUT, NO_END),
    "trickles": ("/trickle", Cause.TIMEOUT, NO_END),
    "redirects-to-a-file": ("/redirect?to=file:///etc/passwd", Cause.REDIRECT, NOT_FOLLOWED),
    "redirects-to-ftp": ("/redirect?to=ftp://127.0.0.1/", Cause.REDIRECT, NOT_FOLLOWED),
    "redirects-to-gopher": ("/redirect?to=gopher://127.0.0.1:11211/", Cause.REDIRECT, NOT_FOLLOWED),
    "redirects-to-no-host": ("/redirect?to=http://", Cause.REDIRECT, NO_URL),
    "redirects-to-half-an-address": ("/redirect?to=http://[", Cause.REDIRECT, NO_URL),
    "redirects-to-no-such-name": ("/redirect?to=http://nowhere.invalid/", Cause.DNS, "nowhere.invalid could not be resolved to an address"),
    "redirects-to-bytes": (raw(MOVED + b"Location: http://\xff\xfe.invalid/\r\n\r\n"), Cause.DNS, r"\xff\xfe.invalid could not be resolved to an address"),
    "redirects-to-another-alphabet": (raw(MOVED + b"Location: http://m\xc3\xbcnchen.invalid/\r\n\r\n"), Cause.DNS, "münchen.invalid could not be resolved to an address"),
    "redirects-to-one-sign-for-three": (raw(MOVED + b"Location: http://a\xe2\x84\x80b.invalid/\r\n\r\n"), Cause.DNS, r"a\xe2\x84\x80b.invalid could not be resolved to an address"),
    "redirects-to-two-words": (raw(MOVED + b"Location: http://a b/\r\n\r\n"), Cause.REDIRECT, NO_URL),
    "redirects-to-no-port": (raw(MOVED + b"Location: http://127.0.0.1:99999/\r\n\r\n"), Cause.REDIRECT, NO_URL),
    "redirects-to-nobody": ("/redirect?to=http://127.0.0.1:1/", Cause.CONNECT, "could not connect to 127.0.0.1 port 1: connection refused"),
}  # fmt: skip
HEALTHY = 40


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A shard of all those servers at once, and of healthy ones among them; it is over."""

    target: TargetServer
    shard: ShardInFlight
    is_armed: bool

    @property
    def healthy(self) -> list[AttemptResult]:
        return [finished for finished in self.shard.finished if finished.index >= len(CASES)]

    def of(self, name: str) -> AttemptResult:
        return self.shard[list(CASES).index(name)]

    def arrivals(self, path: str) -> int:
        return sum(arrival.path == path for arrival in self.target.arrivals)


def _requests(url: str) -> Iterator[Request]:
    for index, (path, _, words) in enumerate(CASES.values()):
        yield a_request(url + path, index, follow=3, **LIMITS.get(words, {}))
    for index in range(len(CASES), len(CASES) + HEALTHY):
        yield a_request(f"{url}/healthy/{index}", index)


@pytest.fixture(scope="module", params=["armed", "unarmed"])
def batch(request: pytest.FixtureRequest, executor: ExecutorProcess) -> Iterator[Batch]:
    with TargetServer() as target:
        run = executor.run_armed if request.param == "armed" else executor.run_unarmed
        shard = run(list(_requests(target.url)))
        yield Batch(target=target, shard=shard, is_armed=request.param == "armed")


@pytest.mark.parametrize("name", CASES)
def test_a_server_that(name: str, batch: Batch) -> None:
    path, cause, words = CASES[name]
    finished = batch.of(name)
    assert (finished.cause, finished.detail) == (
        cause,
        words.format(server=f"127.0.0.1 port {batch.target.port}"),
    )
    assert batch.arrivals(path) == 1
    assert finished.started_ns >= batch.shard.release_at_ns
    assert (finished.unknown, finished.late, finished.armed) == (False, False, batch.is_armed)


def test_everyone_else_succeeds_and_starts_before_the_slow_ones_end(batch: Batch) -> None:
    assert {(finished.cause, finished.status, finished.armed) for finished in batch.healthy} == {
        (None, 200, batch.is_armed)
    }
    slow = min(batch.of(name).finished_ns for name in ("never-answers", "stalls-in-the-body", "trickles"))
    assert max(finished.started_ns for finished in batch.healthy) < slow


def test_who_never_answers_has_lasted_as_long_as_it_was_waited_for(batch: Batch) -> None:
    assert batch.of("never-answers").duration_ns >= 1_000_000_000


def test_each_is_reported_once(batch: Batch) -> None:
    assert batch.shard.indexes == list(range(len(CASES) + HEALTHY))


def test_a_redirect_loop_ends_after_as_many_requests_as_the_job_follows(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    (finished,) = executor.run_unarmed([a_request(f"{target.url}/loop", follow=3)]).finished
    assert (finished.cause, finished.detail) == (
        Cause.REDIRECT,
        "more than 3 redirects (http.redirects.follow)",
    )
    assert len(target.arrivals) == 4


def test_a_connection_that_is_never_accepted_ends_by_the_connect_timeout(executor: ExecutorProcess) -> None:
    with black_hole() as port:
        (finished,) = executor.run_unarmed([a_request(f"http://127.0.0.1:{port}/", connect_ms=500)]).finished
    words = f"no connection to 127.0.0.1 port {port} within 500 ms (timeout.connect)"
    assert (finished.cause, finished.detail, finished.started_ns) == (Cause.CONNECT, words, 0)


def test_a_connection_that_takes_longer_than_all_may_take_is_told_so(executor: ExecutorProcess) -> None:
    with black_hole() as port:
        (finished,) = executor.run_unarmed([a_request(f"http://127.0.0.1:{port}/", total_ms=400)]).finished
    words = f"no connection to 127.0.0.1 port {port} within 400 ms (timeout.total)"
    assert (finished.cause, finished.detail, finished.started_ns) == (Cause.CONNECT, words, 0)


def test_a_server_that_shakes_no_hands_ends_by_the_connect_timeout(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    url = target.url.replace("http:", "https:")
    (finished,) = executor.run_unarmed([a_request(url, connect_ms=500)]).finished
    words = f"no connection to 127.0.0.1 port {target.port} within 500 ms (timeout.connect)"
    assert (finished.cause, finished.detail, finished.started_ns) == (Cause.CONNECT, words, 0)


def test_nobody_at_the_port_is_told_by_the_systems_words(executor: ExecutorProcess) -> None:
    (finished,) = executor.run([a_request("http://127.0.0.1:1/")]).finished
    words = "could not connect to 127.0.0.1 port 1: connection refused"
    assert (finished.cause, finished.detail, finished.started_ns, finished.armed) == (
        Cause.CONNECT,
        words,
        0,
        False,
    )


def test_a_name_that_does_not_exist_is_told_by_that_name(executor: ExecutorProcess) -> None:
    (finished,) = executor.run([a_request("http://nowhere.invalid/secret/path")]).finished
    words = "nowhere.invalid could not be resolved to an address"
    assert (finished.cause, finished.detail, finished.started_ns, finished.armed) == (
        Cause.DNS,
        words,
        0,
        False,
    )


def test_a_hold_does_not_count_against_the_timeouts(executor: ExecutorProcess, target: TargetServer) -> None:
    timeouts = {"connect_ms": 2_000, "first_byte_ms": 2_000, "total_ms": 2_000}
    shard = executor.run_armed([a_request(f"{target.url}/ok", **timeouts)], lead_ns=2_500 * MS)
    assert (shard[0].cause, shard[0].armed) == (None, True)


def test_without_a_limit_for_the_first_byte_the_total_is_the_only_one(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    requests = [
        a_request(f"{target.url}/delay/1500", 0, first_byte_ms=0),
        a_request(f"{target.url}/stall", 1, first_byte_ms=0, total_ms=500),
    ]
    shard = executor.run_unarmed(requests)
    assert (shard[0].cause, shard[0].status) == (None, 200)
    words = f"no complete answer from {target.name} within 500 ms (timeout.total)"
    assert (shard[1].cause, shard[1].detail) == (Cause.TIMEOUT, words)


@pytest.mark.parametrize("armed", [True, False])
def test_a_secret_header_does_not_follow_a_redirect_to_another_server(
    armed: bool, executor: ExecutorProcess, target: TargetServer
) -> None:
    with TargetServer() as other:
        paths = [
            f"/redirect?to={other.url}/",
            "/redirect?to=/ok",
            f"/redirect?to={target.url}/ok",
            f"/redirect?to={other.url}/",
        ]
        headers = [
            ["X-Api-Key: canary"],
            ["X-Api-Key: canary"],
            ["X-Api-Key: canary"],
            ["X-Page: 1", "Authorization: canary"],
        ]
        both = enumerate(zip(paths, headers, strict=True))
        requests = [
            a_request(target.url + path, index, headers=lines, follow=3) for index, (path, lines) in both
        ]
        shard = executor.run(requests) if armed else executor.run_unarmed(requests)
        words = "a redirect to another server is not followed: it would get the header X-Api-Key"
        assert (shard[0].cause, shard[0].detail, shard[0].unknown) == (Cause.REDIRECT, words, False)
        assert [shard[index].status for index in (1, 2, 3)] == [200] * 3
        assert len(other.arrivals) == 1
        assert "canary" not in str(other.arrivals)


def test_informational_answers_are_passed_over(executor: ExecutorProcess, target: TargetServer) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nok"
    (finished,) = executor.run_unarmed([a_request(target.url + raw(answer))]).finished
    assert (finished.cause, finished.status, finished.body) == (None, 200, b"ok")


def test_trailers_after_the_last_chunk_are_no_broken_head(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    answer = CHUNKED + b"2\r\nok\r\n0\r\nX-Trailer: a\r\n\r\n"
    (finished,) = executor.run_unarmed([a_request(target.url + raw(answer))]).finished
    assert (finished.cause, finished.status, finished.body) == (None, 200, b"ok")


def test_a_408_that_answers_the_request_is_an_answer(executor: ExecutorProcess, target: TargetServer) -> None:
    (finished,) = executor.run_armed([a_request(f"{target.url}/status/408")]).finished
    assert (finished.cause, finished.status, finished.armed) == (None, 408, True)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 \xff\xfe\r\n",
        OK + b"X-Odd: \xff\xfe\x80\x01\r\n",
        OK + b"X-\xff\xfe: 1\r\n",
        OK + b"Content-Type: text/html; charset=idna\r\n",
        OK + b"Content-Type: text/html; charset=\xff\xfe\r\n",
        OK + b"Location: http://\xff\xfe/\r\n",
        b"HTTP/1.1 302 Found\r\nLocation:\r\n",
    ],
)
def test_odd_bytes_in_a_head_are_passed_on(
    head: bytes, executor: ExecutorProcess, target: TargetServer
) -> None:
    answer = head + b"Content-Length: 2\r\n\r\nok"
    (finished,) = executor.run_unarmed(
        [a_request(target.url + raw(answer), method="POST", body=b"x", follow=3)]
    ).finished
    assert (finished.cause, finished.body, len(target.arrivals)) == (None, b"ok", 1)
    assert "\r\n".join(finished.headers).encode("latin-1").startswith(head.strip())


def test_informational_answers_without_end_are_given_up(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    (finished,) = executor.run_unarmed([a_request(f"{target.url}/early")]).finished
    words = f"what {target.name} answered cannot be read as HTTP: Too many response headers, 5000 is max"
    assert (finished.cause, finished.detail) == (Cause.PROTOCOL, words)


def test_a_body_that_is_packed_is_kept_as_it_came(executor: ExecutorProcess, target: TargetServer) -> None:
    packed = gzip.compress(b"\0" * 10_000_000)
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    (finished,) = executor.run_unarmed([a_request(target.url + raw(head + packed))]).finished
    assert (finished.cause, finished.body, finished.body_size) == (None, packed, len(packed))
    assert "accept-encoding" not in target.arrivals[0].headers


def test_a_redirect_that_the_job_does_not_follow_is_the_answer(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    (finished,) = executor.run_unarmed([a_request(f"{target.url}/redirect?to=/ok", follow=0)]).finished
    assert (finished.cause, finished.status, len(target.arrivals)) == (None, 302, 1)


def test_what_a_server_asks_to_remember_is_forgotten(executor: ExecutorProcess, target: TargetServer) -> None:
    asks = b"Connection: close\r\nSet-Cookie: id=1\r\nStrict-Transport-Security: max-age=1000\r\n"
    moved = MOVED + asks + b"Location: /ok\r\nContent-Length: 0\r\n\r\n"
    shard = executor.run_unarmed([a_request(target.url + raw(moved), 0, follow=1)])
    again = executor.run_unarmed([a_request(f"{target.url}/ok", 0)])
    assert [(one[0].cause, one[0].status) for one in (shard, again)] == [(None, 200)] * 2
    assert len(target.arrivals) == 3
    assert all("cookie" not in arrival.headers for arrival in target.arrivals)
