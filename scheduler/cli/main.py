"""The way in: options before or after the command, exit codes, errors without a traceback."""

import importlib
import sys
from collections.abc import Collection, Sequence
from typing import Any

import click

from scheduler import __version__
from scheduler.cli.output import Output
from scheduler.cli.streams import close_output, open_standard_streams
from scheduler.clock import SystemClock
from scheduler.errors import TminusError, did_you_mean, is_utf8, quoted, shorten

INTERRUPTED = 130
WRONG_USAGE = 2
_LONGEST_MESSAGE = 300

#: Commands, and where each is: only the one that is asked for is imported.
_COMMANDS = {
    "daemon": "daemon.daemon",
    "demo": "demo.demo",
    "validate": "definitions.validate",
    "next": "definitions.next_",
    "run-now": "run_now.run_now",
    "jobs": "definitions.jobs",
    "show": "definitions.show",
    "status": "health.status",
    "history": "past.history",
    "logs": "past.logs",
    "skew": "past.skew",
    "doctor": "health.doctor",
    "schema": "definitions.schema",
    "completion": "completion.completion",
}


def common_options() -> list[click.Option]:
    """What every command takes, before or after its name."""
    return [
        click.Option(
            ["-c", "--config"], metavar="FILE", help="The jobs file [$TMINUS_CONFIG, ./jobs.yaml, /etc/tminus/jobs.yaml]."
        ),
        click.Option(["--ledger"], metavar="URL", help="The ledger, as an SQLAlchemy URL; -v says which one is meant and why."),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout, and nothing else there."),
        click.Option(["-v", "--verbose"], is_flag=True, help="Say more, on stderr."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Say only what is wrong."),
        click.Option(["--no-color"], is_flag=True, help="No colour; the same as NO_COLOR."),
    ]


class _Parser(click.Command):
    """A command whose arguments are UTF-8: what is not can neither be a job's name nor stored nor sent."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        for argument in args:
            if not is_utf8(argument):
                raise click.UsageError(f"the argument {quoted(argument)} is not UTF-8", context)
        return super().parse_args(context, args)


class Command(_Parser):
    """A command whose callback gets the `Invocation` first."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params.extend(common_options())

    def invoke(self, context: click.Context) -> Any:
        from scheduler.cli.invocation import Invocation  # with SQL and YAML: not for --version and --help

        before = context.parent.params if context.parent else {}
        common = {
            option.name: context.params.pop(str(option.name), None) or before.get(str(option.name)) for option in common_options()
        }
        output = Output(
            as_json=bool(common["as_json"]),
            color=not common["no_color"],
            quiet=bool(common["quiet"]),
            verbose=bool(common["verbose"]),
        )
        if output.verbose:
            _log_everything()
        invocation = Invocation(config=common["config"], ledger_url=common["ledger"], output=output, started_ns=context.obj)
        try:
            status = context.invoke(self.callback, invocation, **context.params) if self.callback else 0
        except TminusError as error:
            output.error(error)
            status = error.exit_code
        context.exit(int(status or 0))


def _log_everything() -> None:
    import logging  # it takes its time to import

    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("scheduler").setLevel(logging.DEBUG)


class Commands(_Parser, click.Group):
    """Some of the commands, each imported when it is asked for."""

    names: Collection[str]

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.names)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.names:
            return None
        module, _, attribute = _COMMANDS[name].partition(".")
        try:
            command: click.Command = getattr(importlib.import_module(f"scheduler.cli.commands.{module}"), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("scheduler"):
                raise
            # Installed for an application, which hands work over and needs no more.
            raise click.ClickException(f"{error.name} is not installed here: pip install 'tminus[daemon]'") from None
        return command


class _Program(Commands):
    names = _COMMANDS

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {quoted(args[0])}{did_you_mean(args[0], _COMMANDS)}", context)
        return super().resolve_command(context, args)


program = _Program(
    name="tminus",
    params=common_options(),
    help="A concurrent batch scheduler daemon: all your 11:30 jobs start at 11:30.",
    epilog="Exit status: 0 done, 1 the answer is bad, 2 wrong usage or file, 3 no daemon, 4 no such thing, 130 interrupted.",
)
program = click.version_option(__version__, prog_name="tminus", message="%(prog)s %(version)s")(program)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        arguments: Without the program's name; None: the process's.

    Returns:
        The exit status.
    """
    open_standard_streams()
    started_ns = SystemClock().wall_ns()
    try:
        given = list(arguments) if arguments is not None else None
        status = program.main(given, "tminus", standalone_mode=False, obj=started_ns)
    except click.ClickException as error:
        if len(error.message) > _LONGEST_MESSAGE:  # click quotes whole arguments
            error = click.UsageError(shorten(error.message, _LONGEST_MESSAGE), getattr(error, "ctx", None))
        error.show()
        status = WRONG_USAGE
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    return close_output(int(status or 0))
