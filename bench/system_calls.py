"""
A daemon is killed at system calls: `strace` sends SIGKILL when a thread makes a call for the n-th time, and
before the call has an effect. The seed selects call and number.

A hundred jobs share each T. Each start recovers from the kill before it. At the end of a ledger the judge of
the fault rounds compares it with the witnesses. At each kill the rows say what may become `unknown`, and what
must not have arrived.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.call_coverage import READY, START, Coverage, Target, count_calls, read, write
from bench.installed import NotInstalled, lacks
from bench.machine import ROOT
from bench.table import Verdict, none_of
from bench.tminus_run import Daemon
from bench.torture.jobs import FOLLOWS, RETRIED, SHUTDOWN_GRACE_S
from bench.torture.judge import Evidence, Row, judge, outcomes
from bench.torture.orphans import adopt_orphans, end_orphans
from bench.torture.rounds import DATABASES
from bench.torture.server import PrivateServer, server_for
from bench.torture.users import Submitter
from bench.torture.witness import Arrival, Witness
from bench.waiting import SECOND, eventually, pause, wait_until
from tminus.errors import TminusError
from tminus.ledger import history
from tminus.ledger.engine import open_ledger

KILLS = 150
NAME = "system-calls.json"
#: Kills of one ledger. The first one is of the daemon that creates it.
_KILLS_PER_LEDGER = 20
#: strace detaches from children when they become programs of their own.
_STRACE = ("strace", "-f", "-qq", "-b", "execve")
#: With -D the daemon is the child of this process, not of strace.
_STRACE_ALL = (*_STRACE, "-D")
_JOBS = 100
_EVERY_S = 4
_PERIOD_NS = _EVERY_S * SECOND
_LEAD_S = 1
#: From the claim of a batch to its last outcomes.
_AROUND_T_S = (-_LEAD_S - 0.2, 0.3)
#: Batches of a daemon that is watched, or killed.
_BATCHES = 2
#: A daemon that has not come to its call after this many times the life of a watched one is killed anyway.
_PATIENCE = 1.5
_READY_S = 120.0
_QUIET_S = 20
_LAST_S = 6
_BACKGROUND_S = 120
_ORPHANS_S = 20
_MOST_ROWS = 1_000_000
_APP = "tortured"
_MODULE = f"bench.peers.{_APP}"

Job = dict[str, Any]


@dataclass(slots=True)
class _Found:
    """What kills have shown on one database."""

    kills: int = 0
    started: int = 0
    not_reached: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def measure(seed: int, kills: int, file: Path) -> list[Verdict]:
    """
    Kill this many daemons on each database, and judge.

    Args:
        seed: Selects the calls, and not the moments at which threads make them.
        file: Has the coverage of all runs.
    """
    if missing := lacks("strace"):
        return [Verdict(True, f"system calls: left out: {missing}")]
    tried = subprocess.run(
        [*_STRACE_ALL, "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return [
            Verdict(True, f"system calls: left out: strace may not trace here: {tried.stderr.strip()[:200]}")
        ]
    adopt_orphans()
    coverage = read(file)
    verdicts: list[Verdict] = []
    for database in DATABASES:
        print(f"{kills} kills at system calls on {database}, seed {seed}", flush=True)
        covered = coverage.setdefault(database, Coverage())
        try:
            found = _kill_all(database, kills, Random(seed), covered)
        except NotInstalled as error:
            verdicts.append(Verdict(True, f"{database}: left out: {error}"))
            continue
        finally:
            write(file, coverage)
        print(
            f"  {database}: system calls reached in all runs: {covered}; {len(covered.most)} names",
            flush=True,
        )
        shown = f"{found.kills} of {kills} daemons killed at their system call on {database}"
        verdicts += [
            Verdict(found.kills > 0, f"{shown}, seed {seed}; the others were killed later"),
            none_of(f"violations after kills at system calls on {database}", found.violations, found.started),
        ]
    return verdicts


def _kill_all(database: str, kills: int, random: Random, coverage: Coverage) -> _Found:
    found = _Found()
    with server_for(database) as server:
        with _ledger(server) as one:
            one.store_bytecode()
        with _ledger(server) as one:
            life_s = one.watch(coverage)
        targets = coverage.draw(kills, random)
        print(f"  {coverage} cells reached before; a daemon lives for {life_s:.0f} s", flush=True)
        for start in range(0, kills, _KILLS_PER_LEDGER):
            with _ledger(server) as one:
                for target in targets[start : start + _KILLS_PER_LEDGER]:
                    moment_s = random.uniform(*_AROUND_T_S)
                    if one.kill_at(target, moment_s, life_s * _PATIENCE, found):
                        coverage.reached.add(target.cell)
                violations = one.finish()
                found.violations += violations
                one.keeps = bool(violations)
            figures = f"killed {found.kills} of {found.started}, {len(found.violations)} violations"
            print(f"  {figures}; cells {coverage}", flush=True)
    if found.not_reached:
        print(f"  not reached in time: {', '.join(found.not_reached)}", flush=True)
    return found


@contextlib.contextmanager
def _ledger(server: PrivateServer | None) -> Iterator["_Ledger"]:
    """A new ledger with its witnesses. Its folder stays after a violation."""
    folder = Path(tempfile.mkdtemp(prefix="tminus-calls-"))
    keeps = True
    try:
        with contextlib.ExitStack() as stack:
            url = (
                stack.enter_context(server.schema(folder.name))
                if server
                else f"sqlite:///{folder}/ledger/ledger.db"
            )
            witness = stack.enter_context(Witness(folder))
            one = _Ledger(folder, url, witness, server)
            stack.callback(one.close)
            yield one
        keeps = one.keeps
    except SystemExit:  # interrupted
        keeps = False
        raise
    finally:
        if keeps:
            print(f"  the evidence is in {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


class _Ledger:
    """One ledger, its witnesses, a web worker that submits, and the daemons that are killed."""

    def __init__(self, folder: Path, url: str, witness: Witness, server: PrivateServer | None) -> None:
        self.keeps = False
        self._folder = folder
        self._url = url
        self._witness = witness
        self._server = server
        (folder / "flags").mkdir()
        self._text = jobs_text(witness.url)
        self._environment = {"TORTURE_FOLDER": str(folder), "TMINUS_LEDGER": url}
        self._submitter = Submitter(folder, {**_ours(), **self._environment})
        self._submitter.start()
        self._since_ns = 0
        self._daemon: Daemon | None = None
        self._was_released: set[str] = set()
        self._violations: list[str] = []

    def store_bytecode(self) -> None:
        """Let a daemon store the bytecode of what it imports, so that the next one does not."""
        one = self._start()
        one.wait_for("ready", timeout_s=_READY_S)
        one.kill()

    def watch(self, coverage: Coverage) -> float:
        """Let a daemon run some batches, and count its system calls. Return the seconds that this took."""
        log = self._folder / "calls"
        began_ns = time.monotonic_ns()
        one = self._start(*_STRACE_ALL, "-o", str(log))
        one.wait_for("ready", timeout_s=_READY_S)
        start_bytes = log.stat().st_size
        eventually(lambda: len(self._arrived_at()) >= _BATCHES, timeout_s=_READY_S)
        pause(_EVERY_S / 2)
        one.kill()
        with log.open(errors="replace") as lines:
            lines.readline()  # the execve of the interpreter
            at_start = lines.read(start_bytes)  # calls are in ASCII
            coverage.add_counts(START, count_calls(at_start.splitlines()))
            coverage.add_counts(READY, count_calls(lines))
        return (time.monotonic_ns() - began_ns) / SECOND

    def kill_at(self, target: Target, moment_s: float, patience_s: float, found: _Found) -> bool:
        """
        Start a daemon that is killed there. Return whether it came there in time.

        Args:
            moment_s: For a target of a daemon that is ready: how long after a T its calls begin to count.
        """
        found.started += 1
        inject = f"inject={target.call}:signal=KILL:when={target.number}"
        options = ("-o", os.devnull, "-e", f"trace={target.call}", "-e", inject)
        if target.phase == START:
            one = self._start(*_STRACE_ALL, *options)
            status = one.status_within(patience_s)
        else:
            one = self._start()
            one.wait_for("ready", timeout_s=_READY_S)
            next_ns = -(-(time.time_ns() - round(_AROUND_T_S[0] * SECOND)) // _PERIOD_NS) * _PERIOD_NS
            wait_until(next_ns + round(moment_s * SECOND))
            with subprocess.Popen([*_STRACE, *options, "-p", str(one.pid)]) as tracer:
                status = one.status_within(patience_s)
                tracer.terminate()
        if status is None:
            one.kill()
            found.not_reached.append(str(target))
        elif status == -9:
            found.kills += 1
        else:
            self._violations.append(f"{target}: the daemon ended with {status}: {list(one.log())[-3:]}")
        if not self._since_ns and any(line.get("event") == "ready" for line in one.log()):
            self._since_ns = time.time_ns()
        self._look(str(target))
        return status == -9

    def finish(self) -> list[str]:
        """Let a last daemon recover, be quiet, and stop. Return a sentence for each violation."""
        one = self._start()
        one.wait_for("ready", timeout_s=_READY_S)
        self._since_ns = self._since_ns or time.time_ns()
        self._submitter.stop()
        pause(_QUIET_S)
        eventually(lambda: not self._submits_open(), timeout_s=_BACKGROUND_S, every_s=1)
        until_ns = time.time_ns() - _LAST_S * SECOND
        status = one.stop()
        rows = one.ask("history", "--limit", str(_MOST_ROWS))
        (self._folder / "history.json").write_text(json.dumps(rows))
        names = json.loads(self._text)["jobs"]
        scheduled = [name for name, job in names.items() if job["schedule"] != "manual"]
        evidence = Evidence(
            rows=rows,
            arrivals=self._witness.arrivals(),
            period_ns=dict.fromkeys(scheduled, _PERIOD_NS),
            quick=[name for name in scheduled if not name.startswith(RETRIED)],
            since_ns=self._since_ns,
            until_ns=until_ns,
            submitted=self._submitter.accepted(),
        )
        print(f"  outcomes: {outcomes(rows)}; {len(evidence.submitted)} submits accepted", flush=True)
        found = [
            *self._violations,
            *(f"{what}: {case}" for what, cases, _ in judge(evidence) for case in cases),
        ]
        found += unknown_without_release(rows, self._was_released)
        found += [f"the last daemon ended with {status}"] if status else []
        found += [
            f"{row['id']} was left without an outcome by a daemon that was stopped"
            for row in rows
            if row["state"] == "running" and not row["next_attempt_at"]
        ]
        spared = [self._witness.pid]
        found += [f"left behind: {each}" for each in end_orphans(_ORPHANS_S, spared=spared)]
        (self._folder / "violations").write_text("\n".join(found))
        return found

    def close(self) -> None:
        """End everything that still runs."""
        self._submitter.kill()
        if self._daemon is not None:
            self._daemon.kill()

    def _start(self, *inside: str) -> Daemon:
        self._daemon = Daemon(self._folder, self._text, inside=inside, ledger=self._url, **self._environment)
        self._daemon.launch()
        return self._daemon

    def _look(self, target: str) -> None:
        """Read the ledger as the kill has left it."""
        if self._server is not None:
            self._server.wait_until_idle()
        try:
            with contextlib.closing(open_ledger(self._url, create=False, upgrade=False)) as ledger:
                rows = [one.as_json() for one in history.find(ledger)]
        except TminusError:  # it was not created yet
            return
        self._was_released |= {row["id"] for row in rows if row["state"] == "running"}
        found = sent_without_release(rows, self._witness.arrivals())
        self._violations += [f"{target}: {each}" for each in found]

    def _arrived_at(self) -> set[int]:
        return {each.at_ns // _PERIOD_NS for each in self._witness.arrivals() if each.what == "http"}

    def _submits_open(self) -> bool:
        with contextlib.closing(open_ledger(self._url, create=False)) as ledger:
            return any(
                row.outcome is None for row in history.find(ledger) if row.as_json()["origin"] == "background"
            )


def unknown_without_release(rows: Iterable[Row], released: Collection[str]) -> list[str]:
    """
    Return a sentence for each unknown run that was not between its release and its outcome at any kill.

    Args:
        released: The ids of the runs that were.
    """
    return [
        f"{row['id']} is unknown, and was released at no kill"
        for row in rows
        if row["outcome"] == "unknown" and row["id"] not in released
    ]


def sent_without_release(rows: Iterable[Row], arrivals: Iterable[Arrival]) -> list[str]:
    """
    Return a sentence for each arrival of a run that is claimed, and not released.

    Args:
        rows: The ledger, as the kill has left it.
        arrivals: What has arrived by then.
    """
    # One that waits for its next attempt is claimed, too, and was sent.
    claimed = {row["id"] for row in rows if row["state"] == "claimed" and not row["attempts"]}
    return [
        f"{each.occurrence} has arrived, and is claimed and not released"
        for each in arrivals
        if each.occurrence in claimed
    ]


def jobs_text(url: str) -> str:
    """Return the jobs file, as JSON: a hundred jobs that are due together, and one that a chain starts."""

    def call(function: str, **more: str) -> Job:
        return {"call": {"ref": f"{_MODULE}:{function}", "app": _APP, **more}}

    def link(name: str) -> Job:
        kwargs = {"occurrence": "{{ occurrence.id }}", "name": name}
        return {"call": f"{_MODULE}:link", "app": _APP, "kwargs": kwargs}

    again = {"max_attempts": 3, "initial_interval": "200ms", "max_interval": "1s"}
    others: dict[str, Job] = {
        "call_0": call("quick"),
        "call_1": call("quick"),
        "view": {"flask": {"app": _APP, "endpoint": "view", "method": "POST"}},
        "isolated": call("quick", isolate="process"),
        "chained": {
            "http": f"{url}/chained",
            "app": _APP,
            "then": [{"callback": link("one")}, {"callback": {"run": FOLLOWS}}],
        },
        "chained_call": {**call("quick"), "then": [{"both": link("two")}]},
        f"{RETRIED}_0": {"http": f"{url}/retried?status=503", "retry": again, "on_unknown": "retry"},
        "prepared": {"http": f"{url}/prepared", "app": _APP, "prepare": f"{_MODULE}:sign"},
    }
    requests = {f"get_{index}": {"http": f"{url}/get/{index}"} for index in range(_JOBS - len(others))}
    every = {"schedule": {"every": f"{_EVERY_S}s"}, "overlap": "allow_all"}
    # Half of the jobs are missed after a slow start, the others run late.
    graces = ("3s", "60s")
    jobs = {
        name: {**every, "misfire_grace_time": graces[index % 2], **job}
        for index, (name, job) in enumerate({**requests, **others}.items())
    }
    jobs[FOLLOWS] = {"schedule": "manual", "http": f"{url}/follows", "overlap": "allow_all"}
    file = {
        "version": 1,
        "timezone": "UTC",
        "daemon": {"lead": f"{_LEAD_S}s", "shutdown_grace": f"{SHUTDOWN_GRACE_S}s"},
        "apps": {_APP: {"app": f"{_MODULE}:app", "directory": str(ROOT), "background": 8}},
        "jobs": jobs,
    }
    return json.dumps(file, indent=1)


def _ours() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TMINUS_")}
