"""`notify test`."""

import os
from collections.abc import Sequence

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command, CommandGroup, common_options


@click.group(
    cls=CommandGroup, params=common_options(), short_help="Send a test to the channels of the jobs file."
)
def notify(**_: object) -> None:
    """Channels for notifications, as the jobs file has them under notify."""


@notify.command(cls=Command, short_help="Send a test to channels, or to all.")
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
def test(invocation: Invocation, channels: Sequence[str]) -> int:
    """
    Send a test to these channels, or to all of the jobs file. The secrets are those of this shell. A check of
    healthchecks.io gets an entry in its log, which changes nothing. Exit status 1 if one is not delivered.

    \b
    tminus notify test
    tminus notify test ops
    """
    from tminus.delivery.send import NotDelivered  # with PycURL
    from tminus.operations.notify import select_channels, send_test

    output, definitions = invocation.output, invocation.definitions(invocation.load())
    results = []
    for channel in select_channels(channels, definitions):
        error = None
        try:
            now_ns = invocation.clock.wall_ns()
            send_test(channel, folder=definitions.folder, environ=os.environ, now_ns=now_ns)
        except NotDelivered as failure:
            error = failure.message
        results.append({"channel": channel.name, "sent": error is None, "error": error})
        if not output.as_json:
            output.line(f"{channel.name}: sent" if error is None else f"{channel.name}: not sent: {error}")
    if output.as_json:
        output.json(results)
    return 0 if all(result["sent"] for result in results) else 1
