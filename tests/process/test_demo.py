"""The demo and its target server end with all that they have started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import eventually, is_alive, patched
from tests.support.moments import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


def start(
    tmp_path: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tminus.cli", "demo", *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)} | (environment or {})
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def children(pid: int) -> list[int]:
    return [
        int(child)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_demo_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    demo = start(tmp_path)
    started = eventually(
        lambda: found if len(found := children(demo.pid)) == 2 else None, what="target and daemon run"
    )
    demo.send_signal(number)
    demo.communicate(timeout=PATIENCE_S)
    eventually(lambda: not any(map(is_alive, started)), what="both have ended")
    if number is signal.SIGTERM:
        assert demo.returncode == 128 + number
        assert list(tmp_path.iterdir()) == []


_KILL_IN_FORK = """
import os, signal
def kill_parent():
    os.kill(os.getppid(), signal.SIGKILL)
    while os.getppid() == parent:
        pass
parent = os.getpid()
os.register_at_fork(after_in_child=kill_parent)
"""


def test_a_child_of_a_demo_that_was_killed_while_it_forked_ends(tmp_path: Path) -> None:
    demo = start(tmp_path, environment=patched(tmp_path, _KILL_IN_FORK))
    demo.communicate(timeout=PATIENCE_S)  # until nobody has its stdout any more, the target neither
    assert demo.returncode == -signal.SIGKILL


_SIGNAL_IN_FORK = """
import os, signal
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGTERM))
"""


def test_a_signal_that_comes_while_the_demo_forks_ends_it(tmp_path: Path) -> None:
    demo = start(tmp_path, environment=patched(tmp_path, _SIGNAL_IN_FORK))
    demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["patch"]


def test_the_target_server_is_one_process(tmp_path: Path) -> None:
    serving = start(tmp_path, "--serve")
    assert serving.stdout is not None
    said = serving.stdout.readline()  # nothing if somebody else has the port
    assert not said or children(serving.pid) == []
    serving.terminate()
    serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == (-signal.SIGTERM if said else 1)
