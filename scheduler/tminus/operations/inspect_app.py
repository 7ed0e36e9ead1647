"""The inspection of an application: it is imported in a process of its own environment. Nothing is called."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tminus.executors.python.launch import command_of, environment_of
from tminus.model.code_job import CodeJob, parse_code_jobs
from tminus.model.definitions import App

#: An import that takes longer is taken to hang.
_IMPORT_S = 30
HINT = "it is looked for in the application's own environment, then beside the jobs file"
_FRAME = re.compile(r'File "(.+?)", line (\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInspection:
    """
    The result of an inspection.

    Attributes:
        error: Why the application could not be inspected; empty if it could.
        hint: Where to look then.
        job_errors: The error for each question; empty if there is none.
        code_jobs: The jobs that its code defines.
        other_apps: The names of other applications for which its code defines jobs.
    """

    error: str = ""
    hint: str = HINT
    job_errors: Sequence[str] = ()
    code_jobs: Sequence[CodeJob] = ()
    other_apps: Sequence[str] = ()


def inspect_app(app: App | None, questions: Sequence[Mapping[str, Any]], folder: str) -> AppInspection:
    """
    Inspect an application.

    Args:
        app: The application; None for functions without one.
        questions: The questions of its jobs, as for `executors.python.check`.
        folder: The folder of the jobs file.
    """
    try:
        process = subprocess.run(
            command_of(app, "check"),
            input=json.dumps(questions, default=str).encode(),
            capture_output=True,
            env=environment_of(app, folder),
            cwd=app.directory if app else folder,
            timeout=_IMPORT_S,
            check=False,
        )
    except OSError as error:
        return AppInspection(error=f"{command_of(app)[0]} does not start: {error.strerror}")
    except ValueError as error:
        return AppInspection(error=str(error), hint="no environment can contain this line of env_file")
    except subprocess.TimeoutExpired:
        return AppInspection(error=f"{app.app if app else 'python'} is not imported after {_IMPORT_S} s")
    try:
        answer: dict[str, Any] = json.loads(process.stdout)
    except ValueError:
        lines = process.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit status {process.returncode}"
        return AppInspection(error=f"{command_of(app)[0]} does not work: {last}")
    if "jobs" not in answer:
        return AppInspection(error=answer["error"])
    at = ", ".join(f"{file}:{line}" for file, line in _FRAME.findall(answer["traceback"]))
    code = parse_code_jobs(answer["code"], app=app.name, directory=app.directory) if app else []
    hint = f"look at {at}" if at else HINT
    return AppInspection(
        error=answer["app"],
        hint=hint,
        job_errors=answer["jobs"],
        code_jobs=code,
        other_apps=answer["others"],
    )


def discover_code_jobs(apps: Iterable[App], folder: str) -> dict[str, AppInspection]:
    """
    Inspect applications at the same time for the jobs that their code defines; return the results by name.
    """
    apps = list(apps)
    with ThreadPoolExecutor(thread_name_prefix="inspect") as pool:
        inspections = pool.map(lambda app: inspect_app(app, (), folder), apps)
        return dict(zip((app.name for app in apps), inspections, strict=True))
