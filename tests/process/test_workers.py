"""
Any number of web workers: a job that five processes import is defined once, and no connection crosses a fork.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.moments import PATIENCE_S
from tests.support.web import Gunicorn, gunicorn


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the application."""
    return install("workers", tmp_path)


@contextmanager
def served(folder: Path, *options: str, workers: int = 4, threads: int = 4) -> Iterator[Gunicorn]:
    """The application behind its workers."""
    env = {"TMINUS_LEDGER": f"sqlite:///{folder}/ledger/ledger.db"}
    with gunicorn(folder, "shop:app", *options, workers=workers, threads=threads, env=env) as server:
        yield server


def hand_over(server: Gunicorn, number: int) -> dict[str, str]:
    """What a view answers that hands over this number."""
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE_S)
    try:
        connection.request("GET", f"/work/{number}")
        return json.load(connection.getresponse())  # type: ignore[no-any-return]
    finally:
        connection.close()


def hand_over_in_all(server: Gunicorn) -> dict[int, int]:
    """Requests until every worker has answered; which one answered each."""
    by: dict[int, int] = {}

    def asked() -> bool:
        with ThreadPoolExecutor(8) as pool:
            numbers = range(len(by), len(by) + 16)
            by.update(
                zip(
                    numbers,
                    (int(said["pid"]) for said in pool.map(lambda one: hand_over(server, one), numbers)),
                    strict=True,
                )
            )
        return set(by.values()) == set(server.workers())

    eventually(asked, what="each worker has answered")
    return by


def notes(folder: Path) -> list[str]:
    """What has been noted."""
    return (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []


def done(folder: Path) -> list[str]:
    """The calls that have been noted."""
    return sorted(words for words in notes(folder) if words.startswith("work"))


def open_ledgers(pid: int) -> set[str]:
    """What a process has open of the ledger's files, each with its descriptor."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor)
        if "ledger.db" in target:
            found.add(f"{descriptor.name} {Path(target).name}")
    return found


def locks(pid: int) -> int:
    """How many locks of files the kernel knows this process to hold."""
    return sum(line.split()[4] == str(pid) for line in Path("/proc/locks").read_text().splitlines())


def threads(pid: int) -> int:
    """How many a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="each-imports", marks=pytest.mark.long),
        pytest.param(["--preload"], id="preloaded"),
    ],
)
def test_fire_times_and_submitted_runs_run_once_each_with_any_number_of_workers(
    shop: Path, options: list[str]
) -> None:
    with daemon(shop, shop_file()) as running, served(shop, *options) as server:
        imports = 2 if options else 5  # the runner's is among them
        eventually(lambda: len({words for words in notes(shop) if words.startswith("imported")}) == imports)
        before = len(running.occurrences("tick"))
        expected = sorted(f"work {number}" for number in hand_over_in_all(server))
        eventually(lambda: len(done(shop)) >= len(expected), what="all is done")
        running.wait_for(job="tick", rows=before + 3, outcome="succeeded")
        assert running.stop() == 0
        assert done(shop) == expected
        ran = [one["fire_time"] for one in running.occurrences("tick") if one["outcome"] == "succeeded"]
        assert len(ran) == len(set(ran)) == notes(shop).count("tick")


def test_an_import_starts_no_thread_and_opens_no_ledger(shop: Path) -> None:
    with daemon(shop, shop_file()), served(shop, "--preload", workers=2, threads=1) as server:
        assert server.process
        assert [threads(pid) for pid in (server.process.pid, *server.workers())] == [1] * 3
        assert [open_ledgers(pid) for pid in (server.process.pid, *server.workers())] == [set()] * 3


def test_workers_do_not_inherit_the_ledger_of_a_preloading_master(
    shop: Path,
) -> None:
    (shop / "at_import").touch()
    with daemon(shop, shop_file()), served(shop, "--preload", workers=2) as server:
        eventually(lambda: done(shop) == ["work of the import"])
        assert [open_ledgers(pid) for pid in server.workers()] == [set()] * 2
        by = hand_over_in_all(server)
        # What SQLite must hold for as long as it is open is held by each worker itself, not by notes of its
        # parent's.
        assert all(locks(pid) >= 2 for pid in server.workers())
        expected = sorted(["work of the import", *(f"work {number}" for number in by)])
        eventually(lambda: len(done(shop)) >= len(expected), what="all is done")
        assert done(shop) == expected


@pytest.mark.long
def test_killed_workers_lose_no_accepted_run_and_double_none(
    shop: Path,
) -> None:
    answered: set[int] = set()
    stop = threading.Event()

    def press(first: int) -> int:
        """Hand over one number after the other; returns how many were tried."""
        tried = 0
        while not stop.is_set():
            try:
                hand_over(server, first + tried)
                answered.add(first + tried)
            except (OSError, HTTPException, ValueError):  # its worker was killed, or there is none
                stop.wait(0.05)
            tried += 1
        return tried

    with (
        daemon(shop, shop_file()) as running,
        served(shop, workers=2) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        tries = [pool.submit(press, thread * 100_000) for thread in range(8)]
        try:
            for round_ in (1, 2):
                eventually(lambda round_=round_: len(answered) > 16 * round_, what="some are answered")  # type: ignore[misc]
                os.kill(server.workers()[0], signal.SIGKILL)
            server.kill()
            server.start()
            before = len(answered)
            eventually(lambda: len(answered) > before + 16, what="it goes on")
        finally:
            stop.set()
        tried = {
            thread * 100_000 + number for thread, one in enumerate(tries) for number in range(one.result())
        }
        assert len(answered) < len(tried)
        _judge(running, shop, answered, tried)


def _judge(running: DaemonProcess, folder: Path, answered: set[int], tried: set[int]) -> None:
    eventually(lambda: _is_over(running), what="all has ended")
    numbers = [int(words.split()[1]) for words in done(folder)]
    assert len(numbers) == len(set(numbers)) == len(running.occurrences("shop.work"))
    assert answered <= set(numbers) <= tried


def _is_over(running: DaemonProcess) -> bool:
    return all(one["state"] == "finished" for one in running.occurrences("shop.work"))
