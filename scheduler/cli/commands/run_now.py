"""`run-now`."""

import sys
from collections.abc import Sequence

import click

from scheduler.cli.completion import complete_jobs
from scheduler.cli.invocation import Invocation
from scheduler.cli.main import Command
from scheduler.errors import UsageError, quoted
from scheduler.operations.run_now import Wish
from scheduler.operations.select import Selected, select


@click.command(cls=Command, name="run-now", short_help="Start jobs by hand, several as one batch.")
@click.argument("jobs", nargs=-1, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--at", metavar="TIME", help="Start them then; otherwise as soon as they are armed.")
@click.option("--no-wait", is_flag=True, help="Leave it to the daemon.")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Another value for one of the job's params.")
@click.option("--all", "every", is_flag=True, help="All jobs.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def run_now(
    invocation: Invocation, jobs: Sequence[str], at: str | None, no_wait: bool, sets: Sequence[str], every: bool, yes: bool
) -> int:
    """
    Start jobs by hand, several of them as one batch; wait, and show how they went. Without a daemon this command runs them
    itself. Exit status 1 where one did not succeed.

    \b
    tminus run-now crm_sync pay_capture
    tminus run-now 'tag:nightly' --at 11:30 --yes
    tminus run-now crm_sync --set day=2026-11-20
    """
    from scheduler.cli.run_now import run_now as run

    if not jobs and not every:
        raise UsageError("which jobs?", hint="tminus run-now JOB…, a tag:NAME, a glob, or --all")
    invocation.asks_apps = True
    selected = select(jobs, invocation.definitions, every=every)
    _confirm(selected, yes=yes)
    wish = Wish(jobs=selected.names, set=dict(_pair(text) for text in sets), at_ns=invocation.time(at) if at else None)
    return run(invocation, wish, wait=not no_wait)


def _confirm(selected: Selected, *, yes: bool) -> None:
    if yes or not selected.by_pattern or len(selected.names) < 2:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"this starts {len(selected.names)} jobs", hint="--yes says that it is meant")
    if not click.confirm(f"start {len(selected.names)} jobs?", err=True):
        raise click.Abort


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign):
        raise UsageError(f"--set {quoted(text)} is not KEY=VALUE", hint="such as --set day=2026-11-20")
    return key, value
