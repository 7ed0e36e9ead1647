"""The way in: from a path to definitions, or to every problem at once."""

import gc
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scheduler.clock import SystemClock
from scheduler.jobsfile.code import as_said
from scheduler.jobsfile.document import Document
from scheduler.jobsfile.faults import Fault, Wrong
from scheduler.jobsfile.include import Sources
from scheduler.jobsfile.last_resort import last_resort
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Problem, Severity
from scheduler.jobsfile.report import Report
from scheduler.jobsfile.setting_kinds import GROUP, LEDGER
from scheduler.jobsfile.values import Kind
from scheduler.jobsfile.zones import ZONE
from scheduler.model.code import CodeJob
from scheduler.model.definitions import App, Definitions

if TYPE_CHECKING:  # with pydantic: not for those who only ask where the ledger lies
    from scheduler.jobsfile.build import Builder
    from scheduler.jobsfile.explain import ValueOrigin
    from scheduler.jobsfile.sections import Sections


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What became of a jobs file.

    Args:
        definitions: None where there are errors.
        errors: By file, line and column.
        warnings: The same; the file is valid all the same.
    """

    definitions: Definitions | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    _builder: "Builder" = field(repr=False)
    _sections: "Sections" = field(repr=False)
    _report: Report = field(repr=False)

    def with_faults(self, faults: Iterable[tuple[str, Fault]], apps: Iterable[tuple[str, Fault]] = ()) -> "Loaded":
        """The same, with what came out elsewhere about some of its jobs, or its applications; each fault with the name of it."""
        for name, fault in faults:
            self._report.fault(self._builder.layers(name), fault, user=name)
        for name, fault in apps:
            self._report.fault([self._sections.apps[name].layer], fault)
        errors = self._report.errors
        return replace(self, definitions=None if errors else self.definitions, errors=errors, warnings=self._report.warnings)

    def explain(self, name: str) -> "list[ValueOrigin]":
        """
        One merged job, value by value, with where each comes from. Not thread-safe.

        Raises:
            KeyError: the files have no such job.
        """
        from scheduler.jobsfile.explain import explain

        return explain(name, self._builder, self._sections)


class JobsFile:
    """
    A jobs file that was read, with what it includes. Its jobs are built as often as is asked for. Not thread-safe.

    Args:
        path: The jobs file. Problems name it, and what it includes, as it is given here.
        environ: For `${env:…}`; built in: this process's.
        secrets: How bad it is where one is not there: who only asks needs none.

    Raises:
        Nothing for anything that a file can hold.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None, secrets: Severity = Severity.ERROR
    ) -> None:
        self.path = os.fspath(path)
        self._environ = os.environ if environ is None else environ
        self._secrets = secrets
        self._report = Report()
        self._documents: Sequence[Document] = ()
        with _no_garbage_collection(), last_resort(self.path, self._report):
            self._documents = Sources(self.path, self._report).documents

    @property
    def folder(self) -> str:
        """Where modules are found last."""
        return os.path.dirname(os.path.realpath(self.path))

    @property
    def zone(self) -> str:
        """The file's zone, valid file or not."""
        return self._setting(ZONE, "timezone") or "UTC"

    @property
    def ledger(self) -> str | None:
        """The ledger that the file names, valid file or not."""
        return self._setting(LEDGER, "ledger")

    @property
    def ledger_group(self) -> str | None:
        """Who else may open that ledger, valid file or not."""
        return self._setting(GROUP, "daemon", "ledger_group")

    @property
    def apps(self) -> Mapping[str, App]:
        """Those under `apps:` that may be started."""
        return self._checked[1]

    def load(self, code: Iterable[CodeJob] = (), *, now_ns: int | None = None) -> Loaded:
        """
        Build the jobs; look at all of it.

        Args:
            code: What the code of its applications defines; of others it is left out.
            now_ns: Wall clock, nanoseconds since the Unix epoch; built in: now.

        Thread-safety:
            Stops the garbage collector of the process while it runs.
        """
        from scheduler.jobsfile.build import Builder
        from scheduler.jobsfile.sections import with_code

        with _no_garbage_collection():
            (sections, _), outside, code = self._checked, self._outside(), tuple(code)
            report = self._report.copy()
            with last_resort(self.path, report):
                sections = with_code(sections, code, report)
            builder = Builder(sections, report, outside, SystemClock().wall_ns() if now_ns is None else now_ns)
            definitions = None
            with last_resort(self.path, report):
                builder.build()
                definitions = None if report.errors else self._definitions(code, builder, sections, outside)
            return Loaded(definitions, report.errors, report.warnings, builder, sections, report)

    def _definitions(self, code: Iterable[CodeJob], builder: "Builder", sections: "Sections", outside: Outside) -> Definitions:
        from scheduler.jobsfile.apps import apps_of
        from scheduler.jobsfile.settings import daemon_settings

        code = tuple(job for job in code if job.app in sections.apps)
        said: dict[str, Any] = {"version": 1, "timezone": self.zone, "jobs": builder.merged}
        if code:
            said["code"] = [as_said(job) for job in code]
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return Definitions(
            paths=tuple(document.path for document in self._documents),
            folder=self.folder,
            version=hashlib.sha256(text.encode()).hexdigest()[:12],
            text=text,
            zone=self.zone,
            ledger=self.ledger,
            daemon=daemon_settings(sections.daemon),
            apps=apps_of(sections.apps, builder.jobs.values(), outside),
            code=code,
            jobs=builder.jobs,
        )

    @cached_property
    def _checked(self) -> "tuple[Sections, Mapping[str, App]]":
        """The sections, and the applications that may be started. What is wrong with either is reported once."""
        from scheduler.jobsfile.apps import app_faults, apps_of
        from scheduler.jobsfile.sections import Sections, gather
        from scheduler.jobsfile.texts import ledger_faults

        sections, apps, outside = Sections(), dict[str, App](), self._outside()
        with _no_garbage_collection(), last_resort(self.path, self._report):
            sections = gather(self._documents, self._report)
            for fault in ledger_faults(sections.ledger, outside) if sections.ledger is not None else ():
                self._report.fault([sections.settings["ledger"]], fault)
            sound = {}
            for name, app in sections.apps.items():
                faults = list(app_faults(app, outside))
                for fault in faults:
                    self._report.fault([app.layer], fault)
                if not faults and not app.is_faulty:
                    sound[name] = app
            apps = apps_of(sound, (), outside)
        return sections, apps

    def _setting(self, kind: Kind, key: str, *below: str) -> str | None:
        """What the first file says that has the key; None if it is not valid."""
        tops = (document.value for document in self._documents if isinstance(document.value, dict))
        value: Any = next((top[key] for top in tops if top.get(key) is not None), None)
        for step in below:
            value = value.get(step) if isinstance(value, dict) else None
        try:
            return None if value is None else str(kind.parse(value))
        except Wrong:
            return None

    def _outside(self) -> Outside:
        return Outside(os.path.dirname(os.path.abspath(self.path)), self._environ, secrets=self._secrets)


def load(
    path: str | os.PathLike[str],
    *,
    now_ns: int | None = None,
    environ: Mapping[str, str] | None = None,
    secrets: Severity = Severity.ERROR,
) -> Loaded:
    """The jobs file by itself, as `JobsFile` has it."""
    return JobsFile(path, environ=environ, secrets=secrets).load(now_ns=now_ns)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Hundreds of thousands of small objects that all stay: each collection would look at them for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
