"""The entry point: from a path to definitions, or to every problem at once."""

import gc
import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tminus.clock import SystemClock
from tminus.jobsfile.jobs.code_jobs import code_job_to_dict
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.text.faults import Fault, InvalidValue
from tminus.jobsfile.text.include import Sources
from tminus.jobsfile.text.problems import Problem, Severity
from tminus.jobsfile.text.report import Report
from tminus.jobsfile.text.unexpected_errors import report_unexpected
from tminus.jobsfile.types.setting_types import GROUP, LEDGER
from tminus.jobsfile.types.values import ValueType
from tminus.jobsfile.types.zones import ZONE
from tminus.model.code_job import CodeJob
from tminus.model.definitions import App, Definitions

if TYPE_CHECKING:  # with cronsim and idna: not for commands that only need the place of the ledger
    from tminus.jobsfile.jobs.build import Builder
    from tminus.jobsfile.jobs.calendars import Calendars
    from tminus.jobsfile.jobs.sections import Sections
    from tminus.jobsfile.jobs.value_origins import ValueOrigin
    from tminus.jobsfile.text.document import Document


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    The result of loading a jobs file.

    Args:
        definitions: The definitions; None if there are errors.
        errors: The errors by file, line and column.
        warnings: The warnings in the same order; the file is valid despite them.
    """

    definitions: Definitions | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    _builder: "Builder" = field(repr=False)
    _sections: "Sections" = field(repr=False)
    _report: Report = field(repr=False)

    def with_faults(
        self, faults: Iterable[tuple[str, Fault]], apps: Iterable[tuple[str, Fault]] = ()
    ) -> "Loaded":
        """
        Return the same result with faults that were found elsewhere.

        Args:
            faults: The faults of jobs, each with the name of its job.
            apps: The faults of applications, each with the name of its application.
        """
        for name, fault in faults:
            self._report.fault(self._builder.layers(name), fault, user=name)
        for name, fault in apps:
            self._report.fault([self._sections.apps[name].layer], fault)
        errors = self._report.errors
        return replace(
            self,
            definitions=None if errors else self.definitions,
            errors=errors,
            warnings=self._report.warnings,
        )

    def explain(self, name: str) -> "list[ValueOrigin]":
        """
        Return one merged job, value by value, with the origin of each. Not thread-safe.

        Raises:
            KeyError: the files have no such job.
        """
        from tminus.jobsfile.jobs.value_origins import value_origins

        return value_origins(name, self._builder, self._sections)


class JobsFile:
    """
    A jobs file that was read, with its includes. `load` may be called several times. Not thread-safe.

    Args:
        path: The jobs file. Problems name it as given here, and show its includes below the same folder.
        environ: The environment for `${env:…}`; built in: that of this process.
        with_secrets: Whether the values of `${…}` and each `env_file` are looked up. Without them, the
            definitions are good for a check only.

    Raises:
        Nothing, whatever the file contains.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        environ: Mapping[str, str] | None = None,
        with_secrets: bool = True,
    ) -> None:
        self.path = os.fspath(path)
        self._environ = os.environ if environ is None else environ
        self._with_secrets = with_secrets
        self._report = Report()
        self._documents: Sequence[Document] = ()
        #: Patterns of `glob` that match this file and its includes, also those that are missing.
        self.patterns: Sequence[str] = (glob.escape(self.path),)
        with _no_garbage_collection(), report_unexpected(self.path, self._report):
            sources = Sources(self.path, self._report)
            self._documents, self.patterns = sources.documents, sources.patterns

    @property
    def folder(self) -> str:
        """The folder in which modules are looked up last."""
        return os.path.dirname(os.path.realpath(self.path))

    @property
    def is_readable(self) -> bool:
        """Whether the jobs file is a map, so that its settings are known."""
        return bool(self._documents) and isinstance(self._documents[0].value, dict)

    @property
    def zone(self) -> str:
        """The time zone of the file, even if the file is not valid."""
        return self._setting(ZONE, "timezone") or "UTC"

    @property
    def ledger(self) -> str | None:
        """The ledger that the file names, even if the file is not valid."""
        return self._setting(LEDGER, "ledger")

    @property
    def ledger_group(self) -> str | None:
        """The group that may open that ledger, even if the file is not valid."""
        return self._setting(GROUP, "daemon", "ledger_group")

    @property
    def apps(self) -> Mapping[str, App]:
        """The applications under `apps:` that may be started."""
        return self._checked[1]

    def load(
        self,
        code: Iterable[CodeJob] = (),
        *,
        now_ns: int | None = None,
        secrets: Severity = Severity.ERROR,
    ) -> Loaded:
        """
        Build and check all jobs.

        Args:
            code: The jobs that the code of applications defines. Those of applications that are not under
                `apps:` are left out.
            now_ns: Wall clock, nanoseconds since the Unix epoch; built in: now.
            secrets: The severity of a missing secret. Only a daemon needs the secrets.

        Thread-safety:
            Turns the garbage collector of the process off while it runs.
        """
        from tminus.jobsfile.jobs.build import Builder
        from tminus.jobsfile.jobs.calendars import Calendars
        from tminus.jobsfile.jobs.channel_faults import notify_faults
        from tminus.jobsfile.jobs.sections import add_code_jobs
        from tminus.jobsfile.jobs.text_checks import ledger_faults

        with _no_garbage_collection():
            (sections, _), external, code = self._checked, self._external(secrets), tuple(code)
            report = self._report.copy()
            with report_unexpected(self.path, report):
                for fault in ledger_faults(sections.ledger, external) if sections.ledger is not None else ():
                    report.fault([sections.settings["ledger"]], fault)
                for layer, fault in notify_faults(sections, external):
                    report.fault([layer], fault)
                sections = add_code_jobs(sections, code, report)
            now_ns = SystemClock().wall_ns() if now_ns is None else now_ns
            calendars = Calendars(external, now_ns)
            builder = Builder(sections, report, external, calendars, now_ns)
            definitions = None
            with report_unexpected(self.path, report):
                calendars.add(sections.calendars, report)
                builder.build()
                if not report.errors:
                    definitions = self._definitions(code, builder, sections, external, calendars)
            return Loaded(definitions, report.errors, report.warnings, builder, sections, report)

    def _definitions(
        self,
        code: Iterable[CodeJob],
        builder: "Builder",
        sections: "Sections",
        external: ExternalReferences,
        calendars: "Calendars",
    ) -> Definitions:
        from tminus.jobsfile.jobs.apps import build_apps
        from tminus.jobsfile.jobs.channels import channels_of, start_slo_of
        from tminus.jobsfile.jobs.settings import daemon_settings

        code = tuple(job for job in code if job.app in sections.apps)
        content: dict[str, Any] = {"version": 1, "timezone": self.zone, "jobs": builder.merged}
        if code:
            content["code"] = [code_job_to_dict(job) for job in code]
        if calendars.written:
            content["calendars"] = calendars.written
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return Definitions(
            paths=(*(document.path for document in self._documents), *calendars.files),
            folder=self.folder,
            version=hashlib.sha256(text.encode()).hexdigest()[:12],
            text=text,
            zone=self.zone,
            ledger=self.ledger,
            daemon=daemon_settings(sections.daemon),
            apps=build_apps(sections.apps, builder.jobs.values(), external),
            code=code,
            jobs=builder.jobs,
            channels=channels_of(sections.channels),
            start_slo=start_slo_of(sections.start_slo),
        )

    @cached_property
    def _checked(self) -> "tuple[Sections, Mapping[str, App]]":
        """Return the sections, and the applications that may be started. Report the faults of both, once."""
        from tminus.jobsfile.jobs.apps import app_faults, build_apps
        from tminus.jobsfile.jobs.sections import Sections, gather_sections

        sections, apps, external = Sections(), dict[str, App](), self._external()
        with _no_garbage_collection(), report_unexpected(self.path, self._report):
            sections = gather_sections(self._documents, self._report)
            sound = {}
            for name, app in sections.apps.items():
                faults = list(app_faults(app, external))
                for fault in faults:
                    self._report.fault([app.layer], fault)
                if not faults and not app.is_faulty:
                    sound[name] = app
            apps = build_apps(sound, (), external)
        return sections, apps

    def _setting(self, value_type: ValueType[str], key: str, *below: str) -> str | None:
        """Return the value of a key in the first file that has it; None if it is not valid."""
        tops = (document.value for document in self._documents if isinstance(document.value, dict))
        value: Any = next((top[key] for top in tops if top.get(key) is not None), None)
        for step in below:
            value = value.get(step) if isinstance(value, dict) else None
        try:
            return None if value is None else value_type.parse(value)
        except InvalidValue:
            return None

    def _external(self, secrets: Severity = Severity.ERROR) -> ExternalReferences:
        return ExternalReferences(
            os.path.dirname(os.path.abspath(self.path)),
            self._environ,
            secrets=secrets if self._with_secrets else None,
        )


def load(
    path: str | os.PathLike[str],
    *,
    now_ns: int | None = None,
    environ: Mapping[str, str] | None = None,
    secrets: Severity = Severity.ERROR,
) -> Loaded:
    """Load a jobs file without jobs in code; see `JobsFile`."""
    return JobsFile(path, environ=environ).load(now_ns=now_ns, secrets=secrets)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Turn garbage collection off: it would examine all objects again and again, and all of them stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
