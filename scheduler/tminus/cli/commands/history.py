"""Commands about past runs: `history`, `logs`, `skew`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.output import CommandOutput, duration, offset
from tminus.cli.terminal_plot import draw
from tminus.errors import UsageError
from tminus.instants import SECOND, to_datetime
from tminus.ledger.follow import EndedOccurrences
from tminus.ledger.history import find_pages
from tminus.model.chain import LinkStatus
from tminus.model.occurrence import Attempt, Occurrence
from tminus.model.sent_request import SentRequest
from tminus.model.skew import Skew
from tminus.operations.history import occurrence_log, past_jobs
from tminus.operations.skew import skew_of
from tminus.operations.times import local
from tminus.outcome import OccurrenceState, Origin, Outcome

_LIMIT = 50
_MOST = 1_000_000_000
_LOOK_NS = SECOND // 2


@click.command(cls=Command, short_help="Past occurrences, newest first.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option("--since", metavar="TIME", help="Only those planned at this time or later.")
@click.option("--until", metavar="TIME", help="Only those planned before this time.")
@click.option(
    "--outcome",
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only those with this outcome.",
)
@click.option("--limit", type=click.IntRange(1, _MOST), default=_LIMIT, help=f"At most this many [{_LIMIT}].")
@click.option("-f", "--follow", is_flag=True, help="Go on, and show each occurrence when it ends.")
def history(
    invocation: Invocation,
    jobs: Sequence[str],
    since: str | None,
    until: str | None,
    outcome: str | None,
    limit: int,
    *,
    follow: bool,
) -> int:
    """
    Past occurrences, newest first. With --follow, the newest one is the last one.

    \b
    tminus history crm_sync
    tminus history 'crm_*' tag:nightly
    tminus history --outcome failed --since yesterday --until 06:00
    tminus history --follow
    """
    output, ledger = invocation.output, invocation.open_ledger()
    if follow and (output.as_json or until):
        raise UsageError(
            f"--follow does not go with {'--json' if output.as_json else '--until'}",
            hint="leave one of them out",
        )
    names = past_jobs(ledger, jobs, invocation.load_if_valid, unreadable=output.left_out)
    wanted = Outcome(outcome) if outcome else None
    ended = EndedOccurrences(ledger, names, unreadable=output.left_out) if follow else None
    pages = find_pages(
        ledger,
        jobs=names,
        since_ns=invocation.time(since, is_past=True) if since else None,
        until_ns=invocation.time(until, is_past=True) if until else None,
        outcome=wanted,
        limit=limit,
        unreadable=output.left_out,
    )
    if output.as_json:
        output.json_items(occurrence.as_json() for page in pages for occurrence in page)
        return 0
    found = [occurrence for page in pages for occurrence in page]
    if ended:
        _follow(invocation, found[::-1], ended, wanted)
    columns = (
        f"PLANNED AT ({_zone_name(invocation, found)})",
        "JOB",
        "OUTCOME",
        "OFFSET",
        "DURATION",
        "STATUS",
        "REASON",
    )
    output.table(
        columns, [_row(invocation, occurrence) for occurrence in found], right=("OFFSET", "DURATION")
    )
    if len(found) == limit:
        output.say_unless_quiet(f"the newest {limit}; --limit shows more")
    return 0


@click.command(cls=Command, short_help="One occurrence: attempts, response, output.")
@click.argument("occurrence", shell_complete=complete_jobs)
def logs(invocation: Invocation, occurrence: str) -> int:
    """
    One occurrence with its attempts and what was kept of the response. For a job, its last one.

    \b
    tminus logs crm_sync@2026-11-20T10:30:00Z
    tminus logs crm_sync
    """
    output = invocation.output
    found = occurrence_log(invocation.open_ledger(), occurrence, unreadable=output.left_out)
    if output.as_json:
        output.json(found.as_json())
        return 0
    _print_occurrence(invocation, found.occurrence)
    for attempt in found.attempts:
        _print_attempt(output, attempt, found.occurrence)
    for link in found.occurrence.chain:
        _print_link(output, link)
    return 0


@click.command(cls=Command, short_help="Start offsets of a batch, as figures and a plot.")
@click.argument("batch", required=False, metavar="[BATCH]")
@click.option(
    "--svg", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the plot to this file."
)
def skew(invocation: Invocation, batch: str | None, file: Path | None) -> int:
    """
    The start offsets of a batch. BATCH is its T, by default that of the last batch.

    \b
    tminus skew
    tminus skew 11:30 --svg batch.svg
    """
    planned_at_ns = invocation.time(batch, is_past=True) if batch else None
    found, occurrences = skew_of(
        invocation.open_ledger(), planned_at_ns, unreadable=invocation.output.left_out
    )
    if file is not None:
        from tminus.operations.batch_plot import render_svg

        write_picture(invocation, file, render_svg(found, occurrences, zone=invocation.zone))
    if invocation.output.as_json:
        invocation.output.json(found.as_json())
    else:
        print_skew(invocation, found, occurrences)
    return 0


def print_skew(invocation: Invocation, found: Skew, occurrences: Sequence[Occurrence]) -> None:
    """Print the figures and the plot of a batch."""
    output = invocation.output
    output.line(
        f"{local(found.planned_at_ns, invocation.zone)}: {len(found.offsets)} of {found.jobs} "
        f"started{_not_done_clause(occurrences)}"
    )
    if found.offsets:
        figures = {
            "first": found.first_ns,
            "p50": found.percentile_ns(0.5),
            "p99": found.percentile_ns(0.99),
            "last": found.last_ns,
        }
        spread = duration(found.spread_ns)
        output.line(
            "started after T: "
            + "  ".join(f"{name} {offset(value)}" for name, value in figures.items())
            + f"  spread {spread}"
        )
        for line in draw(found, occurrences, unicode=output.is_unicode):
            output.line(line)


def write_picture(invocation: Invocation, file: Path, picture: str) -> None:
    """
    Write a plot to a file, and print its name.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        file.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    invocation.output.say_unless_quiet(f"wrote {file}")


