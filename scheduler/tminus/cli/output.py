"""
The output of commands: tables for people, tab-separated lines for pipes, one JSON document for machines.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from tminus.errors import TminusError, printable
from tminus.instants import format_duration

if TYPE_CHECKING:
    from tminus.model.occurrence import Occurrence

#: ECMA-48, "select graphic rendition".
_DIM, _RED, _YELLOW, _BLUE, _CYAN = "2", "31", "33", "34", "36"
#: Sign, letter and colour of each outcome and state. No meaning depends on the colour alone.
_MARKS = {
    "succeeded": ("●", "ok", _BLUE),
    "failed": ("✕", "x", _RED),
    "timed_out": ("⧖", "t", _RED),
    "missed": ("∅", "0", _RED),
    "unknown": ("?", "?", _YELLOW),
    "skipped": ("–", "-", _DIM),
    "cancelled": ("⊘", "/", _DIM),
    "passed_over": ("–", "-", _DIM),
    "running": ("▶", ">", _CYAN),
    "claimed": ("◐", "c", _DIM),
    "queued": ("○", "q", _DIM),
    "waiting": ("○", "w", _DIM),
    "chain_failed": ("✕", "x", _RED),
    "rescued": ("●", "ok", _BLUE),
}
#: The marks of what a chain has made of its run.
_CHAIN_RESULTS = {"failed": "chain_failed", "rescued": "rescued"}
#: A text in one of the colours and weights that are used here, up to its reset.
_STYLED = re.compile("(\x1b\\[(?:1;)?(?:[12]|3[1-7])m)([^\x1b]*)(\x1b\\[0m)")


class CommandOutput:
    """
    The output of a command. Only data goes to stdout; messages go to stderr.

    Args:
        as_json: Whether to print one JSON document instead of text.
        color: Whether to print in colour on a terminal.
        quiet: Whether to print no messages except errors.
        verbose: Whether to print more messages.
    """

    def __init__(self, *, as_json: bool, color: bool, quiet: bool, verbose: bool) -> None:
        self.as_json = as_json
        self.is_terminal = sys.stdout.isatty() and not as_json
        self.quiet = quiet
        self.verbose = verbose
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self.color = color and not plain
        self._has_color = self.color and self.is_terminal
        self.is_unicode = _is_unicode(sys.stdout)
        self._has_left_out = False

    def json(self, document: Any) -> None:
        """Print the document of `--json`."""
        print(json.dumps(document, ensure_ascii=not self.is_unicode, indent=2))

    def json_items(self, items: Iterable[Any]) -> None:
        """Print the document of `--json` as an array, with one item per line, without keeping all items."""
        before = "["
        for item in items:
            print(before, json.dumps(item, ensure_ascii=not self.is_unicode), sep="\n", end="")
            before = ","
        print("[]" if before == "[" else "\n]")

    def line(self, text: str = "") -> None:
        """Print data: a line, or several."""
        print(self._plain(_harmless(text, styled=self._has_color, keep="\n\t")))

    def flush(self) -> None:
        """Write what was printed."""
        sys.stdout.flush()

    @property
    def has_color_in_messages(self) -> bool:
        """Whether stderr shows colour."""
        return self.color and sys.stderr.isatty()

    def say_unless_quiet(self, text: str) -> None:
        """Print a message to stderr, unless `--quiet` is given."""
        if not self.quiet:
            self.say_always(text)

    def say_always(self, text: str, end: str = "\n") -> None:
        """Print a message to stderr, even with `--quiet`."""
        text = _harmless(text, styled=self.has_color_in_messages, keep="\n\t")
        print(text if _is_unicode(sys.stderr) else _ascii(text), end=end, file=sys.stderr, flush=True)

    def left_out(self, row: int) -> None:
        """Warn, once, that occurrences are left out because this version does not understand their rows."""
        if not self._has_left_out:
            self._has_left_out = True
            self.say_unless_quiet(
                "warning: rows of the ledger that this tminus does not understand are left out; the first "
                f"is row {row} of occurrences"
            )

    def detail(self, text: str) -> None:
        """Print a message to stderr with `--verbose`."""
        if self.verbose:
            self.say_unless_quiet(text)

    def error(self, error: TminusError) -> None:
        """Print an error and its hint."""
        self.say_always(f"error: {error.message}")
        if error.hint:
            self.say_always(f"  hint: {error.hint}")

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
    ) -> None:
        """
        Print a table. On a terminal it is aligned. Otherwise, it is a header and one tab-separated line per
        row, and nothing is cut.

        Args:
            columns: The names of the columns.
            rows: The cells as text.
            right: The columns that are aligned to the right.
        """
        if not self.is_terminal:
            for row in (columns, *rows):
                print(
                    "\t".join(self._plain(_harmless(cell.replace("\t", " "), styled=False)) for cell in row)
                )
            return
        from rich.console import Console  # slow to import
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold" if self.color else "")
        for name in columns[:-1]:
            table.add_column(
                name, justify="right" if name in right else "left", no_wrap=True, overflow="ellipsis"
            )
        table.add_column(
            columns[-1], justify="right" if columns[-1] in right else "left", overflow="fold", ratio=1
        )
        for row in rows:
            cells = (_harmless(cell.replace("\t", " "), styled=self._has_color) for cell in row)
            table.add_row(*map(Text.from_ansi, cells))
        Console(no_color=not self.color).print(table)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """
        Show a progress bar on stderr if that is a terminal. Yields a function that takes the number of items
        that are done.
        """
        if self.quiet or not sys.stderr.isatty():
            yield lambda _done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=Console(stderr=True, no_color=not self.color), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)

    def occurrence_mark(self, occurrence: "Occurrence") -> str:
        """
        Return the mark of the outcome of an occurrence, or of its state if it has none, and a second one if
        its chain differs.
        """
        marks = [self.mark(occurrence.outcome or occurrence.state)]
        if result := _CHAIN_RESULTS.get(occurrence.chain_result or ""):
            marks.append(self.mark(result))
        return " ".join(marks)

    def mark(self, state: str) -> str:
        """Return the sign and the word of an outcome or a state, in its colour on a terminal."""
        sign, letter, color = _MARKS.get(state, ("", "", ""))
        word = state.replace("_", " ")
        text = f"{sign if self.is_unicode else letter} {word}".strip()
        return f"\x1b[{color}m{text}\x1b[0m" if self._has_color and color else text

    def _plain(self, text: str) -> str:
        return text if self.is_unicode else _ascii(text)


def offset(duration_ns: int | None) -> str:
    """Return a start offset for people: `+1.4 ms`, `+2.3 s`."""
    if duration_ns is None:
        return ""
    return f"{'-' if duration_ns < 0 else '+'}{format_duration(duration_ns)}"


def duration(duration_ns: int | None) -> str:
    """Return a duration for people; an empty text if there is none."""
    return "" if duration_ns is None else format_duration(duration_ns)


def _harmless(text: str, *, styled: bool, keep: str = "") -> str:
    """
    Return a text that cannot command a terminal, whoever has written it. If `styled`, its colours stay.
    """
    if text.isprintable() or not styled:
        return printable(text, keep=keep)
    parts, end = list[str](), 0
    for found in _STYLED.finditer(text):
        begin, inner, reset = found.groups()
        parts += [printable(text[end : found.start()], keep=keep), begin, printable(inner, keep=keep), reset]
        end = found.end()
    return "".join([*parts, printable(text[end:], keep=keep)])


def _is_unicode(stream: TextIO) -> bool:
    return "utf" in (stream.encoding or "").lower()


def _ascii(text: str) -> str:
    return text.replace("–", "-").replace("…", "...").replace("µ", "u").encode("ascii", "replace").decode()
