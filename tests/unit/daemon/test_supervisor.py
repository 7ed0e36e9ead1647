"""An executor that is ended: whatever waits for it hears of that."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from scheduler.clock import SystemClock
from scheduler.daemon.channels import Lanes
from scheduler.daemon.shards import Broken, Shard
from scheduler.daemon.supervisor import Supervisor
from scheduler.executors.python import wire
from tests.support.daemon import eventually


class Silent(Lanes):
    """Never says that it is ready."""

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


class Slow(Lanes):
    """Is ready once there is a file `ready`, and answers once there is a file `answer`."""

    encode = staticmethod(wire.encode)  # type: ignore[assignment]  # not in msgpack

    def __init__(self, folder: Path) -> None:
        super().__init__("here")
        self._folder = folder

    def read(self, stream: BinaryIO) -> Iterator[Any]:
        return wire.read_reports(stream)

    def start(self) -> "subprocess.Popen[bytes]":
        says = """
            until [ -e ready ]; do sleep 0.01; done; echo '{"is": "Hello", "version": 1, "pid": 1}'
            read command; until [ -e answer ]; do sleep 0.01; done; echo '{"is": "Armed", "shard": 1, "armed": 1, "took_ns": 1}'
            exec cat
        """
        ours = subprocess.PIPE
        return subprocess.Popen(["/bin/sh", "-c", says], cwd=self._folder, stdin=ours, stdout=ours, start_new_session=True)


def test_an_executor_that_took_long_to_start_has_time_to_answer_though_the_time_of_its_shard_is_over(tmp_path: Path) -> None:
    told: list[Any] = []
    supervisor = Supervisor(Slow(tmp_path), clock=SystemClock())
    supervisor.start()
    shard = supervisor.arm(
        lambda _number, _beside: wire.Withdraw(shard=1), lambda _shard, event: told.append(event), answer_by_ns=0
    )
    (tmp_path / "ready").touch()
    eventually(supervisor.is_well, what="it is ready")
    supervisor.replace(shard)
    (tmp_path / "answer").touch()
    eventually(lambda: told, what="something is said of the shard")
    supervisor.stop()
    assert told[0] == wire.Armed(shard=1, armed=1, took_ns=1)


def test_a_shard_that_was_never_sent_is_told_when_its_executor_is_ended_and_so_is_a_later_one() -> None:
    told: list[Any] = []

    def tell(_shard: Shard, event: Any) -> None:
        told.append(event)

    supervisor = Supervisor(Silent("here"), clock=SystemClock())
    supervisor.start()
    supervisor.arm(lambda number, _beside: number, tell, answer_by_ns=1 << 62)
    supervisor.kill()
    eventually(lambda: supervisor.is_over, what="it has ended")
    assert told == [Broken("its executor was ended, and no other one follows")]
    supervisor.arm(lambda number, _beside: number, tell, answer_by_ns=1 << 62)
    assert told == [Broken("its executor was ended, and no other one follows")] * 2
