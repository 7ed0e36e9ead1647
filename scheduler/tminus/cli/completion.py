"""Completion of job names in the shell. Without a jobs file there are none, and no error is printed."""

import click
from click.shell_completion import CompletionItem

from tminus.cli.invocation import Invocation
from tminus.cli.output import CommandOutput
from tminus.clock import SystemClock
from tminus.errors import TminusError


def complete_jobs(context: click.Context, _parameter: click.Parameter, prefix: str) -> list[CompletionItem]:
    """Return the names of jobs that start with this text."""
    before = context.parent.params if context.parent else {}
    invocation = Invocation(
        config=context.params.get("config") or before.get("config"),
        ledger_url=context.params.get("ledger") or before.get("ledger"),
        output=CommandOutput(as_json=False, color=False, quiet=True, verbose=False),
        started_ns=SystemClock().wall_ns(),
    )
    try:
        definitions = invocation.load().definitions
    except TminusError:
        return []
    jobs = definitions.jobs.values() if definitions else ()
    return [CompletionItem(job.name, help=job.description) for job in jobs if job.name.startswith(prefix)]
