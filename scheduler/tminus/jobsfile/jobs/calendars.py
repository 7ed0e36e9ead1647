"""`calendars:`, computed: the time that each of them excepts."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tminus.errors import quoted
from tminus.instants import SECOND
from tminus.jobsfile.jobs.calendar_sources import YEARS_AHEAD, CalendarError, events, holidays
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.jobs.sections import NamedCalendar
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.report import Report
from tminus.jobsfile.types.calendar_types import CalendarSpec, RangeSpec, TimeRange
from tminus.schedule.dst import year_of
from tminus.schedule.limits import merged
from tminus.suggestions import suggest

_MOST_BYTES = 4 << 20
_SOURCES = "give it country:, dates:, ranges: or ics:"
#: Holidays and recurring events are computed for whole steps of years. Within a step, a calendar that nobody
#: has changed has the same contents, so the schedules that use it stay the same.
_STEP = 5


class Calendars:
    """
    The calendars of one load. Not thread-safe.

    Args:
        external: The references to files.
        now_ns: Wall clock, nanoseconds since the Unix epoch.

    Attributes:
        written: Each calendar as in the file, with a hash of its contents.
        files: The absolute paths of the files that they come from.
    """

    def __init__(self, external: ExternalReferences, now_ns: int) -> None:
        self.written: dict[str, Mapping[str, Any]] = {}
        self.files: list[str] = []
        self._external = external
        first = year_of(now_ns // SECOND) // _STEP * _STEP - 1
        self._years = range(first, first + _STEP + 1 + YEARS_AHEAD)
        self._ranges: dict[str, Sequence[TimeRange]] = {}
        self._excepted: dict[tuple[tuple[str, ...], str], tuple[tuple[int, int], ...]] = {}

    def add(self, named: Mapping[str, NamedCalendar], report: Report) -> None:
        """Compute these calendars, and report what is wrong with them."""
        for name, calendar in named.items():
            faults: list[Fault] = []
            self._ranges[name] = tuple(self._compute(calendar, faults))
            for fault in faults:
                report.fault([calendar.layer], fault)
            digest = hashlib.sha256(repr(self._ranges[name]).encode()).hexdigest()[:12]
            self.written[name] = {**calendar.layer.value, "sha256": digest}

    @property
    def names(self) -> Collection[str]:
        """The names of the calendars, also of those with a fault."""
        return self._ranges.keys()

    def unknown(self, names: Iterable[str]) -> Iterator[Fault]:
        """Yield a fault for each name that no calendar has; paths begin below the list."""
        for index, name in enumerate(names):
            if name not in self._ranges:
                hint = suggest(name, self._ranges, otherwise="calendars stand under calendars: at the top")
                yield Fault(message=f"no calendar {quoted(name)}", path=(index,), hint=hint)

    def excepted(self, names: Iterable[str], zone: str) -> tuple[tuple[int, int], ...]:
        """
        Return the ranges that these calendars except in a zone, ascending and disjoint. Each is its first
        second since the Unix epoch, and the one after its last.
        """
        key = tuple(names), zone
        if key not in self._excepted:
            ranges = (one for name in key[0] for one in self._ranges.get(name, ()))
            self._excepted[key] = merged(one.seconds(zone) for one in ranges)
        return self._excepted[key]

    def _compute(self, calendar: NamedCalendar, faults: list[Fault]) -> Iterator[TimeRange]:
        spec = calendar.model
        if not calendar.is_faulty:
            faults += _faults(spec)
        if faults or calendar.is_faulty:
            return
        yield from spec.dates or ()
        for index, written in enumerate(spec.ranges or ()):
            found = _range(written)
            if isinstance(found, Fault):
                faults.append(found.under("ranges", index))
            else:
                yield found
        try:
            if spec.country is not None:
                yield from holidays(spec.country, spec.subdivision, self._years)
            if spec.ics is not None:
                yield from self._events(spec.ics)
        except CalendarError as error:
            faults.append(Fault(message=error.message, path=(error.key,), hint=error.hint))

    def _events(self, path: str) -> Sequence[TimeRange]:
        self.files.append(self._external.absolute(path))
        content = self._external.read(path, limit=_MOST_BYTES)
        if isinstance(content, Fault):
            raise CalendarError("ics", content.message, content.hint)
        return events(content, self._years)


def _faults(spec: CalendarSpec) -> Iterator[Fault]:
    if all(source is None for source in (spec.country, spec.subdivision, spec.dates, spec.ranges, spec.ics)):
        yield Fault(message="no days", hint=_SOURCES)
    if spec.subdivision is not None and spec.country is None:
        yield Fault(message="needs a country", joint=" ", path=("subdivision",), hint="write country: DE")


def _range(written: RangeSpec) -> TimeRange | Fault:
    if written.from_ is None or written.to is None:
        return Fault(message="give from and to", hint="such as {from: 2026-12-24, to: 2026-12-26T12:00}")
    found = TimeRange(written.from_.first, written.to.last, written.to.precision_s)
    first_s, end_s = found.seconds("UTC")
    if first_s >= end_s:
        message = f"{written.from_.first.moment} is after {written.to.last.moment}"
        return Fault(message=message, hint="write the earlier one at from:")
    return found
