"""`backfill`: run past fire times that have not run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.confirmation import confirm
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.errors import UsageError
from tminus.ledger.requests import RequestKind
from tminus.model.occurrence import OccurrenceId
from tminus.operations import backfill as backfilling
from tminus.operations.select import select


@click.command(cls=Command, short_help="Run past fire times that have not run.")
@click.argument("jobs", nargs=-1, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--from", "start", metavar="TIME", required=True, help="The first fire time.")
@click.option("--to", "end", metavar="TIME", required=True, help="The last fire time.")
@click.option("--dry-run", is_flag=True, help="Only show what would run.")
@click.option("--all", "every", is_flag=True, help="All jobs.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def backfill(
    invocation: Invocation,
    jobs: Sequence[str],
    start: str,
    end: str,
    dry_run: bool,
    every: bool,
    yes: bool,
) -> int:
    """
    Run the past fire times of jobs that have no occurrence, or only missed, skipped or cancelled ones. They
    start in the order of the fire times, as their jobs have room. Templates render the day of each.

    \b
    tminus backfill crm_sync --from 2026-11-20 --to yesterday --dry-run
    tminus backfill crm_sync --from 2026-11-20 --to yesterday
    """
    from tminus.cli.request_client import ask_operator

    if not jobs and not every:
        raise UsageError("which jobs?", hint="tminus backfill JOB…, a tag:NAME, a glob, or --all")
    definitions = invocation.definitions(invocation.load())
    selected = select(jobs, definitions, every=every)
    from_ns, to_ns = invocation.time(start, is_past=True), invocation.time(end, is_past=True)
    body = backfilling.to_body(selected.names, from_ns=from_ns, to_ns=to_ns)
    if dry_run:
        now_ns = invocation.clock.wall_ns()
        with invocation.open_ledger().read() as connection:
            found = backfilling.plan(connection, body, definitions, now_ns=now_ns)
        _print(invocation, found.as_json(), "would run")
        return 0
    confirm(selected, "backfill", yes=yes)
    answer = ask_operator(invocation, RequestKind.BACKFILL, body)
    if answer is not None:
        _print(invocation, answer, "to run")
    return 0


def _print(invocation: Invocation, found: Mapping[str, Any], verb: str) -> None:
    if invocation.output.as_json:
        invocation.output.json(dict(found))
        return
    runs = Counter(OccurrenceId.parse(text).job for text in found["occurrences"])
    for job in dict.fromkeys([*runs, *found["left_alone"]]):
        left = found["left_alone"].get(job, 0)
        invocation.output.line(f"{job}: {runs[job]} {verb}, {left} left alone")
    if not runs and not found["left_alone"]:
        invocation.output.line("no fire times")
