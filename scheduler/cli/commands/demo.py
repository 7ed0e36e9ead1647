"""`demo`: the main job with nothing prepared."""

import sys
import threading
from pathlib import Path

import click

from scheduler.cli.commands.past import print_skew, write_picture
from scheduler.cli.demo import ANSWER_AFTER_S, FLASK_JOBS, HTTP_JOBS, Demo
from scheduler.cli.invocation import Invocation
from scheduler.cli.main import Command
from scheduler.cli.output import duration
from scheduler.cli.strip import axis, strip
from scheduler.errors import TminusError, UsageError
from scheduler.instants import SECOND
from scheduler.model.occurrence import Occurrence, milliseconds
from scheduler.model.skew import Skew
from scheduler.operations.picture import svg
from scheduler.operations.scale import Scale
from scheduler.operations.times import local
from scheduler.outcome import Outcome

#: What the jobs of a back office take, for the arithmetic at the end.
_USUAL_S = 2
_SERVE_PORT = 8099


@click.command(cls=Command, short_help="The main job with nothing prepared: 100 jobs and 20 views at one T.")
@click.option("--svg", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture there.")
@click.option("--serve", is_flag=True, help=f"Only the target server, on port {_SERVE_PORT}: the shipped jobs.yaml aims at it.")
def demo(invocation: Invocation, file: Path | None, serve: bool) -> int:
    """
    A target server and a Flask application, a hundred HTTP jobs and twenty Flask jobs due in a few seconds, the countdown, the
    batch's picture; then the same hundred requests one after another. Ends by itself within 40 s.

    \b
    tminus demo
    tminus demo --serve        # and in another terminal: tminus daemon
    """
    if serve:
        return _serve()
    output = invocation.output
    if file is not None and not file.parent.is_dir():
        raise UsageError(f"cannot write {file}: there is no folder {file.parent}")
    with Demo(invocation.clock) as running:
        planned_at_ns = running.start()
        due = local(planned_at_ns, invocation.zone)
        output.say(f"{HTTP_JOBS} HTTP jobs and {FLASK_JOBS} Flask jobs are due at {due}; each takes {ANSWER_AFTER_S:g} s")
        _count_down(invocation, planned_at_ns)
        skew, occurrences = running.wait()
        output.say(f"and now the same {HTTP_JOBS} requests one after another …")
        one_by_one = []
        with output.progress(HTTP_JOBS) as advance:
            for offset_ns in running.one_by_one():
                one_by_one.append(offset_ns)
                advance(len(one_by_one))
    if output.as_json:
        output.json({"batch": skew.as_json(), "one_by_one_ms": [milliseconds(offset_ns) for offset_ns in one_by_one]})
    else:
        _show(invocation, skew, occurrences, one_by_one)
    if file is not None:
        picture = svg(skew, occurrences, zone=invocation.zone, compared=one_by_one, compared_as="one after another")
        write_picture(invocation, file, picture)
    return 0 if all(one.outcome is Outcome.SUCCEEDED for one in occurrences) else 1


def _serve() -> int:
    """In this process, so that nothing is left when it ends."""
    from scheduler.cli import target  # with asyncio

    try:
        target.serve(_SERVE_PORT, ANSWER_AFTER_S)
    except OSError as error:
        raise TminusError(
            f"cannot listen on port {_SERVE_PORT}: {error.strerror or error}", hint="is it served already?"
        ) from None
    return 0


def _count_down(invocation: Invocation, planned_at_ns: int) -> None:
    """Live on a terminal, a line a second elsewhere."""
    never, live = threading.Event(), sys.stderr.isatty() and not invocation.output.quiet
    said = None
    while (left_ns := planned_at_ns - invocation.clock.wall_ns()) > 0:
        if live:
            invocation.output.message(f"T−{left_ns / SECOND:4.1f} s ", end="\r")
        elif (seconds := -(-left_ns // SECOND)) != said:
            said = seconds
            invocation.output.say(f"T-{seconds} s")
        never.wait(min(0.1, left_ns / SECOND))
    if live:
        invocation.output.message("T         ")


def _show(invocation: Invocation, skew: Skew, occurrences: list[Occurrence], one_by_one: list[int]) -> None:
    output = invocation.output
    output.line()
    print_skew(invocation, skew, occurrences)
    last = one_by_one[-1]
    output.line()
    output.line(f"the same {HTTP_JOBS} requests one after another: the last started {duration(last)} after the first")
    scale = Scale.over([*(offset.offset_ns for offset in skew.offsets), *one_by_one])
    for kind in ("http", "flask"):
        offsets = [offset.offset_ns for offset in skew.offsets if offset.id.startswith(kind)]
        output.line(strip(kind, offsets, scale, unicode=output.is_unicode))
    output.line(strip("one by one", one_by_one, scale, unicode=output.is_unicode))
    output.line(axis(scale, unicode=output.is_unicode))
    output.line()
    hundredth = _USUAL_S * (HTTP_JOBS - 1)
    output.line(
        f"arithmetic, not measured: at {_USUAL_S} s each, one after another, the {HTTP_JOBS}th would start after {hundredth} s"
    )
