"""The process of an executor, for a daemon that is short of what it needs."""

import os
import resource
import subprocess
import threading

import pytest

from tests.support.threads import no_thread
from tminus.clock import SystemClock
from tminus.daemon.processes.executor_process import ExecutorProcess, describe_exit


@pytest.mark.processes
def test_the_end_of_a_process_is_noticed_though_no_descriptor_is_left() -> None:
    cat = subprocess.Popen(
        ["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    process = ExecutorProcess(cat, name="cat", clock=SystemClock())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        process.kill()
        assert process.wait() == -9
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.processes
def test_a_process_for_which_there_is_no_thread_leaves_no_descriptor_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = set(os.listdir("/proc/self/fd"))
    cat = subprocess.Popen(
        ["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="it cannot be watched"):
        ExecutorProcess(cat, name="cat", clock=SystemClock())
    assert set(os.listdir("/proc/self/fd")) == before


def test_each_end_of_a_process_has_words() -> None:
    assert [describe_exit(status) for status in (0, 3, -9, -40)] == [
        "exit status 0",
        "exit status 3",
        "SIGKILL",
        "signal 40",
    ]
