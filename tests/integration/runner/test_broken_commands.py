"""Commands to a runner that break: each costs its shard, and jobs of other shards run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import eventually, is_alive
from tests.support.runner import RunnerProcess, a_call, runner, stopped
from tminus.executors.protocol import Arm, Release
from tminus.executors.python.wire import Work

_SHOP = """
import os, pathlib, subprocess, threading, time

folder = pathlib.Path(__file__).parent

def well(n):
    return n

def waits():
    child = subprocess.Popen(["/bin/sleep", "1000"])
    threading.Thread(target=threading.Event().wait, name="no daemon").start()
    (folder / "child").write_text(str(child.pid))
    while not (folder / "go").exists():
        time.sleep(0.01)
    return "waited"
"""


@pytest.fixture(params=[False, True], ids=["threads", "processes"])
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunnerProcess]:
    """A runner of both kinds."""
    with runner(tmp_path, _SHOP, app=None, isolates=request.param) as one:
        yield one


def an_odd_arm(process: RunnerProcess) -> Arm[Work]:
    """One that breaks after it was read."""
    works = [a_call("shop:well", 0), a_call("shop:well", 1, index=1)]
    odd: int = None  # type: ignore[assignment]
    now_ns = process.clock.wall_ns()
    return Arm(
        shard=1000,
        release_at_ns=now_ns,
        deadline_ns=now_ns,
        give_up_ns=now_ns,
        realtime=False,
        slots=odd,
        works=works,
    )


def test_an_arm_that_breaks_fails_its_jobs_and_others_run(process: RunnerProcess) -> None:
    process.send(an_odd_arm(process))
    if process.isolates:
        process.wait_until_armed()
        process.send(Release(shard=1000, withdrawn=[]))
    done = process.results()
    assert {(one.cause, one.started_ns) for one in done.values()} == {("executor", 0)}
    assert set(done) == {0, 1}
    assert process.run(a_call("shop:well", 7))[0].body == b"7"


def test_a_permit_that_breaks_fails_its_jobs_and_others_run(process: RunnerProcess) -> None:
    number = process.arm([a_call("shop:well", 0), a_call("shop:well", 1, index=1)])
    process.wait_until_armed()
    odd: list[int] = [99] if not process.isolates else 99  # type: ignore[assignment]
    process.send(Release(shard=number, withdrawn=odd))
    done = process.results()
    assert {one.cause for one in done.values()} <= {"executor", "exception"}
    assert set(done) == {0, 1}
    assert process.run(a_call("shop:well", 7))[0].body == b"7"


def test_what_cannot_be_read_ends_the_process_and_all_that_its_jobs_have_started(
    process: RunnerProcess, tmp_path: Path
) -> None:
    number = process.arm([a_call("shop:waits")])
    process.wait_until_armed()
    process.send(Release(shard=number, withdrawn=[]))
    eventually(
        lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), what="its job runs"
    )
    process.send_line(b'{"is": "Arm", "shard": 2}\n')
    assert stopped(process.process) in (1, -9)
    assert process.entered_ns(0) > 0
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not is_alive(child), what="what its job has started has ended")
