"""One file: its content, and the place of each value in it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tminus.jobsfile.text.decode import LINE_BREAK, Mark, TextProblem, UnreadableText, decode, decode_lossy
from tminus.jobsfile.text.masking import find_continued, mask_line, mask_part
from tminus.jobsfile.text.problems import Problem
from tminus.jobsfile.text.reader import YamlReader
from tminus.jobsfile.text.tree import Node, Part, Path, Tree
from tminus.model.code_job import CodeJob
from tminus.model.job import SourceLocation

#: Characters of a line that are kept on each side of a place. Fewer are shown.
_AROUND = 200


@dataclass(frozen=True, slots=True)
class Spot:
    """
    A place in a file; line and column count from 1.

    Args:
        taken: The steps of the path that exist.
        node: The node of the value, even if the place is that of its key; None if unknown.
    """

    line: int
    column: int
    length: int
    taken: Path
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """
    A line of a file, or a part of it.

    Args:
        text: The line, secrets masked.
        column: The column of its first character.
        is_cut: Whether the line continues after the text.
    """

    text: str
    column: int
    is_cut: bool


class Document:
    """
    A file that was read. Not thread-safe: places are computed when they are first asked for.

    Args:
        path: The file, as the user named it.
        data: The bytes of the file.
    """

    app: str | None = None  #: the application whose code defines the job; None for a file
    unproven: CodeJob | None = None  #: as in `model.job.Job`

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.value: Any = None  #: plain maps, lists and scalars; None for an empty or an unreadable text
        self._text = ""
        self._is_yaml = True
        self._key_marks: Mapping[Path, Mark] = {}
        self._parts: dict[Path, Tree] = {}
        self._masked: dict[int, str] = {}
        text_problems: Sequence[TextProblem]
        try:
            self._text = decode(data)
            reader = YamlReader(self._text)
            self.value, self._key_marks, text_problems = reader.value, reader.key_marks, reader.problems
        except UnreadableText as stop:
            self._is_yaml = False
            self._text = self._text or decode_lossy(data)
            text_problems = stop.problems
        self.problems = [self._problem(found) for found in text_problems]

    def excerpt(self, number: int, column: int) -> Excerpt:
        """
        Return a line with its secrets masked, or the part of it around a column. Both count from 1.

        Masking takes time in proportion to the line, and a whole file may be one line. So each line is
        masked once.
        """
        if number > len(self._lines):
            return Excerpt("", 1, is_cut=False)
        if number not in self._masked:
            line = self._lines[number - 1]
            is_continued = number - 1 in self._continued_secrets
            self._masked[number] = mask_part(line, 1, len(line)) if is_continued else mask_line(line)
        line = self._masked[number]
        first = max(column - 1 - _AROUND, 0)
        return Excerpt(line[first : column + _AROUND], first + 1, is_cut=len(line) > column + _AROUND)

    def spot(self, path: Path, *, on_key: bool = False, offset: int | None = None, length: int = 1) -> Spot:
        """
        Return the place of a path, or of as much of it as exists.

        Args:
            path: Keys of maps and indexes of lists.
            on_key: Whether to return the place of the last key, not that of its value.
            offset: A character within a text, counted from 0.
            length: The number of characters from there on.
        """
        if on_key and len(path) == 2 and (mark := self._key_marks.get(path)):
            return Spot(mark.line + 1, mark.column + 1, max(len(str(path[-1])), 1), path)
        key, node, taken = self._tree_with(path).find(path)
        if node is None:
            return Spot(1, 1, 1, ())
        if key is not None:
            is_there = taken[-1:] == path[-1:]
            begins_below = node.kind != "scalar" and node.start.line != key.start.line
            if begins_below or (on_key and is_there):
                return self._spot(key, node, taken)
        return self._spot(node, node, taken, offset, length)

    def _spot(self, at: Node, node: Node, taken: Path, offset: int | None = None, length: int = 1) -> Spot:
        line = self._lines[at.start.line]
        column, end = at.start.column, at.end.column if at.end.line == at.start.line else len(line)
        text_column = column + at.is_quoted
        # Behind an escape or in a block, the characters of the value are not at their place in the line.
        if offset is not None and at.kind == "scalar" and line.startswith(at.text, text_column):
            column = text_column + min(offset, len(at.text))
            end = min(column + length, text_column + len(at.text))
        return Spot(at.start.line + 1, column + 1, max(end - column, 1), taken, node)

    def place(self, spot: Spot) -> SourceLocation:
        """Return a place for people."""
        return SourceLocation(self.path, spot.line, self.app)

    def _problem(self, found: TextProblem) -> Problem:
        number = min(found.at.line, len(self._lines) - 1)
        column = min(found.at.column, len(self._lines[number])) + 1
        excerpt = self.excerpt(number + 1, column)
        return Problem(
            path=self.path,
            line=number + 1,
            column=column,
            message=found.message,
            hint=found.hint,
            length=found.length,
            source=excerpt.text,
            source_column=excerpt.column,
            is_cut=excerpt.is_cut,
        )

    @cached_property
    def _lines(self) -> list[str]:
        return LINE_BREAK.split(self._text)

    @cached_property
    def _continued_secrets(self) -> set[int]:
        return find_continued(self._lines)

    def _tree_with(self, path: Path) -> Tree:
        """
        Return a tree that contains a path.

        In a file with 10,000 jobs, the whole tree takes longer than everything else. So this is the tree of
        one key of the first two levels if its lines are YAML by themselves: no alias in them, and no bracket
        around them.
        """
        key = next((key for key in (path[:2], path[:1]) if key in self._key_marks), None)
        if key is None:
            return self._tree
        if key not in self._parts:
            first = self._key_marks[key].line
            starts, shared = self._key_lines[len(key)]
            if first in shared:
                self._parts[key] = self._tree
                return self._tree
            after = bisect_right(starts, first)
            end = starts[after] if after < len(starts) else len(self._lines)
            try:
                self._parts[key] = Part("\n".join(self._lines[first:end]), first, key)
            except ValueError:
                self._parts[key] = self._tree
        return self._parts[key]

    @cached_property
    def _key_lines(self) -> dict[int, tuple[list[int], set[int]]]:
        """Return, for levels 1 and 2, the lines with keys up to this level, and those with several keys."""
        counts = {
            level: Counter(mark.line for path, mark in self._key_marks.items() if len(path) <= level)
            for level in (1, 2)
        }
        return {
            level: (sorted(lines), {line for line in lines if lines[line] > 1})
            for level, lines in counts.items()
        }

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self._text if self._is_yaml else "")
