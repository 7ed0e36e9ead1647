"""
A part of the soak: new code of an application comes into use while its web workers submit background runs.

The web workers get the new code first, and the daemon's runner afterwards, by `tminus reload`. Meanwhile they
submit functions and arguments that the runner's code does not have. These runs wait for the reload.

It is judged from outside. The responses of the web server are compared with the notes of the functions and
with the ledger.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench import killed
from bench.table import Verdict, none_of
from bench.tminus_run import Daemon, DaemonFailed, daemon, jobs_text
from bench.waiting import SECOND, eventually, pause
from bench.web_server import WORKERS, Refused, gunicorn, submit

SUBMITS = 500
_PEERS = Path(__file__).parent / "peers"
_CLIENTS = 8
#: Between two submits of a client. The deploy takes seconds, and submits go on until it is over.
_PAUSE_S = 0.05
_PATIENCE_S = 600.0


@dataclass(slots=True)
class _Submits:
    """
    What the clients do.

    Attributes:
        accepted: The number of each accepted submit, by the id in the web server's response.
        refused: Responses and errors instead of an id.
        are_enough: Set when the clients end.
    """

    accepted: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    are_enough: threading.Event = field(default_factory=threading.Event)


def measure(submits: int) -> list[Verdict]:
    """
    Submit at least this often, deploy meanwhile, and judge. Print the figures.

    Raises:
        DaemonFailed: the daemon ends by itself, or does not end.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tminus-deploy-") as folder,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        place, notes = Path(folder), Path(folder) / "notes"
        shutil.copy(_PEERS / "deploy_before.py", place / "shop.py")
        jobs = jobs_text([], {}, apps={"shop": {"app": "shop:app", "directory": folder}})
        made = _Submits()
        with (
            daemon(jobs, BENCH_NOTES=str(notes)) as one,
            _serving(one, door, place) as server,
            ThreadPoolExecutor(_CLIENTS) as pool,
        ):
            print(
                f"at least {submits} background runs from {WORKERS} workers, with new code in the middle",
                flush=True,
            )
            try:
                clients = [pool.submit(_submit, door, made, client) for client in range(_CLIENTS)]
                _until(made, submits // 3)
                waiting, waited_s = _deploy(one, server, place)
                _until(made, submits)
            finally:
                made.are_enough.set()
            for client in clients:
                client.result()
            ended = killed.all_ended(one)
            status = one.stop()
        called = Counter(map(int, notes.read_text().split()))
    print(
        f"{len(ended)} runs; {waiting} waited at once, up to {waited_s:.1f} s, until the code was reloaded; "
        f"{len(made.refused)} requests without an id {dict(Counter(made.refused)) or ''}"
    )
    return [
        Verdict(status == 0, f"tminus daemon ended with {status}"),
        Verdict(waiting > 0, f"{waiting} runs waited for newer code"),
        none_of(
            "not succeeded",
            (f"{key} {outcome}" for key, (outcome, _, _) in ended.items() if outcome != "succeeded"),
            len(ended),
        ),
        none_of(
            "called more than once", (str(each) for each, times in called.items() if times > 1), len(called)
        ),
        none_of("with more than one attempt", (key for key, row in ended.items() if row[1] > 1), len(ended)),
        *killed.accounts(made.accepted, called, ended),
    ]


@contextlib.contextmanager
def _serving(one: Daemon, door: socket.socket, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    one.start()
    with gunicorn("shop:app", door, folder=folder, log=folder / "gunicorn.log", ledger=one.ledger) as server:
        yield server


def _deploy(one: Daemon, server: "subprocess.Popen[bytes]", folder: Path) -> tuple[int, float]:
    """
    Replace the code, first that of the web workers. Return how many runs waited for the reload at once,
    and for how many seconds the first of them did.
    """
    shutil.copy(_PEERS / "deploy_after.py", folder / "shop.py")
    server.send_signal(signal.SIGHUP)
    if not eventually(one.waiting_for_code, timeout_s=_PATIENCE_S):
        raise DaemonFailed("no run has ever waited for newer code")
    began_ns = time.monotonic_ns()
    waiting = 0
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(one.run, "reload")
        while not reload.done():
            waiting = max(waiting, one.waiting_for_code())
            pause(_PAUSE_S)
    done = reload.result()
    if done.returncode:
        raise DaemonFailed(f"tminus reload: {done.stderr[-500:]}")
    return waiting, (time.monotonic_ns() - began_ns) / SECOND


def _until(made: _Submits, count: int) -> None:
    if not eventually(lambda: len(made.accepted) >= count, timeout_s=_PATIENCE_S):
        raise DaemonFailed(
            f"only {len(made.accepted)} submits were accepted, not {count}: {made.refused[-3:]}"
        )


def _submit(door: socket.socket, made: _Submits, client: int) -> None:
    """Submit numbers of this client, each over a connection of its own, until there are enough."""
    number = client
    while not made.are_enough.is_set():
        try:
            made.accepted[submit(door.getsockname()[1], number)] = number
        except Refused as refused:
            made.refused.append(str(refused))
        number += _CLIENTS
        pause(_PAUSE_S)
