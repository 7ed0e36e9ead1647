"""`skip`."""

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.errors import JobNotFound
from tminus.ledger.requests import RequestKind
from tminus.operations.skip import to_body


@click.command(cls=Command, short_help="Skip one fire time of a job.")
@click.argument("job", shell_complete=complete_jobs)
@click.argument("time")
def skip(invocation: Invocation, job: str, time: str) -> int:
    """
    Skip one fire time of a job. It ends as skipped; its reason names who asked for it.

    \b
    tminus skip crm_sync 11:30
    tminus skip crm_sync 2026-11-20T11:30:00Z
    """
    from tminus.cli.request_client import ask_operator

    definitions, output = invocation.definitions(invocation.load()), invocation.output
    if job not in definitions.jobs:
        raise JobNotFound(job, definitions.jobs)
    body = to_body(definitions.jobs[job], fire_time_ns=invocation.time(time))
    answer = ask_operator(invocation, RequestKind.SKIP, body)
    if output.as_json:
        output.json([{"id": answer["occurrence"]}] if answer else [])
    elif answer:
        output.line(f"{answer['occurrence']} will be skipped")
    return 0
