"""
The faults of a round. Each gets the scene and a random generator of its own, lasts some seconds, and is
undone at its end.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from pysqlite3 import dbapi2

from bench.memory import family
from bench.torture.disks import filled
from bench.torture.jobs import Plan
from bench.torture.keeper import TMINUS, Keeper
from bench.torture.server import PrivateServer
from bench.torture.users import Commands, Submitter
from bench.waiting import pause

#: This long after a fault of the ledger, the end or a failed start of a daemon is excused.
_EXCUSED_S = 30.0
_LANES, _RUNNER, _FORK_SERVER = (
    "tminus.executors.http",
    "tminus.executors.python\0serve",
    "tminus.executors.python\0fork",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """
    Everything that faults can affect.

    Attributes:
        ledger_file: None if the ledger is in PostgreSQL.
        ledger_disk: A small disk for the ledger only; None if there is none.
        temporary: A small disk that is TMPDIR; None if there is none.
        server: None if the ledger is in SQLite.
        options: Options of each command: the jobs file and the ledger.
    """

    folder: Path
    plan: Plan
    keeper: Keeper
    commands: Commands
    submitter: Submitter
    options: Sequence[str]
    environment: dict[str, str]
    ledger_file: Path | None
    ledger_disk: Path | None
    temporary: Path | None
    server: PrivateServer | None

    @property
    def jobs_file(self) -> Path:
        """The jobs file of the daemon."""
        return self.folder / "jobs.yaml"

    def flag(self, name: str) -> None:
        """Make the next call of a function misbehave."""
        (self.folder / "flags" / name).touch()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    Attributes:
        does: Blocks until the fault is over.
        on: What the fault affects. Two faults on one thing never happen at once.
        weight: How often it is selected, relative to the others.
    """

    name: str
    does: Callable[[Scene, Random], object]
    on: str
    weight: int = 2


def faults(scene: Scene) -> list[Fault]:
    """Return the faults that are possible on this scene."""
    found = [
        Fault(name="kill -9 of the daemon", on="daemon", does=_kill_daemon, weight=5),
        Fault(name="SIGTERM", on="daemon", does=_terminate, weight=4),
        Fault(name="two SIGTERMs", on="daemon", does=_terminate_twice, weight=1),
        Fault(name="SIGSTOP of the daemon", on="daemon", does=_pause_daemon, weight=3),
        Fault(name="kill -9 of the lanes", on="lanes", does=_killing(_LANES), weight=4),
        Fault(name="SIGSTOP of the lanes", on="lanes", does=_pausing(_LANES)),
        Fault(name="kill -9 of a runner", on="runner", does=_killing(_RUNNER), weight=3),
        Fault(name="SIGSTOP of a runner", on="runner", does=_pausing(_RUNNER)),
        Fault(name="kill -9 of a fork server", on="fork server", does=_killing(_FORK_SERVER)),
        Fault(name="SIGSTOP of a fork server", on="fork server", does=_pausing(_FORK_SERVER)),
        Fault(name="kill -9 of an isolated job", on="fork server", does=_kill_isolated),
        *(
            Fault(name=f"a function that is {flag}", on=flag, does=_flagging(flag), weight=1)
            for flag in ("hog", "crash", "stubborn", "poison", "submit-poison")
        ),
        Fault(name="ledger locked by another writer", on="ledger", does=_lock_ledger, weight=4),
        Fault(name="broken jobs file", on="file", does=_break_file, weight=3),
        Fault(name="reload storm", on="file", does=_reload_storm),
        Fault(name="log that is not read", on="log", does=_ignore_log),
        Fault(
            name="commands at once", on="commands", does=lambda scene, random: scene.commands.burst(random)
        ),
        Fault(name="second daemon", on="commands", does=_second_daemon),
        Fault(name="kill -9 of the web worker", on="web worker", does=_kill_submitter),
    ]
    if scene.ledger_file is not None:
        found.append(
            Fault(name="removed lock file", on="ledger", does=partial(_remove_lock_file, scene.ledger_file))
        )
    if scene.ledger_disk is not None:
        found.append(
            Fault(
                name="full disk of the ledger", on="ledger", does=partial(_fill, scene.ledger_disk), weight=4
            )
        )
    if scene.temporary is not None:
        found += [
            Fault(name="full /tmp", on="temporary", does=partial(_fill, scene.temporary), weight=3),
            Fault(name="emptied /tmp", on="temporary", does=partial(_empty, scene.temporary), weight=1),
        ]
    if scene.server is not None:
        found += [
            Fault(name="restart of PostgreSQL", on="ledger", does=partial(_restart, scene.server), weight=4),
            Fault(
                name="sessions of PostgreSQL ended",
                on="ledger",
                does=partial(_end_sessions, scene.server),
                weight=4,
            ),
            Fault(name="SIGSTOP of PostgreSQL", on="ledger", does=partial(_pause_server, scene.server)),
        ]
    return found


