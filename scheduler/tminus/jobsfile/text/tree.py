"""
The places of values: a tree of the keys and values of a text that was read before.

It is composed only when a place is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from tminus.errors import quoted
from tminus.jobsfile.text.decode import Mark, TextProblem, to_mark

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """
    A scalar, a map or a list, with its place.

    Args:
        start: The place of its first character.
        end: The place behind its last character.
        kind: `scalar`, `map` or `list`.
        text: The text of a scalar, without its quotes.
        is_quoted: Whether it is a scalar in quotes.
    """

    start: Mark
    end: Mark
    kind: str
    text: str = ""
    is_quoted: bool = False


class Tree:
    """
    The places in a text that was read before. Not thread-safe: it remembers what it has looked up.

    Args:
        text: The whole text, or some lines of one.
        first_line: The number of the first of these lines, from 0.

    Raises:
        ValueError: the lines are not YAML by themselves.
    """

    def __init__(self, text: str, first_line: int = 0) -> None:
        self._first_line = first_line
        self._pairs: dict[int, dict[str, tuple[yaml.ScalarNode, yaml.Node]]] = {}
        try:
            loader = yaml.CBaseLoader(text)
            self._root: yaml.Node | None = loader.get_node() if loader.check_node() else None
        except yaml.YAMLError as error:
            raise ValueError("not YAML by itself") from error

    def find(self, path: Path) -> tuple[Node | None, Node | None, Path]:
        """
        Return the key and the node at a path, or at as much of it as exists, and the steps that were taken.

        Index 0 of a value that is not a list is not a step: a list of one may be written without its
        brackets.
        """
        key: yaml.Node | None = None
        node = self._root
        taken: list[str | int] = []
        for step in path:
            if isinstance(node, yaml.MappingNode) and step in (pairs := self._pairs_of(node)):
                key, node = pairs[str(step)]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                key, node = None, node.value[step]
            elif step == 0:
                continue
            else:
                break
            taken.append(step)
        return self._node(key), self._node(node), tuple(taken)

    def duplicates(self) -> Iterator[TextProblem]:
        """Yield the keys that one map has twice."""
        seen: set[int] = set()
        left: list[yaml.Node | None] = [self._root]
        while left:
            node = left.pop()
            if isinstance(node, yaml.SequenceNode):
                left += node.value
            elif isinstance(node, yaml.MappingNode) and id(node) not in seen:
                seen.add(id(node))
                first: dict[str, yaml.Node] = {}
                for key, value in node.value:
                    left.append(value)
                    if not isinstance(key, yaml.ScalarNode):
                        continue
                    earlier = first.setdefault(key.value, key)
                    if earlier is not key:
                        message = (
                            f"key {quoted(key.value)} already given on line {earlier.start_mark.line + 1}"
                        )
                        yield TextProblem(
                            to_mark(key.start_mark), message, "keep one of them", len(key.value)
                        )

    def _pairs_of(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        if id(node) not in self._pairs:
            pairs = ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))
            self._pairs[id(node)] = {key.value: (key, value) for key, value in pairs}
        return self._pairs[id(node)]

    def _node(self, node: yaml.Node | None) -> Node | None:
        if node is None:
            return None
        start, end = (
            Mark(self._first_line + mark.line, mark.column) for mark in (node.start_mark, node.end_mark)
        )
        if isinstance(node, yaml.ScalarNode):
            return Node(start, end, "scalar", node.value, node.style in ("'", '"'))
        return Node(start, end, "map" if isinstance(node, yaml.MappingNode) else "list")


class Part(Tree):
    """
    The tree of one key, made from its lines alone.

    Args:
        text: Those lines.
        first_line: The number of the first of them, from 0.
        key: The path of the key in the whole text.

    Raises:
        ValueError: these lines by themselves are not that key.
    """

    def __init__(self, text: str, first_line: int, key: Path) -> None:
        super().__init__(text, first_line)
        self._around = key[:-1]
        pairs = self._root.value if isinstance(self._root, yaml.MappingNode) else ()
        if [pair[0].value for pair in pairs] != [key[-1]]:
            raise ValueError("not that key by itself")

    def find(self, path: Path) -> tuple[Node | None, Node | None, Path]:
        key, node, taken = super().find(path[len(self._around) :])
        return key, node, (*self._around, *taken)
