"""One question to one application: it is imported in a process of its own environment, looked at, and nothing is called."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from scheduler.executors.python.launch import command_of, environment_of
from scheduler.model.code import CodeJob, said_by
from scheduler.model.definitions import App

#: An import that takes longer hangs.
_PATIENCE_S = 30
HINT = "it is looked for in the application's own environment, then beside the jobs file"
_FRAME = re.compile(r'File "(.+?)", line (\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What an application says.

    Attributes:
        wrong: Why it says nothing, a sentence; empty where it does.
        hint: Where to look then.
        jobs: To each question what is wrong, empty where nothing is.
        code: The jobs that its code defines.
        others: Names of other applications, for which it defines jobs, too.
    """

    wrong: str = ""
    hint: str = HINT
    jobs: Sequence[str] = ()
    code: Sequence[CodeJob] = ()
    others: Sequence[str] = ()


def ask(app: App | None, questions: Sequence[Mapping[str, Any]], folder: str) -> Answer:
    """
    Ask an application.

    Args:
        app: None for functions that need none.
        questions: Each as `executors.python.check` has it.
        folder: That of the jobs file.
    """
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
        return Answer(wrong=f"{command_of(app)[0]} does not start: {error.strerror}")
    except ValueError as error:
        return Answer(wrong=str(error), hint="such a line of env_file can be in no environment")
    except subprocess.TimeoutExpired:
        return Answer(wrong=f"{app.app if app else 'python'} is not imported after {_PATIENCE_S} s")
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return Answer(wrong=f"{command_of(app)[0]} does not work: {last}")
    if "jobs" not in said:
        return Answer(wrong=said["error"])
    at = ", ".join(f"{file}:{line}" for file, line in _FRAME.findall(said["traceback"]))
    code = said_by(app, said["code"]) if app else []
    hint = f"look at {at}" if at else HINT
    return Answer(wrong=said["app"], hint=hint, jobs=said["jobs"], code=code, others=said["others"])


def ask_for_code(apps: Iterable[App], folder: str) -> dict[str, Answer]:
    """Ask all of them at once for the jobs that their code defines; by name."""
    apps = list(apps)
    with ThreadPoolExecutor(thread_name_prefix="ask") as pool:
        answers = pool.map(lambda app: ask(app, (), folder), apps)
        return {app.name: answer for app, answer in zip(apps, answers, strict=True)}
