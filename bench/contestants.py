"""Who starts N requests at T: tminus, its peers, and the limit."""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.course import Course
from bench.figures import MS
from bench.installed import lacks
from bench.machine import ROOT, most_files, most_threads
from bench.memory import pss_mb
from bench.tminus_run import Daemon, DaemonFailed, at, daemon, jobs_text
from bench.waiting import SECOND, wait_until, whole_second

_PATIENCE_S = 120.0
_LONGEST_LEAD_S = 10
#: A thread that performs has its connection and libcurl's two to wake it.
_FILES_A_THREAD = 3
_TRIES = 3


class LeftOut(Exception):
    """It cannot be run here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """
    What is known of a start beside the wire.

    Attributes:
        t_ns: T.
        armed: Of tminus: attempts with `armed: true`.
        own_last_ms: Of tminus: the last start offset as it tells it itself.
        pss_mb: Of tminus: daemon and executors half a second before T.
        note: What its own words say against it; empty is well.
    """

    t_ns: int
    armed: int | None = None
    own_last_ms: float | None = None
    pss_mb: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    Attributes:
        name: For files and the command line.
        title: For people.
        run: Sends n requests along a course; returns when all are answered. Raises LeftOut.
    """

    name: str
    title: str
    run: Callable[[int, Course], Start]


def limit(folder: Path) -> Contestant:
    """The C program, or where there is no compiler the nearest thing in Python, named as such."""
    if lacks("gcc"):
        command: Sequence[str] = (sys.executable, "-m", "bench.peers.limit")
        title = "(d) the nearest to the limit in Python: no gcc here"
    else:
        binary = folder / "limit"
        subprocess.run(["gcc", "-O2", "-o", str(binary), str(ROOT / "bench" / "peers" / "limit.c")], check=True)
        command, title = (str(binary),), "(d) limit: C, open sockets, one send each"

    def run(n: int, course: Course) -> Start:
        t_ns = whole_second(2 + n / 2000)
        _finish([*command, str(n), str(t_ns), course.host, str(course.port), course.prefix], n, course)
        return Start(t_ns=t_ns)

    return Contestant("limit", title, run)


def barrier() -> Contestant:
    """A thread a job and `threading.Barrier`."""
    return Contestant("barrier", "(b) thread a job, Barrier, PycURL", functools.partial(_peer, "bench.peers.barrier"))


def apscheduler() -> Contestant:
    """APScheduler with a pool of N threads."""
    return Contestant(
        "apscheduler", "(c) APScheduler, pool of N, PycURL", functools.partial(_peer, "bench.peers.apscheduler_pool")
    )


def tminus(priority: str) -> Contestant:
    """tminus with `daemon: {priority: auto}` or `normal`."""
    title = "(a) tminus, real-time priority" if priority == "auto" else "(a) tminus, priority: normal"
    name = "tminus" if priority == "auto" else "tminus-normal"
    return Contestant(name, title, functools.partial(_tminus, priority))


def _peer(module: str, n: int, course: Course) -> Start:
    if (threads := most_threads()) < n + 100:
        raise LeftOut(f"needs {n} threads, {threads} are allowed")
    # An instant answer frees them at once, so that this is more than it takes on loopback.
    if (files := most_files()) < n + 200:
        raise LeftOut(f"needs at least {n + 200} open files, {files} are allowed")
    t_ns = whole_second(2.5 + n / 800)
    words = ["--at", str(t_ns), "--n", str(n), "--url", course.url]
    words += ["--ca", str(course.ca)] if course.ca else []
    said = _finish([sys.executable, "-m", module, *words], n, course)
    waiting = said.get("waiting_at_t", n)
    return Start(t_ns=t_ns, note="" if waiting == n else f"only {waiting} threads were at the barrier at T")


def _finish(command: Sequence[str], n: int, course: Course) -> dict[str, Any]:
    """Run one to its end; what it says of itself."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [*course.inside, *command], capture_output=True, text=True, check=False, env=environment, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise LeftOut(f"not done after {_PATIENCE_S:.0f} s with {n}") from None
    if done.returncode:
        raise LeftOut((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _tminus(priority: str, n: int, course: Course) -> Start:
    ahead_s = 3.5 + min(n / 1000, _LONGEST_LEAD_S) * 1.2
    urls = [f"{course.url}{index}" for index in range(n)]
    for _ in range(_TRIES):
        t_ns = whole_second(ahead_s)
        with daemon(jobs_text(urls, {"at": at(t_ns)}, priority=priority, ca=course.ca), inside=course.inside) as one:
            one.start()
            lead_ns = min(n * 2 * MS + SECOND, _LONGEST_LEAD_S * SECOND)
            if time.time_ns() > t_ns - lead_ns:
                # Started too late for its lead: it arms in the time that is left, which is not what is measured here.
                ahead_s *= 1.5
                continue
            return _one_batch(one, t_ns, n)
    raise LeftOut(f"not ready within {ahead_s:.0f} s")


def _one_batch(one: Daemon, t_ns: int, n: int) -> Start:
    wait_until(t_ns - SECOND // 2)
    memory = pss_mb(one.pid)
    wait_until(t_ns + SECOND // 2)
    try:
        one.wait_for("batch", timeout_s=_PATIENCE_S, planned_at=at(t_ns))
    except DaemonFailed as error:
        raise LeftOut(str(error)) from None
    status = one.stop()
    skew = one.ask("skew")
    outcomes = [occurrence["outcome"] for occurrence in one.ask("history", "--limit", str(2 * n))]
    notes = []
    if (good := outcomes.count("succeeded")) != n or len(outcomes) != n:
        notes.append(f"its history has {good} succeeded of {len(outcomes)}")
    if status:
        notes.append(f"tminus daemon ended with {status}")
    return Start(
        t_ns=t_ns,
        armed=sum(offset["armed"] for offset in skew["offsets"]),
        own_last_ms=skew["last_ms"],
        pss_mb=round(memory, 1),
        note="; ".join(notes),
    )
