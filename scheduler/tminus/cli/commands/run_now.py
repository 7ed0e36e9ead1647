"""`run-now`."""

from collections.abc import Sequence

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.confirmation import confirm
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.errors import UsageError, quoted
from tminus.operations.run_now import RunNowRequest
from tminus.operations.select import select


@click.command(cls=Command, name="run-now", short_help="Start jobs by hand, several as one batch.")
@click.argument("jobs", nargs=-1, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--at", metavar="TIME", help="Start them at this time; otherwise as soon as they are armed.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the outcomes.")
@click.option(
    "--set", "sets", metavar="KEY=VALUE", multiple=True, help="Override a value under the job's params."
)
@click.option("--all", "every", is_flag=True, help="All jobs.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def run_now(
    invocation: Invocation,
    jobs: Sequence[str],
    at: str | None,
    no_wait: bool,
    sets: Sequence[str],
    every: bool,
    yes: bool,
) -> int:
    """
    Start jobs by hand, several of them as one batch; wait, and show the outcomes. Without a daemon, this
    command runs them itself. Exit status 1 if one did not succeed, or its chain failed.

    \b
    tminus run-now crm_sync pay_capture
    tminus run-now 'tag:nightly' --at 11:30 --yes
    tminus run-now crm_sync --set day=2026-11-20
    """
    from tminus.cli.run_now_client import run_now as run

    if not jobs and not every:
        raise UsageError("which jobs?", hint="tminus run-now JOB…, a tag:NAME, a glob, or --all")
    in_force = invocation.load_in_force()
    selected = select(jobs, in_force.definitions, every=every)
    confirm(selected, "start", yes=yes)
    run_request = RunNowRequest(
        jobs=selected.names, set=dict(_pair(text) for text in sets), at_ns=invocation.time(at) if at else None
    )
    return run(invocation, in_force, run_request, wait=not no_wait)


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign):
        raise UsageError(f"--set {quoted(text)} is not KEY=VALUE", hint="such as --set day=2026-11-20")
    return key, value
