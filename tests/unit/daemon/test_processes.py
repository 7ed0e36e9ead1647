"""The process of an executor, for a daemon that is short of what it needs."""

import resource
import subprocess

from scheduler.clock import SystemClock
from scheduler.daemon.processes import ExecutorProcess, how


def test_the_end_of_a_process_is_noticed_though_no_descriptor_is_left() -> None:
    cat = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    process = ExecutorProcess(cat, name="cat", clock=SystemClock())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        process.kill()
        assert process.wait() == -9
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_each_end_of_a_process_has_words() -> None:
    assert [how(status) for status in (0, 3, -9, -40)] == ["exit status 0", "exit status 3", "SIGKILL", "signal 40"]
