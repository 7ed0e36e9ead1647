"""Completion of job names in the shell; silent where there is no jobs file."""

import os

import click
from click.shell_completion import CompletionItem

from scheduler.errors import TminusError
from scheduler.jobsfile.load import load
from scheduler.operations.where import jobs_file


def complete_jobs(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of jobs that begin so."""
    root = context.find_root()
    try:
        path = jobs_file(context.params.get("config") or root.params.get("config"), os.environ).value
    except TminusError:
        return []
    definitions = load(path).definitions
    jobs = definitions.jobs.values() if definitions else ()
    return [CompletionItem(job.name, help=job.description) for job in jobs if job.name.startswith(begun)]
