"""The way in: from a path to definitions, or to every problem at once."""

import gc
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from scheduler.clock import SystemClock
from scheduler.jobsfile.apps import app_faults, apps_of
from scheduler.jobsfile.build import Builder
from scheduler.jobsfile.explain import ValueOrigin, explain
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.include import Sources
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Problem, Severity
from scheduler.jobsfile.report import Report
from scheduler.jobsfile.sections import Sections, gather
from scheduler.jobsfile.settings import daemon_settings
from scheduler.jobsfile.texts import ledger_faults
from scheduler.model.definitions import Definitions


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
    _builder: Builder = field(repr=False)
    _sections: Sections = field(repr=False)
    _report: Report = field(repr=False)

    @property
    def zone(self) -> str:
        """The file's zone, valid file or not."""
        return self._sections.timezone or "UTC"

    @property
    def ledger(self) -> str | None:
        """The ledger that the file names, valid file or not."""
        return self._sections.ledger

    def with_faults(self, faults: Iterable[tuple[str, Fault]]) -> "Loaded":
        """The same, with what came out about some of its jobs elsewhere; each fault with the job's name."""
        for name, fault in faults:
            self._report.fault(self._builder.layers(name), fault, user=name)
        errors = self._report.errors
        return replace(self, definitions=None if errors else self.definitions, errors=errors, warnings=self._report.warnings)

    def explain(self, name: str) -> list[ValueOrigin]:
        """
        One merged job, value by value, with where each comes from. Not thread-safe.

        Raises:
            KeyError: the files have no such job.
        """
        return explain(name, self._builder, self._sections)


def load(
    path: str | os.PathLike[str],
    *,
    now_ns: int | None = None,
    environ: Mapping[str, str] | None = None,
    secrets: Severity = Severity.ERROR,
) -> Loaded:
    """
    Read a jobs file and what it includes; look at all of it.

    Args:
        path: The jobs file. Problems name it, and what it includes, as it is given here.
        now_ns: Wall clock, nanoseconds since the Unix epoch; built in: now.
        environ: For `${env:…}`; built in: this process's.
        secrets: How bad it is where one is not there: who only asks needs none.

    Raises:
        Nothing for anything that a file can hold.

    Thread-safety:
        Stops the garbage collector of the process while it runs.
    """
    file, report = os.fspath(path), Report()
    with _no_garbage_collection():
        outside = Outside(os.path.dirname(os.path.abspath(file)), os.environ if environ is None else environ, secrets=secrets)
        sources = Sources(file, report)
        sections = gather(sources.documents, report)
        if sections.ledger is not None:
            for fault in ledger_faults(sections.ledger, outside):
                report.fault([sections.settings["ledger"]], fault)
        for named in sections.apps.values():
            for fault in app_faults(named, outside):
                report.fault([named.layer], fault)
        builder = Builder(sections, report, outside, SystemClock().wall_ns() if now_ns is None else now_ns)
        builder.build()
        errors = report.errors
        paths = tuple(document.path for document in sources.documents)
        definitions = None if errors else _definitions(paths, sections, builder, outside)
        return Loaded(definitions, errors, report.warnings, builder, sections, report)


def _definitions(paths: tuple[str, ...], sections: Sections, builder: Builder, outside: Outside) -> Definitions:
    zone = sections.timezone or "UTC"
    said = {"version": 1, "timezone": zone, "jobs": builder.merged}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Definitions(
        paths=paths,
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
        text=text,
        zone=zone,
        ledger=sections.ledger,
        daemon=daemon_settings(sections.daemon),
        apps=apps_of(sections.apps, builder.jobs.values(), outside),
        jobs=builder.jobs,
    )


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
