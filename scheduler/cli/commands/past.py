"""The commands about past runs: `history`, `logs`, `skew`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from scheduler.cli.completion import complete_jobs
from scheduler.cli.invocation import Invocation
from scheduler.cli.main import Command
from scheduler.cli.output import Output, duration, offset
from scheduler.cli.strip import draw
from scheduler.errors import NotFound, UsageError
from scheduler.instants import to_datetime
from scheduler.ledger import history as past
from scheduler.ledger.engine import Ledger
from scheduler.model.chain import LinkRun
from scheduler.model.occurrence import Attempt, Occurrence, OccurrenceId, milliseconds, timestamp
from scheduler.model.skew import Skew
from scheduler.operations.select import select
from scheduler.operations.skew import skew_of
from scheduler.operations.times import local
from scheduler.outcome import Outcome, State

_MOST = 50
_LARGEST = 1_000_000_000


@click.command(cls=Command, short_help="What has run, newest first.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option("--since", metavar="TIME", help="Planned then or later.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only those that ended so.")
@click.option("--limit", type=click.IntRange(1, _LARGEST), default=_MOST, help=f"At most this many [{_MOST}].")
def history(invocation: Invocation, jobs: Sequence[str], since: str | None, outcome: str | None, limit: int) -> int:
    """
    Past occurrences, newest first.

    \b
    tminus history crm_sync
    tminus history 'crm_*' tag:nightly
    tminus history --outcome failed --since -24h
    """
    output, ledger = invocation.output, invocation.open_ledger()
    pages = past.find_pages(
        ledger,
        jobs=_names(invocation, jobs, past.last_of_each(ledger, jobs, unreadable=output.left_out)),
        since_ns=invocation.time(since, is_past=True) if since else None,
        outcome=Outcome(outcome) if outcome else None,
        limit=limit,
        unreadable=output.left_out,
    )
    if output.as_json:
        output.json_items(one.as_json() for page in pages for one in page)
        return 0
    found = [one for page in pages for one in page]
    columns = f"PLANNED AT ({_zone_name(invocation, found)})", "JOB", "OUTCOME", "OFFSET", "DURATION", "STATUS", "REASON"
    output.table(columns, [_row(invocation, one) for one in found], right=("OFFSET", "DURATION"))
    if len(found) == limit:
        output.say(f"the newest {limit}; --limit shows more")
    return 0


@click.command(cls=Command, short_help="One occurrence: attempts, answer, output.")
@click.argument("occurrence", shell_complete=complete_jobs)
def logs(invocation: Invocation, occurrence: str) -> int:
    """
    One occurrence with its attempts and what was kept of the answer; of a job, the last one.

    \b
    tminus logs crm_sync@2026-11-20T10:30:00Z
    tminus logs crm_sync
    """
    output, ledger = invocation.output, invocation.open_ledger()
    found = _meant(invocation, ledger, occurrence)
    attempts = past.attempts_of(ledger, found[0].id, unreadable=output.left_out)
    if output.as_json:
        last = attempts[-1] if attempts else None
        text = ((last.output or last.body) if last else b"").decode(errors="replace")
        links = [_link_json(one) for one in found[0].chain]
        attempts_json = [_attempt_json(one) for one in attempts]
        output.json({"occurrence": found[0].as_json(), "attempts": attempts_json, "output": text, "links": links})
        return 0
    _print_occurrence(invocation, found[0])
    for attempt in attempts:
        _print_attempt(output, attempt)
    for link in found[0].chain:
        _print_link(output, link)
    return 0


@click.command(cls=Command, short_help="Start offsets of a batch, as figures and picture.")
@click.argument("batch", required=False, metavar="[BATCH]")
@click.option("--svg", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture there.")
def skew(invocation: Invocation, batch: str | None, file: Path | None) -> int:
    """
    How punctual a batch was: BATCH is its T, by default that of the last one.

    \b
    tminus skew
    tminus skew 11:30 --svg batch.svg
    """
    planned_at_ns = invocation.time(batch, is_past=True) if batch else None
    found, occurrences = skew_of(invocation.open_ledger(), planned_at_ns, unreadable=invocation.output.left_out)
    if file is not None:
        from scheduler.operations.picture import svg

        write_picture(invocation, file, svg(found, occurrences, zone=invocation.zone))
    if invocation.output.as_json:
        invocation.output.json(found.as_json())
    else:
        print_skew(invocation, found, occurrences)
    return 0


def print_skew(invocation: Invocation, found: Skew, occurrences: Sequence[Occurrence]) -> None:
    """Print the figures and the picture of a batch."""
    output = invocation.output
    output.line(
        f"{local(found.planned_at_ns, invocation.zone)}: {len(found.offsets)} of {found.jobs} started{_open_ones(occurrences)}"
    )
    if found.offsets:
        figures = {
            "first": found.first_ns,
            "p50": found.percentile_ns(0.5),
            "p99": found.percentile_ns(0.99),
            "last": found.last_ns,
        }
        spread = duration(found.spread_ns)
        output.line("  ".join(f"{name} {offset(value)}" for name, value in figures.items()) + f"  spread {spread}")
        for line in draw(found, occurrences, unicode=output.is_unicode):
            output.line(line)


def write_picture(invocation: Invocation, file: Path, picture: str) -> None:
    """
    Write a picture, and say so.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        file.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    invocation.output.say(f"wrote {file}")


