"""Whether the applications import, and have what the jobs name: each asked in its own environment, nothing called."""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.executors.python.launch import command_of, environment_of
from scheduler.model.chain import Function
from scheduler.model.definitions import App, Definitions
from scheduler.model.job import CallTarget, FlaskTarget, HttpTarget, Job

#: An import that takes longer hangs.
_PATIENCE_S = 30
_HINT = "it is looked for in the application's own environment, then beside the jobs file"
_FRAME = re.compile(r'File "(.+?)", line (\d+)')


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


def check_apps(definitions: Definitions) -> Iterator[Wrong]:
    """Ask all of them, one after another; an application that does not answer within 30 s is wrong."""
    by_app: dict[str | None, list[_Question]] = defaultdict(list)
    for job in definitions.jobs.values():
        for app, question in _questions(job):
            by_app[app].append(question)
    folder = str(Path(definitions.paths[0]).resolve().parent)
    for name, questions in by_app.items():
        answer = _ask(definitions.apps[name] if name else None, [question.asks for question in questions], folder)
        if answer["app"]:
            at = ", ".join(f"{file}:{line}" for file, line in _FRAME.findall(answer.get("traceback", "")))
            first = questions[0]
            yield Wrong(first.job, (*first.key[:-1], "app"), answer["app"], f"look at {at}" if at else _HINT)
        said = zip(questions, answer["jobs"], strict=True)
        yield from (Wrong(question.job, question.key, wrong, _HINT) for question, wrong in said if wrong)


def _ask(app: App | None, questions: Sequence[Mapping[str, Any]], folder: str) -> dict[str, Any]:
    nothing = [""] * len(questions)
    try:
        done = subprocess.run(
            command_of(app, "check"),
            input=json.dumps(questions, default=str).encode(),
            capture_output=True,
            env=environment_of(app, folder),
            cwd=app.directory if app else folder,
            timeout=_PATIENCE_S,
            check=False,
        )
    except OSError as error:
        return {"app": f"{app.python if app else 'python'} does not start: {error.strerror}", "jobs": nothing}
    except subprocess.TimeoutExpired:
        return {"app": f"{app.app if app else 'python'} is not imported after {_PATIENCE_S} s", "jobs": nothing}
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"app": f"{command_of(app)[0]} does not work: {last}", "jobs": nothing}
    return said if "jobs" in said else {"app": said["error"], "jobs": nothing}


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
