"""Jobs that the code of an application defines, as its runner reports them: not merged and not checked yet."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.model.definitions import App


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeJob:
    """
    One job.

    Attributes:
        app: The application's name under `apps`.
        file: Relative to the application's directory where it lies below that.
        keys: The keys of the job, as in the jobs file.
        error: Why it cannot be a job at all.
        is_said: Whether the application has reported it to this process; otherwise only the ledger has it.
    """

    name: str
    app: str
    file: str
    line: int
    keys: Mapping[str, Any]
    error: str = ""
    is_said: bool = field(default=True, compare=False)


def said_by(app: "App", said: Iterable[Mapping[str, Any]]) -> list[CodeJob]:
    """Return the jobs that the runner of an application reports."""
    return [CodeJob(**{**one, "app": app.name, "file": _relative(one["file"], app.directory)}) for one in said]


def updated(known: Iterable[CodeJob], said: Mapping[str, Iterable[CodeJob]]) -> tuple[CodeJob, ...]:
    """Return the known jobs, with those of applications that have reported since in place of their earlier ones."""
    jobs = [job for job in known if job.app not in said]
    jobs += [job for some in said.values() for job in some]
    return tuple(sorted(jobs, key=lambda job: job.app))


def _relative(file: str, folder: str) -> str:
    relative = os.path.relpath(file, os.path.realpath(folder))
    inside = relative if not relative.startswith(os.pardir) else os.path.relpath(file, folder)
    return inside if not inside.startswith(os.pardir) else file
