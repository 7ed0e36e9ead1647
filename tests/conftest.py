"""Fixtures only. What a test needs beyond them is in `tests/support`."""

import compileall
import os
import signal
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from scheduler.ledger.engine import Ledger, open_ledger
from tests.support.fake_clock import FakeClock
from tests.support.postgres import a_schema_of_its_own
from tests.support.target import TargetServer


def pytest_configure(config: pytest.Config) -> None:
    """
    Compile our modules once, not in each process that a test starts. What tests write is not kept compiled: it changes quickly.

    A shell starts a background command with SIGINT ignored, and each process that a test starts would inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).parent.parent / "scheduler", quiet=1)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_xdist_auto_num_workers() -> int:
    """Two a core: what takes long here waits for a T, not for a core."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything can be installed, a test that is skipped is one that nobody has run."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"skipped under CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """A test that leaves a thread behind fails; threads that serve the whole process are named in the list."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.name.startswith(_FOREVER)]
    for thread in left:
        thread.join(timeout=10)
    still = [thread.name for thread in left if thread.is_alive()]
    assert not still, f"still running: {still}"


#: Threads that end with their process: the executor's helpers, where a test runs one in its own process.
_FOREVER = ("log-writer", "executors-stderr", "reaper", "resolver-", "asyncio_", "ThreadPoolExecutor", "handovers")


@pytest.fixture(autouse=True)
def an_environment_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees, or writes to, the ledger and the jobs file of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("TMINUS_")]:
        monkeypatch.delenv(name)
    for name in ("STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until it is told to move."""
    return FakeClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger of each kind."""
    if request.param == "sqlite":
        ledger = open_ledger(f"sqlite:///{tmp_path}/ledger/ledger.db")
        yield ledger
        ledger.close()
        return
    with a_schema_of_its_own() as url:
        ledger = open_ledger(url)
        yield ledger
        ledger.close()


@pytest.fixture
def target() -> Iterator[TargetServer]:
    """A real HTTP server that records what arrives, and behaves as its paths say."""
    with TargetServer() as server:
        yield server
