"""The contestants that start N requests at T: tminus, its peers, and the limit."""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.course import Course
from bench.installed import NotInstalled, compiled
from bench.machine import ROOT, may_run_real_time, most_files, most_threads
from bench.memory import pss_mb
from bench.tminus_run import Daemon, DaemonFailed, TooSlow, at, daemon, jobs_text
from bench.waiting import SECOND, eventually, wait_until, whole_second
from tminus.policies.lead import Lead

_PATIENCE_S = 120.0
#: Seconds before T at which the daemon collects due jobs. No batch has a longer lead.
LEAD_S = 10


class LeftOut(Exception):
    """The contestant cannot run here. The message has the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """
    A start, as known besides the wire. Only tminus has the fields after `t_ns`, except `note`.

    Attributes:
        t_ns: T, wall clock, nanoseconds.
        armed: Attempts with `armed: true`.
        own_last_ms: The last start offset in the ledger.
        pss_mb: Memory of daemon and executors half a second before T.
        off_by_ms: Difference between start offsets and the notes of the functions, 99th percentile.
        collected_s: Time from LEAD_S before T until all occurrences are claimed; None if the daemon started
            later.
        note: A problem that the contestant reports itself; empty if there is none.
    """

    t_ns: int
    armed: int | None = None
    own_last_ms: float | None = None
    pss_mb: float | None = None
    off_by_ms: float | None = None
    collected_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    Attributes:
        name: Name in the code and in latest.json.
        title: Name for people.
        run: Sends n requests along a course. Returns when all have responses. Raises LeftOut.
    """

    name: str
    title: str
    run: Callable[[int, Course], Start]


def limit(folder: Path) -> Contestant:
    """Return the C program; without a compiler its equivalent in Python, named as such."""
    try:
        command: Sequence[str] = (str(compiled(ROOT / "bench" / "peers" / "limit.c", folder)),)
        title = "(d) limit: C, open sockets, one send each"
    except NotInstalled as reason:
        command = (sys.executable, "-m", "bench.peers.limit")
        title = f"(d) the nearest to the limit in Python: {reason}"

    def run(n: int, course: Course) -> Start:
        t_ns = whole_second(2 + n / 2000)
        _finished(
            [*command, str(n), str(t_ns), course.host, str(course.port), course.prefix], inside=course.inside
        )
        return Start(t_ns=t_ns)

    return Contestant("limit", title, run)


def barrier() -> Contestant:
    """Return the contestant with one thread per job and `threading.Barrier`."""
    return Contestant(
        "barrier", "(b) thread per job, Barrier, PycURL", functools.partial(_peer, "bench.peers.barrier")
    )


def apscheduler() -> Contestant:
    """Return APScheduler with a pool of N threads."""
    return Contestant(
        "apscheduler",
        "(c) APScheduler, pool of N, PycURL",
        functools.partial(_peer, "bench.peers.apscheduler_pool"),
    )


def tminus(priority: str) -> Contestant:
    """Return tminus with `daemon: {priority: auto}` or `normal`."""
    is_real_time = priority == "auto" and may_run_real_time()
    title = f"(a) tminus, {'real-time priority' if is_real_time else f'priority: {priority}'}"
    return Contestant(
        "tminus" if priority == "auto" else f"tminus-{priority}", title, functools.partial(_tminus, priority)
    )


def _peer(module: str, n: int, course: Course) -> Start:
    if (threads := most_threads()) < n + 100:
        raise LeftOut(f"needs {n} threads, {threads} are allowed")
    # An immediate response frees them at once, so this is more than loopback needs.
    if (files := most_files()) < n + 200:
        raise LeftOut(f"needs at least {n + 200} open files, {files} are allowed")
    t_ns = whole_second(2.5 + n / 800)
    words = ["--at", str(t_ns), "--n", str(n), "--url", course.url]
    words += ["--ca", str(course.ca)] if course.ca else []
    said = finish(module, words, inside=course.inside)
    waiting = said.get("waiting_at_t", n)
    return Start(t_ns=t_ns, note="" if waiting == n else f"only {waiting} threads were at the barrier at T")


def finish(
    module: str,
    words: Sequence[str],
    *,
    inside: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """
    Run a peer in Python to its end. Return its report.

    Args:
        inside: Command prefix that enters the network namespace.
        environment: Environment variables besides those of this process.

    Raises:
        LeftOut: the peer fails or takes too long.
    """
    return _finished([sys.executable, "-m", module, *words], inside=inside, environment=environment)


def _finished(
    command: Sequence[str], *, inside: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    whole = os.environ | {"PYTHONPATH": str(ROOT)} | dict(environment or {})
    try:
        done = subprocess.run(
            [*inside, *command], capture_output=True, text=True, check=False, env=whole, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise LeftOut(f"not done after {_PATIENCE_S:.0f} s") from None
    if done.returncode:
        raise LeftOut((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _tminus(priority: str, n: int, course: Course) -> Start:
    urls = [f"{course.url}{index}" for index in range(n)]
    try:
        return in_time(
            lambda t_ns: jobs_text(urls, {"at": at(t_ns)}, priority=priority, ca=course.ca),
            lambda one, t_ns: one_batch(one, t_ns, n),
            n=n,
            inside=course.inside,
        )
    except DaemonFailed as error:
        raise LeftOut(str(error)) from None


def in_time(
    jobs: Callable[[int], str], run: Callable[[Daemon, int], Start], *, n: int, inside: Sequence[str] = ()
) -> Start:
    """
    Start a daemon early enough to be ready before it arms.

    Args:
        jobs: Returns the jobs file for a T.
        run: Called with the daemon.
        n: Jobs in the batch.
        inside: Command prefix that enters the network namespace.

    Raises:
        DaemonFailed: the daemon is never ready.
    """
    lead_s = Lead().for_batch(n) / SECOND + 0.5
    ready_s = 2.5
    while True:
        t_ns = whole_second(lead_s + ready_s)
        with daemon(jobs(t_ns), inside=inside) as one:
            try:
                one.start(timeout_s=(t_ns - time.time_ns()) / SECOND - lead_s)
            except TooSlow:
                # It would arm in the remaining time, which is not measured here.
                one.kill()
                ready_s *= 2
                if ready_s > _PATIENCE_S:
                    raise
            else:
                return run(one, t_ns)


def one_batch(one: Daemon, t_ns: int, n: int) -> Start:
    """Return what a ready daemon reports about its only batch, then stop it."""
    collected_s = _collected_s(one, t_ns, n)
    wait_until(t_ns - SECOND // 2)
    memory = pss_mb(one.pid)
    wait_until(t_ns + SECOND // 2)
    one.wait_for("batch", timeout_s=_PATIENCE_S, planned_at=at(t_ns))
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
        collected_s=collected_s,
        note="; ".join(notes),
    )


def _collected_s(one: Daemon, t_ns: int, n: int) -> float | None:
    began_ns = t_ns - LEAD_S * SECOND
    if time.time_ns() > began_ns:
        return None
    wait_until(began_ns)
    if not eventually(lambda: one.claimed(t_ns) >= n, timeout_s=LEAD_S - 1):
        return None
    return round((time.time_ns() - began_ns) / SECOND, 2)
