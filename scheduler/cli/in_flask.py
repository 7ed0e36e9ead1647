"""`flask scheduler jobs|next|run-now`: the same commands with the same options, for those who live in `flask`."""

import importlib
import sys
from typing import Any

import click

from scheduler.cli.main import INTERRUPTED, common_options
from scheduler.clock import SystemClock

_COMMANDS = {"jobs": "definitions.jobs", "next": "definitions.next_", "run-now": "run_now.run_now"}


class _Group(click.Group):
    """Imported by every `flask` command: so what it holds is imported when it is asked for."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        return super().make_context(*arguments, **more, obj=SystemClock().wall_ns())

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(".")
        command: click.Command = getattr(importlib.import_module(f"scheduler.cli.commands.{module}"), attribute)
        return command

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.Abort, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            context.exit(INTERRUPTED)


scheduler = _Group(
    name="scheduler",
    params=common_options(),
    help="The jobs that tminus runs; by the jobs file and the ledger of `tminus`: TMINUS_CONFIG, TMINUS_LEDGER.",
)