def _names(invocation: Invocation, words: Sequence[str], known: Mapping[str, Occurrence]) -> Sequence[str]:
    """Return the jobs that are meant: a job that is not in the file any more, or without a file, still has its history."""
    if not words:
        return ()
    try:
        definitions = invocation.loaded.definitions
    except UsageError:  # no file at all
        definitions = None
    if definitions is None:
        return words
    gone = [word for word in words if word in known and word not in definitions.jobs]
    rest = [word for word in words if word not in gone]
    return [*gone, *(select(rest, definitions).names if rest else ())]


def _meant(invocation: Invocation, ledger: Ledger, word: str) -> Sequence[Occurrence]:
    left_out = invocation.output.left_out
    if "@" not in word:
        if last := past.find(ledger, jobs=[word], limit=1, unreadable=left_out):
            return last
        raise NotFound(f"no occurrence of {word}", hint="tminus history; tminus jobs")
    try:
        identity = OccurrenceId.parse(word)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if found := past.of_ids(ledger, [identity], unreadable=left_out):
        return found
    raise NotFound(f"no occurrence {word}", hint=f"tminus history {identity.job}")


def _zone_name(invocation: Invocation, found: Sequence[Occurrence]) -> str:
    """Return the short name of the zone; all its names if the clocks have changed meanwhile."""
    names = dict.fromkeys(f"{to_datetime(one.planned_at_ns, invocation.zone):%Z}" for one in found)
    return "/".join(names) or str(invocation.zone)


def _row(invocation: Invocation, one: Occurrence) -> tuple[str, ...]:
    state = one.outcome.value if one.outcome else one.state.value
    return (
        f"{to_datetime(one.planned_at_ns, invocation.zone):%Y-%m-%d %H:%M:%S}",
        one.id.job,
        invocation.output.mark(state) + (f" ×{one.count}" if one.count > 1 else ""),
        offset(one.start_offset_ns),
        duration(one.duration_ns),
        str(one.http_status or ""),
        one.reason or "",
    )


def _open_ones(occurrences: Sequence[Occurrence]) -> str:
    """Return how many have not ended, and of how many it is unknown whether they have started."""
    unknown = sum(one.outcome is Outcome.UNKNOWN and one.started_at_ns is None for one in occurrences)
    running = sum(one.outcome is None for one in occurrences)
    return "".join(f", {count} {word}" for count, word in ((running, "not done yet"), (unknown, "unknown")) if count)


def _print_occurrence(invocation: Invocation, one: Occurrence) -> None:
    output = invocation.output
    state = one.outcome.value if one.outcome else one.state.value
    output.line(f"{one.id}  {output.mark(state)}")
    if one.reason:
        output.line(f"  {one.reason}")
    unknown = "not known" if one.outcome is Outcome.UNKNOWN or one.state is State.RUNNING else "never"
    output.line(f"  planned {local(one.planned_at_ns, invocation.zone)}, started {offset(one.start_offset_ns) or unknown}")
    by = f", by {one.executor}" if one.executor else ""
    config = f", config {one.config_version}" if one.config_version else ""  # background runs have none
    output.line(f"  origin {one.origin.value}{by}{config}")
    for key, value in one.params.items():
        output.line(f"  {key} = {value}")


def _print_attempt(output: Output, attempt: Attempt) -> None:
    armed = "armed" if attempt.armed else "not armed"
    output.line(f"attempt {attempt.attempt}: {output.mark(attempt.outcome.value)} in {duration(attempt.duration_ns)}, {armed}")
    if attempt.reason:
        output.line(f"  {attempt.reason}")
    for header in attempt.headers:
        output.line(f"  {header}")
    for text in filter(None, (attempt.output, attempt.body)):
        _print_text(output, text)
    if not attempt.body and attempt.body_size:
        output.line(f"  ({attempt.body_size} bytes of answer, not kept: see daemon.history.body)")


def _print_link(output: Output, link: LinkRun) -> None:
    output.line(f"then {link.link}: {output.mark(link.state.value)}")
    if link.error:
        output.line(f"  {link.error}")
    if link.output:
        _print_text(output, link.output)


def _print_text(output: Output, text: bytes) -> None:
    output.line()
    for line in text.decode(errors="replace").splitlines():
        output.line(f"  {line}")


def _attempt_json(attempt: Attempt) -> dict[str, object]:
    return {
        "attempt": attempt.attempt,
        "started_at": timestamp(attempt.started_at_ns),
        "finished_at": timestamp(attempt.finished_at_ns),
        "duration_ms": milliseconds(attempt.duration_ns),
        "armed": attempt.armed,
        "http_status": attempt.http_status,
        "outcome": attempt.outcome.value,
        "reason": attempt.reason,
        "headers": list(attempt.headers),
        "body": attempt.body.decode(errors="replace"),
        "body_size": attempt.body_size,
    }


def _link_json(link: LinkRun) -> dict[str, object]:
    times = {"started_at": timestamp(link.started_at_ns), "finished_at": timestamp(link.finished_at_ns)}
    return {**link.as_json(), **times, "output": link.output.decode(errors="replace")}
