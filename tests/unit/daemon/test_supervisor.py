"""An executor that is ended: whatever waits for it hears of that."""

import subprocess
from typing import Any

from scheduler.clock import SystemClock
from scheduler.daemon.channels import Lanes
from scheduler.daemon.shards import Broken, Shard
from scheduler.daemon.supervisor import Supervisor
from tests.support.daemon import eventually


class Silent(Lanes):
    """Never says that it is ready."""

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


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
