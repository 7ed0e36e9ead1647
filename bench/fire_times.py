"""
Fire times through all transitions of all time zones, from 2020 to 2037.

The first part compares them with the loop of Debian's cron, told again in Python. The second part takes a few
transitions and compares with the real cron. It runs in a mount namespace of its own, with a clock that runs
60 times as fast (libfaketime), so that the system's crontabs are neither read nor changed.
"""

import random
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from bench.table import Verdict, none_of
from tests.support.debian_cron import DAY_S, HOUR_S, MINUTE_S, changes, cron_runs, offset
from tminus.instants import SECOND
from tminus.model.job import Cron
from tminus.schedule.fire_times import between

YEARS = range(2020, 2038)
#: One of each kind that cron treats in its own way.
CRONS = (
    "30 2 * * *",
    "0,15,30,45 0-4,23 * * *",
    "0 0 * * *",
    "5-50/9 1,2,3 * * 0",
    "30 * * * *",
    "*/20 * * * *",
    "*/20 2 * * *",
    "15 */2 * * *",
)
_SPEED = 60
_BEFORE_S, _AFTER_S = HOUR_S, 2 * HOUR_S + 15 * MINUTE_S
#: The first minutes belong to the start of cron, and the last ones may be cut off.
_MARGIN_S = 6 * MINUTE_S
_SCRIPT = textwrap.dedent("""\
    set -e
    mount --bind "$1/tabs" /var/spool/cron/crontabs
    mount --bind "$1/d" /etc/cron.d
    mount --bind "$1/crontab" /etc/crontab
    mount -t tmpfs none /run
    date +%s.%N > "$1/started"
    export TZ="$2" FAKETIME="$3" LD_PRELOAD="$4"
    exec timeout --foreground "$5" /usr/sbin/cron -f
    """)


def measure(seed: int, samples: int = 4) -> list[Verdict]:
    """Compare all zones with the loop of cron, and a few transitions with cron itself."""
    cases, found = scan(available_timezones())
    verdicts = [none_of("fire times differ from cron's rules", found, cases)]
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None or not shutil.which("cron") or not shutil.which("unshare"):
        print("LEFT OUT: the real cron; apt install cron faketime, as root", flush=True)
        return verdicts
    dice = random.Random(seed)
    print(f"the real cron through {samples} transitions, seed {seed}", flush=True)
    drawn = dice.sample(sorted(moving(available_timezones(), YEARS[6:9])), samples)
    return [*verdicts, _compare_with_cron(drawn, library)]


def moving(zones: Iterable[str], years: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Yield each transition: its zone, and the hour in which it is. Of zones that are alike, take one."""
    known = set()
    for zone in sorted(zones):
        hours = tuple(hour for year in years for hour in changes(zone, year))
        place = ZoneInfo(zone)
        shape = tuple((hour, offset(place, hour), offset(place, hour + 2 * HOUR_S)) for hour in hours)
        if shape not in known:
            known.add(shape)
            yield from ((zone, hour) for hour in hours)


def scan(zones: Iterable[str]) -> tuple[int, list[str]]:
    """Return how many cases there were, and those in which fire times are not those of cron's rules."""
    cases, found = 0, []
    for zone, hour in moving(zones, YEARS):
        start, end = hour - 10 * HOUR_S, hour + 12 * HOUR_S
        for text in CRONS:
            cases += 1
            if fire_times(text, zone, start, end) != cron_runs(text, zone, start, end):
                found.append(f"{text} in {zone} at {hour}")
    return cases, found


def fire_times(text: str, zone: str, start_s: int, end_s: int) -> list[int]:
    """Return the fire times of a cron after `start_s`, up to and including `end_s`, in seconds."""
    return [at // SECOND for at in between((Cron(text, zone),), start_s * SECOND, end_s * SECOND)]


def _compare_with_cron(drawn: Sequence[tuple[str, int]], library: Path) -> Verdict:
    cases, found = 0, []
    with tempfile.TemporaryDirectory(prefix="tminus-cron-") as folder:
        runs = [_RealCron(Path(folder) / str(index), *one, library) for index, one in enumerate(drawn)]
        for run in runs:
            run.process.wait()
        for run in runs:
            for text in run.texts:
                cases += 1
                if not run.agrees(text):
                    found.append(f"{text} in {run.zone} at {run.hour}")
    return none_of("fire times differ from the real cron's", found, cases)


class _RealCron:
    """
    A cron that begins an hour before a transition, with three jobs: at a time that the transition touches,
    once an hour, and every 20 minutes.
    """

    def __init__(self, folder: Path, zone: str, hour: int, library: Path) -> None:
        self.zone, self.hour = zone, hour
        self.start_s = hour - _BEFORE_S
        place = ZoneInfo(zone)
        touched = hour + HOUR_S + min(offset(place, hour), offset(place, hour + 2 * HOUR_S)) + 30 * MINUTE_S
        at = datetime.fromtimestamp(touched, ZoneInfo("UTC"))
        self.texts = (f"{at.minute} {at.hour} * * *", f"{at.minute} * * * *", "*/20 * * * *")
        self.files = [folder / f"job_{index}" for index in range(len(self.texts))]
        self.folder = folder
        for name in ("tabs", "d"):
            (folder / name).mkdir(parents=True)
        (folder / "crontab").touch()
        lines = (
            f"{text} /bin/date +\\%s.\\%N >> {file}\n"
            for text, file in zip(self.texts, self.files, strict=True)
        )
        (folder / "tabs" / "root").write_text("SHELL=/bin/sh\n" + "".join(lines))
        (folder / "tabs" / "root").chmod(0o600)
        wall = datetime.fromtimestamp(self.start_s, place).strftime("@%Y-%m-%d %H:%M:%S")
        lasts_s = str((_BEFORE_S + _AFTER_S) // _SPEED)
        command = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(folder), zone, f"{wall} x{_SPEED}"]
        self.process = subprocess.Popen([*command, str(library), lasts_s])

    def agrees(self, text: str) -> bool:
        """Return whether cron ran a job once at each fire time. A busy machine may start it much later."""
        file = self.files[self.texts.index(text)]
        due = fire_times(text, self.zone, self.start_s - 2 * DAY_S, self.hour + _AFTER_S)
        started = float((self.folder / "started").read_text())
        starts = (float(line) - started for line in (file.read_text().split() if file.exists() else ()))
        ran = [
            max(at for at in due if at < self.start_s + start * _SPEED + MINUTE_S) for start in sorted(starts)
        ]
        first, last = self.start_s + _MARGIN_S, self.hour + _AFTER_S - _MARGIN_S
        return [at for at in ran if first < at <= last] == [at for at in due if first < at <= last]
