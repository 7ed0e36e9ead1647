"""`demo`: the main use case without any preparation."""

from pathlib import Path

import click

from tminus.cli.batch_follower import follow_batch
from tminus.cli.commands.history import print_skew, write_picture
from tminus.cli.demo import FLASK_JOBS, HTTP_JOBS, RESPONSE_AFTER_S, Demo
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.output import duration
from tminus.cli.terminal_plot import CAPTION, axis, strip
from tminus.errors import TminusError, UsageError
from tminus.model.occurrence import Occurrence, milliseconds
from tminus.model.skew import Skew
from tminus.operations.batch_plot import render_svg
from tminus.operations.scale import Scale
from tminus.operations.times import local
from tminus.outcome import Outcome

#: The duration of a typical job of a back office, for the comparison at the end.
_USUAL_S = 2
_SERVE_PORT = 8099


@click.command(
    cls=Command, short_help="The main use case without any preparation: 100 requests and 20 views at one T."
)
@click.option(
    "--svg", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the plot to this file."
)
@click.option(
    "--serve",
    is_flag=True,
    help=f"Only run the target server, on port {_SERVE_PORT}, for the shipped jobs.yaml.",
)
def demo(invocation: Invocation, file: Path | None, serve: bool) -> int:
    """
    Start a server, and a daemon with 100 HTTP jobs and 20 Flask jobs that are due in a few seconds. Show the
    countdown and the starts. Then send the same 100 requests one after another. Ends by itself within 40 s.

    \b
    tminus demo
    tminus demo --serve        # and in another terminal: tminus daemon
    """
    if serve:
        if file is not None or invocation.output.as_json:
            raise UsageError("--serve takes no --svg and no --json")
        return _serve()
    output = invocation.output
    if file is not None and not file.parent.is_dir():
        raise UsageError(f"cannot write {file}: there is no folder {file.parent}")
    with Demo(invocation.clock) as running:
        batch = running.start()
        due = local(batch.planned_at_ns, invocation.zone)
        output.say_unless_quiet(
            f"{HTTP_JOBS} HTTP jobs and {FLASK_JOBS} Flask jobs are due at {due}; each takes "
            f"{RESPONSE_AFTER_S:g} s"
        )
        follow_batch(batch, counts=running.counts, clock=invocation.clock, output=output, check=running.check)
        skew, occurrences = running.report()
        output.say_unless_quiet(f"and now the same {HTTP_JOBS} requests one after another …")
        one_by_one = []
        with output.progress(HTTP_JOBS) as advance:
            for offset_ns in running.one_by_one():
                one_by_one.append(offset_ns)
                advance(len(one_by_one))
    if output.as_json:
        output.json(
            {"batch": skew.as_json(), "one_by_one_ms": [milliseconds(offset_ns) for offset_ns in one_by_one]}
        )
    else:
        _show(invocation, skew, occurrences, one_by_one)
    if file is not None:
        picture = render_svg(
            skew, occurrences, zone=invocation.zone, compared=one_by_one, compared_as="one after another"
        )
        write_picture(invocation, file, picture)
    return 0 if all(one.outcome is Outcome.SUCCEEDED for one in occurrences) else 1


def _serve() -> int:
    """Serve in this process, so that nothing is left when it ends."""
    from tminus.cli import demo_server  # imports asyncio, which is slow

    try:
        demo_server.serve(_SERVE_PORT, RESPONSE_AFTER_S)
    except OSError as error:
        raise TminusError(
            f"cannot listen on port {_SERVE_PORT}: {error.strerror or error}",
            hint="another demo may be running",
        ) from None
    return 0


def _show(invocation: Invocation, skew: Skew, occurrences: list[Occurrence], one_by_one: list[int]) -> None:
    output = invocation.output
    output.line()
    print_skew(invocation, skew, occurrences)
    last = one_by_one[-1]
    output.line()
    output.line(
        f"the same {HTTP_JOBS} requests one after another: the last started {duration(last)} after the first"
    )
    scale = Scale.over([*(offset.offset_ns for offset in skew.offsets), *one_by_one])
    output.line(CAPTION)
    for kind in ("http", "flask"):
        offsets = [offset.offset_ns for offset in skew.offsets if offset.id.startswith(kind)]
        output.line(strip(kind, offsets, scale, unicode=output.is_unicode))
    output.line(strip("one by one", one_by_one, scale, unicode=output.is_unicode))
    output.line(axis(scale, unicode=output.is_unicode))
    output.line()
    hundredth = _USUAL_S * (HTTP_JOBS - 1)
    output.line(
        f"arithmetic, not measured: at {_USUAL_S} s each, one after another, the {HTTP_JOBS}th would "
        f"start after {hundredth} s"
    )
