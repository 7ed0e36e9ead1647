"""The daemon, as users start it."""

from pathlib import Path

from tests.support.daemon import DaemonProcess, daemon, patched
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

_NO_RECORDER = """
import threading
start = threading.Thread.start
def limited(thread):
    if thread.name == "recorder":
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = limited
"""


def test_a_hundred_jobs_due_at_once_all_start_and_are_written_down(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = "version: 1\njobs:\n" + "".join(
        f"  job_{i}: {{schedule: {{every: 3s}}, http: '{target.url}/job/{i}'}}\n" for i in range(100)
    )
    with daemon(tmp_path, jobs) as running:
        planned_at = running.wait_until_said("batch")["planned_at"]
        assert running.stop() == 0
    # On a busy machine a later batch may find the first one still running, and is skipped.
    history = [one for one in running.json("history", "--limit", "10000") if one["planned_at"] == planned_at]
    assert {one["outcome"] for one in history} == {"succeeded"}
    assert sorted(one["job"] for one in history) == sorted(f"job_{i}" for i in range(100))
    assert all(one["start_offset_ms"] >= 0 for one in history)


def test_a_daemon_for_which_there_are_not_enough_threads_says_so_and_ends(
    tmp_path: Path, target: TargetServer
) -> None:
    short = DaemonProcess(
        tmp_path, jobs_file(job("idle", target.url, "manual")), env=patched(tmp_path, _NO_RECORDER)
    )
    try:
        assert short.start(wait=False).wait() == 1
    finally:
        short.close()
    said = short.log_file.read_text()
    assert "the daemon does not start: can't start new thread" in said
    assert "Traceback" not in said
