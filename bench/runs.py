"""A run (a contestant, N, a course, a witness), and the medians of several runs."""

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

#: Time until the last lines of a log are written.
_LOG_S = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    Attributes:
        left_out: The reason why there are no figures; empty if there are.
        dropped: Packets that the kernel lost.
    """

    contestant: str
    title: str
    n: int
    start: Start | None = None
    figures: Figures | None = None
    left_out: str = ""
    dropped: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return all data of the run, for latest.json."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The runs of one contestant with one N: medians of times and sizes, sums of violations."""

    contestant: str
    title: str
    n: int
    runs: Sequence[Run]

    def __str__(self) -> str:
        return f"N={self.n}, {self.title}"

    @property
    def measured(self) -> list[Run]:
        """The runs with figures."""
        return [run for run in self.runs if run.figures]

    @property
    def left_out(self) -> str:
        """The reason why there are no figures; empty if there are."""
        return "" if self.measured else next((run.left_out for run in self.runs), "not run")

    def median(self, of: Callable[[Figures], float]) -> float:
        """Return the median of one figure."""
        return median(of(run.figures) for run in self.measured if run.figures)

    @property
    def last_ms(self) -> float:
        """The median of the last requests, milliseconds."""
        return self.median(lambda figures: figures.last_ms)

    @property
    def fewest_armed(self) -> int | None:
        """The minimum of all runs; None if the contestant does not arm."""
        return min(
            (run.start.armed for run in self.measured if run.start and run.start.armed is not None),
            default=None,
        )

    def worst(self, of: Callable[[Start], float | None]) -> float:
        """Return the maximum of a value that was measured besides the wire; NaN if it was not measured."""
        values = [of(run.start) for run in self.measured if run.start]
        return max((value for value in values if value is not None), default=math.nan)

    @property
    def notes(self) -> list[str]:
        """Remarks about these runs."""
        said = [f"left out: {run.left_out}" for run in self.runs if run.left_out]
        said += [run.start.note for run in self.measured if run.start and run.start.note]
        said += [f"{run.dropped} packets were not captured" for run in self.measured if run.dropped]
        said += [
            f"{run.figures.foreign} foreign requests"
            for run in self.measured
            if run.figures and run.figures.foreign
        ]
        return [f"{self}: {words}" for words in said]


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """Group runs by N and contestant, in the order of their first runs."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.n, run.contestant), []).append(run)
    by_n = sorted(groups.items(), key=lambda item: item[0][0])  # stable: within one N the order stays
    return [Summary(contestant=name, title=found[0].title, n=n, runs=found) for (n, name), found in by_n]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """
    The requests of one start, as a witness saw them.

    Attributes:
        sent: Requests with their times.
        logged: Requests with their paths, if `sent` has none because of TLS.
        dropped: Packets that the kernel lost.
    """

    start: Start
    sent: Sequence[Arrival]
    logged: Sequence[Arrival] = ()
    dropped: int = 0


class Witness:
    """
    A witness of one server: a packet capture if that is possible, otherwise the server's log.

    Args:
        why_not: The reason why packets cannot be captured; empty if they can.
        interface: Interface that the clients use.
    """

    def __init__(self, server: Server, *, why_not: str, interface: str = "lo") -> None:
        self.server = server
        self._why_not = why_not
        self._interface = interface

    def __str__(self) -> str:
        if self._why_not:
            steps = "in steps of 1 ms" if self.server.is_nginx else "by its own clock"
            return f"times from the server's log, {steps}: packets cannot be captured here ({self._why_not})"
        return f"times from the packets on {self._interface}, stamped by the kernel as they are sent"

    def watch(self, act: Callable[[], Start], course: Course) -> Sighting:
        """Return the requests that arrive during an action."""
        offset = self.server.log_file.stat().st_size
        if self._why_not:
            start = act()
            pause(_LOG_S)
            return Sighting(start=start, sent=list(read_log(self.server.log_file, offset)))
        with tempfile.TemporaryDirectory(prefix="tminus-bench-") as folder:
            file = Path(folder) / "packets"
            whole = course.ca is not None
            with Capture(
                file, port=course.port, interface=self._interface, whole=whole, inside=course.inside
            ) as capture:
                start = act()
            if whole:
                logged = list(read_log(self.server.log_file, offset))
                return Sighting(
                    start=start, sent=list(tls.requests(file)), logged=logged, dropped=capture.dropped
                )
            return Sighting(start=start, sent=list(pcap.requests(file)), dropped=capture.dropped)


def why_not_capture(folder: Path) -> str:
    """Return why packets on loopback cannot be captured; empty if they can."""
    try:
        with Capture(folder / "packets", port=1):
            return ""
    except NoCapture as error:
        return str(error)


def run(contestant: Contestant, n: int, course: Course, witness: Witness) -> Run:
    """Run a contestant once and collect its requests."""
    try:
        seen = witness.watch(lambda: contestant.run(n, course), course)
    except LeftOut as reason:
        return Run(contestant=contestant.name, title=contestant.title, n=n, left_out=str(reason))
    t_ns = seen.start.t_ns
    if course.ca is None:
        found = figures(seen.sent, t_ns=t_ns, expected=n, prefix=course.prefix)
    else:
        # Times per connection come from the packets; missing and doubled, by path, from the log.
        found = figures(seen.sent, t_ns=t_ns, expected=n)
        counts = figures(seen.logged, t_ns=t_ns, expected=n, prefix=course.prefix)
        found = replace(found, missing=counts.missing, doubled=counts.doubled, foreign=counts.foreign)
    return Run(
        contestant=contestant.name,
        title=contestant.title,
        n=n,
        start=seen.start,
        figures=found,
        dropped=seen.dropped,
    )
