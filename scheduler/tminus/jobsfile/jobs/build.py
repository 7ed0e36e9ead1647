"""From the sections of the files to jobs: merge, check, and report every fault."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tminus.errors import quoted
from tminus.jobsfile.jobs import schema, short_forms
from tminus.jobsfile.jobs.calendars import Calendars
from tminus.jobsfile.jobs.chains import build_links, chain_faults, find_cycles
from tminus.jobsfile.jobs.channel_faults import name_faults
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.jobs.retries import retry_of
from tminus.jobsfile.jobs.schedule_builder import ScheduleResult, build_schedule
from tminus.jobsfile.jobs.sections import Sections
from tminus.jobsfile.jobs.targets import build_target, call_faults, flask_faults, http_faults
from tminus.jobsfile.jobs.text_checks import calendars_used, text_faults
from tminus.jobsfile.text.faults import Fault, exclusive_keys, key_fault
from tminus.jobsfile.text.merge import Layer, merge
from tminus.jobsfile.text.problems import Severity
from tminus.jobsfile.text.report import Report
from tminus.jobsfile.text.tree import Path
from tminus.jobsfile.types.at_times import TimeOfDay
from tminus.jobsfile.types.maps import Validated, validate_map
from tminus.jobsfile.types.values import NAME, NAME_HINT
from tminus.model.job import Cron, Job, SourceLocation
from tminus.policies.catch_up import CatchUp
from tminus.policies.timeouts import Timeouts
from tminus.suggestions import suggest

_NAME = re.compile(NAME)
_TARGETS = ("http", "flask", "call")
_BUILT_IN: Any = validate_map(schema.JobSpec, schema.BUILT_IN).model


class Builder:
    """
    Builds the jobs of one config version. Not thread-safe.

    Args:
        sections: The sections of all files.
        report: Collects what is wrong.
        external: The references to files and variables.
        calendars: The calendars of the files.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
    """

    def __init__(
        self,
        sections: Sections,
        report: Report,
        external: ExternalReferences,
        calendars: Calendars,
        now_ns: int,
    ) -> None:
        self.merged: dict[str, dict[str, Any]] = {}  #: each merged job, as in the file
        self.jobs: dict[str, Job] = {}  #: the jobs without an error
        self._sections = sections
        self._report = report
        self._external = external
        self._calendars = calendars
        self._now_ns = now_ns
        self._bases: dict[tuple[str, ...], tuple[Mapping[str, Any], list[Layer]]] = {}
        self._assuming_utc: list[Layer] = []

    def build(self) -> None:
        """Check everything; `jobs` and the report are complete afterwards."""
        if self._sections.defaults:
            self._check_alone(self._sections.defaults)
        for name, layer in self._sections.templates.items():
            self._check_name(name, layer)
            self._check_alone(layer)
        for name, layer in self._sections.jobs.items():
            self._check_name(name, layer)
            self._build(name, layer)
        for name, fault in find_cycles(self.jobs):
            self._report.fault(self.layers(name), fault, user=name)
        if self._assuming_utc:
            many = len(self._assuming_utc)
            message = f"no timezone, so times are UTC ({many} job{'s' if many > 1 else ''})"
            hint = "write timezone: Europe/Berlin at the top of the file"
            fault = Fault(message=message, on_key=True, hint=hint, severity=Severity.WARNING)
            self._report.fault(self._assuming_utc[:1], fault)

    def layers(self, name: str) -> list[Layer]:
        """Return the layers that a job is merged from, nearest first."""
        layer = self._sections.jobs[name]
        return [layer, *self._base(layer)[1]]

    def _base(self, layer: Layer) -> tuple[Mapping[str, Any], list[Layer]]:
        """Return the defaults and the templates of a job, merged, and their layers, nearest first."""
        known = self._sections.templates
        extends = tuple(
            name for name in _extended_templates(layer) if isinstance(name, str) and name in known
        )
        if extends not in self._bases:
            layers = [self._sections.defaults] if self._sections.defaults else []
            layers += [known[name] for name in extends]
            base: Mapping[str, Any] = {}
            for below in layers:
                base = merge(base, below.value)
            self._bases[extends] = base, layers[::-1]
        return self._bases[extends]

    def _check_name(self, name: str, layer: Layer) -> None:
        if not _NAME.fullmatch(name):
            self._report.fault([layer], key_fault((), f"id must match {NAME}", hint=NAME_HINT))

    def _check_alone(self, layer: Layer) -> None:
        if "extends" in layer.value:
            hint = "list all of them in the job's extends:"
            self._report.fault([layer], key_fault(("extends",), "only a job extends templates", hint=hint))
        for fault in validate_map(schema.JobSpec, layer.value).faults:
            self._report.fault([layer], fault)

    def _build(self, name: str, layer: Layer) -> None:
        base, below = self._base(layer)
        value = self.merged[name] = merge(base, layer.value)
        found = validate_map(schema.JobSpec, value)
        value.pop("extends", None)
        schedule = self._build_schedule(found, value)
        faults = [*found.faults, *schedule.faults, *self._faults(found, value, layer)]
        for fault in faults:
            self._report.fault([layer, *below], fault, user=name)
        if schedule.assumes_utc and "timezone" not in self._sections.settings:
            self._assuming_utc.append(layer)
        if not any(fault.severity is Severity.ERROR for fault in faults):
            place = layer.document.place(layer.document.spot(layer.base, on_key=True))
            self.jobs[name] = replace(
                _build_job(name, found.model, schedule, self._external, place),
                calendars={
                    calendar: self._calendars.excepted([calendar], schedule.zone)
                    for calendar in calendars_used(value)
                },
                unproven=layer.document.unproven,
            )

    def _build_schedule(self, found: Validated[schema.JobSpec], value: Mapping[str, Any]) -> ScheduleResult:
        zone = self._sections.timezone
        if found.is_faulty("schedule"):
            return ScheduleResult((), "", zone or "UTC")
        return build_schedule(
            found.model.schedule or (),
            value.get("schedule"),
            zone=zone,
            dst=found.model.dst,
            now_ns=self._now_ns,
            calendars=self._calendars,
        )

    def _faults(
        self, found: Validated[schema.JobSpec], value: Mapping[str, Any], layer: Layer
    ) -> Iterator[Fault]:
        """Yield what is wrong between the keys of a job, and with the names of other things in it."""
        job = found.model
        for index, name in enumerate(_extended_templates(layer)):
            if isinstance(name, str) and name not in self._sections.templates:
                otherwise = "templates are under templates: at the top of the file"
                hint = suggest(name, self._sections.templates, otherwise=otherwise)
                yield Fault(message=f"no template {quoted(name)}", path=("extends", index), hint=hint)
        hint = "write schedule: manual for a job that only starts by hand"
        if job.schedule == []:
            yield Fault(message="an empty list never fires", path=("schedule",), hint=hint)
        elif job.schedule is None and not found.is_faulty("schedule"):
            yield Fault(message="no schedule", hint=hint, on_key=True)
        yield from self._target_faults(found)
        yield from chain_faults(found, self._sections.jobs)
        yield from self._app_faults(job)
        yield from name_faults(job.notify, ("notify",), self._sections.channels)
        yield from text_faults(value, self._external, self._calendars.names)

    def _target_faults(self, found: Validated[schema.JobSpec]) -> Iterator[Fault]:
        job = found.model
        kinds = [kind for kind in _TARGETS if getattr(job, kind) is not None]
        if len(kinds) > 1:
            yield exclusive_keys((), kinds, hint="a job does one thing")
        elif not kinds and not any(map(found.is_faulty, _TARGETS)):
            yield Fault(message="nothing to do", hint="give it http: with the URL to call", on_key=True)
        if job.http is not None:
            if job.http.url is None and not found.is_faulty("http", "url"):
                yield Fault(message="no url", path=("http",), hint="write url: https://HOST/PATH")
            knows_method = not found.is_faulty("http", "method")
            yield from (
                fault.under("http")
                for fault in http_faults(job.http, self._external, knows_method=knows_method)
            )
        if job.flask is not None:
            if not any(
                getattr(job.flask, key) or found.is_faulty("flask", key) for key in ("endpoint", "url")
            ):
                yield Fault(
                    message="no view",
                    path=("flask",),
                    hint="write endpoint: reports.rebuild, or url: /reports/rebuild",
                )
            knows_method = not found.is_faulty("flask", "method")
            faults = flask_faults(job.flask, has_app=_has_app(found, "flask"), knows_method=knows_method)
            yield from (fault.under("flask") for fault in faults)
        if job.call is not None:
            if job.call.ref is None and not found.is_faulty("call", "ref"):
                yield Fault(message="no ref", path=("call",), hint="write ref: module:function")
            knows_method = not found.is_faulty("call", "request", "method")
            faults = call_faults(job.call, has_app=_has_app(found, "call"), knows_method=knows_method)
            yield from (fault.under("call") for fault in faults)
        if job.prepare is not None and job.http is None and kinds:
            hint = "leave it out; a function can do what it wants itself"
            yield Fault(message="is for http", joint=" ", path=("prepare",), on_key=True, hint=hint)

    def _app_faults(self, job: schema.JobSpec) -> Iterator[Fault]:
        for where, name in _apps_named(job):
            if ":" not in name and name not in self._sections.apps:
                otherwise = "applications are under apps: at the top of the file"
                hint = suggest(name, self._sections.apps, otherwise=otherwise)
                yield Fault(message=f"no app {quoted(name)}", path=where, hint=hint)


def _has_app(found: Validated[schema.JobSpec], target: str) -> bool:
    """Return whether a target has an application, valid or not."""
    return any(
        _app_at(found.model, where) or found.is_faulty(*where) for where in (("app",), (target, "app"))
    )


def _app_at(job: schema.JobSpec, where: tuple[str, ...]) -> str | None:
    owner = job if len(where) == 1 else getattr(job, where[0])
    return owner.app if owner else None


def _apps_named(job: schema.JobSpec) -> Iterator[tuple[Path, str]]:
    """Yield each application that a job names, with its path."""
    owners: list[tuple[Path, Any]] = [((), job), (("flask",), job.flask), (("call",), job.call)]
    for index, link in enumerate(job.then or ()):
        owners += [(("then", index, name), getattr(link, name)) for name in ("callback", "errback", "both")]
    yield from (((*path, "app"), owner.app) for path, owner in owners if owner is not None and owner.app)


def _build_job(
    name: str,
    job: schema.JobSpec,
    schedule: ScheduleResult,
    external: ExternalReferences,
    place: SourceLocation,
) -> Job:
    """Return the job that a model without faults describes."""
    timeout = job.timeout or schema.TimeoutSpec()
    statuses = job.expect.status if job.expect else None
    target = build_target(job, external)
    return Job(
        name=name,
        target=target,
        schedule=schedule.schedule,
        schedule_text=schedule.text,
        zone=schedule.zone,
        jitter_ns=schedule.jitter_ns,
        timeouts=Timeouts(
            connect_ns=_or_built_in(timeout.connect, _BUILT_IN.timeout.connect),
            first_byte_ns=timeout.first_byte or 0,
            total_ns=_or_built_in(timeout.total, _BUILT_IN.timeout.total),
            kill_after_ns=_or_built_in(timeout.kill_after, _BUILT_IN.timeout.kill_after),
        ),
        misfire_grace_ns=_or_built_in(job.misfire_grace_time, _BUILT_IN.misfire_grace_time),
        coalesce=_or_built_in(job.coalesce, _BUILT_IN.coalesce),
        catch_up=CatchUp(
            window_ns=_or_built_in(job.catchup_window, _BUILT_IN.catchup_window),
            most=_or_built_in(job.max_catchup, _BUILT_IN.max_catchup),
        ),
        not_after=_daily(job.not_after, schedule.zone),
        finish_by=_daily(job.finish_by, schedule.zone),
        max_instances=_or_built_in(job.max_instances, _BUILT_IN.max_instances),
        overlap=_or_built_in(job.overlap, _BUILT_IN.overlap),
        on_unknown=_or_built_in(job.on_unknown, _BUILT_IN.on_unknown),
        retry=retry_of(job.retry or schema.RetrySpec()),
        pause_on_failure=job.pause_on_failure,
        expect_status=tuple(_or_built_in(statuses, _BUILT_IN.expect.status)),
        then=build_links(job, target.app),
        params=job.params or {},
        tags=tuple(job.tags or ()),
        description=job.description,
        suspended=bool(job.suspend),
        notify=tuple(job.notify or ()),
        place=place,
    )


def _daily(time: TimeOfDay | None, zone: str) -> Cron | None:
    return Cron(time.cron, zone) if time else None


def _or_built_in(value: Any, built_in: Any) -> Any:
    return built_in if value is None else value


def _extended_templates(layer: Layer) -> Sequence[Any]:
    return short_forms.several(layer.value.get("extends")) or ()
