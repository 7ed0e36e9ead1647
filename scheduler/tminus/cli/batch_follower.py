"""
The countdown of a batch, as `watch` and `demo` show it on stderr: live on a terminal, elsewhere a line per
phase.
"""

import sys
from collections.abc import Callable
from contextlib import closing

from tminus.cli.output import CommandOutput
from tminus.clock import Clock
from tminus.instants import MS, SECOND
from tminus.model.batch import BatchCounts
from tminus.operations.watch import PlannedBatch

_REDRAW_NS = 100 * MS
_CHECK_NS = SECOND


def follow_batch(
    batch: PlannedBatch,
    *,
    counts: Callable[[int], BatchCounts],
    clock: Clock,
    output: CommandOutput,
    check: Callable[[], object],
) -> None:
    """
    Show the countdown of a batch until it has ended.

    Args:
        batch: The batch.
        counts: Returns how far the batch is at an instant, wall clock, as `BatchWatch.counts`.
        clock: The source of time.
        output: Where the countdown is shown.
        check: Raises if nobody runs the batch any more. Called every second.
    """
    view, checked_ns = _View(output, batch), clock.monotonic_ns()
    with closing(view):
        while True:
            now_ns = clock.wall_ns()
            now_counts = counts(now_ns)
            view.show(now_counts, now_ns)
            if batch.has_ended(now_counts, now_ns):
                break
            if clock.monotonic_ns() - checked_ns > _CHECK_NS and not batch.is_quiet(now_ns):
                checked_ns = clock.monotonic_ns()
                check()
            clock.pause(_REDRAW_NS)


class _View:
    """The countdown of one batch."""

    def __init__(self, output: CommandOutput, batch: PlannedBatch) -> None:
        self._output = output
        self._batch = batch
        self._is_live = sys.stderr.isatty() and not output.quiet
        self._shown = ""
        self._width = 0

    def show(self, counts: BatchCounts, now_ns: int) -> None:
        """Show how far the batch is at this instant, wall clock."""
        phase, text = self._phase(counts, now_ns)
        if self._is_live:
            left_ns = self._batch.planned_at_ns - now_ns
            self._draw(f"T{'-' if left_ns > 0 else '+'}{_format_countdown(abs(left_ns))}  {text}")
        elif phase != self._shown:
            self._output.say_unless_quiet(text)
        self._shown = phase

    def close(self) -> None:
        """Leave the line."""
        if self._is_live:
            self._output.say_always("")

    def _phase(self, counts: BatchCounts, now_ns: int) -> tuple[str, str]:
        """Return the phase of the batch, and its line."""
        jobs = max(self._batch.jobs, counts.written)
        if self._batch.has_ended(counts, now_ns):
            return "done", f"{counts.ended} of {jobs} done"
        if now_ns >= self._batch.planned_at_ns:
            return "released", f"released, {counts.ended} of {jobs} done"
        if counts.claimed:
            return "claimed", f"{counts.claimed} of {jobs} stored in the ledger (claimed)"
        return "due", f"{jobs} due"

    def _draw(self, text: str) -> None:
        self._output.say_always(text.ljust(self._width), end="\r")
        self._width = len(text)


def _format_countdown(duration_ns: int) -> str:
    """Return a duration that is easy to read while it changes: `4.2 s`, `5:29`, `3:10:00`."""
    seconds = duration_ns // SECOND
    if seconds < 60:
        return f"{duration_ns // (100 * MS) / 10:4.1f} s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
