"""Completion of job names in the shell; silent where there is no jobs file."""

import click
from click.shell_completion import CompletionItem

from scheduler.cli.invocation import Invocation
from scheduler.cli.output import Output
from scheduler.clock import SystemClock
from scheduler.errors import TminusError


def complete_jobs(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of jobs that begin so."""
    before = context.parent.params if context.parent else {}
    invocation = Invocation(
        config=context.params.get("config") or before.get("config"),
        ledger_url=context.params.get("ledger") or before.get("ledger"),
        output=Output(as_json=False, color=False, quiet=True, verbose=False),
        started_ns=SystemClock().wall_ns(),
    )
    try:
        definitions = invocation.loaded.definitions
    except TminusError:
        return []
    jobs = definitions.jobs.values() if definitions else ()
    return [CompletionItem(job.name, help=job.description) for job in jobs if job.name.startswith(begun)]
