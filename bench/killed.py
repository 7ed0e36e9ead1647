"""
Background calls from four gunicorn workers while the daemon is killed again and again: the second part of the soak.

Judged from outside: what the web server has answered is held against what the functions have noted, and against the ledger.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from bench.figures import percentile_ms
from bench.machine import ROOT
from bench.table import Verdict, none_of
from bench.tminus_run import Daemon, DaemonFailed, daemon, jobs_text
from bench.waiting import SECOND, eventually

CALLS = 10_000
KILLS = 5
MOST_ATTEMPTS = 3
_APP = "bench.peers.handing_over:app"
_WORKERS, _CLIENTS = 4, 8
_PATIENCE_S = 600.0

#: What the ledger says of a run: its outcome, how often it was called, the number that it returned.
Row = tuple[str | None, int, str | None]


def measure(calls: int) -> list[Verdict]:
    """
    Hand over, kill, and judge; figures are printed.

    Raises:
        DaemonFailed: it ends by itself, or does not come to an end.
    """
    with tempfile.TemporaryDirectory(prefix="tminus-killed-") as folder, socket.create_server(("127.0.0.1", 0)) as door:
        notes = Path(folder) / "notes"
        notes.touch()
        app = {"app": _APP, "directory": str(ROOT), "background": 32}
        with daemon(jobs_text([], {}, apps={"handing_over": app}), BENCH_NOTES=str(notes)) as one:
            one.start()
            with _gunicorn(door, Path(folder) / "gunicorn.log", one.ledger), ThreadPoolExecutor(_CLIENTS) as pool:
                print(f"{calls} background calls from {_WORKERS} workers, {KILLS} times kill -9 of the daemon", flush=True)
                began_ns, port = time.monotonic_ns(), door.getsockname()[1]
                shares = [pool.submit(_hand_over, port, range(client, calls, _CLIENTS)) for client in range(_CLIENTS)]
                _kill_now_and_then(one, notes, calls)
                handed = [each for share in shares for each in share.result()]
            ended = eventually(lambda: _ended(one), timeout_s=_PATIENCE_S, every_s=0.5)
            took_s = (time.monotonic_ns() - began_ns) / SECOND
            if ended is None:
                raise DaemonFailed(f"not all background calls have ended within {_PATIENCE_S:g} s")
            status = one.stop()
        called = Counter(map(int, notes.read_text().split()))
    took = sorted(took_ns for _, _, took_ns in handed)
    print(f"submit p50 {percentile_ms(took, 0.5):.2f} ms, p99 {percentile_ms(took, 0.99):.2f} ms; all ended after {took_s:.0f} s")
    again = sum(times > 1 for times in called.values()), sum(attempts > 1 for _, attempts, _ in ended.values())
    print(f"called more than once: {again[0]}, and so in the ledger: {again[1]}")
    return [
        Verdict(status == 0, f"tminus daemon ended with {status}"),
        Verdict(len(handed) == calls, f"{len(handed)} of {calls} calls were accepted"),
        *accounts({identity: number for number, identity, _ in handed}, called, ended),
    ]


def accounts(accepted: Mapping[str, int], called: Counter[int], rows: Mapping[str, Row]) -> list[Verdict]:
    """
    Whether nothing was lost, and what was called more than once says so.

    Args:
        accepted: The number of each call, by the id that the web server has answered.
        called: How often each number was called.
        rows: What the ledger says, by id.
    """
    lost = [
        f"{number} {rows[one][0] if one in rows else 'is not there'}"
        for one, number in accepted.items()
        if not _is_well(rows.get(one), number)
    ]
    attempts = {number: rows[one][1] for one, number in accepted.items() if one in rows}
    silent = [f"{number} called {called[number]} times" for number, known in attempts.items() if called[number] > known]
    return [
        none_of("accepted and not succeeded in the ledger, nor unknown after three attempts", lost, len(accepted)),
        none_of("accepted and never called", (str(each) for each in accepted.values() if not called[each]), len(accepted)),
        none_of("in the ledger or called, and never accepted", _foreign(accepted, called, rows), len(rows)),
        none_of("called more often than the ledger says", silent, len(accepted)),
    ]


def _is_well(row: Row | None, number: int) -> bool:
    outcome, attempts, result = row or (None, 0, None)
    return (outcome, result) == ("succeeded", str(number)) or (outcome, attempts) == ("unknown", MOST_ATTEMPTS)


def _foreign(accepted: Mapping[str, int], called: Counter[int], rows: Mapping[str, Row]) -> Iterator[str]:
    yield from rows.keys() - accepted.keys()
    yield from map(str, called.keys() - set(accepted.values()))


def _hand_over(port: int, numbers: range) -> list[tuple[int, str, int]]:
    """Number, id and nanoseconds of each, one after another."""
    handed, connection = [], HTTPConnection("127.0.0.1", port, timeout=120)
    for number in numbers:
        connection.request("POST", f"/{number}")
        with connection.getresponse() as answer:
            text = answer.read()
        if answer.status == 202:
            said = json.loads(text)
            handed.append((number, str(said["id"]), int(said["took_ns"])))
    connection.close()
    return handed


def _kill_now_and_then(one: Daemon, notes: Path, calls: int) -> None:
    def begun() -> int:
        return notes.read_bytes().count(b"\n")

    for kill in range(1, KILLS + 1):
        wanted = calls * kill // (KILLS + 1)
        if not eventually(lambda wanted=wanted: begun() >= wanted, timeout_s=_PATIENCE_S):  # type: ignore[misc]
            raise DaemonFailed(f"only {begun()} of {calls} background calls have begun")
        one.kill()
        one.start()
        print(f"  killed and started again after {wanted} calls had begun", flush=True)


def _ended(one: Daemon) -> dict[str, Row] | None:
    rows = one.background_runs()
    return rows if all(outcome for outcome, _, _ in rows.values()) else None


@contextlib.contextmanager
def _gunicorn(door: socket.socket, log: Path, ledger: str) -> Iterator[None]:
    options = ["--bind", f"fd://{door.fileno()}", "--workers", str(_WORKERS), "--threads", "4"]
    command = [sys.executable, "-m", "gunicorn", _APP, *options]
    environment = os.environ | {"TMINUS_LEDGER": ledger}
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output, pass_fds=[door.fileno()])
    try:
        yield
    finally:
        server.terminate()
        server.wait(60)
