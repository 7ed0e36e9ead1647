"""
A file system stops answering, as a network file system does: jobs that need it fail, the others run, and
SIGTERM ends the daemon.
"""

import json
import signal
from pathlib import Path
from typing import Any

from tests.support.daemon import coming, daemon
from tests.support.hanging_disk import hanging_disk
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

_TASKS = b"""
def work():
    return "done"
"""


def test_a_body_file_on_a_hanging_file_system_costs_its_job_and_no_other(
    tmp_path: Path, target: TargetServer
) -> None:
    disk_folder = tmp_path / "disk"
    jobs: dict[str, Any] = {
        f"http_{number}": {"schedule": "manual", "http": f"{target.url}/{number}"} for number in range(30)
    }
    body = {"url": f"{target.url}/body", "method": "POST", "body_file": str(disk_folder / "body")}
    jobs |= {"body": {"schedule": "manual", "http": body}, "again": {"schedule": "manual", "http": body}}
    text = json.dumps({"version": 1, "timezone": "UTC", "daemon": {"lead": "3s"}, "jobs": jobs})
    with hanging_disk(disk_folder, {"body": b"hello"}) as disk, daemon(tmp_path / "daemon", text) as running:
        assert running.tminus("run-now", "body").returncode == 0
        at = coming(6)
        assert running.tminus("run-now", *jobs, "--at", at, "--no-wait").returncode == 0
        disk.hang()
        requests = running.wait_for(rows=30, planned_at=at, outcome="succeeded")
        assert any(one["armed"] for one in requests)  # none is if the batch waits for the file
        for name in ("body", "again"):
            (failed,) = running.wait_for(planned_at=at, job=name, outcome="failed")
            assert "its file system does not answer" in failed["reason"]
        assert running.stop() == 0


def test_jobs_run_on_while_the_jobs_file_cannot_be_read_and_sigterm_ends_the_daemon(
    tmp_path: Path, target: TargetServer
) -> None:
    text = jobs_file(job("beside", f"{target.url}/ok", "every: 1s"))
    folder = tmp_path / "disk"
    with (
        hanging_disk(folder, {"jobs.yaml": text.encode()}) as disk,
        daemon(tmp_path / "daemon", text) as running,
    ):
        running.stop()
        running.jobs_file = folder / "jobs.yaml"
        running.start()
        disk.hang()
        running.signal(signal.SIGHUP)
        before = len(running.wait_for(job="beside", outcome="succeeded"))
        running.wait_for(job="beside", outcome="succeeded", rows=before + 3)
        assert running.stop() == 0


def test_an_application_on_a_hanging_file_system_costs_its_jobs_and_no_other(
    tmp_path: Path, target: TargetServer
) -> None:
    folder = tmp_path / "disk"
    works = "  works: {schedule: {every: 1s}, misfire_grace_time: 1s, call: {ref: 'tasks:work', app: far}}\n"
    apps = f"apps: {{far: {{app: 'tasks:app', directory: {folder}/app}}}}\n"
    text = apps + jobs_file(works + job("beside", f"{target.url}/ok", "every: 1s"))
    with hanging_disk(folder, {"tasks.py": _TASKS}) as disk:
        disk.hang()
        with daemon(tmp_path / "daemon", text) as running:
            running.wait_for(job="beside", outcome="succeeded", rows=3)
            running.wait_for(job="works", outcome="missed")
            assert running.stop() == 0
