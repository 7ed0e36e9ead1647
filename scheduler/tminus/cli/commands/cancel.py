"""`cancel`."""

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.ledger.requests import RequestKind
from tminus.operations.cancel import to_body
from tminus.operations.occurrence_request import parse_id


@click.command(cls=Command, short_help="Cancel an occurrence that waits or runs.")
@click.argument("occurrence")
def cancel(invocation: Invocation, occurrence: str) -> int:
    """
    Cancel an occurrence that is queued, claimed, or waits for its next attempt; it ends as cancelled. One
    that is running is stopped: its request is broken off, its function is asked to stop. Exit status 1 if it
    is over.

    \b
    tminus cancel crm_sync@2026-11-20T11:30:00Z
    """
    from tminus.cli.request_client import ask_operator

    output = invocation.output
    answer = ask_operator(invocation, RequestKind.CANCEL_OCCURRENCE, to_body(parse_id(occurrence)))
    if output.as_json:
        output.json([{"id": answer["occurrence"], "cancelled": answer["cancelled"]}] if answer else [])
    elif answer:
        what = "is cancelled" if answer["cancelled"] else "is asked to stop"
        output.line(f"{answer['occurrence']} {what}")
        if not answer["cancelled"]:
            output.say_unless_quiet(f"what becomes of it: tminus logs {answer['occurrence']}")
    return 0
