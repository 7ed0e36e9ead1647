"""The sections of all files together: settings once, each template and each job once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tminus.errors import quoted
from tminus.jobsfile.jobs import short_forms
from tminus.jobsfile.jobs.channels import ChannelSpec, NamedChannel, StartSloSpec
from tminus.jobsfile.jobs.code_jobs import CodeDocument
from tminus.jobsfile.jobs.schema import AppSpec, DaemonSpec, FileSpec
from tminus.jobsfile.text.document import Document
from tminus.jobsfile.text.faults import Fault, key_fault, type_name
from tminus.jobsfile.text.merge import Layer
from tminus.jobsfile.text.problems import Problem
from tminus.jobsfile.text.report import Report
from tminus.jobsfile.text.tree import Path
from tminus.jobsfile.types.calendar_types import CalendarSpec
from tminus.jobsfile.types.maps import Validated, validate_map
from tminus.model.code_job import CodeJob

_FIRST_JOB = 'jobs: {NAME: {schedule: "30 11 * * *", http: https://HOST/PATH}}'
_KEEP_ONE = "keep one of them"
_ONCE = ("timezone", "ledger", "daemon", "start_slo")


@dataclass(frozen=True, slots=True)
class NamedApp:
    """
    An entry of `apps:`.

    Attributes:
        model: Its keys.
        layer: Its place.
        is_faulty: Whether its key `app` is not valid, so that the model has none.
    """

    model: AppSpec
    layer: Layer
    is_faulty: bool


@dataclass(frozen=True, slots=True)
class NamedCalendar:
    """
    An entry of `calendars:`.

    Attributes:
        model: What it says.
        layer: Its place, and the map as written.
        is_faulty: Whether something in it was wrong.
    """

    model: CalendarSpec
    layer: Layer
    is_faulty: bool


@dataclass(slots=True)
class Sections:
    """The content of the files, before anything is merged."""

    timezone: str | None = None
    ledger: str | None = None
    daemon: DaemonSpec | None = None
    start_slo: StartSloSpec | None = None
    settings: dict[str, Layer] = field(default_factory=dict)  #: the file of each key in `_ONCE`
    channels: dict[str, NamedChannel] = field(default_factory=dict)
    apps: dict[str, NamedApp] = field(default_factory=dict)
    calendars: dict[str, NamedCalendar] = field(default_factory=dict)
    defaults: Layer | None = None
    templates: dict[str, Layer] = field(default_factory=dict)
    jobs: dict[str, Layer] = field(default_factory=dict)


def gather_sections(documents: Sequence[Document], report: Report) -> Sections:
    """
    Put the sections of all files together.

    Args:
        documents: The jobs file first.
        report: Collects what is wrong with settings and sections. Jobs are not checked here.
    """
    sections = Sections()
    for index, document in enumerate(documents):
        top = Layer(document, (), document.value if isinstance(document.value, dict) else {})
        if document.value is not None and not isinstance(document.value, dict):
            hint = "begin with version: 1, then jobs:"
            report.fault(
                [top], Fault(message=f"the file must be a map, got {type_name(document.value)}", hint=hint)
            )
        elif document.value is not None:
            _settings(sections, top, report, is_first=index == 0)
            _defaults(sections, top, report)
            _named(sections.templates, "template", top, report)
            _named(sections.jobs, "job", top, report)
    if documents and not sections.jobs and not sections.apps and not report.errors:
        report.add(
            Problem(
                path=documents[0].path, message="no jobs defined (add a 'jobs:' mapping)", hint=_FIRST_JOB
            )
        )
    return sections


def _settings(sections: Sections, top: Layer, report: Report, *, is_first: bool) -> None:
    found = validate_map(FileSpec, top.value)
    for fault in found.faults:
        report.fault([top], fault)
    if is_first and found.model.version is None and not found.is_faulty("version"):
        report.fault([top], Fault(message="version is missing", hint="write version: 1 at the top"))
    for key in _ONCE:
        value = getattr(found.model, key)
        if found.is_faulty(key):
            sections.settings.setdefault(key, top)  # it exists, but is wrong
            continue
        if value is not None and key in sections.settings:
            _given_twice(key, sections.settings[key], top, (key,), report)
        elif value is not None:
            sections.settings[key] = top
            setattr(sections, key, value)

    for name, app in (found.model.apps or {}).items():
        layer = Layer(top.document, ("apps", name), {})
        if name in sections.apps:
            _given_twice(f"app {quoted(name)}", sections.apps[name].layer, top, ("apps", name), report)
        else:
            sections.apps[name] = NamedApp(app, layer, is_faulty=found.is_faulty("apps", name, "app"))
    written = top.value.get("notify")
    for name in written if isinstance(written, dict) else ():
        layer = Layer(top.document, ("notify", name), {})
        if name in sections.channels:
            _given_twice(
                f"channel {quoted(name)}", sections.channels[name].layer, top, ("notify", name), report
            )
        else:
            channel = (found.model.notify or {}).get(name, ChannelSpec())
            is_faulty = found.is_faulty("notify", name)
            sections.channels[name] = NamedChannel(channel, layer, is_faulty=is_faulty)
    _calendars(sections, top, found, report)


def _calendars(sections: Sections, top: Layer, found: Validated[FileSpec], report: Report) -> None:
    written = top.value.get("calendars")
    for name, value in written.items() if isinstance(written, dict) else ():
        path = ("calendars", name)
        calendar = (found.model.calendars or {}).get(name, CalendarSpec())
        layer = Layer(top.document, path, value if isinstance(value, dict) else {})
        if name in sections.calendars:
            _given_twice(f"calendar {quoted(name)}", sections.calendars[name].layer, top, path, report)
        else:
            sections.calendars[name] = NamedCalendar(calendar, layer, is_faulty=found.is_faulty(*path))


def _defaults(sections: Sections, top: Layer, report: Report) -> None:
    value = _map_at(top, ("defaults",), report)
    if value is None:
        return
    if sections.defaults:
        _given_twice("defaults", sections.defaults, top, ("defaults",), report)
    else:
        sections.defaults = Layer(top.document, ("defaults",), short_forms.job(value), "defaults")


def _named(known: dict[str, Layer], what: str, top: Layer, report: Report) -> None:
    section = f"{what}s"
    for name, value in (_map_at(top, (section,), report) or {}).items():
        path = (section, name)
        if name in known:
            _given_twice(f"{what} {quoted(name)}", known[name], top, path, report)
        elif what == "template":
            known[name] = Layer(
                top.document, path, short_forms.job(_map_at(top, path, report) or {}), f"template {name}"
            )
        elif value is None or _map_at(top, path, report) is not None:
            known[name] = Layer(top.document, path, short_forms.job(value or {}))


def _map_at(top: Layer, path: Path, report: Report) -> dict[str, Any] | None:
    """Return the map at a path. A null is no map, and no fault."""
    value: Any = top.value
    for step in path:
        value = value.get(step)
    if value is not None and not isinstance(value, dict):
        report.fault(
            [top],
            Fault(
                message=f"must be a map, got {type_name(value)}",
                joint=" ",
                path=path,
                hint="write key: value below it",
            ),
        )
    return value if isinstance(value, dict) else None


def add_code_jobs(sections: Sections, code: Iterable[CodeJob], report: Report) -> Sections:
    """
    Return the sections with the jobs that the code of applications defines, after those of the files.

    Args:
        sections: The sections of the files.
        code: The jobs in code.
        report: Collects the names that are defined twice.
    """
    jobs = dict(sections.jobs)
    for job in code:
        if job.app not in sections.apps:
            continue
        document = CodeDocument(job)
        report.file(document)
        layer = Layer(document, ("jobs", job.name), short_forms.job(dict(job.keys)))
        if job.error:
            hint = "define it at the top of a module, or let it be a view"
            report.fault([layer], Fault(message=job.error, on_key=True, hint=hint))
        if job.name not in jobs:
            jobs[job.name] = layer
            continue
        is_override = not jobs[job.name].value.keys() & {"http", "flask", "call"}
        hint = "a job in code is changed in the code" if is_override else _KEEP_ONE
        _given_twice(f"job {quoted(job.name)}", jobs[job.name], layer, ("jobs", job.name), report, hint)
        if is_override:  # without a target, the one in the file would only add faults
            jobs[job.name] = layer
    return replace(sections, jobs=jobs)


def _given_twice(
    what: str, first: Layer, second: Layer, path: Path, report: Report, hint: str = _KEEP_ONE
) -> None:
    places = f"{_place(first.document, first.base or path)} and {_place(second.document, path)}"
    fault = key_fault(path, f"{what} defined in {places}", hint=hint)
    report.fault([Layer(second.document, (), {})], fault)


def _place(document: Document, path: Path) -> str:
    return str(document.place(document.spot(path, on_key=True)))