def _zone_name(invocation: Invocation, found: Sequence[Occurrence]) -> str:
    """Return the short name of the zone. If the clocks have changed in between, return all its names."""
    names = dict.fromkeys(
        f"{to_datetime(occurrence.planned_at_ns, invocation.zone):%Z}" for occurrence in found
    )
    return "/".join(names) or str(invocation.zone)


def _follow(
    invocation: Invocation,
    found: Sequence[Occurrence],
    ended: EndedOccurrences,
    outcome: Outcome | None,
) -> NoReturn:
    output, shown = invocation.output, {one.id for one in found if one.outcome}
    while True:
        for occurrence in found:
            cells = [cell.replace("\n", " ") for cell in _row(invocation, occurrence)]
            output.line("  ".join(filter(None, cells)) if output.is_terminal else "\t".join(cells))
        output.flush()
        invocation.clock.pause(_LOOK_NS)
        found = [one for one in ended.look() if one.id not in shown and outcome in (None, one.outcome)]


def _row(invocation: Invocation, occurrence: Occurrence) -> tuple[str, ...]:
    count = f" ×{occurrence.count}" if occurrence.count > 1 else ""
    return (
        f"{to_datetime(occurrence.planned_at_ns, invocation.zone):%Y-%m-%d %H:%M:%S}",
        occurrence.id.job,
        f"{invocation.output.occurrence_mark(occurrence)}{count}",
        offset(occurrence.start_offset_ns),
        duration(occurrence.duration_ns),
        str(occurrence.http_status or ""),
        "; ".join(str(part) for part in (occurrence.reason, occurrence.resolution) if part),
    )


def _not_done_clause(occurrences: Sequence[Occurrence]) -> str:
    """Return a clause with two numbers: occurrences that are not done, and those whose start is unknown."""
    unknown = sum(
        occurrence.outcome is Outcome.UNKNOWN and occurrence.started_at_ns is None
        for occurrence in occurrences
    )
    running = sum(occurrence.outcome is None for occurrence in occurrences)
    return "".join(
        f", {count} {word}" for count, word in ((running, "not done yet"), (unknown, "unknown")) if count
    )


def _print_occurrence(invocation: Invocation, occurrence: Occurrence) -> None:
    output = invocation.output
    output.line(f"{occurrence.id}  {output.occurrence_mark(occurrence)}")
    if occurrence.reason:
        output.line(f"  {occurrence.reason}")
    if occurrence.resolution:
        output.line(f"  {occurrence.resolution}, {local(occurrence.resolution.at_ns, invocation.zone)}")
    no_start = (
        "not known"
        if occurrence.outcome is Outcome.UNKNOWN or occurrence.state is OccurrenceState.RUNNING
        else "never"
    )
    output.line(
        f"  planned {local(occurrence.planned_at_ns, invocation.zone)}, started "
        f"{offset(occurrence.start_offset_ns) or no_start}"
    )
    by = f", by {occurrence.executor}" if occurrence.executor else ""
    # Background runs have no version.
    config = f", config {occurrence.config_version}" if occurrence.config_version else ""
    output.line(f"  origin {occurrence.origin.value}{by}{config}")
    for key, value in occurrence.params.items():
        output.line(f"  {key} = {value}")


def _print_attempt(output: CommandOutput, attempt: Attempt, occurrence: Occurrence) -> None:
    armed = ", armed" if attempt.armed else ", not armed"
    armed = "" if occurrence.origin is Origin.BACKGROUND else armed  # it has no T
    took = f" in {duration(attempt.duration_ns)}" if attempt.duration_ns else ""
    output.line(f"attempt {attempt.attempt}: {output.mark(attempt.outcome.value)}{took}{armed}")
    if attempt.reason:
        output.line(f"  {attempt.reason}")
    if phases := attempt.phases.offsets_ns:
        since = "its start" if occurrence.origin is Origin.BACKGROUND else "T"
        output.line(f"  from {since}: {', '.join(f'{one.label} {offset(at)}' for one, at in phases.items())}")
    if attempt.request:
        _print_request(output, attempt.request)
    for header in attempt.headers:
        output.line(f"  {header}")
    for text in filter(None, (attempt.output, attempt.body)):
        _print_text(output, text)
    if not attempt.body and attempt.body_size:
        output.line(f"  ({attempt.body_size} bytes of response, not kept: see daemon.history.body)")


def _print_request(output: CommandOutput, request: SentRequest) -> None:
    lines = [f"{request.method} {request.url}", *request.headers]
    if request.body:
        lines += ["", *request.body.splitlines()]
    elif request.body_size:
        lines.append(f"({request.body_size} bytes of body, not kept: see daemon.history.body)")
    for line in lines:
        output.line(f"  > {line}".rstrip())


def _print_link(output: CommandOutput, link: LinkStatus) -> None:
    output.line(f"then {link.link}: {output.mark(link.state.value)}")
    if link.error:
        output.line(f"  {link.error}")
    if link.output:
        _print_text(output, link.output)


def _print_text(output: CommandOutput, text: bytes) -> None:
    output.line()
    for line in text.decode(errors="replace").splitlines():
        output.line(f"  {line}")
