"""
The wall clock of a daemon is set by ±1 s to ±1 year, in each phase of a countdown; in the end by 10 years.

Each cell of the matrix has a daemon of its own, with a request, a function and a job that is due every
hour, all at one T. The clock is set for the daemon and all its processes at once. After a step back to
long before T, nothing may start until the clock is corrected to shortly before T.
"""

import json
import random
import re
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.clock.wall import Wall, build
from bench.clock.witness import Witness
from bench.table import Table, Verdict, at_most, none_of
from bench.tminus_run import Daemon, at
from bench.torture.judge import instant_ns
from bench.waiting import SECOND, eventually, pause

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 86_400 * SECOND
YEAR = 365 * DAY
#: When the clock is set, from T on, and how exactly a cell may hit that.
PHASES = {
    "collect": (-2 * SECOND, SECOND // 4),
    "claim": (-SECOND, SECOND // 50),
    "arm": (-SECOND * 7 // 10, SECOND // 5),
    "hold": (-SECOND // 7, SECOND // 20),
    "release": (0, SECOND // 200),
    "running": (SECOND // 2, SECOND // 5),
    "record": (SECOND, SECOND // 50),
}
STEPS = {
    "1 s": SECOND,
    "10 s": 10 * SECOND,
    "1 min": MINUTE,
    "1 h": HOUR,
    "1 day": DAY,
    "1 year": YEAR,
}
GRACE_NS = 30 * SECOND
#: A request and a function take this long: `record` is at the end of it.
_TAKES_S = 1.0
#: The lead, and a step back that needs no correction because T comes soon anyway.
_LEAD, _SOON_NS = "1s", 2 * SECOND
_WATCHED_S = 1.5
_SETTLED_S = 90.0
_AT_ONCE = 6
#: Rows of the job that is due every hour, however many fire times a step has passed.
_MOST_ROWS = 5
#: Accepted growth of the daemon's peak memory by a step of ten years, megabytes.
_MOST_GROWTH_MB = 64.0

_TASKS = """
import pathlib, time

def note():
    with (pathlib.Path(__file__).parent / "entered").open("a") as notes:
        notes.write(f"{time.monotonic_ns()}\\n")
    time.sleep(TAKES_S)
""".replace("TAKES_S", str(_TAKES_S))


@dataclass(frozen=True, slots=True)
class Cell:
    """One phase, and by how much the clock is set in it."""

    phase: str
    step: str

    @property
    def by_ns(self) -> int:
        """By how much the clock is set."""
        return STEPS[self.step[1:]] * (1 if self.step[0] == "+" else -1)

    def __str__(self) -> str:
        return f"{self.step} in {self.phase}"


@dataclass(slots=True)
class Seen:
    """
    What a cell has shown.

    Attributes:
        outcomes: How the request and the function ended.
        offset_s: The later start of the two, after T; None if none started.
        doubled: Occurrences that started more than once.
        early: Starts before T.
        rows: The rows of the job that is due every hour, and how many fire times they stand for.
        due: How many of its fire times have passed.
        wrong: What contradicts the policies.
    """

    outcomes: list[str]
    offset_s: float | None
    doubled: int
    early: int
    rows: int
    counted: int
    due: int
    wrong: list[str]

    def __str__(self) -> str:
        offset = "" if self.offset_s is None else f" {self.offset_s:+.3f} s"
        return f"{'/'.join(sorted(set(self.outcomes)))}{offset}, {self.doubled}, {self.early}, {self.rows}"


def measure(seed: int) -> list[Verdict]:
    """Measure all cells, print the matrix, and judge it."""
    steps = [f"{sign}{step}" for sign in "+-" for step in STEPS]
    cells = [Cell(phase, step) for step in steps for phase in PHASES]
    print(f"{len(cells)} cells and a step of ten years, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tminus-clock-") as folder:
        library = build(Path(folder))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cell") as pool:
            found: dict[Cell, Seen] = {}
            for cell, seen in zip(cells, pool.map(lambda one: run(one, library, seed), cells), strict=True):
                found[cell] = seen
                print(f"  {cell}: {seen}", flush=True)
        growth = _ten_years(library)
    table = Table(
        name="clock",
        title="Steps of the wall clock",
        explained=[
            "Outcome, start after T, starts more than once, starts before T, rows of a job due each hour."
        ],
        header=("step", *PHASES),
        rows=[[step, *(str(found[Cell(phase, step)]) for phase in PHASES)] for step in steps],
    )
    print(table.text(), flush=True)
    return [*judge(found), *growth]


def judge(found: Mapping[Cell, Seen]) -> list[Verdict]:
    """Judge the cells of the matrix."""
    many = len(found)
    return [
        none_of(
            "cells with an occurrence that started more than once",
            (str(c) for c in found if found[c].doubled),
            many,
        ),
        none_of("cells with a start before T", (str(c) for c in found if found[c].early), many),
        none_of(
            "cells with fire times that no row, or more than one row, stands for",
            (
                f"{c} ({found[c].counted} of {found[c].due})"
                for c in found
                if found[c].counted != found[c].due
            ),
            many,
        ),
        none_of(
            f"cells with more than {_MOST_ROWS} rows of the job that is due every hour",
            (str(c) for c in found if found[c].rows > _MOST_ROWS),
            many,
        ),
        none_of(
            "cells with another outcome than their policy says",
            (f"{c}: {'; '.join(found[c].wrong)}" for c in found if found[c].wrong),
            many,
        ),
    ]


def run(cell: Cell, library: Path, seed: int) -> Seen:
    """Run a daemon, set its clock once, and return what that has shown. `library` is from `wall.build`."""
    chance = random.Random(f"{seed} {cell}")
    after_ns, spread_ns = PHASES[cell.phase]
    with tempfile.TemporaryDirectory(prefix="tminus-cell-") as folder:
        wall = Wall(library, Path(folder) / "clock")
        witness, one = Witness(wall, takes_s=_TAKES_S), None
        # No fire time passes before T, however long the start takes.
        t_ns = (wall.now_ns() // HOUR + 2) * HOUR
        wall.show(t_ns - HOUR // 2)
        with witness.serve():
            one = Daemon(Path(folder), _jobs(witness.url, t_ns), **wall.environment)
            (Path(folder) / "tasks.py").write_text(_TASKS)
            try:
                one.start()
                wall.show(t_ns - 4 * SECOND)
                wall.wait_until(t_ns + after_ns + round(chance.uniform(-1, 1) * spread_ns))
                wall.step(cell.by_ns)
                stepped_ns = wall.now_ns()
                wrong = _correct(cell, wall, witness, t_ns, stepped_ns)
                rows = _settled(one, wall, t_ns)
            finally:
                one.kill()
        entered = [int(line) for line in _lines(Path(folder) / "entered")]
    return _seen(cell, rows, witness, wall, entered, t_ns=t_ns, stepped_ns=stepped_ns, wrong=wrong)


def _correct(cell: Cell, wall: Wall, witness: Witness, t_ns: int, stepped_ns: int) -> list[str]:
    """After a step back to long before T, watch that nothing starts, and correct the clock."""
    wrong: list[str] = []
    if cell.by_ns < 0 and t_ns - stepped_ns > _SOON_NS:
        before = len(witness.arrivals)
        pause(_WATCHED_S)
        if len(witness.arrivals) > before and cell.phase not in ("release", "running", "record"):
            wrong.append("something started long before T")
        wall.show(t_ns - 3 * SECOND // 2)
    return wrong


def _settled(one: Daemon, wall: Wall, t_ns: int) -> list[dict[str, object]]:
    """Return the rows when each fire time up to a moment ago has an outcome, or after a while."""

    def settled() -> list[dict[str, object]] | None:
        rows = one.rows()
        now_ns = wall.now_ns()
        is_over = now_ns > t_ns + 3 * SECOND and {row["job"] for row in rows} >= {"request", "function"}
        counted = sum(int(str(row["count"])) for row in rows if row["job"] == "hourly")
        return (
            rows
            if is_over and all(row["outcome"] for row in rows) and counted >= _due(t_ns, now_ns)
            else None
        )

    return eventually(settled, timeout_s=_SETTLED_S, every_s=0.5) or one.rows()


def _due(t_ns: int, now_ns: int) -> int:
    """Return how many hours have come from T on, except for one that is just being handled."""
    return max((now_ns - 15 * SECOND - t_ns) // HOUR + 1, 1)


def _seen(
    cell: Cell,
    rows: Sequence[Mapping[str, object]],
    witness: Witness,
    wall: Wall,
    entered: Sequence[int],
    *,
    t_ns: int,
    stepped_ns: int,
    wrong: list[str],
) -> Seen:
    ours = [row for row in rows if row["job"] in ("request", "function")]
    hourly = [row for row in rows if row["job"] == "hourly"]
    starts = [
        *((instant_ns(one.occurrence.partition("@")[2]), one.monotonic_ns) for one in witness.arrivals),
        *((t_ns, started_ns) for started_ns in entered),
    ]
    late_ns = max(stepped_ns - t_ns, 0) if PHASES[cell.phase][0] <= 0 else 0
    expected = {"missed"} if late_ns > GRACE_NS else {"succeeded"}
    if cell.phase == "release":
        expected |= {"succeeded"}
    for row in ours:
        if row["outcome"] not in expected:
            wrong.append(f"{row['job']} {row['outcome']} ({row['reason']})")
        if row["outcome"] == "missed" and "misfire_grace_time" not in str(row["reason"]):
            wrong.append(f"{row['job']} missed without a reason")
    offsets = [int(str(row["started_at_ns"])) - t_ns for row in ours if row["started_at_ns"]]
    # A fire time of this moment may have been handled already, or not.
    counted, due = sum(int(str(row["count"])) for row in hourly), _due(t_ns, wall.now_ns())
    return Seen(
        outcomes=[str(row["outcome"]) for row in ours],
        offset_s=max(offsets) / SECOND if offsets else None,
        doubled=len(witness.doubled()) + max(len(entered) - 1, 0),
        early=sum(started_ns < wall.first_shown_ns(due_ns) for due_ns, started_ns in starts),
        rows=len(hourly),
        counted=due if 0 <= counted - due <= 1 else counted,
        due=due,
        wrong=wrong,
    )


def _ten_years(library: Path) -> list[Verdict]:
    """Set the clock ten years ahead while jobs are due every second; judge rows and the peak memory."""
    with tempfile.TemporaryDirectory(prefix="tminus-cell-") as folder:
        wall = Wall(library, Path(folder) / "clock")
        witness = Witness(wall, takes_s=0)
        schedules = [{"every": "1s"}, {"cron": "* * * * * *", "timezone": "Europe/Berlin"}]
        jobs = {
            f"job_{index}": {"schedule": schedules[index % 2], "http": witness.url, "coalesce": coalesce}
            for index, coalesce in enumerate(["latest", "earliest", "all", "all"] * 5)
        }
        one = Daemon(
            Path(folder), json.dumps({"version": 1, "timezone": "UTC", "jobs": jobs}), **wall.environment
        )
        with witness.serve():
            try:
                one.start()
                pause(5)
                before_mb, before = _peak_mb(one.pid), len(one.rows())
                wall.step(10 * YEAR)
                stepped_ns = wall.now_ns()
                stands = eventually(
                    lambda: sum(int(str(row["count"])) > 300_000_000 for row in one.rows()) >= len(jobs),
                    timeout_s=_SETTLED_S,
                    every_s=1,
                )
                pause(5)
                rows, after_mb = one.rows(), _peak_mb(one.pid)
            finally:
                one.kill()
    summaries = [row for row in rows if int(str(row["count"])) > 1]
    print(
        f"ten years, {len(jobs)} jobs due each second, to {at(stepped_ns)}: {len(rows) - before} rows, "
        f"{len(summaries)} of them for more than one fire time; peak RSS {before_mb:.1f} MB before, "
        f"{after_mb:.1f} MB after"
    )
    return [
        Verdict(bool(stands), "after ten years each job has a row that stands for all that it missed"),
        none_of("occurrences doubled by a step of ten years", witness.doubled(), len(witness.arrivals)),
        at_most(
            "growth of the peak RSS by a step of ten years", after_mb - before_mb, _MOST_GROWTH_MB, unit=" MB"
        ),
    ]


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _jobs(url: str, t_ns: int) -> str:
    once = {"schedule": {"at": at(t_ns)}}
    return json.dumps(
        {
            "version": 1,
            "timezone": "UTC",
            "daemon": {"lead": _LEAD},
            "defaults": {"misfire_grace_time": f"{GRACE_NS // SECOND}s"},
            "jobs": {
                "request": {**once, "http": url},
                "function": {**once, "call": "tasks:note"},
                "hourly": {"schedule": {"every": "1h"}, "http": url},
            },
        }
    )


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
