"""A table of figures, what they had to reach, and both as text: Markdown that reads well in a terminal."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    One target.

    Attributes:
        words: What was measured, and what is to be reached.
    """

    ok: bool
    words: str

    def __str__(self) -> str:
        return f"{'ok         ' if self.ok else 'NOT REACHED'}  {self.words}"


def none_of(what: str, found: Iterable[str], of: int) -> Verdict:
    """Of so many nothing is to be found that must not be; what is found is named."""
    names = sorted(found)
    some = f": {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else ""
    return Verdict(not names, f"{len(names)} of {of} {what}{some}")


@dataclass(slots=True, kw_only=True)
class Table:
    """
    What one part of the bench found.

    Attributes:
        explained: What is in it, and how it was measured.
        raw: All that was measured, for the JSON file.
        left_out: Why there is no table at all; empty where there is.
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
        """As Markdown."""
        lines = [f"## {self.title}", "", *self.explained]
        if self.left_out:
            return "\n".join([*lines, f"LEFT OUT: {self.left_out}", ""])
        lines += ["", *_grid([self.header, *self.rows]), ""]
        lines += [f"- {note}" for note in self.notes] + [""] * bool(self.notes)
        if self.verdicts:
            lines += ["```", *map(str, self.verdicts), "```", ""]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
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
    """A target that is an upper bound; what could not be measured has not reached it."""
    if math.isnan(value):
        return Verdict(False, f"{what} not measured, to reach at most {most:g}{unit}{of}")
    return Verdict(value <= most, f"{what} {value:.3g}{unit}{of}, to reach at most {most:.3g}{unit}")


def number(value: float | None, digits: int = 2) -> str:
    """For a cell."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _grid(rows: Iterable[Sequence[str]]) -> list[str]:
    header, *body = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in [header, *body]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return [line(header), rule, *map(line, body)]
