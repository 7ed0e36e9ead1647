"""A table of figures with its targets, formatted as Markdown that is readable in a terminal."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    One target.

    Attributes:
        words: The measured value and the target.
        value: The number of violations, or the measured value; None if there is no number.
        of: The number of cases that were judged; None if cases are not counted.
    """

    ok: bool
    words: str
    value: float | None = None
    of: int | None = None

    def __str__(self) -> str:
        return f"{'ok         ' if self.ok else 'NOT REACHED'}  {self.words}"


def none_of(what: str, found: Iterable[str], of: int) -> Verdict:
    """Judge that there are no violations among this many cases. Name those that there are."""
    names = sorted(found)
    some = f": {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else ""
    return Verdict(not names, f"{len(names)} of {of} {what}{some}", value=len(names), of=of)


@dataclass(slots=True, kw_only=True)
class Table:
    """
    The result of one part of the bench.

    Attributes:
        explained: Contents, and how they were measured.
        raw: All measured values, for the JSON file.
        left_out: The reason why there is no table; empty if there is one.
    """

    name: str
    title: str
    explained: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    raw: list[Any] = field(default_factory=list)
    left_out: str = ""

    def text(self) -> str:
        """Format as Markdown."""
        lines = [f"## {self.title}", "", *self.explained]
        if self.left_out:
            return "\n".join([*lines, f"LEFT OUT: {self.left_out}", ""])
        lines += ["", *_grid([self.header, *self.rows]), ""]
        lines += [f"- {note}" for note in self.notes] + [""] * bool(self.notes)
        if self.verdicts:
            lines += ["```", *map(str, self.verdicts), "```", ""]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the table for latest.json."""
        return {
            "name": self.name,
            "title": self.title,
            "left_out": self.left_out,
            "header": self.header,
            "rows": self.rows,
            "verdicts": [{"ok": verdict.ok, "words": verdict.words} for verdict in self.verdicts],
            "notes": self.notes,
            "raw": self.raw,
        }


def at_most(what: str, value: float, most: float, *, unit: str = "", of: str = "") -> Verdict:
    """Judge an upper bound. A value that was not measured does not reach it."""
    if math.isnan(value):
        return Verdict(False, f"{what} not measured, target: at most {most:g}{unit}{of}")
    words = f"{what} {_short(value)}{unit}{of}, target: at most {_short(most)}{unit}"
    return Verdict(value <= most, words, value=value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def number(value: float | None, digits: int = 2) -> str:
    """Format a number for a cell."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _grid(rows: Iterable[Sequence[str]]) -> list[str]:
    header, *body = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in [header, *body]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return [line(header), rule, *map(line, body)]
