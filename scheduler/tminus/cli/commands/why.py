"""`why`: what became of a job at some time, in sentences."""

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.operations.why import explain


@click.command(cls=Command, short_help="Why a job ran, did not run, or ran late.")
@click.argument("job", shell_complete=complete_jobs)
@click.argument("time", metavar="TIME")
def why(invocation: Invocation, job: str, time: str) -> int:
    """
    Explain in sentences why a job ran, did not run, or ran late at some time.

    \b
    tminus why crm_sync 11:30
    tminus why crm_sync 2026-11-20T11:30:00Z
    """
    output = invocation.output
    found = explain(
        invocation.open_ledger(),
        invocation.load_if_valid(),
        job,
        at_ns=invocation.time(time, is_past=True),
        now_ns=invocation.clock.wall_ns(),
        zone=invocation.zone,
        unreadable=output.left_out,
    )
    if output.as_json:
        output.json(found.as_json())
    else:
        for sentence in found.sentences:
            output.line(sentence)
    return 0
