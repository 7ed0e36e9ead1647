"""
The daemon's wall clock is set back after T, and the executors die: what may have started never starts again.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.daemon import eventually, lanes_of
from tests.support.fake_clock import SettableClock
from tests.support.service import batches
from tests.support.target import TargetServer
from tminus.instants import SECOND
from tminus.outcome import Outcome


def test_what_has_started_never_starts_again_though_the_clock_is_set_back(
    tmp_path: Path, target: TargetServer
) -> None:
    clock, entered = SettableClock(), tmp_path / "entered"
    with (
        batches(tmp_path, target, ["unanswered", "endless"], clock=clock) as some,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(some.run)
        target.wait_for(1)
        runner = eventually(
            lambda: entered.exists() and entered.read_text().strip(), what="the function is entered"
        )
        clock.step_wall(-10 * SECOND)
        (lanes,) = lanes_of(os.getpid())
        for pid in (lanes, int(runner)):
            os.kill(pid, signal.SIGKILL)
        batch = running.result()
    assert [one.outcome for one in batch.occurrences if one] == [Outcome.UNKNOWN] * 2
    assert (len(target.arrivals), entered.read_text().split()) == (1, [runner])
