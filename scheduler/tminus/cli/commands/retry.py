"""`retry`."""

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.ledger.requests import RequestKind
from tminus.operations.occurrence_request import parse_id
from tminus.operations.retry import to_body


@click.command(cls=Command, short_help="Run an occurrence again, for its own fire time.")
@click.argument("occurrence")
def retry(invocation: Invocation, occurrence: str) -> int:
    """
    Run a finished occurrence again, as a new occurrence with the same fire time, and with its params as far
    as the job still has them: templates render the day of the original. The command does not wait for the
    new occurrence.

    \b
    tminus retry crm_sync@2026-11-20T11:30:00Z
    """
    from tminus.cli.request_client import ask_operator
    from tminus.ledger import history

    output = invocation.output
    answer = ask_operator(invocation, RequestKind.RETRY, to_body(parse_id(occurrence)))
    ids = [parse_id(text) for text in answer["occurrences"]] if answer else []
    if output.as_json:
        found = history.find_by_ids(invocation.open_ledger(), ids) if ids else []
        output.json([one.as_json() for one in found])
    for identity in ids if not output.as_json else ():
        output.line(str(identity))
        output.say_unless_quiet(f"what becomes of it: tminus logs {identity}")
    return 0
