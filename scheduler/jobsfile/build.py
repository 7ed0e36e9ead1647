"""From the sections of the files to jobs: merged, looked at whole, every fault reported."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scheduler.errors import nearest, quoted
from scheduler.jobsfile import language, short_forms
from scheduler.jobsfile.chains import chain_faults, links_of, rings
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.merge import Layer, merged
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Severity
from scheduler.jobsfile.reader import Path
from scheduler.jobsfile.report import Report
from scheduler.jobsfile.schedules import Scheduled, scheduled
from scheduler.jobsfile.sections import Sections
from scheduler.jobsfile.targets import call_faults, flask_faults, http_faults, target_of
from scheduler.jobsfile.texts import text_faults
from scheduler.jobsfile.validation import Validated, validated
from scheduler.jobsfile.values import NAME, NAME_HINT
from scheduler.model.job import Job, Place
from scheduler.policies.timeouts import Timeouts

_NAME = re.compile(NAME)
_TARGETS = ("http", "flask", "call")
_BUILT_IN: Any = language.Job.model_validate(language.BUILT_IN)


class Builder:
    """
    Builds the jobs of one version. Not thread-safe.

    Args:
        sections: What the files say.
        report: Gets what is wrong.
        outside: What the file names outside itself.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
    """

    def __init__(self, sections: Sections, report: Report, outside: Outside, now_ns: int) -> None:
        self.merged: dict[str, dict[str, Any]] = {}  #: every job, in the words of the file
        self.jobs: dict[str, Job] = {}  #: those without a fault
        self._sections = sections
        self._report = report
        self._outside = outside
        self._now_ns = now_ns
        self._bases: dict[tuple[str, ...], tuple[Mapping[str, Any], list[Layer]]] = {}
        self._assuming_utc: list[Layer] = []

    def build(self) -> None:
        """Look at everything; `jobs` and the report are complete afterwards."""
        if self._sections.defaults:
            self._check_alone(self._sections.defaults)
        for name, layer in self._sections.templates.items():
            self._check_name(name, layer)
            self._check_alone(layer)
        for name, layer in self._sections.jobs.items():
            self._check_name(name, layer)
            self._build(name, layer)
        for name, fault in rings(self.jobs):
            self._report.fault(self.layers(name), fault, user=name)
        if self._assuming_utc:
            many = len(self._assuming_utc)
            words = f"no timezone, so times are UTC ({many} job{'s' if many > 1 else ''})"
            hint = "write timezone: Europe/Berlin at the top of the file"
            fault = Fault(words=words, on_key=True, hint=hint, severity=Severity.WARNING)
            self._report.fault(self._assuming_utc[:1], fault)

    def layers(self, name: str) -> list[Layer]:
        """What a job is merged from, nearest first."""
        layer = self._sections.jobs[name]
        return [layer, *self._base(layer)[1]]

    def _base(self, layer: Layer) -> tuple[Mapping[str, Any], list[Layer]]:
        """What a job starts from, merged, and the layers of it, nearest first."""
        known = self._sections.templates
        extends = tuple(name for name in _names(layer) if isinstance(name, str) and name in known)
        if extends not in self._bases:
            layers = [self._sections.defaults] if self._sections.defaults else []
            layers += [known[name] for name in extends]
            base: Mapping[str, Any] = {}
            for below in layers:
                base = merged(base, below.value)
            self._bases[extends] = base, layers[::-1]
        return self._bases[extends]

    def _check_name(self, name: str, layer: Layer) -> None:
        if not _NAME.fullmatch(name):
            fault = Fault(words=f"id must match {NAME}", hint=NAME_HINT, on_key=True, of_owner=True)
            self._report.fault([layer], fault)

    def _check_alone(self, layer: Layer) -> None:
        if "extends" in layer.value:
            words, hint = "only a job extends templates", "list all of them in the job's extends:"
            self._report.fault([layer], Fault(words=words, path=("extends",), hint=hint, on_key=True, of_owner=True))
        for fault in validated(language.Job, layer.value).faults:
            self._report.fault([layer], fault)

    def _build(self, name: str, layer: Layer) -> None:
        base, below = self._base(layer)
        value = self.merged[name] = merged(base, layer.value)
        found = validated(language.Job, value)
        value.pop("extends", None)
        when = self._when(found, value)
        faults = [*found.faults, *when.faults, *self._faults(found, value, layer)]
        for fault in faults:
            self._report.fault([layer, *below], fault, user=name)
        if when.assumes_utc and "timezone" not in self._sections.settings:
            self._assuming_utc.append(layer)
        if not any(fault.severity is Severity.ERROR for fault in faults):
            place = layer.document.place(layer.document.spot(layer.base, on_key=True))
            self.jobs[name] = replace(job_of(name, found.model, when, self._outside, place), unproven=layer.document.unproven)

    def _when(self, found: Validated[language.Job], value: Mapping[str, Any]) -> Scheduled:
        zone = self._sections.timezone
        if found.is_faulty("schedule"):
            return Scheduled((), "", zone or "UTC")
        return scheduled(found.model.schedule or (), value.get("schedule"), zone=zone, now_ns=self._now_ns)

    def _faults(self, found: Validated[language.Job], value: Mapping[str, Any], layer: Layer) -> Iterator[Fault]:
        """What is wrong between the keys of a job, and with what it names elsewhere."""
        job = found.model
        for index, name in enumerate(_names(layer)):
            if isinstance(name, str) and name not in self._sections.templates:
                near = nearest(name, self._sections.templates)
                hint = f"did you mean {near}?" if near else "templates stand under templates: at the top of the file"
                yield Fault(words=f"no template {quoted(name)}", path=("extends", index), hint=hint)
        hint = "write schedule: manual for a job that only starts by hand"
        if job.schedule == []:
            yield Fault(words="an empty list never fires", path=("schedule",), hint=hint)
        elif job.schedule is None and not any(map(found.is_faulty, ("schedule", "group", "after"))):
            yield Fault(words="no schedule", hint=hint, on_key=True)
        yield from self._target_faults(found)
        yield from chain_faults(found, self._sections.jobs)
        yield from self._app_faults(job)
        yield from text_faults(value, self._outside)

    def _target_faults(self, found: Validated[language.Job]) -> Iterator[Fault]:
        job = found.model
        kinds = [kind for kind in _TARGETS if getattr(job, kind) is not None]
        if len(kinds) > 1:
            words, hint = f"give {' or '.join(kinds)}, not both", "a job does one thing"
            yield Fault(words=words, path=(kinds[1],), on_key=True, of_owner=True, hint=hint)
        elif not kinds and not any(map(found.is_faulty, _TARGETS)):
            yield Fault(words="nothing to do", hint="give it http: with the URL to call", on_key=True)
        if job.http is not None:
            if job.http.url is None and not found.is_faulty("http", "url"):
                yield Fault(words="no url", path=("http",), hint="write url: https://HOST/PATH")
            knows_method = not found.is_faulty("http", "method")
            yield from (fault.under("http") for fault in http_faults(job.http, self._outside, knows_method=knows_method))
        if job.flask is not None:
            if not any(getattr(job.flask, key) or found.is_faulty("flask", key) for key in ("endpoint", "url")):
                yield Fault(words="no view", path=("flask",), hint="write endpoint: reports.rebuild, or url: /reports/rebuild")
            knows_method = not found.is_faulty("flask", "method")
            faults = flask_faults(job.flask, has_app=_has_app(found, "flask"), knows_method=knows_method)
            yield from (fault.under("flask") for fault in faults)
        if job.call is not None:
            if job.call.ref is None and not found.is_faulty("call", "ref"):
                yield Fault(words="no ref", path=("call",), hint="write ref: module:function")
            knows_method = not found.is_faulty("call", "request", "method")
            faults = call_faults(job.call, has_app=_has_app(found, "call"), knows_method=knows_method)
            yield from (fault.under("call") for fault in faults)
        if job.prepare is not None and job.http is None and kinds:
            hint = "leave it out; a function can do what it wants itself"
            yield Fault(words="is for http", joint=" ", path=("prepare",), on_key=True, hint=hint)

    def _app_faults(self, job: language.Job) -> Iterator[Fault]:
        for where, name in _apps_named(job):
            if ":" not in name and name not in self._sections.apps:
                near = nearest(name, self._sections.apps)
                hint = f"did you mean {near}?" if near else "applications stand under apps: at the top of the file"
                yield Fault(words=f"no app {quoted(name)}", path=where, hint=hint)


def _has_app(found: Validated[language.Job], target: str) -> bool:
    """Whether a target has an application, right or wrong."""
    return any(_app_at(found.model, where) or found.is_faulty(*where) for where in (("app",), (target, "app")))


def _app_at(job: language.Job, where: tuple[str, ...]) -> str | None:
    owner = job if len(where) == 1 else getattr(job, where[0])
    return owner.app if owner else None


def _apps_named(job: language.Job) -> Iterator[tuple[Path, str]]:
    """Each application that a job names, and where."""
    owners: list[tuple[Path, Any]] = [((), job), (("flask",), job.flask), (("call",), job.call)]
    for index, link in enumerate(job.then or ()):
        owners += [(("then", index, name), getattr(link, name)) for name in ("callback", "errback", "both")]
    yield from (((*path, "app"), owner.app) for path, owner in owners if owner is not None and owner.app)


def job_of(name: str, job: language.Job, when: Scheduled, outside: Outside, place: Place) -> Job:
    """The job that a model without faults describes."""
    timeout = job.timeout or language.Timeout()
    statuses = job.expect.status if job.expect else None
    target = target_of(job, outside)
    return Job(
        name=name,
        target=target,
        schedule=when.schedule,
        schedule_text=when.text,
        zone=when.zone,
        timeouts=Timeouts(
            connect_ns=_given(timeout.connect, _BUILT_IN.timeout.connect),
            first_byte_ns=timeout.first_byte or 0,
            total_ns=_given(timeout.total, _BUILT_IN.timeout.total),
            kill_after_ns=_given(timeout.kill_after, _BUILT_IN.timeout.kill_after),
        ),
        misfire_grace_ns=_given(job.misfire_grace_time, _BUILT_IN.misfire_grace_time),
        coalesce=_given(job.coalesce, _BUILT_IN.coalesce),
        max_instances=_given(job.max_instances, _BUILT_IN.max_instances),
        overlap=_given(job.overlap, _BUILT_IN.overlap),
        expect_status=tuple(status for status in _given(statuses, _BUILT_IN.expect.status) if status),
        then=links_of(job, target.app),
        params=job.params or {},
        tags=tuple(job.tags or ()),
        description=job.description,
        suspended=bool(job.suspend),
        place=place,
    )


def _given(value: Any, built_in: Any) -> Any:
    return built_in if value is None else value


def _names(layer: Layer) -> Sequence[Any]:
    return short_forms.several(layer.value.get("extends")) or ()
