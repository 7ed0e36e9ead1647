"""Runners on a machine that gives no further thread."""

import os
import threading
from pathlib import Path

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon.executors import Executors
from scheduler.daemon.handovers import Handovers
from scheduler.ledger.engine import open_ledger
from scheduler.model.definitions import App
from tests.support.threads import no_thread


def test_a_runner_for_which_there_is_no_thread_is_not_started_and_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    executors = Executors(SystemClock(), handovers=Handovers(ledger, clock=SystemClock()))
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="there is no thread for it"):
        executors.fresh([App(name="shop", app="shop:app", directory=str(tmp_path))], str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
    ledger.close()
