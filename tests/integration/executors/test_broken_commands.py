"""Commands to the lanes that break: each costs its shard, and requests of other shards leave."""

import threading
from collections.abc import Callable

import pytest

from tests.support.executor import ExecutorProcess, a_request
from tests.support.lanes import Lanes
from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer
from tminus.executors.http.executor import Executor
from tminus.executors.protocol import Armed, AttemptResults, Release, ShardEnded

# PycURL deprecates what libcurl goes on with after a `perform`.
pytestmark = pytest.mark.filterwarnings("ignore:socket_all:DeprecationWarning")


def breaks(*_: object, **__: object) -> None:
    raise KeyError("no code expects it")


def only_for(shard: int, function: Callable[..., object]) -> Callable[..., object]:
    """The same function, which breaks for that shard."""
    return lambda one, *rest: (breaks if getattr(rest[0], "shard", rest[0]) == shard else function)(
        one, *rest
    )


@pytest.mark.parametrize("step", ["_make_lanes", "_permit"])
def test_a_command_that_breaks_fails_its_requests_and_others_leave(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(Executor, step, only_for(1, getattr(Executor, step)))
    lanes = Lanes()
    lanes.arm(1, f"{target.url}/broken", 2)
    found = lanes.until(1, Armed if step == "_permit" else ShardEnded)
    if step == "_permit":
        lanes.executor.handle_command(Release(shard=1, withdrawn=[]))
        found |= lanes.until(1, ShardEnded)
    why = "an error in tminus ended this request: KeyError"
    assert {(one.cause, one.detail, one.started_ns, one.unknown) for one in found.values()} == {
        ("executor", why, 0, False)
    }
    assert set(found) == {0, 1}
    assert lanes.run(2, f"{target.url}/well")[0].status == 200
    assert [arrival.path for arrival in target.arrivals] == ["/well/0"]


def test_a_lane_for_which_there_is_no_thread_fails_its_requests_and_the_others_leave(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name in ("lane-1-1", "lane-2-0", "lane-2-1"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    lanes = Lanes()
    none = ("resource", "no thread could be started for it", 0, 0)
    for shard, failed in ((1, {1, 3}), (2, {0, 1, 2, 3}), (3, set[int]())):
        found = lanes.run(shard, f"{target.url}/{shard}", 4)
        said = {index: (one.cause, one.detail, one.started_ns, one.status) for index, one in found.items()}
        well = {index: (None, "", one.started_ns, 200) for index, one in found.items()}
        assert said == {index: none if index in failed else well[index] for index in range(4)}


def test_a_frame_that_cannot_be_read_ends_the_process() -> None:
    with ExecutorProcess() as executor:
        assert executor.process.stdin
        executor.process.stdin.write(b"\0\0\0\1\xc1")
        executor.process.stdin.flush()
        assert executor.process.wait(PATIENCE_S) == 1


def test_long_answers_are_reported_in_parts(executor: ExecutorProcess, target: TargetServer) -> None:
    requests = [
        a_request(f"{target.url}/bytes/{3 << 20}", index, max_body=4 << 20, keep_body=4 << 20)
        for index in range(6)
    ]
    shard = executor.arm(requests)
    executor.wait_armed(shard)
    executor.release(shard)
    sizes = []
    while not isinstance(report := shard.reports.get(timeout=PATIENCE_S), ShardEnded):
        assert isinstance(report, AttemptResults)
        sizes.append(sum(len(one.body) for one in report.finished))
    assert sum(sizes) == 6 * (3 << 20)
    assert max(sizes) <= 2 * (3 << 20)
