"""
The second part of the soak: background runs from four gunicorn workers while the daemon is killed repeatedly.

It is judged from outside. The responses of the web server are compared with the notes of the functions and
with the ledger.
"""

import json
import socket
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
from bench.web_server import WORKERS, gunicorn

CALLS = 10_000
KILLS = 5
MOST_ATTEMPTS = 3
APP = "bench.peers.background_app:app"
_CLIENTS = 8
_PATIENCE_S = 600.0

#: A run in the ledger: its outcome, the number of calls, the number that it returned.
Row = tuple[str | None, int, str | None]


def measure(calls: int) -> list[Verdict]:
    """
    Submit, kill and judge. Print the figures.

    Raises:
        DaemonFailed: the daemon ends by itself, or does not end.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tminus-killed-") as folder,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        notes = Path(folder) / "notes"
        notes.touch()
        app = {"app": APP, "directory": str(ROOT), "background": 32}
        with daemon(jobs_text([], {}, apps={"background_app": app}), BENCH_NOTES=str(notes)) as one:
            one.start()
            with (
                gunicorn(APP, door, folder=ROOT, log=Path(folder) / "gunicorn.log", ledger=one.ledger),
                ThreadPoolExecutor(_CLIENTS) as pool,
            ):
                print(
                    f"{calls} background runs from {WORKERS} workers, {KILLS} times kill -9 of the daemon",
                    flush=True,
                )
                began_ns, port = time.monotonic_ns(), door.getsockname()[1]
                shares = [
                    pool.submit(_submit_calls, port, range(client, calls, _CLIENTS))
                    for client in range(_CLIENTS)
                ]
                _kill_now_and_then(one, notes, calls)
                submitted = [each for share in shares for each in share.result()]
            ended = all_ended(one)
            took_s = (time.monotonic_ns() - began_ns) / SECOND
            status = one.stop()
        called = Counter(map(int, notes.read_text().split()))
    took = sorted(took_ns for _, _, took_ns in submitted)
    print(
        f"submit p50 {percentile_ms(took, 0.5):.2f} ms, p99 {percentile_ms(took, 0.99):.2f} ms; all ended "
        f"after {took_s:.0f} s"
    )
    again = (
        sum(times > 1 for times in called.values()),
        sum(attempts > 1 for _, attempts, _ in ended.values()),
    )
    print(f"called more than once: {again[0]}, and so in the ledger: {again[1]}")
    return [
        Verdict(status == 0, f"tminus daemon ended with {status}"),
        Verdict(len(submitted) == calls, f"{len(submitted)} of {calls} calls were accepted"),
        *accounts({identity: number for number, identity, _ in submitted}, called, ended),
    ]


def accounts(accepted: Mapping[str, int], called: Counter[int], rows: Mapping[str, Row]) -> list[Verdict]:
    """
    Judge that nothing was lost, and that repeated calls are recorded.

    Args:
        accepted: The number of each call, by the id in the web server's response.
        called: How often each number was called.
        rows: The runs in the ledger, by id.
    """
    lost = [
        f"{number} {rows[one][0] if one in rows else 'is not there'}"
        for one, number in accepted.items()
        if not _is_well(rows.get(one), number)
    ]
    attempts = {number: rows[one][1] for one, number in accepted.items() if one in rows}
    silent = [
        f"{number} called {called[number]} times"
        for number, known in attempts.items()
        if called[number] > known
    ]
    return [
        none_of(
            "accepted, but neither succeeded nor unknown in the ledger after three attempts",
            lost,
            len(accepted),
        ),
        none_of(
            "accepted, but never called",
            (str(each) for each in accepted.values() if not called[each]),
            len(accepted),
        ),
        none_of("in the ledger or called, but never accepted", _foreign(accepted, called, rows), len(rows)),
        none_of("called more often than recorded in the ledger", silent, len(accepted)),
    ]


def _is_well(row: Row | None, number: int) -> bool:
    outcome, attempts, result = row or (None, 0, None)
    return (outcome, result) == ("succeeded", str(number)) or (outcome, attempts) == (
        "unknown",
        MOST_ATTEMPTS,
    )


def _foreign(accepted: Mapping[str, int], called: Counter[int], rows: Mapping[str, Row]) -> Iterator[str]:
    yield from rows.keys() - accepted.keys()
    yield from map(str, called.keys() - set(accepted.values()))


def _submit_calls(port: int, numbers: range) -> list[tuple[int, str, int]]:
    """Submit calls one after another. Yield number, id and nanoseconds of each."""
    submitted, connection = [], HTTPConnection("127.0.0.1", port, timeout=120)
    for number in numbers:
        connection.request("POST", f"/{number}")
        with connection.getresponse() as answer:
            text = answer.read()
        if answer.status == 202:
            said = json.loads(text)
            submitted.append((number, str(said["id"]), int(said["took_ns"])))
    connection.close()
    return submitted


def _kill_now_and_then(one: Daemon, notes: Path, calls: int) -> None:
    def begun() -> int:
        return notes.read_bytes().count(b"\n")

    for kill in range(1, KILLS + 1):
        wanted = calls * kill // (KILLS + 1)

        if not eventually(lambda wanted=wanted: begun() >= wanted, timeout_s=_PATIENCE_S):  # type: ignore[misc]
            raise DaemonFailed(f"only {begun()} of {calls} background runs have started")
        one.kill()
        one.start()
        print(f"  killed and started again after {wanted} calls had started", flush=True)


def all_ended(one: Daemon) -> dict[str, Row]:
    """
    Wait until all background runs have ended; return their rows.

    Raises:
        DaemonFailed: they do not end.
    """

    def ended() -> dict[str, Row] | None:
        rows = one.background_runs()
        return rows if all(outcome for outcome, _, _ in rows.values()) else None

    found = eventually(ended, timeout_s=_PATIENCE_S, every_s=0.5)
    if found is None:
        raise DaemonFailed(f"not all background runs have ended within {_PATIENCE_S:g} s")
    return found
