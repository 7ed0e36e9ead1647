"""
The jobs of a config version from its text in the ledger, to be shown while the jobs file is not valid.

They are for people, not for a run: any member of the ledger's group may have written the text.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tminus.clock import SystemClock
from tminus.jobsfile.jobs import schema
from tminus.jobsfile.jobs.build import Builder
from tminus.jobsfile.jobs.calendars import Calendars
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.jobs.sections import NamedCalendar, Sections
from tminus.jobsfile.load import Loaded
from tminus.jobsfile.text.document import Document, Spot
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.merge import Layer
from tminus.jobsfile.text.report import Report
from tminus.jobsfile.text.tree import Path
from tminus.jobsfile.text.unexpected_errors import report_unexpected
from tminus.jobsfile.types.calendar_types import CalendarSpec
from tminus.jobsfile.types.maps import Validated, validate_map
from tminus.jobsfile.types.zones import ZONE
from tminus.model.definitions import Definitions
from tminus.model.job import SourceLocation


def load_stored_jobs(text: str, *, version: str, folder: str) -> Loaded | None:
    """
    Return what a config version defines: its jobs and its time zone, and nothing else.

    Args:
        text: `Definitions.text` of that version, from the ledger.
        version: The version.
        folder: The folder of the jobs file.

    Returns:
        None if the text is malformed, or names an iCalendar file that cannot be read any more.
    """
    document, report = _StoredDocument(version), Report()
    now_ns = SystemClock().wall_ns()
    external = ExternalReferences(folder, {}, secrets=None)
    calendars = Calendars(external, now_ns)
    with report_unexpected(document.path, report):
        stored = json.loads(text)
        sections = Sections(
            timezone=ZONE.parse(stored["timezone"]),
            settings={"timezone": Layer(document, (), {})},
            jobs={name: Layer(document, ("jobs", name), job) for name, job in stored["jobs"].items()},
        )
        calendars.add(
            {name: _calendar(document, name, one) for name, one in stored.get("calendars", {}).items()},
            report,
        )
        builder = _StoredBuilder(sections, report, external, calendars, now_ns)
        builder.build()
    if report.errors:
        return None
    definitions = Definitions(
        paths=(), folder=folder, version=version, text=text, zone=stored["timezone"], jobs=builder.jobs
    )
    return Loaded(definitions, (), (), builder, sections, report)


class _StoredDocument(Document):
    """A config version in the ledger. Nobody knows the lines from which it was merged."""

    def __init__(self, version: str) -> None:
        super().__init__(f"config {version}", b"")

    def spot(self, path: Path, *, on_key: bool = False, offset: int | None = None, length: int = 1) -> Spot:
        return Spot(1, 1, length, path)

    def place(self, spot: Spot) -> SourceLocation:
        return SourceLocation(self.path, None)


class _StoredBuilder(Builder):
    """
    A builder that checks only types and schedules. Everything else was checked before the version came into
    force; files and names that it refers to may be gone.
    """

    def _faults(
        self, found: Validated[schema.JobSpec], value: Mapping[str, Any], layer: Layer
    ) -> Iterator[Fault]:
        return iter(())


def _calendar(document: Document, name: str, stored: Mapping[str, Any]) -> NamedCalendar:
    written = {key: value for key, value in stored.items() if key != "sha256"}
    found = validate_map(CalendarSpec, written)
    return NamedCalendar(
        found.model, Layer(document, ("calendars", name), written), is_faulty=bool(found.faults)
    )
