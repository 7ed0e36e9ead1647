"""`status` and `doctor`."""

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.output import CommandOutput
from tminus.errors import DaemonNeeded, EmptyLedger, NoLedger
from tminus.instants import format_duration
from tminus.operations.status import Status
from tminus.operations.status import status as look
from tminus.operations.times import local

_SIGNS = {"ok": ("✓", "+"), "warn": ("▲", "!"), "fail": ("✕", "x")}


@click.command(cls=Command, short_help="The state of the daemon, its problems, and what comes next.")
def status(invocation: Invocation) -> int:
    """
    The state of the daemon, its problems, and what comes next. Exit status 0 healthy, 1 needs attention, 3 no
    daemon.

    \b
    tminus status
    tminus status --json -q
    """
    output, now_ns = invocation.output, invocation.clock.wall_ns()
    try:
        ledger = invocation.open_ledger()
    except NoLedger as error:
        hint = error.hint if isinstance(error, EmptyLedger) else "tminus daemon starts one"
        raise DaemonNeeded(f"no daemon on this ledger: {error.message}", hint=hint) from None
    found = look(ledger, invocation.load_if_valid, now_ns=now_ns, unreadable=output.left_out)
    if output.as_json:
        output.json(found.as_json())
    else:
        _print(invocation, found, now_ns)
    return 3 if not found.is_alive else 1 if found.problems or found.is_stopping else 0


@click.command(cls=Command, short_help="Check the machine: limits, libcurl, clock, permissions.")
def doctor(invocation: Invocation) -> int:
    """
    Check the machine: limits, libcurl's features (whether priming is proven to work here), the clock,
    permissions, versions. Exit status 1 if a check fails.

    \b
    tminus doctor
    """
    from tminus.operations.doctor import examine  # with PycURL

    found = examine(invocation.open_ledger)
    output = invocation.output
    if output.as_json:
        output.json([finding.as_json() for finding in found])
    else:
        _print_findings(output, [(one.status, one.check, one.message, one.hint) for one in found])
    return 1 if any(one.status == "fail" for one in found) else 0


def _print(invocation: Invocation, found: Status, now_ns: int) -> None:
    output, daemon = invocation.output, found.daemon
    if found.is_alive and daemon:
        since = _short(now_ns - daemon.started_ns)
        output.line(f"{found.state} {since}, pid {daemon.pid} on {daemon.host}, tminus {daemon.version}")
        output.line(f"  config   {daemon.config_version}")
    elif found.is_stuck and daemon:
        silent = f"and does not answer, its last sign of life was {_ago(daemon.beat_ns, now_ns)}"
        output.line(f"stopped: pid {daemon.pid} on {daemon.host} holds the ledger {silent}")
    else:
        last = f", the last one stopped {_ago(daemon.stopped_ns or daemon.beat_ns, now_ns)}" if daemon else ""
        output.line(f"stopped: no daemon on this ledger{last}")
    output.line(f"  ledger   {found.ledger}")
    if found.next:
        at, jobs = found.next
        output.line(
            f"  next     {local(at, invocation.zone)} in {_short(at - now_ns)}: {jobs} "
            f"job{'' if jobs == 1 else 's'}"
        )
    output.line(f"  running  {found.running}")
    outcomes = ", ".join(
        f"{count} {outcome.value.replace('_', ' ')}" for outcome, count in found.outcomes.items()
    )
    output.line(f"  24 h     {outcomes or 'nothing has run'}")
    for problem in found.problems:
        output.line(f"  {_sign(output, 'warn')} {problem}")


def _print_findings(output: CommandOutput, rows: list[tuple[str, str, str, str | None]]) -> None:
    for level, check, message, hint in rows:
        output.line(f"{_sign(output, level)} {check}: {message}")
        if hint and level != "ok":
            output.line(f"    {hint}")


def _sign(output: CommandOutput, level: str) -> str:
    return _SIGNS[level][0 if output.is_unicode else 1]


def _ago(then_ns: int, now_ns: int) -> str:
    return f"{_short(now_ns - then_ns)} ago"


def _short(duration_ns: int) -> str:
    return format_duration(duration_ns, whole_seconds=True)
