"""Runners: on a machine that gives no further thread, and when they wear out."""

import os
import threading
from pathlib import Path

import pytest

from tests.support.new_ledgers import new_ledger
from tests.support.threads import no_thread
from tminus.clock import SystemClock
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.model.definitions import App, Definitions
from tminus.model.job import RunnerKey


def test_a_runner_without_a_thread_is_not_started_and_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = new_ledger(tmp_path)
    executors = Executors(SystemClock(), job_requests=JobRequestHandler(ledger, clock=SystemClock()))
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="there is no thread for it"):
        executors.start_runners([App(name="shop", app="shop:app", directory=str(tmp_path))], str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
    ledger.close()


@pytest.mark.processes
def test_a_runner_that_wears_out_during_a_reload_is_not_used_again(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    executors = Executors(SystemClock(), job_requests=JobRequestHandler(ledger, clock=SystemClock()))
    app, shop = App(name="shop", app="shop:app", directory=str(tmp_path)), RunnerKey("shop")
    definitions = Definitions(
        paths=("jobs.yaml",), folder=str(tmp_path), version="", text="", zone="UTC", apps={"shop": app}
    )
    executors.use_runners(definitions, executors.start_runners([app], str(tmp_path)))
    worn, of_the_reload = executors.runner(shop), executors.start_missing(definitions, None)
    worn.on_worn_out()
    fresh = executors.runner(shop)
    executors.use_runners(definitions, of_the_reload)
    assert executors.runner(shop) is fresh is not worn
    executors.stop()
    ledger.close()
