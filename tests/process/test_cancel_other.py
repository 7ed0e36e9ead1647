"""Overlap: cancel_other ends what runs, in each kind of executor, and starts the new one then."""

from pathlib import Path

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

AT_ONCE = "lead: 1s, shutdown_grace: 0s, reload: sighup"
CODE = """
import os, time
from tminus.flask import current_occurrence


def note(what):
    with open(os.path.join(os.path.dirname(__file__), "notes"), "a") as file:
        print(what, current_occurrence().id, file=file)


def asked():
    note("began")
    while not current_occurrence().should_stop:
        time.sleep(0.01)
    note("stopped")


def endless():
    note("began")
    time.sleep(3600)
"""


def run_now(running: DaemonProcess) -> None:
    assert running.tminus("run-now", "slow", "--no-wait").returncode == 0


def assert_the_first_is_cancelled(running: DaemonProcess) -> None:
    (one,) = running.wait_for(outcome="cancelled")
    first, second = sorted(row["id"] for row in running.occurrences())
    assert (one["id"], one["attempts"]) == (first, 1)
    assert one["reason"] == f"overlap: {second} starts instead (cancel_other)"


def test_a_request_is_aborted(tmp_path: Path, target: TargetServer) -> None:
    slow = job("slow", f"{target.url}/delay/60000", "manual", "overlap: cancel_other")
    with daemon(tmp_path, jobs_file(slow, daemon=AT_ONCE)) as running:
        run_now(running)
        target.wait_for(1)
        run_now(running)
        target.wait_for(2)
        assert_the_first_is_cancelled(running)
        running.assert_all_is_well(target)


def _python(tmp_path: Path, ref: str, isolate: str) -> None:
    (tmp_path / "work.py").write_text(CODE)
    slow = f"  slow: {{schedule: manual, call: {{ref: 'work:{ref}', isolate: {isolate}}}, overlap: cancel_other}}\n"
    notes = tmp_path / "notes"

    def began() -> int:
        return notes.read_text().count("began") if notes.exists() else 0

    with daemon(tmp_path, jobs_file(slow, daemon=AT_ONCE, defaults="timeout: {total: 10m}")) as running:
        run_now(running)
        eventually(lambda: began() == 1, what="the first one runs")
        run_now(running)
        eventually(lambda: began() == 2, what="the second one runs")
        assert_the_first_is_cancelled(running)
        assert running.stop() == 0


def test_a_function_is_asked_to_stop(tmp_path: Path) -> None:
    _python(tmp_path, "asked", "thread")
    assert "stopped" in (tmp_path / "notes").read_text()


def test_the_process_of_an_isolated_function_is_ended(tmp_path: Path) -> None:
    _python(tmp_path, "endless", "process")
