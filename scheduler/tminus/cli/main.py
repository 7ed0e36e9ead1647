"""The entry point: options before or after the command, exit codes, errors without a traceback."""

import importlib
import sys
from collections.abc import Collection, Sequence
from typing import Any

import click

from tminus import __version__
from tminus.cli.output import CommandOutput
from tminus.cli.streams import close_output, open_standard_streams
from tminus.clock import SystemClock
from tminus.errors import TminusError, is_utf8, quoted, shorten
from tminus.suggestions import did_you_mean

INTERRUPTED = 130
WRONG_USAGE = 2
_LONGEST_MESSAGE = 300

#: The module and the function of each command. Only those of the called command are imported.
_COMMANDS = {
    "daemon": "daemon.daemon",
    "demo": "demo.demo",
    "validate": "jobs_file.validate",
    "next": "jobs_file.next_",
    "run-now": "run_now.run_now",
    "pause": "pause.pause",
    "resume": "pause.resume",
    "skip": "skip.skip",
    "cancel": "cancel.cancel",
    "retry": "retry.retry",
    "resolve": "resolve.resolve",
    "jobs": "jobs_file.jobs",
    "show": "jobs_file.show",
    "status": "health.status",
    "audit": "audit.audit",
    "why": "why.why",
    "history": "history.history",
    "logs": "history.logs",
    "skew": "history.skew",
    "watch": "watch.watch",
    "doctor": "health.doctor",
    "reload": "reload.reload",
    "backfill": "backfill.backfill",
    "db": "db.db",
    "notify": "notify.notify",
    "schema": "jobs_file.schema",
    "completion": "completion.completion",
}


def common_options() -> list[click.Option]:
    """Return the options that every command takes, before or after its name."""
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            help="The jobs file [$TMINUS_CONFIG, ./jobs.yaml, /etc/tminus/jobs.yaml].",
        ),
        click.Option(
            ["--ledger"],
            metavar="URL",
            help="The ledger, as an SQLAlchemy URL; -v prints which one is used and why.",
        ),
        click.Option(
            ["--json", "as_json"],
            is_flag=True,
            help="Print one JSON document on stdout, and nothing else there.",
        ),
        click.Option(["-v", "--verbose"], is_flag=True, help="Print more messages, on stderr."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Print only errors."),
        click.Option(["--no-color"], is_flag=True, help="No colour; the same as NO_COLOR."),
    ]


class _Parser(click.Command):
    """
    A command whose arguments must be UTF-8. Another text cannot be the name of a job, and cannot be stored
    or sent.
    """

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        for argument in args:
            if not is_utf8(argument):
                raise click.UsageError(f"the argument {quoted(argument)} is not UTF-8", context)
        return super().parse_args(context, args)


class Command(_Parser):
    """A command whose callback gets the `Invocation` as its first argument."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params.extend(common_options())

    def invoke(self, context: click.Context) -> Any:
        # Here, because it imports SQL and YAML, which --version and --help do not need.
        from tminus.cli.invocation import Invocation

        before: dict[str, Any] = {}
        above = context.parent
        while above is not None:  # a group of commands may lie between the program and this command
            before = {name: value for name, value in above.params.items() if value} | before
            above = above.parent
        common = {
            option.name: context.params.pop(str(option.name), None) or before.get(str(option.name))
            for option in common_options()
        }
        output = CommandOutput(
            as_json=bool(common["as_json"]),
            color=not common["no_color"],
            quiet=bool(common["quiet"]),
            verbose=bool(common["verbose"]),
        )
        if output.verbose:
            _log_everything()
        invocation = Invocation(
            config=common["config"], ledger_url=common["ledger"], output=output, started_ns=context.obj
        )
        try:
            status = context.invoke(self.callback, invocation, **context.params) if self.callback else 0
        except TminusError as error:
            output.error(error)
            status = error.exit_code
        context.exit(int(status or 0))


def _log_everything() -> None:
    import logging  # slow to import

    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("tminus").setLevel(logging.DEBUG)


class CommandGroup(_Parser, click.Group):
    """A command with commands of its own."""


class LazyCommands(_Parser, click.Group):
    """A group of commands whose modules are imported on demand: only that of the called command."""

    names: Collection[str]

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.names)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.names:
            return None
        module, _, attribute = _COMMANDS[name].partition(".")
        try:
            command: click.Command = getattr(
                importlib.import_module(f"tminus.cli.commands.{module}"), attribute
            )
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("tminus"):
                raise
            # tminus is installed here for an application that only submits.
            raise click.ClickException(
                f"{error.name} is not installed here; in the folder of tminus: pip install '.[daemon]'"
            ) from None
        except TminusError as error:  # the environment is not valid
            hint = f"\n  hint: {error.hint}" if error.hint else ""
            raise click.UsageError(f"{error.message}{hint}") from None
        return command


class _Program(LazyCommands):
    names = _COMMANDS

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {quoted(args[0])}{did_you_mean(args[0], _COMMANDS)}", context)
        return super().resolve_command(context, args)


program = _Program(
    name="tminus",
    params=common_options(),
    help="A concurrent batch scheduler daemon: all your 11:30 jobs start at 11:30.",
    epilog=(
        "Exit status: 0 success, 1 bad result, 2 wrong usage or file, 3 no daemon or the wrong ledger, "
        "4 no such job, batch or occurrence, 130 interrupted."
    ),
)
program = click.version_option(__version__, prog_name="tminus", message="%(prog)s %(version)s")(program)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        arguments: The arguments without the program's name; None for those of the process.

    Returns:
        The exit status.
    """
    open_standard_streams()
    started_ns = SystemClock().wall_ns()
    try:
        argument_list = list(arguments) if arguments is not None else None
        status = program.main(argument_list, "tminus", standalone_mode=False, obj=started_ns)
    except click.ClickException as error:
        if len(error.message) > _LONGEST_MESSAGE:  # click quotes whole arguments
            error = click.UsageError(shorten(error.message, _LONGEST_MESSAGE), getattr(error, "ctx", None))
        error.show()
        status = WRONG_USAGE
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    return close_output(int(status or 0))
