"""
One fault round: a daemon, its users, faults selected by a seed, a quiet period, and the verdicts of the
judge.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from bench.installed import NotInstalled
from bench.machine import ROOT
from bench.memory import pss_mb
from bench.table import Verdict
from bench.torture import timeline
from bench.torture.disks import small_disks
from bench.torture.faults import Fault, Scene, faults
from bench.torture.jobs import SHUTDOWN_GRACE_S, Plan
from bench.torture.judge import Evidence, Row, judge, outcomes
from bench.torture.keeper import TMINUS, Keeper, Observed
from bench.torture.orphans import adopt_orphans, end_orphans
from bench.torture.server import PrivateServer, private_server
from bench.torture.users import Commands, Submitter
from bench.torture.witness import Witness
from bench.waiting import SECOND, eventually, pause

SECONDS = 600.0
DATABASES = ("sqlite", "postgresql")
#: Quiet period after the last fault: longer than a misfire grace time, and than any recovery from a fault.
_QUIET_S = 40
#: Fire times this close to the end are not judged, because they may still run.
_LAST_S = 8
_BETWEEN_S = (1.0, 6.0)
#: Share of faults that start before the previous one is over.
_AT_ONCE = 0.25
_BACKGROUND_S = 120
_ORPHANS_S = 20
_PROGRESS_S = 30
_MOST_ROWS = 10_000_000
_SHOWN = 12
_LEDGER_DISK, _TEMPORARY_DISK = "512m", "24m"


@dataclass(frozen=True, slots=True)
class _Sample:
    """The daemon at one instant: open files, threads, and PSS including its descendants."""

    pid: int
    files: int
    threads: int
    pss_mb: float


def measure(
    database: str, seconds: float, seed: int, *, picture: Path, only: Sequence[str] = ()
) -> list[Verdict]:
    """
    Run a daemon on this database under faults for this long, and judge. After a violation the folder with the
    evidence stays.

    Args:
        database: One of `DATABASES`.
        seed: Selects the faults, but not the moments at which they hit the daemon.
        picture: The file for the plot.
        only: Parts of names of faults. If there are any, no other faults happen.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"tminus-torture-{database}-"))
    print(
        f"torture on {database}: {seconds:g} s of faults, then {_QUIET_S} s of quiet; seed {seed}", flush=True
    )
    try:
        verdicts = _Round(folder, database, seconds, seed, picture, only).run()
    except NotInstalled as error:
        verdicts = [Verdict(True, f"{database}: left out: {error}")]
    except SystemExit:  # interrupted
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if all(verdict.ok for verdict in verdicts):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"the evidence is in {folder}", flush=True)
    return verdicts


