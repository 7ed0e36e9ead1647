"""One run: a contestant, N, a course, a witness; and the medians of several."""

import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import pcap, tls
from bench.arrivals import Arrival, read_log
from bench.capture import Capture, NoCapture
from bench.contestants import Contestant, LeftOut, Start
from bench.course import Course
from bench.figures import Figures, figures, median
from bench.server import Server
from bench.waiting import pause

#: Until the last lines of a log are written.
_LOG_S = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    Attributes:
        left_out: Why there are no figures; empty where there are.
        dropped: Packets that the kernel could not keep for the witness.
    """

    contestant: str
    title: str
    n: int
    start: Start | None = None
    figures: Figures | None = None
    left_out: str = ""
    dropped: int = 0

    def as_json(self) -> dict[str, Any]:
        """All that is known of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The runs of one contestant with one N: medians of times and sizes, sums of what must not be."""

    contestant: str
    title: str
    n: int
    runs: Sequence[Run]

    def __str__(self) -> str:
        return f"N={self.n}, {self.title}"

    @property
    def measured(self) -> list[Run]:
        """Those with figures."""
        return [run for run in self.runs if run.figures]

    @property
    def left_out(self) -> str:
        """Why there is nothing; empty where there is something."""
        return "" if self.measured else next((run.left_out for run in self.runs), "not run")

    def median(self, of: Callable[[Figures], float]) -> float:
        """Of one figure."""
        return median(of(run.figures) for run in self.measured if run.figures)

    @property
    def last_ms(self) -> float:
        """The median of the last requests."""
        return self.median(lambda figures: figures.last_ms)

    @property
    def fewest_armed(self) -> int | None:
        """Of the worst run; None where nothing arms."""
        return min((run.start.armed for run in self.measured if run.start and run.start.armed is not None), default=None)

    def worst(self, of: Callable[[Start], float | None]) -> float:
        """The highest of what was measured beside the wire; NaN where it was not."""
        values = [of(run.start) for run in self.measured if run.start]
        return max((value for value in values if value is not None), default=math.nan)

    @property
    def notes(self) -> list[str]:
        """What to know about these runs."""
        said = [f"left out: {run.left_out}" for run in self.runs if run.left_out]
        said += [run.start.note for run in self.measured if run.start and run.start.note]
        said += [f"{run.dropped} packets were not captured" for run in self.measured if run.dropped]
        said += [f"{run.figures.foreign} foreign requests" for run in self.measured if run.figures and run.figures.foreign]
        return [f"{self}: {words}" for words in said]


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """By N, then by contestant, each in the order of its first run."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.n, run.contestant), []).append(run)
    by_n = sorted(groups.items(), key=lambda item: item[0][0])  # stable: within one N the order stays
    return [Summary(contestant=name, title=found[0].title, n=n, runs=found) for (n, name), found in by_n]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """
    What a witness saw of one start.

    Attributes:
        sent: Requests with their times.
        logged: With their paths, where `sent` has none: inside TLS nobody else can read them.
        dropped: Packets that the kernel could not keep.
    """

    start: Start
    sent: Sequence[Arrival]
    logged: Sequence[Arrival] = ()
    dropped: int = 0


class Witness:
    """
    Tells what reached one server: by packets where they may be captured, else by the server's log.

    Args:
        why_not: Why packets may not be captured; empty where they may.
        interface: Where clients send.
    """

    def __init__(self, server: Server, *, why_not: str, interface: str = "lo") -> None:
        self.server = server
        self._why_not = why_not
        self._interface = interface

    def __str__(self) -> str:
        if self._why_not:
            steps = "in steps of 1 ms" if self.server.is_nginx else "by its own clock"
            return f"times from the server's log, {steps}: packets may not be captured here ({self._why_not})"
        return f"times from the packets on {self._interface}, stamped by the kernel as they are sent"

    def watch(self, act: Callable[[], Start], course: Course) -> Sighting:
        """See what arrives while something is done."""
        offset = self.server.log_file.stat().st_size
        if self._why_not:
            start = act()
            pause(_LOG_S)
            return Sighting(start=start, sent=list(read_log(self.server.log_file, offset)))
        with tempfile.TemporaryDirectory(prefix="tminus-bench-") as folder:
            file = Path(folder) / "packets"
            whole = course.ca is not None
            with Capture(file, port=course.port, interface=self._interface, whole=whole, inside=course.inside) as capture:
                start = act()
            if whole:
                logged = list(read_log(self.server.log_file, offset))
                return Sighting(start=start, sent=list(tls.requests(file)), logged=logged, dropped=capture.dropped)
            return Sighting(start=start, sent=list(pcap.requests(file)), dropped=capture.dropped)


def why_not_capture(folder: Path) -> str:
    """Why packets on loopback may not be captured; empty where they may."""
    try:
        with Capture(folder / "packets", port=1):
            return ""
    except NoCapture as error:
        return str(error)


def run(contestant: Contestant, n: int, course: Course, witness: Witness) -> Run:
    """Let it run once, and see what arrives."""
    try:
        seen = witness.watch(lambda: contestant.run(n, course), course)
    except LeftOut as reason:
        return Run(contestant=contestant.name, title=contestant.title, n=n, left_out=str(reason))
    t_ns = seen.start.t_ns
    if course.ca is None:
        found = figures(seen.sent, t_ns=t_ns, expected=n, prefix=course.prefix)
    else:
        # Times by connection from the packets; what is missing or doubled by path from the log.
        found = figures(seen.sent, t_ns=t_ns, expected=n)
        counts = figures(seen.logged, t_ns=t_ns, expected=n, prefix=course.prefix)
        found = replace(found, missing=counts.missing, doubled=counts.doubled, foreign=counts.foreign)
    return Run(contestant=contestant.name, title=contestant.title, n=n, start=seen.start, figures=found, dropped=seen.dropped)
