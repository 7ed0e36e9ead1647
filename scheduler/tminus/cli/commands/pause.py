"""`pause` and `resume`."""

from collections.abc import Sequence

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.confirmation import confirm
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.errors import UsageError
from tminus.instants import rfc3339
from tminus.ledger.requests import RequestKind
from tminus.operations import pause as pausing
from tminus.operations import resume as resuming
from tminus.operations.select import select


@click.command(cls=Command, short_help="Stop starting jobs by their schedules.")
@click.argument("jobs", nargs=-1, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--until", metavar="TIME", help="Resume by itself at this time.")
@click.option(
    "--reason", metavar="TEXT", default="", help="The reason, for `tminus history` and `tminus jobs`."
)
@click.option("--all", "every", is_flag=True, help="All jobs.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def pause(
    invocation: Invocation, jobs: Sequence[str], until: str | None, reason: str, every: bool, yes: bool
) -> int:
    """
    Stop starting jobs by their schedules until they are resumed. Their fire times end as skipped; the
    reason names who paused the job, since when, and why. What is running goes on; run-now still works.

    \b
    tminus pause crm_sync --reason 'CRM is down'
    tminus pause 'tag:nightly' --until 2026-11-21T06:00 --yes
    """
    from tminus.cli.request_client import ask_operator

    until_ns = invocation.time(until) if until else None
    if until_ns is not None and until_ns <= invocation.clock.wall_ns():
        raise UsageError(f"--until {until} is past", hint="leave --until out to pause without an end")
    names = _names(invocation, jobs, "pause", every=every, yes=yes)
    body = pausing.to_body(names, until_ns=until_ns, reason=reason)
    answer, output = ask_operator(invocation, RequestKind.PAUSE, body), invocation.output
    paused: Sequence[str] = answer["jobs"] if answer else ()
    if output.as_json:
        ends = rfc3339(until_ns) if until_ns is not None else None
        output.json([{"job": name, "paused": True, "until": ends, "reason": reason} for name in paused])
        return 0
    for name in paused:
        output.line(f"{name} is paused" + (f" until {rfc3339(until_ns)}" if until_ns is not None else ""))
    return 0


@click.command(cls=Command, short_help="End the pauses of jobs.")
@click.argument("jobs", nargs=-1, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--all", "every", is_flag=True, help="All jobs.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def resume(invocation: Invocation, jobs: Sequence[str], every: bool, yes: bool) -> int:
    """
    Let paused jobs start by their schedules again, from their next fire time on.

    \b
    tminus resume crm_sync
    tminus resume --all --yes
    """
    from tminus.cli.request_client import ask_operator

    names = _names(invocation, jobs, "resume", every=every, yes=yes)
    answer, output = ask_operator(invocation, RequestKind.RESUME, resuming.to_body(names)), invocation.output
    asked: Sequence[str] = answer["jobs"] if answer else ()
    resumed: Sequence[str] = answer["resumed"] if answer else ()
    if output.as_json:
        output.json([{"job": name, "paused": False, "was_paused": name in resumed} for name in asked])
        return 0
    for name in asked:
        output.line(f"{name} is resumed" if name in resumed else f"{name} was not paused")
    return 0


def _names(
    invocation: Invocation, jobs: Sequence[str], verb: str, *, every: bool, yes: bool
) -> tuple[str, ...]:
    """
    Return the names of the selected jobs.

    Raises:
        UsageError: no job is named, or several are selected by a pattern and nobody has confirmed it.
        NotFound: a word selects no job.
    """
    if not jobs and not every:
        raise UsageError("which jobs?", hint=f"tminus {verb} JOB…, a tag:NAME, a glob, or --all")
    selected = select(jobs, invocation.definitions(invocation.load()), every=every)
    confirm(selected, verb, yes=yes)
    return selected.names
