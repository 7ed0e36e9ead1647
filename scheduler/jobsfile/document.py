"""One file: what it says, and where it says so."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scheduler.jobsfile.decode import LINE_BREAK, Complaint, Mark, Unreadable, decoded, lossy
from scheduler.jobsfile.masking import mask_line
from scheduler.jobsfile.problems import Problem
from scheduler.jobsfile.reader import Build, Node, Part, Path, Tree
from scheduler.model.code import CodeJob
from scheduler.model.job import Place

#: Characters of a line that are kept on each side of a place: more than are ever shown.
_AROUND = 200


@dataclass(frozen=True, slots=True)
class Spot:
    """
    Where something stands; line and column count from 1.

    Args:
        taken: The steps of the path that are there.
        node: What stands there, or at the key that stands there.
    """

    line: int
    column: int
    length: int
    taken: Path
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """
    A line, or a part of it.

    Args:
        column: Of its first character.
        is_cut: The line goes on behind it.
    """

    text: str
    column: int
    is_cut: bool


class Document:
    """
    A file that was read. Not thread-safe: places are looked up when they are first asked for.

    Args:
        path: The file, as it was asked for.
        data: Its bytes.
    """

    app: str | None = None  #: whose code the file is of
    unproven: CodeJob | None = None  #: as `Job` has it

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.value: Any = None  #: plain maps, lists and scalars; None for an empty or an unreadable text
        self._text = ""
        self._is_yaml = True
        self._key_marks: Mapping[Path, Mark] = {}
        self._parts: dict[Path, Tree] = {}
        self._masked: dict[int, str] = {}
        complaints: list[Complaint]
        try:
            self._text = decoded(data)
            build = Build(self._text)
            self.value, self._key_marks, complaints = build.value, build.key_marks, build.complaints
        except Unreadable as stop:
            self._is_yaml = False
            self._text = self._text or lossy(data)
            complaints = list(stop.complaints)
        self.problems = [self._problem(complaint) for complaint in complaints]

    def excerpt(self, number: int, column: int) -> Excerpt:
        """
        A line with the secrets in it masked, or the part of it around a column. Both count from 1.

        Masking takes as long as the line is long, and a file may consist of one line: each line is masked once.
        """
        if number > len(self._lines):
            return Excerpt("", 1, is_cut=False)
        if number not in self._masked:
            self._masked[number] = mask_line(self._lines[number - 1])
        line = self._masked[number]
        first = max(column - 1 - _AROUND, 0)
        return Excerpt(line[first : column + _AROUND], first + 1, is_cut=len(line) > column + _AROUND)

    def spot(self, path: Path, *, on_key: bool = False, offset: int | None = None, length: int = 1) -> Spot:
        """
        Where a path stands, or as much of it as is there.

        Args:
            path: Keys of maps and indexes of lists.
            on_key: The last key, not its value.
            offset: A character within a text, counted from 0.
            length: Of the part of the text that begins there.
        """
        if on_key and len(path) == 2 and (mark := self._key_marks.get(path)):
            return Spot(mark.line + 1, mark.column + 1, max(len(str(path[-1])), 1), path)
        key, node, taken = self._tree_with(path).find(path)
        if node is None:
            return Spot(1, 1, 1, ())
        below = node.kind != "scalar" and key is not None and node.start.line != key.start.line
        if key is not None and (below or (on_key and taken[-1:] == path[-1:])):
            return self._spot(key, node, taken)
        return self._spot(node, node, taken, offset, length)

    def _spot(self, at: Node, node: Node, taken: Path, offset: int | None = None, length: int = 1) -> Spot:
        line = self._lines[at.start.line]
        column, end = at.start.column, at.end.column if at.end.line == at.start.line else len(line)
        text = column + at.is_quoted
        # Behind an escape or in a block, characters of the value are not where they would be on the line.
        if offset is not None and at.kind == "scalar" and line.startswith(at.text, text):
            column = text + min(offset, len(at.text))
            end = min(column + length, text + len(at.text))
        return Spot(at.start.line + 1, column + 1, max(end - column, 1), taken, node)

    def place(self, spot: Spot) -> Place:
        """Of a spot, for people."""
        return Place(self.path, spot.line, self.app)

    def _problem(self, complaint: Complaint) -> Problem:
        number = min(complaint.at.line, len(self._lines) - 1)
        column = min(complaint.at.column, len(self._lines[number])) + 1
        excerpt = self.excerpt(number + 1, column)
        return Problem(
            path=self.path,
            line=number + 1,
            column=column,
            message=complaint.message,
            hint=complaint.hint,
            length=complaint.length,
            source=excerpt.text,
            source_column=excerpt.column,
            is_cut=excerpt.is_cut,
        )

    @cached_property
    def _lines(self) -> list[str]:
        return LINE_BREAK.split(self._text)

    def _tree_with(self, path: Path) -> Tree:
        """
        A tree that holds what stands at a path.

        In a file of 10,000 jobs the whole tree takes longer than all else. So it is only that of one key of the first two levels,
        where its lines are YAML by themselves: there is no alias in them, and no bracket around them.
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
        """The lines with keys of the first level, and of the first or the second; and those of them with more than one."""
        counts = {level: Counter(mark.line for path, mark in self._key_marks.items() if len(path) <= level) for level in (1, 2)}
        return {level: (sorted(lines), {line for line in lines if lines[line] > 1}) for level, lines in counts.items()}

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self._text if self._is_yaml else "")
