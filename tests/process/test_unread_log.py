"""Nobody reads the daemon's log: lines are lost, and nothing else."""

import fcntl
import os
from pathlib import Path

from tests.support.daemon import DaemonProcess
from tests.support.jobs import job, jobs_file, many
from tests.support.target import TargetServer


def test_jobs_run_and_sigterm_ends_the_daemon_while_its_log_is_a_full_pipe(
    tmp_path: Path, target: TargetServer
) -> None:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write_end, False)
    while True:
        try:
            os.write(write_end, b"x" * 512)
        except BlockingIOError:
            break
    os.set_blocking(write_end, True)
    jobs = many(9, f"{target.url}/status/500", "every: 1s") + job("healthy", f"{target.url}/ok", "every: 1s")
    running = DaemonProcess(tmp_path, jobs_file(jobs))
    try:
        running.start(wait=False, stderr=write_end)
        target.wait_for(20)
        running.wait_for(rows=4, job="healthy", outcome="succeeded")
        running.wait_for(rows=20, outcome="failed")
        assert running.stop() == 0
    finally:
        running.close()
        os.close(read_end)
        os.close(write_end)
