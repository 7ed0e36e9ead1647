"""
The check of applications: each can be imported, and has the views and functions that jobs name. It is
imported in its own environment. Nothing is called.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tminus.errors import quoted
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.problems import Severity
from tminus.model.chain import Function
from tminus.model.definitions import Definitions
from tminus.model.job import CallTarget, FlaskTarget, HttpTarget, Job
from tminus.operations.inspect_app import HINT, AppInspection, inspect_app
from tminus.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class AppProblem:
    """
    A problem of an application, or of a job that names a view or a function in it.

    Attributes:
        job: The job; if the application itself is wrong, the first job that uses it.
        key: The key in the definition of the job.
    """

    job: str
    key: tuple[str | int, ...]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class _AppQuestion:
    """The question whether an application has what a job names under `key`."""

    job: str
    key: tuple[str | int, ...]
    asks: Mapping[str, Any]


def check_apps(definitions: Definitions, *, skip: Collection[str] = ()) -> Iterator[AppProblem]:
    """
    Inspect all applications, one after another.

    Args:
        skip: Applications that are known to fail when they are imported.
    """
    by_app: dict[str | None, list[_AppQuestion]] = defaultdict(list)
    for job in definitions.jobs.values():
        for app, question in _questions(job):
            by_app[app].append(question)
    for name, questions in by_app.items():
        if name in skip:
            continue
        inspection = inspect_app(
            definitions.apps[name] if name else None,
            [question.asks for question in questions],
            definitions.folder,
        )
        if inspection.error:
            first = questions[0]
            yield AppProblem(first.job, (*first.key[:-1], "app"), inspection.error, inspection.hint)
        answers = zip(questions, inspection.job_errors, strict=False)
        yield from (
            AppProblem(question.job, question.key, error, HINT) for question, error in answers if error
        )


def app_faults(inspections: Mapping[str, AppInspection]) -> Iterator[tuple[str, Fault]]:
    """
    Yield the faults of the applications under `apps:` themselves, by their names.
    """
    for name, inspection in inspections.items():
        if inspection.error:
            yield name, Fault(message=inspection.error, path=("app",), hint=inspection.hint)
        for other in inspection.other_apps:
            if other not in inspections:
                message = (
                    f"its code defines jobs for an app {quoted(other)}, which is not "
                    f"here{did_you_mean(other, inspections)}"
                )
                hint = "Scheduler(app=…) takes a name under apps:"
                yield name, Fault(message=message, hint=hint, on_key=True, severity=Severity.WARNING)


def _questions(job: Job) -> Iterator[tuple[str | None, _AppQuestion]]:
    """Yield the questions about a job, each with the application to ask."""
    match job.target:
        case CallTarget(ref=ref, args=args, kwargs=kwargs, app=app):
            yield app, _AppQuestion(job.name, ("call", "ref"), {"ref": ref, "args": args, "kwargs": kwargs})
        case FlaskTarget(endpoint=endpoint, args=args, app=app):
            asks: dict[str, Any] = {"endpoint": endpoint, "args": args} if endpoint else {}
            yield app, _AppQuestion(job.name, ("flask", "endpoint"), asks)
        case HttpTarget(app=app, prepare=str(prepare)):
            yield app, _AppQuestion(job.name, ("prepare",), {"ref": prepare, "args": [None], "kwargs": {}})
    for index, link in enumerate(job.then):
        for handler in link.handlers:
            if isinstance(handler, Function):
                name = (
                    "both"
                    if link.callback == link.errback
                    else "callback"
                    if handler is link.callback
                    else "errback"
                )
                wanted: dict[str, Any] = {"ref": handler.ref, "args": [None], "kwargs": handler.kwargs}
                yield handler.app, _AppQuestion(job.name, ("then", index, name, "call"), wanted)
