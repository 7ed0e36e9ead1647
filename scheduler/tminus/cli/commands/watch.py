"""`watch`."""

from contextlib import closing, suppress

import click

from tminus.cli.batch_follower import follow_batch
from tminus.cli.commands.history import print_skew
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.request_client import daemon_ledger, need_daemon
from tminus.errors import UsageError
from tminus.operations.skew import skew_of
from tminus.operations.times import local
from tminus.operations.watch import BatchWatch, find_batch


@click.command(cls=Command, short_help="The countdown of a batch, live, then its start offsets.")
@click.argument("time", required=False, metavar="[TIME]")
def watch(invocation: Invocation, time: str | None) -> int:
    """
    The countdown of the next batch, or of the one at TIME, and then its start offsets, as `skew` prints them.
    The command ends when each run of the batch has ended, or waits for its next attempt. Exit status 3
    without a daemon.

    \b
    tminus watch
    tminus watch 11:30
    """
    output, clock = invocation.output, invocation.clock
    with closing(daemon_ledger(invocation)) as ledger:
        need_daemon(invocation, ledger)
        definitions = None
        with suppress(UsageError):  # no file, or it is not valid: the ledger has the batches that are near
            definitions = invocation.load_in_force().definitions
        batch = find_batch(
            ledger,
            definitions,
            planned_at_ns=invocation.time(time) if time else None,
            now_ns=clock.wall_ns(),
        )
        jobs = f"{batch.jobs} job{'' if batch.jobs == 1 else 's'}"
        output.say_unless_quiet(f"T {local(batch.planned_at_ns, invocation.zone)}, {jobs}")
        with closing(BatchWatch(ledger, batch)) as running:
            follow_batch(
                batch,
                counts=running.counts,
                clock=clock,
                output=output,
                check=lambda: need_daemon(invocation, ledger),
            )
        found, occurrences = skew_of(ledger, batch.planned_at_ns, unreadable=output.left_out)
    if output.as_json:
        output.json(found.as_json())
    else:
        print_skew(invocation, found, occurrences)
    return 0
