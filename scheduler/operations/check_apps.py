"""Whether the applications import, and have what the jobs name: each asked in its own environment, nothing called."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.errors import did_you_mean, quoted
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.problems import Severity
from scheduler.model.chain import Function
from scheduler.model.definitions import Definitions
from scheduler.model.job import CallTarget, FlaskTarget, HttpTarget, Job
from scheduler.operations.ask_app import HINT, Answer, ask


@dataclass(frozen=True, slots=True)
class Wrong:
    """
    What is wrong with an application, or with a job that names something in it.

    Args:
        job: Every job of it where the application itself is wrong.
        key: Of the job's definition.
    """

    job: str
    key: tuple[str | int, ...]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether something that a job names is there; `key` is where it names it."""

    job: str
    key: tuple[str | int, ...]
    asks: Mapping[str, Any]


def check_apps(definitions: Definitions, *, but_for: Collection[str] = ()) -> Iterator[Wrong]:
    """Ask all of them, one after another, but for some of which it is known that they do not import."""
    by_app: dict[str | None, list[_Question]] = defaultdict(list)
    for job in definitions.jobs.values():
        for app, question in _questions(job):
            by_app[app].append(question)
    for name, questions in by_app.items():
        if name in but_for:
            continue
        answer = ask(definitions.apps[name] if name else None, [question.asks for question in questions], definitions.folder)
        if answer.wrong:
            first = questions[0]
            yield Wrong(first.job, (*first.key[:-1], "app"), answer.wrong, answer.hint)
        said = zip(questions, answer.jobs, strict=False)
        yield from (Wrong(question.job, question.key, wrong, HINT) for question, wrong in said if wrong)


def app_faults(answers: Mapping[str, Answer]) -> Iterator[tuple[str, Fault]]:
    """What is wrong with the applications under `apps:` themselves, by what they have answered; each with the name of one."""
    for name, answer in answers.items():
        if answer.wrong:
            yield name, Fault(words=answer.wrong, path=("app",), hint=answer.hint)
        for other in answer.others:
            if other not in answers:
                words = f"its code defines jobs for an app {quoted(other)}, which is not here{did_you_mean(other, answers)}"
                hint = "Scheduler(app=…) takes a name under apps:"
                yield name, Fault(words=words, hint=hint, on_key=True, severity=Severity.WARNING)


def _questions(job: Job) -> Iterator[tuple[str | None, _Question]]:
    """What there is to ask about a job, each with the application that knows it."""
    match job.target:
        case CallTarget(ref=ref, args=args, kwargs=kwargs, app=app):
            yield app, _Question(job.name, ("call", "ref"), {"ref": ref, "args": args, "kwargs": kwargs})
        case FlaskTarget(endpoint=endpoint, args=args, app=app):
            asks: dict[str, Any] = {"endpoint": endpoint, "args": args} if endpoint else {}
            yield app, _Question(job.name, ("flask", "endpoint"), asks)
        case HttpTarget(app=app, prepare=str(prepare)):
            yield app, _Question(job.name, ("prepare",), {"ref": prepare, "args": [None], "kwargs": {}})
    for index, link in enumerate(job.then):
        for handler in link.handlers:
            if isinstance(handler, Function):
                name = "both" if link.callback == link.errback else "callback" if handler is link.callback else "errback"
                wanted: dict[str, Any] = {"ref": handler.ref, "args": [None], "kwargs": handler.kwargs}
                yield handler.app, _Question(job.name, ("then", index, name, "call"), wanted)
