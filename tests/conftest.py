"""
Fixtures, and which test runs when and where. `tests/support` has everything else that tests share.

A test that starts a process or needs a database server has the marker `processes`. Tests in `_FOLDERS` and
tests on PostgreSQL get it here; the others set it themselves. `make check` runs the tests without it.
"""

import compileall
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.fake_clock import FakeClock
from tests.support.logs import plain_logs
from tests.support.moments import PATIENCE_S
from tests.support.new_ledgers import ledger_in_a_file, ledger_on_postgresql
from tests.support.target import TargetServer
from tests.support.web_worker import web_worker
from tminus.ledger.engine import Ledger

#: How much property tests try. `make test-long` runs them again with `--hypothesis-profile=thorough`.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _PATIENT, max_examples=25)
settings.register_profile("thorough", _PATIENT, max_examples=200)
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    """
    Compile the package's modules once, not in each process that a test starts, and keep tests compiled: rewriting
    their assertions takes half of the collection.

    A shell starts a background command with SIGINT ignored. Each process that a test starts would inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("SUDO_USER", None)  # otherwise requests are those of its caller, and not of this user
    sys.dont_write_bytecode = False
    plain_logs()
    if not hasattr(config, "workerinput"):
        for folder in ("scheduler/tminus", "bench", "tests/support"):
            compileall.compile_dir(Path(__file__).parent.parent / folder, quiet=1)


def pytest_collection_finish() -> None:
    """What tests write is not kept compiled, as the tests themselves are: it changes quickly."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


#: All tests in these folders start processes. The first ones take longest.
_FOLDERS = ("bench", "faults", "examples", "process", "integration")
_NO_PROCESSES = "not processes"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return four per core, because long tests wait for a T, not for a core; two per core without those."""
    return (os.cpu_count() or 1) * (2 if _NO_PROCESSES in config.option.markexpr else 4)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Mark the tests that start processes, and distribute all tests to the workers.

    Each worker gets the same number of tests and starts with the long ones. Otherwise all workers would wait
    for a long test at the end. Tests of a file stay together, because they may share an executor. Idle workers
    take tests from others.
    """
    for item in items:
        if _folder(item) in _FOLDERS or _is_on_postgresql(item):
            item.add_marker("processes")
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    if workers == 1:
        return
    order = {folder: place for place, folder in enumerate(_FOLDERS)}
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    long = sorted((item for item in items if _folder(item) in order), key=lambda item: order[_folder(item)])
    for _, file in groupby(long, key=lambda item: item.path):
        min(hands, key=len).extend(file)
    short = [item for item in items if _folder(item) not in order]
    for number, hand in enumerate(hands):
        wanted = (len(items) * (number + 1)) // workers - (len(items) * number) // workers
        missing = max(wanted - len(hand), 0)
        hand += short[:missing]
        del short[:missing]
    items[:] = [item for hand in hands for item in hand] + short


def _folder(item: pytest.Item) -> str:
    """Return the folder of `tests` that a test is in."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


def _is_on_postgresql(item: pytest.Item) -> bool:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return "postgresql" in getattr(item, "fixturenames", ()) or "postgresql" in parameters.values()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI, let a skipped test fail: everything that tests need can be installed there."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"skipped under CI: {report.longrepr}"
    return report


#: Audit events at the start of a process, of Python (PEP 578) and of `tests/support`.
_STARTS = {
    "subprocess.Popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "os.exec",
    "tests.process",
}
#: What the running test has started although it may start no process; None if it may.
_started: list[str] | None = None


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _started is not None and event in _STARTS:
        _started.append(f"{event} {arguments[:1]}")
        raise RuntimeError("this test starts a process, and has no marker `processes`")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def no_process_without_the_marker(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test without the marker `processes` fail if it starts a process."""
    global _started
    if request.node.get_closest_marker("processes"):
        yield
        return
    started: list[str] = []
    _started = started
    try:
        yield
    finally:
        _started = None
    assert started == []


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """
    Let a test fail that leaves a thread behind, except the threads of `_FOREVER`.
    """
    before = set(threading.enumerate())
    yield
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in before and not thread.name.startswith(_FOREVER)
    ]
    for thread in left:
        thread.join(PATIENCE_S)
    still = [thread.name for thread in left if thread.is_alive()]
    assert not still, f"still running: {still}"


#: Threads that end with their process, such as the helpers of an executor that a test runs in its own process.
_FOREVER = (
    "log-writer",
    "reaper",
    "resolver-",
    "asyncio_",
    "ThreadPoolExecutor",
    "job-requests",
)


@pytest.fixture(autouse=True)
def an_environment_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the ledger and the jobs file of the user who runs the tests."""
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
    with ledger_in_a_file(tmp_path) if request.param == "sqlite" else ledger_on_postgresql() as ledger:
        yield ledger


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application `APP` of the test's module, as a web worker has it."""
    with web_worker(tmp_path, request.module.APP, monkeypatch) as module:
        yield module


@pytest.fixture
def target() -> Iterator[TargetServer]:
    """A real HTTP server that records requests, and behaves as their paths say."""
    with TargetServer() as server:
        yield server
