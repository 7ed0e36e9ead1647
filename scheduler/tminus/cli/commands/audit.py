"""`audit`: what was due, compared with the ledger."""

from zoneinfo import ZoneInfo

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.instants import SECOND
from tminus.ledger.pauses import PauseTrace
from tminus.operations.audit import Audit, findings
from tminus.operations.audit import audit as compare
from tminus.operations.times import local

_DAY_NS = 86_400 * SECOND
#: Findings of a kind that are printed; `--json` has all of them.
_MOST = 50


@click.command(cls=Command, short_help="Compare what was due with the ledger.")
@click.option("--since", metavar="TIME", help="Only fire times after this one [24 h ago].")
@click.option("--until", metavar="TIME", help="Only fire times up to this one [now].")
def audit(invocation: Invocation, since: str | None, until: str | None) -> int:
    """
    Compute again what was due, and compare it with the ledger. Exit status 1 if an occurrence was missed,
    doubled or unexplained, or if an outcome is unknown. Pauses and suspensions of the time are listed.

    \b
    tminus audit
    tminus audit --since 2026-11-01 --until yesterday
    """
    output, now_ns = invocation.output, invocation.clock.wall_ns()
    since_ns = invocation.time(since, is_past=True) if since else now_ns - _DAY_NS
    until_ns = invocation.time(until, is_past=True) if until else now_ns
    found = compare(invocation.open_ledger(), since_ns=since_ns, until_ns=until_ns, now_ns=now_ns)
    if count := len(found.shortened):
        jobs = "1 job" if count == 1 else f"{count} jobs"
        output.say_unless_quiet(f"older history of {jobs} was deleted (daemon.history), and is left out")
    if output.as_json:
        output.json(found.as_json())
    else:
        _print(invocation, found)
    return 0 if found.is_well else 1


def _print(invocation: Invocation, found: Audit) -> None:
    output = invocation.output
    output.line(f"{found.checked} fire times, {found.ok} as they should be")
    rows = [(kind, str(finding.id), finding.detail) for kind, finding in findings(found)]
    if rows:
        output.table(("FINDING", "OCCURRENCE", "DETAIL"), rows[:_MOST])
    if len(rows) > _MOST:
        output.say_unless_quiet(f"{len(rows) - _MOST} more: tminus audit --json")
    if found.pauses:
        withheld = [(trace.job, *_pause_cells(trace, invocation.zone)) for trace in found.pauses]
        output.table(("JOB", "FROM", "UNTIL", "BY", "REASON"), withheld[:_MOST])
    if len(found.pauses) > _MOST:
        output.say_unless_quiet(f"{len(found.pauses) - _MOST} more pauses: tminus audit --json")


def _pause_cells(trace: PauseTrace, zone: ZoneInfo) -> tuple[str, str, str, str]:
    pause, until = trace.pause, "" if trace.until_ns is None else local(trace.until_ns, zone)
    return local(pause.since_ns, zone), until, f"{pause.verb} by {pause.by}", pause.reason
