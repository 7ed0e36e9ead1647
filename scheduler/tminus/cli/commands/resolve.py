"""`resolve`."""

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.errors import UsageError
from tminus.ledger.requests import RequestKind
from tminus.operations.occurrence_request import parse_id
from tminus.operations.resolve import to_body
from tminus.outcome import Resolved


@click.command(cls=Command, short_help="Say whether an unknown or missed occurrence ran.")
@click.argument("occurrence")
@click.option("--ran", is_flag=True, help="Its work is done.")
@click.option("--not-ran", is_flag=True, help="Its work is not done, and that is settled.")
def resolve(invocation: Invocation, occurrence: str, *, ran: bool, not_ran: bool) -> int:
    """
    Say whether an occurrence that is unknown or missed ran. The outcome stays; history and logs show who
    resolved it. Nothing is run: see retry.

    \b
    tminus resolve crm_sync@2026-11-20T11:30:00Z --ran
    """
    from tminus.cli.request_client import ask_operator

    if ran == not_ran:
        raise UsageError("did it run?", hint="--ran or --not-ran")
    resolved, output = Resolved.RAN if ran else Resolved.NOT_RAN, invocation.output
    body = to_body(parse_id(occurrence), resolved)
    answer = ask_operator(invocation, RequestKind.RESOLVE, body)
    if output.as_json:
        output.json([{"id": answer["occurrence"], "resolved": answer["resolved"]}] if answer else [])
    elif answer:
        output.line(f"{answer['occurrence']} is resolved: {resolved.label}")
    return 0