def _kill_daemon(scene: Scene, random: Random) -> None:
    scene.keeper.kill(random.choice([0, 1, 3, 10]))


def _terminate(scene: Scene, random: Random) -> None:
    scene.keeper.terminate(random.choice([0, 1, 5]))


def _terminate_twice(scene: Scene, random: Random) -> None:
    scene.keeper.terminate(random.choice([0, 2]), twice=True)


def _pause_daemon(scene: Scene, random: Random) -> None:
    with stopped(scene.keeper.pid):
        pause(random.uniform(0.3, 9))


def _killing(role: str) -> Callable[[Scene, Random], None]:
    def kill(scene: Scene, random: Random) -> None:
        for pid in _some(scene, role, random):
            _signal(pid, signal.SIGKILL)

    return kill


def _pausing(role: str) -> Callable[[Scene, Random], None]:
    def hold(scene: Scene, random: Random) -> None:
        for pid in _some(scene, role, random):
            with stopped(pid):
                pause(random.uniform(0.3, 9))

    return hold


def _kill_isolated(scene: Scene, random: Random) -> None:
    jobs = [child for server in processes(scene.keeper.pid, _FORK_SERVER) for child in family(server)[1:]]
    for pid in random.sample(jobs, min(len(jobs), 1)):
        _signal(pid, signal.SIGKILL)


def _flagging(flag: str) -> Callable[[Scene, Random], None]:
    return lambda scene, _random: scene.flag(flag)


def _lock_ledger(scene: Scene, random: Random) -> None:
    seconds = random.uniform(3, 6)
    if scene.server is not None:
        scene.server.lock(random.choice(["occurrences", "releases", "instances", "runs"]), seconds)
    elif scene.ledger_file is not None:
        with contextlib.closing(
            dbapi2.connect(scene.ledger_file, isolation_level=None, timeout=10)
        ) as ledger:
            with contextlib.suppress(dbapi2.OperationalError):  # a full disk, or a lock that is not released
                ledger.execute("BEGIN IMMEDIATE")
            pause(seconds)


def _remove_lock_file(ledger: Path, scene: Scene, _random: Random) -> None:
    scene.keeper.excuse(_EXCUSED_S, run=True)
    ledger.with_name(f"{ledger.name}.lock").unlink(missing_ok=True)


def _fill(disk: Path, scene: Scene, random: Random) -> None:
    with filled(disk):
        seconds = random.uniform(1, 9)
        scene.keeper.excuse(seconds + _EXCUSED_S, run=False)
        pause(seconds)


def _empty(disk: Path, scene: Scene, _random: Random) -> None:
    """Delete everything, like a program that cleans up old files."""
    for file in disk.iterdir():
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)


#: Broken jobs files. The daemon keeps the previous configuration.
_BROKEN = (
    b"",
    b"version: 1\njobs:\n\tx: 1\n",
    b"{version: 1, jobs: {a: {schedule: manual,\n http: 'http://x.example.com/'}},\n? explicit : 1,\n? }\n",
    b"\xff\xfe\x00",
    b'{"version": 1, "jobs": {'
    + b",".join(b'"j%d": {"schedle": "manual", "http": 1}' % index for index in range(300))
    + b"}}",
    b"[" * 30_000,
    b"version: 1\njobs: {only: {schedule: manual, http: 'http://127.0.0.1:1/', app: nowhere}}\n",
)


