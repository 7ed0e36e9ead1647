"""Runners: on a machine that gives no further thread, and when they wear out."""

import os
import threading
from pathlib import Path

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon.executors import Executors
from scheduler.daemon.handovers import Handovers
from scheduler.ledger.engine import open_ledger
from scheduler.model.definitions import App, Definitions
from scheduler.model.job import RunnerKey
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


def test_a_runner_that_wears_out_during_a_reload_is_not_used_again(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    executors = Executors(SystemClock(), handovers=Handovers(ledger, clock=SystemClock()))
    app, shop = App(name="shop", app="shop:app", directory=str(tmp_path)), RunnerKey("shop")
    definitions = Definitions(paths=("jobs.yaml",), folder=str(tmp_path), version="", text="", zone="UTC", apps={"shop": app})
    executors.adopt(definitions, executors.fresh([app], str(tmp_path)))
    worn, of_the_reload = executors.runner(shop), executors.complete(definitions, None)
    worn.spent(worn)
    fresh = executors.runner(shop)
    executors.adopt(definitions, of_the_reload)
    assert executors.runner(shop) is fresh is not worn
    executors.stop()
    ledger.close()
