"""
`scheduler.state`, shared by web workers, jobs in threads and jobs in processes of their own; its locks are
released when their holders end.
"""

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, daemon, eventually, stat_of
from tests.support.jobs import shop_file
from tests.support.moments import PATIENCE_S
from tests.support.web import gunicorn
from tests.support.web_worker import web_worker
from tminus.errors import LockTimeout
from tminus.flask import ledgers
from tminus.ledger.engine import open_ledger
from tminus.ledger.tables import state


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application as a web worker has it, beside a ledger."""
    open_ledger(f"sqlite:///{tmp_path}/ledger/ledger.db").close()
    with web_worker(tmp_path, "state", monkeypatch) as module:
        yield module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, DaemonProcess]]:
    """The application and its daemon, for the tests that do not kill the daemon."""
    folder = tmp_path_factory.mktemp("site")
    with (
        pytest.MonkeyPatch.context() as patch,
        web_worker(folder, "state", patch) as module,
        daemon(folder, jobs_file()) as process,
    ):
        yield module, process


@pytest.fixture
def shared(site: tuple[Any, DaemonProcess], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, DaemonProcess]:
    """The same, without anything that another test has shared."""
    _, process = site
    monkeypatch.setenv("TMINUS_LEDGER", process.ledger)
    (process.folder / "go").unlink(missing_ok=True)
    with ledgers.ledger().write() as connection:
        connection.execute(state.delete())
    return site


def jobs_file() -> str:
    """A job in a thread, and one in a process, for each function."""
    jobs: dict[str, Any] = {}
    for isolate in ("thread", "process"):
        for name, kwargs in {
            "count": {"times": 10},
            "count_by_hand": {"times": 5},
            "hold": {"name": isolate},
            "dies": {"name": isolate, "dies": True},
            "wrong": {},
            "too_late": {},
            "in_a_fork": {},
            "hands_over": {},
        }.items():
            ref = f"shop:{name if name != 'dies' else 'hold'}"
            jobs[f"{name}_{isolate}"] = {
                "schedule": "manual",
                "call": {"ref": ref, "kwargs": kwargs, "isolate": isolate, "app": "shop"},
            }
    return shop_file(jobs)


def result(running: DaemonProcess, job: str) -> Any:
    """What a job returned."""
    (occurrence,) = running.json("run-now", job)
    assert occurrence["outcome"] == "succeeded", running.json("logs", occurrence["id"])
    return json.loads(running.json("logs", occurrence["id"])["output"])


def begun(shop: Any, name: str) -> int:
    """The process of that holder, when it has the lock."""
    holder: list[Any] = eventually(
        lambda: found if (found := shop.state.get("holder", [""]))[0] == name else None
    )
    return int(holder[1])


def post(url: str) -> Any:
    """The answer."""
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=PATIENCE_S) as answer:  # noqa: S310  http
        return json.load(answer)


def test_workers_with_their_threads_count_each_vote_once(shop: Any, tmp_path: Path) -> None:
    with gunicorn(tmp_path, "shop:app", workers=2) as server, ThreadPoolExecutor(16) as voters:
        numbers = [said["number"] for said in voters.map(lambda _: post(f"{server.url}/count"), range(80))]
    assert sorted(numbers) == list(range(1, 81))
    assert shop.state.get("votes") == 80


def test_a_worker_that_is_killed_lets_go_of_its_lock(shop: Any, tmp_path: Path) -> None:
    with gunicorn(tmp_path, "shop:app", workers=1) as server, ThreadPoolExecutor(1) as browser:
        browser.submit(post, f"{server.url}/hold/worker")
        holder = begun(shop, "worker")
        assert holder in server.workers()
        with pytest.raises(LockTimeout), shop.state.lock("poll", timeout=0.05):
            pass
        os.kill(holder, signal.SIGKILL)
        with shop.state.lock("poll", timeout=PATIENCE_S):
            pass


def test_jobs_and_workers_count_the_same_votes(shared: tuple[Any, DaemonProcess]) -> None:
    shop, running = shared
    jobs = ["count_thread", "count_process", "count_by_hand_thread", "count_by_hand_process"]
    with ThreadPoolExecutor(1) as worker:
        counted = worker.submit(shop.count_by_hand, 5)
        ended = running.json("run-now", *jobs)
        counted.result()
    assert [one["outcome"] for one in ended] == ["succeeded"] * 4
    assert (shop.state.get("votes"), shop.state.get("by hand")) == (20, 15)


@pytest.mark.parametrize("isolate", ["thread", "process"])
def test_a_job_holds_a_lock_and_lets_go_of_it(shared: tuple[Any, DaemonProcess], isolate: str) -> None:
    shop, running = shared
    running.tminus("run-now", "--no-wait", f"hold_{isolate}")
    begun(shop, isolate)
    with pytest.raises(LockTimeout), shop.state.lock("poll", timeout=0.05):
        pass
    other = "process" if isolate == "thread" else "thread"
    assert result(running, f"too_late_{other}") == "the lock 'poll' was not free within 0.1 s"
    (running.folder / "go").touch()
    with shop.state.lock("poll", timeout=PATIENCE_S):
        pass
    running.wait_for(job=f"hold_{isolate}", outcome="succeeded")


@pytest.mark.parametrize("isolate", ["thread", "process"])
def test_a_job_whose_process_is_killed_lets_go_of_its_lock(
    shared: tuple[Any, DaemonProcess], isolate: str
) -> None:
    shop, running = shared
    running.tminus("run-now", "--no-wait", f"dies_{isolate}")
    begun(shop, isolate)
    (running.folder / "go").touch()
    with shop.state.lock("poll", timeout=PATIENCE_S):
        pass
    assert result(running, f"count_{isolate}") == list(range(1, 11))


def test_a_fork_server_that_is_killed_takes_the_jobs_with_it_that_hold_locks(
    shared: tuple[Any, DaemonProcess],
) -> None:
    shop, running = shared
    running.tminus("run-now", "--no-wait", "hold_process")
    holder = begun(shop, "process")
    server = int(stat_of(holder)[1])
    os.kill(server, signal.SIGKILL)
    with shop.state.lock("poll", timeout=PATIENCE_S):
        pass
    eventually(lambda: not Path(f"/proc/{holder}").exists())
    running.wait_for(job="hold_process", outcome="unknown")


def test_a_daemon_that_is_killed_leaves_no_lock_behind(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file()) as running:
        running.tminus("run-now", "--no-wait", "hold_thread")
        begun(shop, "thread")
        running.kill()
        with shop.state.lock("poll", timeout=PATIENCE_S):
            pass


@pytest.mark.parametrize("isolate", ["thread", "process"])
def test_what_goes_wrong_in_a_job_is_what_goes_wrong_in_a_worker(
    shared: tuple[Any, DaemonProcess], isolate: str
) -> None:
    shop, running = shared
    assert (
        result(running, f"wrong_{isolate}")
        == "UsageError: 'flag' is not a counter: its value is true"
        == shop.wrong()
    )


def test_a_job_hands_work_over_from_any_process_of_its_own(shared: tuple[Any, DaemonProcess]) -> None:
    _, running = shared
    for number, isolate in enumerate(("thread", "process"), 1):
        result(running, f"hands_over_{isolate}")
        running.wait_for(job="shop.look", outcome="succeeded", rows=number)


@pytest.mark.parametrize("isolate", ["thread", "process"])
def test_a_process_that_a_job_forks_hears_that_it_cannot(
    shared: tuple[Any, DaemonProcess], isolate: str
) -> None:
    shop, running = shared
    said = "nothing can be submitted or shared in a process that a job has forked"
    assert result(running, f"in_a_fork_{isolate}") == said
    assert shop.state.get("votes") is None


def test_an_application_that_shares_while_it_is_imported_hears_that_it_cannot(
    tmp_path: Path, shop: Any
) -> None:
    with (tmp_path / "shop.py").open("a") as code:
        code.write("state.set('open', True)\n")
    with daemon(tmp_path, jobs_file()) as process:
        said = "nothing can be submitted or shared while the application is being imported"
        for ended in process.json("run-now", "count_thread", "count_process"):
            assert (ended["outcome"], said in ended["reason"]) == ("failed", True)


def test_a_thread_that_takes_its_lock_again_hears_of_it_and_another_waits(shop: Any) -> None:
    entered = threading.Event()

    def enter() -> None:
        with shop.state.lock("poll"):
            entered.set()

    with ThreadPoolExecutor(1) as other:
        with shop.state.lock("poll"):
            with (
                pytest.raises(RuntimeError, match="this thread holds the lock 'poll' already"),
                shop.state.lock("poll"),
            ):
                pass
            waits = other.submit(enter)
            assert not entered.wait(0.2)
        waits.result()


def test_values_are_compared_as_json_has_them(shop: Any) -> None:
    shop.state.set("poll", {"open": True, "by": ["a", 1]})
    assert not shop.state.compare_and_set("poll", {"open": 1, "by": ["a", 1]}, "closed")
    assert shop.state.compare_and_set("poll", {"by": ["a", 1], "open": True}, "closed")
    assert shop.state.get("poll") == "closed"
    assert shop.state.get("nothing", default=7) == 7