class _Round:
    def __init__(
        self, folder: Path, database: str, seconds: float, seed: int, picture: Path, only: Sequence[str]
    ) -> None:
        self._only = only
        self._seed = seed
        self._picture = picture
        self._folder = folder
        self._database = database
        self._seconds = seconds
        self._random = Random(seed)
        self._busy: dict[str, threading.Thread] = {}
        self._done: Counter[str] = Counter()
        self._samples: list[_Sample] = []

    def run(self) -> list[Verdict]:
        adopt_orphans()
        for name in ("ledger", "tmp", "flags"):
            (self._folder / name).mkdir()
        with contextlib.ExitStack() as stack:
            stack.callback(end_orphans, 1, spared=[])
            # Before any thread starts, because existing threads do not see the disks.
            disks = {self._folder / "ledger": _LEDGER_DISK, self._folder / "tmp": _TEMPORARY_DISK}
            has_disks = stack.enter_context(small_disks(disks))
            if not has_disks:
                print("  no small disks here (only root may mount them): no disk is filled", flush=True)
            server = (
                stack.enter_context(private_server(self._folder)) if self._database == "postgresql" else None
            )
            witness = stack.enter_context(Witness(self._folder))
            plan = Plan(witness.url, self._folder)
            scene = self._scene(plan, server, has_disks=has_disks)
            stack.callback(scene.keeper.close)
            stack.callback(scene.submitter.kill)
            verdicts = self._torture(scene, witness, plan)
            if not all(verdict.ok for verdict in verdicts) and has_disks:
                shutil.copytree(self._folder / "ledger", self._folder / "ledger-copy")
        return verdicts

    def _scene(self, plan: Plan, server: PrivateServer | None, *, has_disks: bool) -> Scene:
        folder, ledger_file = self._folder, self._folder / "ledger" / "ledger.db"
        ledger = server.url if server else f"sqlite:///{ledger_file}"
        (folder / "jobs.yaml").write_text(plan.text())
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TMINUS_")}
        environment |= {**plan.environment(), "TMPDIR": str(folder / "tmp"), "TMINUS_LEDGER": ledger}
        options = ["--config", str(folder / "jobs.yaml"), "--ledger", ledger]
        return Scene(
            folder=folder,
            plan=plan,
            keeper=Keeper(folder, options, environment, SHUTDOWN_GRACE_S),
            commands=Commands(folder, options, environment, Random(self._random.random())),
            submitter=Submitter(folder, environment),
            options=options,
            environment=environment,
            ledger_file=None if server else ledger_file,
            ledger_disk=folder / "ledger" if has_disks and not server else None,
            temporary=folder / "tmp" if has_disks else None,
            server=server,
        )

    def _torture(self, scene: Scene, witness: Witness, plan: Plan) -> list[Verdict]:
        keeper = scene.keeper
        keeper.start()
        if not keeper.is_ready:
            return [
                Verdict(
                    False,
                    f"the daemon never became ready: {keeper.observed.ended or keeper.observed.unready}",
                )
            ]
        scene.submitter.start()
        scene.commands.start()
        self._draw_faults(scene)
        scene.submitter.stop()
        scene.commands.stop()
        eventually(lambda: keeper.is_ready, timeout_s=_BACKGROUND_S)
        self._watch(keeper, _QUIET_S)
        eventually(
            lambda: not any(row["origin"] == "background" for row in _open(scene)),
            timeout_s=_BACKGROUND_S,
            every_s=5,
        )
        until_ns = time.time_ns() - _LAST_S * SECOND
        keeper.stop()
        rows = _history(scene)
        witness_sees = witness.arrivals()
        left = end_orphans(_ORPHANS_S, spared=[witness.pid])
        evidence = Evidence(
            rows=rows,
            arrivals=witness_sees,
            period_ns=plan.period_ns,
            quick=plan.quick,
            since_ns=keeper.observed.first_ready_ns,
            until_ns=until_ns,
            run_nows=scene.commands.run_nows,
            submitted=scene.submitter.accepted(),
        )
        self._report(scene, evidence)
        return [
            *self._verdicts(judge(evidence)),
            *self._verdicts(_of_processes(keeper.observed, scene.commands, left)),
        ]

    def _draw_faults(self, scene: Scene) -> None:
        known = [
            fault
            for fault in faults(scene)
            if not self._only or any(part in fault.name for part in self._only)
        ]
        until_ns = time.monotonic_ns() + round(self._seconds * SECOND)
        shown_ns = time.monotonic_ns()
        while (now_ns := time.monotonic_ns()) < until_ns:
            self._sample(scene.keeper)
            if now_ns - shown_ns > _PROGRESS_S * SECOND:
                shown_ns = now_ns
                print(
                    f"  {(until_ns - now_ns) / SECOND:.0f} s left, {sum(self._done.values())} faults",
                    flush=True,
                )
            self._busy = {on: thread for on, thread in self._busy.items() if thread.is_alive()}
            if not self._busy or self._random.random() < _AT_ONCE:
                self._begin(self._random.choices(known, [fault.weight for fault in known])[0], scene)
            pause(self._random.uniform(*_BETWEEN_S))
        for thread in self._busy.values():
            thread.join()
        for flag in (scene.folder / "flags").iterdir():
            flag.unlink(missing_ok=True)

    def _begin(self, fault: Fault, scene: Scene) -> None:
        seed = self._random.random()
        if fault.on in self._busy:
            return
        thread = threading.Thread(
            target=self._do, args=(fault, scene, Random(seed)), name=fault.name, daemon=True
        )
        self._busy[fault.on] = thread
        thread.start()

    def _do(self, fault: Fault, scene: Scene, random: Random) -> None:
        began_ns = time.time_ns()
        self._done[fault.name] += 1
        wrong = ""
        try:
            fault.does(scene, random)
        except Exception as error:  # noqa: BLE001  a fault that fails is recorded, and the round continues
            wrong = f"{type(error).__name__}: {error}"
        line = json.dumps(
            {
                "fault": fault.name,
                "at_ns": began_ns,
                "took_s": (time.time_ns() - began_ns) / SECOND,
                "wrong": wrong,
            }
        )
        with (self._folder / "faults").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _watch(self, keeper: Keeper, seconds: float) -> None:
        until_ns = time.monotonic_ns() + round(seconds * SECOND)
        while time.monotonic_ns() < until_ns:
            self._sample(keeper)
            pause(1)

    def _sample(self, keeper: Keeper) -> None:
        with contextlib.suppress(OSError):
            if (pid := keeper.pid) is not None and keeper.is_ready:
                proc = Path(f"/proc/{pid}")
                files, threads = len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))
                self._samples.append(_Sample(pid, files, threads, pss_mb(pid)))

    def _verdicts(self, violations: Sequence[tuple[str, list[str], int]]) -> Iterator[Verdict]:
        with (self._folder / "violations").open("a", encoding="utf-8") as file:
            for what, cases, of in violations:
                file.writelines(f"{what}: {case}\n" for case in cases)
                shown = "".join(f"\n               {case[:300]}" for case in cases[:_SHOWN])
                more = f"\n               and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
                words = f"{self._database}: {len(cases)} of {of} {what}{shown}{more}"
                yield Verdict(not cases, words, value=len(cases), of=of)

    def _report(self, scene: Scene, evidence: Evidence) -> None:
        (self._folder / "history.json").write_text(json.dumps(evidence.rows))
        observed, stops = scene.keeper.observed, scene.keeper.observed.stops
        (self._folder / "observed.json").write_text(json.dumps(asdict(observed)))
        period = {"since_ns": evidence.since_ns, "until_ns": evidence.until_ns}
        (self._folder / "acknowledged.json").write_text(
            json.dumps(period | {"run_nows": list(map(asdict, evidence.run_nows))})
        )
        self._draw(evidence)
        print(f"  faults: {', '.join(f'{times} {name}' for name, times in sorted(self._done.items()))}")
        print(f"  outcomes: {outcomes(evidence.rows)}")
        seen = Counter(one.what for one in evidence.arrivals)
        print(
            f"  witnesses: {dict(seen)}; {len(evidence.submitted)} submits accepted, "
            f"{scene.submitter.refused()} refused"
        )
        statuses = Counter(one.status for one in evidence.run_nows)
        commands = f"{scene.commands.count} commands, {scene.commands.overdue} without an end"
        print(f"  {commands}; run-now by exit status: {dict(statuses)}")
        print(
            f"  daemons: {observed.starts} started, {observed.kills} killed, {observed.excused} ended by "
            "themselves, excused"
        )
        if stops:
            print(f"  {len(stops)} SIGTERMs, at most {max(stop.took_s for stop in stops):.1f} s")
        self._report_leaks()
        for event, times in Counter(_errors(self._folder / "daemon.log")).most_common(10):
            print(f"  log, {times} times: {event}")

    def _draw(self, evidence: Evidence) -> None:
        file = self._folder / "faults"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        periods = [(line["at_ns"], line["at_ns"] + round(line["took_s"] * SECOND)) for line in lines]
        title = (
            f"{self._database}, seed {self._seed}: arrivals per second, and {len(periods)} faults (shaded)"
        )
        arrivals = [one.at_ns for one in evidence.arrivals]
        self._picture.parent.mkdir(parents=True, exist_ok=True)
        self._picture.write_text(
            timeline.render_svg(title, arrivals, periods, evidence.since_ns, evidence.until_ns)
        )
        print(f"  plot: {self._picture}")

    def _report_leaks(self) -> None:
        """Print what the daemon with the longest life held at first and at last."""
        if not self._samples:
            return
        (pid, _), *_ = Counter(sample.pid for sample in self._samples).most_common(1)
        of_one = [sample for sample in self._samples if sample.pid == pid]
        parts = [of_one[:5], of_one[-5:]]
        files, threads, memory = (
            [max(getattr(sample, name) for sample in part) for part in parts]
            for name in ("files", "threads", "pss_mb")
        )
        print(
            f"  the daemon that was seen most often ({len(of_one)} times), at first and at last: "
            f"files {files[0]}, {files[1]}; "
            f"threads {threads[0]}, {threads[1]}; PSS {memory[0]:.0f}, {memory[1]:.0f} MB"
        )


