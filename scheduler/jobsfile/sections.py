"""The sections of all files together: settings once, every template and every job once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler.errors import quoted
from scheduler.jobsfile import short_forms
from scheduler.jobsfile.code import CodeDocument
from scheduler.jobsfile.document import Document
from scheduler.jobsfile.faults import Fault, type_name
from scheduler.jobsfile.language import App, Daemon, Settings
from scheduler.jobsfile.merge import Layer
from scheduler.jobsfile.problems import Problem
from scheduler.jobsfile.reader import Path
from scheduler.jobsfile.report import Report
from scheduler.jobsfile.validation import validated
from scheduler.model.code import CodeJob

_FIRST_JOB = 'jobs: {NAME: {schedule: "30 11 * * *", http: https://HOST/PATH}}'
_OF_JOBS = ("defaults", "templates", "jobs")
_ONCE = ("timezone", "ledger", "daemon")


@dataclass(frozen=True, slots=True)
class NamedApp:
    """
    An entry of `apps:`.

    Attributes:
        is_faulty: Its `app` was wrong, so that the model knows none.
    """

    model: App
    layer: Layer
    is_faulty: bool


@dataclass(slots=True)
class Sections:
    """What the files say, before anything is merged."""

    timezone: str | None = None
    ledger: str | None = None
    daemon: Daemon | None = None
    settings: dict[str, Layer] = field(default_factory=dict)  #: where `timezone`, `ledger`, `daemon` stand
    apps: dict[str, NamedApp] = field(default_factory=dict)
    defaults: Layer | None = None
    templates: dict[str, Layer] = field(default_factory=dict)
    jobs: dict[str, Layer] = field(default_factory=dict)


def gather(documents: Sequence[Document], report: Report) -> Sections:
    """
    Put the sections of all files together.

    Args:
        documents: The jobs file first.
        report: Gets what is wrong with settings and sections; what stands in a job is not looked at.
    """
    sections = Sections()
    for index, document in enumerate(documents):
        top = Layer(document, (), document.value if isinstance(document.value, dict) else {})
        if document.value is not None and not isinstance(document.value, dict):
            hint = "begin with version: 1, then jobs:"
            report.fault([top], Fault(words=f"the file must be a map, got {type_name(document.value)}", hint=hint))
        elif document.value is not None:
            _settings(sections, top, report, is_first=index == 0)
            _defaults(sections, top, report)
            _named(sections.templates, "template", top, report)
            _named(sections.jobs, "job", top, report)
    if documents and not sections.jobs and not sections.apps and not report.errors:
        report.add(Problem(path=documents[0].path, message="no jobs defined (add a 'jobs:' mapping)", hint=_FIRST_JOB))
    return sections


def _settings(sections: Sections, top: Layer, report: Report, *, is_first: bool) -> None:
    found = validated(Settings, {key: value for key, value in top.value.items() if key not in _OF_JOBS})
    for fault in found.faults:
        report.fault([top], fault)
    if is_first and found.model.version is None and not found.is_faulty("version"):
        report.fault([top], Fault(words="version is missing", hint="write version: 1 at the top"))
    for key in _ONCE:
        value = getattr(found.model, key)
        if found.is_faulty(key):
            sections.settings.setdefault(key, top)  # it is there, though it is wrong
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
        elif app is not None:
            sections.apps[name] = NamedApp(app, layer, is_faulty=found.is_faulty("apps", name, "app"))


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
            known[name] = Layer(top.document, path, short_forms.job(_map_at(top, path, report) or {}), f"template {name}")
        elif value is None or _map_at(top, path, report) is not None:
            known[name] = Layer(top.document, path, short_forms.job(value or {}))


def _map_at(top: Layer, path: Path, report: Report) -> dict[str, Any] | None:
    """The map at a path; null is none, and no fault."""
    value: Any = top.value
    for step in path:
        value = value.get(step)
    if value is not None and not isinstance(value, dict):
        report.fault(
            [top], Fault(words=f"must be a map, got {type_name(value)}", joint=" ", path=path, hint="write key: value below it")
        )
    return value if isinstance(value, dict) else None


def with_code(sections: Sections, code: Iterable[CodeJob], report: Report) -> Sections:
    """
    The same, and the jobs that the code of its applications defines behind those of the files.

    Args:
        report: Gets what two places define.
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
            report.fault([layer], Fault(words=job.error, on_key=True, hint=hint))
        if job.name in jobs:
            _given_twice(f"job {quoted(job.name)}", jobs[job.name], layer, ("jobs", job.name), report)
        else:
            jobs[job.name] = layer
    return replace(sections, jobs=jobs)


def _given_twice(what: str, first: Layer, second: Layer, path: Path, report: Report) -> None:
    places = f"{_place(first.document, first.base or path)} and {_place(second.document, path)}"
    top = Layer(second.document, (), {})
    report.fault(
        [top], Fault(words=f"{what} defined in {places}", path=path, on_key=True, of_owner=True, hint="keep one of them")
    )


def _place(document: Document, path: Path) -> str:
    return str(document.place(document.spot(path, on_key=True)))