def _break_file(scene: Scene, random: Random) -> None:
    seconds = random.uniform(1, 6)
    scene.keeper.excuse(seconds + _EXCUSED_S, run=False)
    try:
        if random.random() < 0.2:
            scene.jobs_file.unlink()
        else:
            _replace(scene.jobs_file, random.choice(_BROKEN))
        _hang_up(scene, random)
        pause(seconds)
    finally:
        _replace(scene.jobs_file, scene.plan.text(remark=f"version {random.random()}").encode())
        _hang_up(scene, random)


def _reload_storm(scene: Scene, random: Random) -> None:
    for _ in range(8):
        _replace(scene.jobs_file, scene.plan.text(remark=f"version {random.random()}").encode())
        if pid := scene.keeper.pid if scene.keeper.is_ready else None:
            _signal(pid, signal.SIGHUP)
        pause(random.uniform(0, 0.5))


def _ignore_log(scene: Scene, random: Random) -> None:
    if (log := scene.keeper.log) is not None:
        log.clear()
        pause(random.uniform(3, 20))
        log.set()


def _second_daemon(scene: Scene, random: Random) -> None:
    """Start a second daemon on the same ledger. It must end by itself, or wait and end on SIGTERM."""
    scene.keeper.excuse(_EXCUSED_S, run=False)  # the main daemon may find the second one, and end
    command = [*TMINUS, *scene.options, "daemon"]
    with (scene.folder / "second.log").open("ab") as log:
        second = subprocess.Popen(
            command, env=scene.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    with contextlib.suppress(subprocess.TimeoutExpired):
        second.wait(random.uniform(3, 8))
    second.kill()
    second.wait()


def _kill_submitter(scene: Scene, random: Random) -> None:
    scene.submitter.kill()
    pause(random.uniform(0, 1))
    scene.submitter.start()


def _restart(server: PrivateServer, scene: Scene, random: Random) -> None:
    away_s = random.choice([0, 2, 8])
    scene.keeper.excuse(away_s + 2 * _EXCUSED_S, run=True)
    server.restart(random.choice(["smart", "fast", "immediate"]), away_s)


def _end_sessions(server: PrivateServer, scene: Scene, random: Random) -> None:
    scene.keeper.excuse(_EXCUSED_S, run=True)
    server.end_sessions(random.choice([1.0, 0.3]), random)


def _pause_server(server: PrivateServer, scene: Scene, random: Random) -> None:
    seconds = random.uniform(1, 15)
    scene.keeper.excuse(seconds + _EXCUSED_S, run=True)
    with contextlib.ExitStack() as stack:
        for pid in family(server.pid) if server.pid else ():
            stack.enter_context(stopped(pid))
        pause(seconds)


def processes(pid: int | None, role: str) -> list[int]:
    """
    Return the daemon's processes with this role. A forked process that has not called `exec` does not count.
    """
    found: list[int] = []
    for each in family(pid)[1:] if pid else ():
        with contextlib.suppress(OSError):
            parent = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and role in Path(f"/proc/{each}/cmdline").read_text():
                found.append(each)
    return found


def _some(scene: Scene, role: str, random: Random) -> list[int]:
    found = processes(scene.keeper.pid, role)
    return random.sample(found, min(len(found), 1))


@contextlib.contextmanager
def stopped(pid: int | None) -> Iterator[None]:
    """Stop a process (SIGSTOP) within the block, if there is one."""
    if pid is None:
        yield
        return
    _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _hang_up(scene: Scene, random: Random) -> None:
    if random.random() < 0.5 and scene.keeper.is_ready and (pid := scene.keeper.pid):
        _signal(pid, signal.SIGHUP)


def _replace(file: Path, text: bytes) -> None:
    new = file.with_suffix(f".{threading.get_ident()}")
    new.write_bytes(text)
    new.replace(file)
