"""`flask tminus jobs|next|run-now`: the same commands with the same options, as commands of Flask."""

import sys
from typing import Any

import click

from tminus.cli.main import INTERRUPTED, LazyCommands, common_options
from tminus.cli.streams import close_output, open_standard_streams
from tminus.clock import SystemClock


class _Group(LazyCommands):
    names = ("jobs", "next", "run-now")

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        open_standard_streams()
        return super().make_context(*arguments, **more, obj=SystemClock().wall_ns())

    def invoke(self, context: click.Context) -> Any:
        status = 0
        try:
            super().invoke(context)
        except click.exceptions.Exit as done:
            status = done.exit_code
        except (click.Abort, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            status = INTERRUPTED
        context.exit(close_output(status))


tminus = _Group(
    name="tminus",
    params=common_options(),
    help=(
        "The jobs that tminus runs. The jobs file and the ledger are those of `tminus`: TMINUS_CONFIG, "
        "TMINUS_LEDGER."
    ),
)
