"""
A runner that is stopped, or whose GIL a job keeps, takes nothing in: it is replaced, even if nothing of a new
batch waits for it.
"""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

_TASKS = """
import os, pathlib, signal, threading

def stop_once():
    marker = pathlib.Path(__file__).parent / "was_stopped"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()  # this thread may go on for a moment
"""


def test_a_job_that_stops_its_runner_costs_itself_and_nothing_due_before_its_timeout(
    tmp_path: Path, target: TargetServer
) -> None:
    (tmp_path / "tasks.py").write_text(_TASKS)
    stops = "  stops: {schedule: {every: 1s}, call: 'tasks:stop_once', timeout: {total: 10m}}\n"
    with daemon(tmp_path, jobs_file(stops + job("beside", f"{target.url}/ok", "every: 1s"))) as running:
        (stopped,) = running.wait_for(job="stops", outcome="unknown")
        assert (
            stopped["reason"]
            == "executor: the executor process died after the release (SIGKILL); how far it came is not known"
        )
        assert "still running" in running.wait_for(job="stops", outcome="skipped")[0]["reason"]
        running.wait_for(job="stops", outcome="succeeded")
        assert running.stop() == 0
