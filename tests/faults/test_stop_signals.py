"""
SIGTERM ends the daemon within its shutdown grace and some seconds, whatever hangs; a second one ends it at
once.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually, is_alive, patched, suspend
from tests.support.moments import PATIENCE_S

#: Each request to reload comes a hundred times.
_HUNDREDFOLD = """
import signal
real = signal.signal
def hundredfold(number, handler):
    if number == signal.SIGHUP:
        return real(number, lambda *frame: [handler(*frame) for _ in range(100)])
    return real(number, handler)
signal.signal = hundredfold
"""
#: The file system of the jobs file hangs from some moment on.
_SLOW_FILES = """
import os, sys, threading
if "daemon" in sys.orig_argv:
    from tminus.jobsfile import load
    read = load.JobsFile.load
    def hangs(self, *args, **given):
        while os.path.exists({path!r}):
            open({path!r}, "w").write("read")
            threading.Event().wait()
        return read(self, *args, **given)
    load.JobsFile.load = hangs
"""


def _jobs(folder: Path, *, grace: str) -> str:
    apps = {name: {"app": "shop:app"} for name in ("pooled", "stopped", "busy")} | {
        "hangs": {"app": "hangs:app"}
    }

    def call(app: str, ref: str, *args: Any) -> dict[str, Any]:
        return {"schedule": "manual", "call": {"ref": ref, "app": app, "args": args}}

    jobs = {
        "pooled": call("pooled", "shop:pooled", str(folder / "pooled")),
        "stopped": call("stopped", "shop:pooled", str(folder / "stopped")),
        "busy": call("busy", "shop:keeps_the_gil", str(folder / "busy")),
        "full": call("busy", "shop:takes", "x" * 200_000),
        "hangs": call("hangs", "hangs:anything"),
    }
    settings = {"shutdown_grace": grace, "reload": "sighup", "lead": "500ms"}
    return json.dumps({"version": 1, "timezone": "UTC", "daemon": settings, "apps": apps, "jobs": jobs})


@contextmanager
def _everything_hangs(folder: Path, *, grace: str) -> Iterator[tuple[DaemonProcess, list[int]]]:
    """
    A daemon whose runners, reload and ledger hang, each in its own way; with the processes that are to end
    with it.
    """
    install("stopping", folder)
    slow_files = patched(folder, _SLOW_FILES.format(path=str(folder / "slow")))
    with daemon(folder, _jobs(folder, grace=grace), env=slow_files) as running:
        pids: list[int] = []
        assert running.tminus("run-now", "pooled", "stopped", "busy", "--no-wait").returncode == 0
        for name in ("pooled", "stopped", "busy"):
            pids += map(int, eventually((folder / name).exists) and (folder / name).read_text().split())
        suspend(int((folder / "stopped").read_text().split()[0]))
        assert running.tminus("run-now", "full", "stopped", "hangs", "--no-wait").returncode == 0
        running.wait_for(rows=3, state="running")
        (folder / "slow").touch()
        running.signal(signal.SIGHUP)
        eventually(lambda: (folder / "slow").read_text(), what="the reload hangs")
        ledger = dbapi2.connect(folder / "ledger" / "ledger.db", isolation_level=None, timeout=PATIENCE_S)
        ledger.execute("BEGIN IMMEDIATE")
        try:
            yield running, [*pids, running.executor_pid()]
        finally:
            ledger.close()


@pytest.mark.parametrize(
    ("grace", "signals"),
    [pytest.param("1s", 1, id="once"), pytest.param("10m", 2, id="twice", marks=pytest.mark.long)],
)
def test_a_signal_ends_it_whatever_hangs(tmp_path: Path, grace: str, signals: int) -> None:
    with _everything_hangs(tmp_path, grace=grace) as (running, pids):
        running.signal(signal.SIGTERM)
        if signals == 2:
            running.wait_until_said("stopping")
            running.signal(signal.SIGTERM)
        # What hangs does so for 10 min, or for good. The outcomes that the ledger does not take are in the
        # journal.
        assert running.wait() == (0 if signals == 1 else -signal.SIGTERM)
        eventually(lambda: not any(map(is_alive, pids)), what="no process of it is left")


def test_a_hundred_requests_to_reload_are_few_reloads_and_delay_no_stop(tmp_path: Path) -> None:
    job = {"schedule": "manual", "http": "http://127.0.0.1:1/"}
    top = {"version": 1, "timezone": "UTC", "daemon": {"reload": "sighup"}}
    with daemon(
        tmp_path, json.dumps(top | {"jobs": {"one": job}}), env=patched(tmp_path, _HUNDREDFOLD)
    ) as running:
        running.signal(signal.SIGHUP)
        running.wait_until_said("reloaded")
        running.reload(json.dumps(top | {"jobs": {"one": job, "two": job}}))
        eventually(lambda: running.said("reloaded")[-1]["jobs"] == 2, what="the second file is in force")
        assert len(running.said("reloaded")) < 10
        running.signal(signal.SIGHUP)
        assert running.stop() == 0
        assert len(running.said("reloaded")) < 10