def _of_processes(
    observed: Observed, commands: Commands, left: list[str]
) -> list[tuple[str, list[str], int]]:
    late = [
        f"{stop.how}: {stop.took_s:.1f} s, at most {stop.limit_s:g}"
        for stop in observed.stops
        if stop.took_s > stop.limit_s
    ]
    return [
        ("ends by SIGTERM that took too long", late, len(observed.stops)),
        ("unrequested ends of a daemon", observed.ended, observed.starts),
        ("starts that did not become ready", observed.unready, observed.starts),
        ("commands that ended with a traceback or an undocumented status", commands.wrong, commands.count),
        ("processes left behind", left, observed.starts),
    ]


def _open(scene: Scene) -> list[Row]:
    return [row for row in _history(scene, 3000) if row["outcome"] is None]


def _history(scene: Scene, limit: int = _MOST_ROWS) -> list[Row]:
    """Return the output of `history`, newest first."""
    command = [*TMINUS, *scene.options, "--json", "history", "--limit", str(limit)]
    done = subprocess.run(
        command, cwd=ROOT, env=scene.environment, capture_output=True, text=True, check=False
    )
    found: list[Row] = json.loads(done.stdout)
    return found


def _errors(log: Path) -> Iterator[str]:
    """Return the last line of each traceback in the log, and fatal errors of the interpreter."""
    is_traceback = False
    for line in log.read_text(errors="replace").splitlines():
        if is_traceback and not line.startswith(" "):
            yield f"a traceback: {line[:150]}"
            is_traceback = False
        elif line.startswith("Traceback (most recent call last)"):
            is_traceback = True
        elif line.startswith("Fatal Python error"):
            yield line
        with contextlib.suppress(ValueError):
            fact = json.loads(line)
            if isinstance(fact, dict) and "exception" in fact:
                yield f"{fact.get('event')}: {str(fact['exception']).strip()[-150:]}"
