"""Problems: what is wrong, in which file, at which line and column, and what would be right."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tminus.errors import printable, shorten

#: Characters of a source line that are shown. A longer line is cut around the place.
_WIDEST = 120
#: Characters of a message and of a hint. The values in them were shortened before.
_LONGEST_MESSAGE = 1_000


class Severity(StrEnum):
    """Whether the file is still valid."""

    ERROR = "error"
    WARNING = "warning"


class Role(StrEnum):
    """The role of a piece of a rendered problem, for colours."""

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
    One error or warning about a file.

    Args:
        path: The file, as the user named it.
        line: Counts from 1.
        column: Counts characters from 1.
        message: Lower case, no full stop.
        hint: What would be right.
        severity: Whether the file is invalid because of it.
        length: The number of characters that the caret underlines.
        source: The line, secrets masked, or the part of a long line around the column; empty if there is
            none.
        source_column: The column of the first character of `source`.
        is_cut: Whether the line continues after `source`.
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
        # Both quote the file. Neither may command a terminal.
        object.__setattr__(self, "message", printable(shorten(self.message, _LONGEST_MESSAGE)))
        object.__setattr__(self, "hint", printable(shorten(self.hint, _LONGEST_MESSAGE)))

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of `validate --json`."""
        return {
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint,
        }


def render(problem: Problem) -> list[tuple[Role, str]]:
    """
    Return the problem for people, in pieces. Joined, they are its plain text, which ends with a line break.
    """
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
    """Return the problem as plain text."""
    return "".join(text for _, text in render(problem))


def _window(problem: Problem) -> tuple[str, int, int]:
    """
    Return the visible part of the source line, the columns before the caret, and the columns of the caret.
    """
    column = problem.column - problem.source_column
    first = max(0, min(column - _WIDEST // 3, len(problem.source) - _WIDEST))
    # One sign per character, so that the caret is below its place.
    shown = printable(problem.source[first : first + _WIDEST].replace("\t", "→"), instead="\ufffd")
    lead = "…" if first or problem.source_column > 1 else ""
    caret = min(column - first, len(shown))
    marked = shown[caret : caret + max(problem.length, 1)]
    tail = "…" if first + _WIDEST < len(problem.source) or problem.is_cut else ""
    return f"{lead}{shown}{tail}", len(lead) + _columns(shown[:caret]), max(_columns(marked), 1)


def _columns(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) > 0 for sign in text)
