"""
Jobs that the code of an application defines, as its runner reports them: not merged and not checked yet.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeJob:
    """
    A job that code defines.

    Attributes:
        app: The application's name under `apps`.
        file: Relative to the application's directory if it is below that, otherwise absolute.
        keys: The keys of the job, as in the jobs file.
        error: Why it cannot be a job; empty if it can.
        is_reported: Whether the application has reported it to this process. Otherwise it is from the ledger.
    """

    name: str
    app: str
    file: str
    line: int
    keys: Mapping[str, Any]
    error: str = ""
    is_reported: bool = field(default=True, compare=False)


def parse_code_jobs(reported: Iterable[Mapping[str, Any]], *, app: str, directory: str) -> list[CodeJob]:
    """
    Return the jobs that the runner of an application reports.

    Args:
        reported: As in `Hello`.
        app: The application's name.
        directory: Its working directory.
    """
    return [CodeJob(**{**job, "app": app, "file": _relative(job["file"], directory)}) for job in reported]


def merge_code_jobs(
    known: Iterable[CodeJob], reported: Mapping[str, Iterable[CodeJob]]
) -> tuple[CodeJob, ...]:
    """
    Return the known jobs. If an application has reported since, its reported jobs replace its known ones.
    """
    jobs = [job for job in known if job.app not in reported]
    jobs += [job for some in reported.values() for job in some]
    return tuple(sorted(jobs, key=lambda job: job.app))


def _relative(file: str, folder: str) -> str:
    for start in (os.path.realpath(folder), folder):
        relative = os.path.relpath(file, start)
        if not relative.startswith(os.pardir):
            return relative
    return file
