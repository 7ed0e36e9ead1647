"""An executor that is ended: whatever waits for it hears of that."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import eventually
from tminus.clock import SystemClock
from tminus.daemon.processes.channels import HttpChannel
from tminus.daemon.processes.commands import AnyWork, ExecutorUnavailable, OrderHandle
from tminus.daemon.processes.supervisor import Supervisor
from tminus.errors import TminusError
from tminus.executors.protocol import VERSION, Arm, Armed, JobResponse, Stop
from tminus.executors.python import wire

pytestmark = pytest.mark.processes


def an_arm(number: int) -> Arm[AnyWork]:
    """A command that arms nothing."""
    return Arm(shard=number, release_at_ns=0, deadline_ns=0, give_up_ns=0, realtime=False, works=())


class Silent(HttpChannel):
    """Never says that it is ready."""

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )


class Slow(HttpChannel):
    """Is ready once there is a file `ready`, and answers once there is a file `answer`."""

    encode = staticmethod(wire.encode)  # not in msgpack
    read = staticmethod(wire.read_reports)  # type: ignore[assignment]

    def __init__(self, folder: Path) -> None:
        super().__init__("here")
        self._folder = folder

    def start(self) -> "subprocess.Popen[bytes]":
        hello = f'{{"is": "Hello", "version": {VERSION}, "pid": 1}}'
        says = f"""
            until [ -e ready ]; do sleep 0.01; done; echo '{hello}'
            read command; until [ -e answer ]; do sleep 0.01; done; echo '{{"is": "Armed", "shard": 1, "armed": 1, "took_ns": 1}}'
            exec cat
        """
        ours = subprocess.PIPE
        return subprocess.Popen(
            ["/bin/sh", "-c", says], cwd=self._folder, stdin=ours, stdout=ours, start_new_session=True
        )


def test_an_executor_that_took_long_to_start_has_time_to_answer(
    tmp_path: Path,
) -> None:
    told: list[Any] = []
    supervisor = Supervisor(Slow(tmp_path), clock=SystemClock())
    supervisor.start()
    shard = supervisor.send(
        lambda number, _beside: an_arm(number),
        lambda _shard, event: told.append(event),
        answer_by_ns=0,
    )
    (tmp_path / "ready").touch()
    eventually(supervisor.is_well, what="it is ready")
    supervisor.replace(shard)
    (tmp_path / "answer").touch()
    eventually(lambda: told, what="something is said of the shard")
    supervisor.stop()
    assert told[0] == Armed(shard=1, armed=1, took_ns=1)


class DiesAtFirst(Silent):
    """Its process dies this many times before one is ready."""

    read = staticmethod(wire.read_reports)  # type: ignore[assignment]

    def __init__(self, deaths: int) -> None:
        super().__init__("here")
        self.deaths = deaths

    def start(self) -> "subprocess.Popen[bytes]":
        hello = f'{{"is": "Hello", "version": {VERSION}, "pid": 1}}'
        self.deaths -= 1
        says = "kill -9 $$" if self.deaths >= 0 else f"echo '{hello}'; exec cat"
        ours = subprocess.PIPE
        return subprocess.Popen(["/bin/sh", "-c", says], stdin=ours, stdout=ours, start_new_session=True)


def test_an_executor_that_dies_before_it_is_ready_is_started_again() -> None:
    supervisor = Supervisor(DiesAtFirst(1), clock=SystemClock())
    supervisor.start()
    supervisor.wait_until_ready()
    assert supervisor.is_well()
    supervisor.stop()


def test_an_executor_that_always_dies_at_its_start_is_given_up() -> None:
    supervisor = Supervisor(DiesAtFirst(1_000), clock=SystemClock())
    supervisor.start()
    with pytest.raises(TminusError, match="does not start"):
        supervisor.wait_until_ready()
    supervisor.stop()


class Older(Silent):
    """Speaks an earlier version of the protocol."""

    read = staticmethod(wire.read_reports)  # type: ignore[assignment]

    def start(self) -> "subprocess.Popen[bytes]":
        says = """echo '{"is": "Hello", "version": 1, "pid": 1}'; exec cat"""
        ours = subprocess.PIPE
        return subprocess.Popen(["/bin/sh", "-c", says], stdin=ours, stdout=ours, start_new_session=True)


def test_an_executor_that_speaks_another_version_gets_nothing_and_is_ended() -> None:
    told: list[Any] = []
    supervisor = Supervisor(Older("here"), clock=SystemClock())
    shard = supervisor.send(
        lambda number, _beside: an_arm(number), lambda _shard, event: told.append(event), answer_by_ns=1 << 62
    )
    supervisor.start()
    eventually(lambda: told, what="its shard is told")
    sentence = (
        f"it speaks version 1 of tminus's protocol and the daemon version {VERSION}: "
        "tminus was replaced while the daemon ran, start the daemon again"
    )
    assert told == [ExecutorUnavailable(sentence)]
    assert (supervisor.broken, shard.is_sent) == (sentence, False)
    supervisor.stop()


class Writes(Silent):
    """Writes its commands into a file, once there is a file `go`."""

    read = staticmethod(wire.read_reports)  # type: ignore[assignment]

    def __init__(self, folder: Path) -> None:
        super().__init__("here")
        self._folder = folder
        self.while_encoding: Callable[[], object] = lambda: None

    def start(self) -> "subprocess.Popen[bytes]":
        hello = f'{{"is": "Hello", "version": {VERSION}, "pid": 1}}'
        says = f"echo '{hello}'; until [ -e go ]; do sleep 0.01; done; exec cat > commands"
        ours = subprocess.PIPE
        return subprocess.Popen(
            ["/bin/sh", "-c", says], cwd=self._folder, stdin=ours, stdout=ours, start_new_session=True
        )

    def encode(self, message: Any) -> bytes:
        if isinstance(message, Arm):
            self.while_encoding()
        return wire.encode(message)

    def written(self, least: int) -> list[str]:
        """Let it write; return the kinds of the commands, once there are so many."""
        (self._folder / "go").touch()
        commands = self._folder / "commands"
        eventually(lambda: commands.exists() and commands.read_bytes().count(b"\n") >= least)
        return [json.loads(line)["is"] for line in commands.read_text().splitlines()]


def test_a_request_to_stop_never_overtakes_the_order_that_it_is_about(tmp_path: Path) -> None:
    channel = Writes(tmp_path)
    supervisor = Supervisor(channel, clock=SystemClock())
    supervisor.start()
    supervisor.wait_until_ready()
    for _ in range(30):  # more than the pipe holds, so that the last ones wait
        supervisor.write(JobResponse(pid=1, number=1, value="x" * 10_000))
    supervisor.send(lambda number, _beside: an_arm(number), lambda *_: None, answer_by_ns=0)
    supervisor.write(Stop(call=1))
    kinds = channel.written(32)
    supervisor.stop()
    assert kinds.index("Arm") < kinds.index("Stop")


def test_an_order_that_is_dropped_while_it_is_encoded_is_not_sent(tmp_path: Path) -> None:
    channel, handles, dropped = Writes(tmp_path), list[OrderHandle](), list[bool]()
    supervisor = Supervisor(channel, clock=SystemClock())
    supervisor.start()
    supervisor.wait_until_ready()

    def order(number: int, _beside: object) -> Arm[AnyWork]:
        return an_arm(number)

    def drop() -> None:
        (handle,) = supervisor._orders.values()
        dropped.append(supervisor.forget(handle))

    channel.while_encoding = drop
    handles.append(supervisor.send(order, lambda *_: None, answer_by_ns=0))
    channel.while_encoding = lambda: None
    handles.append(supervisor.send(order, lambda *_: None, answer_by_ns=0))
    kinds = channel.written(1)
    supervisor.stop()
    assert (dropped, kinds, [one.is_sent for one in handles]) == ([True], ["Arm"], [False, True])


def test_a_shard_that_was_never_sent_is_told_when_its_executor_is_ended() -> None:
    told: list[Any] = []

    def tell(_shard: OrderHandle, event: Any) -> None:
        told.append(event)

    supervisor = Supervisor(Silent("here"), clock=SystemClock())
    supervisor.start()
    supervisor.send(lambda number, _beside: an_arm(number), tell, answer_by_ns=1 << 62)
    supervisor.kill()
    eventually(lambda: supervisor.is_over, what="it has ended")
    assert told == [ExecutorUnavailable("its executor was ended, and no other one follows")]
    supervisor.send(lambda number, _beside: an_arm(number), tell, answer_by_ns=1 << 62)
    assert told == [ExecutorUnavailable("its executor was ended, and no other one follows")] * 2
