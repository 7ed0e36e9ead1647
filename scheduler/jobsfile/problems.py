"""Problems: what is wrong, in which file, at which line and column, and what would be right."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scheduler.errors import printable, shorten

#: Characters of a source line that are shown; a longer one is cut around the place.
_WIDEST = 120
#: Characters of a message and of a hint; the values in them are shortened before.
_LONGEST_MESSAGE = 1_000


class Severity(StrEnum):
    """Whether the file can be used all the same."""

    ERROR = "error"
    WARNING = "warning"


class Role(StrEnum):
    """What a piece of a rendered problem is, for whoever colours it."""

    ERROR = "error"
    WARNING = "warning"
    MESSAGE = "message"
    PLACE = "place"
    GUTTER = "gutter"
    SOURCE = "source"
    CARET = "caret"
    HINT = "hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    One thing that is wrong.

    Args:
        path: The file, as it was asked for.
        line: Counts from 1.
        column: Counts characters from 1.
        message: Lower case, no full stop.
        hint: What would be right.
        length: Characters that the caret underlines.
        source: The line itself, secrets masked; empty if there is none. Of a long line the part around the column.
        source_column: The column of the first character of `source`.
        is_cut: The line goes on behind `source`.
    """

    path: str
    line: int = 1
    column: int = 1
    message: str
    hint: str
    severity: Severity = Severity.ERROR
    length: int = 1
    source: str = ""
    source_column: int = 1
    is_cut: bool = False

    def __post_init__(self) -> None:
        # What a file says is quoted in both; neither may reach a terminal as more than text.
        object.__setattr__(self, "message", printable(shorten(self.message, _LONGEST_MESSAGE)))
        object.__setattr__(self, "hint", printable(shorten(self.hint, _LONGEST_MESSAGE)))

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """The shape that the contract fixes."""
        return {"path": self.path, "line": self.line, "column": self.column, "message": self.message, "hint": self.hint}


def render(problem: Problem) -> list[tuple[Role, str]]:
    """The problem as a person reads it, in pieces; joined they are its plain text, which ends with a new line."""
    gutter = " " * len(str(problem.line))
    pieces = [
        (Role(problem.severity), str(problem.severity)),
        (Role.MESSAGE, f": {problem.message}\n"),
        (Role.GUTTER, f"{gutter}--> "),
        (Role.PLACE, f"{printable(problem.path)}:{problem.line}:{problem.column}\n"),
    ]
    if problem.source:
        shown, before, marked = _window(problem)
        pieces += [
            (Role.GUTTER, f"{gutter} |\n{problem.line} | "),
            (Role.SOURCE, f"{shown}\n"),
            (Role.GUTTER, f"{gutter} | "),
            (Role.CARET, f"{' ' * before}{'^' * marked}\n"),
        ]
    pieces += [(Role.GUTTER, f"{gutter} = "), (Role.HINT, f"help: {problem.hint}\n")]
    return pieces


def plain(problem: Problem) -> str:
    """The problem as plain text."""
    return "".join(text for _, text in render(problem))


def _window(problem: Problem) -> tuple[str, int, int]:
    """The part of the source line that is shown, and, in columns of a terminal, what comes before the caret and its width."""
    column = problem.column - problem.source_column
    first = max(0, min(column - _WIDEST // 3, len(problem.source) - _WIDEST))
    shown = _in_signs(problem.source[first : first + _WIDEST])
    lead = "…" if first or problem.source_column > 1 else ""
    caret = min(column - first, len(shown))
    marked = shown[caret : caret + max(problem.length, 1)]
    tail = "…" if first + _WIDEST < len(problem.source) or problem.is_cut else ""
    return f"{lead}{shown}{tail}", len(lead) + _columns(shown[:caret]), max(_columns(marked), 1)


def _in_signs(text: str) -> str:
    """Tabs shown as one arrow, control and formatting characters as one sign: no file can write to the terminal."""
    return "".join("→" if sign == "\t" else sign if sign.isprintable() else "\ufffd" for sign in text)


def _columns(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) > 0 for sign in text)
