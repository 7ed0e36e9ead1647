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
from scheduler.model.definitions import App, Definitions
from scheduler.model.job import CallTarget, FlaskTarget, Job

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
    key: tuple[str, ...]
    message: str
    hint: str


def check_apps(definitions: Definitions) -> Iterator[Wrong]:
    """Ask all of them, one after another; an application that does not answer within 30 s is wrong."""
    by_app: dict[str | None, list[Job]] = defaultdict(list)
    for job in definitions.jobs.values():
        if isinstance(job.target, FlaskTarget | CallTarget):
            by_app[job.target.app].append(job)
    folder = str(Path(definitions.paths[0]).resolve().parent)
    for name, jobs in by_app.items():
        answer = _ask(definitions.apps[name] if name else None, [_question(job) for job in jobs], folder)
        if answer["app"]:
            at = ", ".join(f"{file}:{line}" for file, line in _FRAME.findall(answer.get("traceback", "")))
            yield Wrong(jobs[0].name, _key_of_app(jobs[0]), answer["app"], f"look at {at}" if at else _HINT)
        yield from (Wrong(job.name, _key(job), said, _HINT) for job, said in zip(jobs, answer["jobs"], strict=True) if said)


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


def _question(job: Job) -> dict[str, Any]:
    if isinstance(job.target, CallTarget):
        return {"ref": job.target.ref, "args": job.target.args, "kwargs": job.target.kwargs}
    if isinstance(job.target, FlaskTarget) and job.target.endpoint:
        return {"endpoint": job.target.endpoint, "args": job.target.args}
    return {}


def _key(job: Job) -> tuple[str, ...]:
    return ("call", "ref") if isinstance(job.target, CallTarget) else ("flask", "endpoint")


def _key_of_app(job: Job) -> tuple[str, ...]:
    return ("call", "app") if isinstance(job.target, CallTarget) else ("flask", "app")
