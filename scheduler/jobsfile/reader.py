"""
From a text to plain maps, lists and scalars, by YAML 1.2; and where each of them stands.

One pass over libyaml's events both checks and builds. `compose` recurses in C and dies of deep nesting, so it runs only once a
place is wanted, on a text whose depth is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import events

from scheduler.errors import quoted, shorten
from scheduler.jobsfile.decode import LINE_BREAK, Complaint, Mark, Unreadable
from scheduler.jobsfile.scalars import resolve
from scheduler.jobsfile.syntax import explain

DEEPEST = 50
MOST_ALIASES = 100
#: Values that the aliases of a file may stand for, all together.
MOST_ALIASED = 100_000

Path = tuple[str | int, ...]


class Build:
    """
    One pass over the events of a text.

    Raises:
        Unreadable: nothing can be made of the text.
    """

    def __init__(self, text: str) -> None:
        self.value: Any = None  #: None for an empty text
        self.key_marks: dict[Path, Mark] = {}  #: where each key of the first two levels stands
        self.complaints: list[Complaint] = []
        self._text = text
        self._here: Any = None  # the map or list that is being filled
        self._in_map = False
        self._key: str | None = None
        self._around: list[tuple[Any, bool]] = []  # what is open around it
        self._section = ""
        self._has_duplicates = False
        self._anchors: dict[str, Any] = {}
        self._aliases = 0
        self._aliased = 0
        try:
            self._run()
        except yaml.MarkedYAMLError as error:
            raise Unreadable(*self.complaints, self._explain(error)) from None
        except yaml.YAMLError as error:
            raise Unreadable(
                *self.complaints, Complaint(Mark(0, 0), f"not valid YAML: {error}", "save the file as UTF-8")
            ) from None
        if self._has_duplicates:
            self.complaints += Tree(text).duplicates()

    def _run(self) -> None:
        handlers = {
            events.ScalarEvent: self._scalar,
            events.MappingStartEvent: self._map,
            events.SequenceStartEvent: self._list,
            events.MappingEndEvent: self._end,
            events.SequenceEndEvent: self._end,
            events.AliasEvent: self._alias,
        }
        documents = 0
        for event in iter(yaml.CBaseLoader(self._text).get_event, None):  # some 400,000 for 10,000 jobs
            if handler := handlers.get(type(event)):
                handler(event)
            elif type(event) is events.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._complain(event, "one document a file, and here a second one begins", "include: takes further files")
                    return

    def _scalar(self, event: Any) -> None:
        value: Any = event.value
        if event.tag is not None:
            self._refuse_tag(event)
        is_key = self._in_map and self._key is None
        if not event.style and not is_key:
            value = resolve(value)
        if event.anchor is not None:
            self._name_anchor(event, value)
        if is_key:
            self._begin_value(event)
        else:
            self._put(event, value)

    def _begin_value(self, event: Any) -> None:
        key: str = event.value
        if key in self._here:
            self._has_duplicates = True
        if key == "<<" and not event.style:
            self._complain(event, "merge keys (<<) are not part of this language", "use defaults:, or templates: and extends:")
        level = len(self._around)
        if level == 1:
            self._section = key
            self.key_marks[key,] = _mark(event.start_mark)
        elif level == 2:
            self.key_marks[self._section, key] = _mark(event.start_mark)
        self._key = key

    def _map(self, event: Any) -> None:
        self._open(event, {}, in_map=True)

    def _list(self, event: Any) -> None:
        self._open(event, [], in_map=False)

    def _open(self, event: Any, container: Any, *, in_map: bool) -> None:
        if event.tag is not None:
            self._refuse_tag(event)
        if event.anchor is not None:
            self._name_anchor(event, container)
        self._put(event, container)
        self._around.append((self._here, self._in_map))
        if len(self._around) > DEEPEST:
            raise Unreadable(*self.complaints, _too_deep(event))
        self._here, self._in_map, self._key = container, in_map, None

    def _end(self, event: Any) -> None:
        self._here, self._in_map = self._around.pop()

    def _put(self, event: Any, value: Any) -> None:
        if self._in_map:
            if self._key is None:
                raise Unreadable(*self.complaints, _complaint(event, "a key must be a text", "write key: value"))
            if self._key != "<<":
                self._here[self._key] = value
            self._key = None
        elif self._here is not None:
            self._here.append(value)
        else:
            self.value = value

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self._anchors:
            hint = "put the value in quotes, or name the anchor before: &" + shorten(name)
            raise Unreadable(*self.complaints, _complaint(event, f"no anchor {quoted(name)} before this alias", hint))
        value = self._anchors[name]
        if any(value is open_ for open_, _ in [*self._around, (self._here, False)] if open_ is not None):
            fault = _complaint(event, f"alias {quoted(name)} stands within what it stands for", "write the value itself")
            raise Unreadable(*self.complaints, fault)
        self._aliases += 1
        self._aliased += _weight(value, MOST_ALIASED)
        if self._aliases > MOST_ALIASES or self._aliased > MOST_ALIASED:
            hint = "use defaults:, or templates: and extends:"
            raise Unreadable(*self.complaints, _complaint(event, f"too many aliases ({MOST_ALIASES})", hint))
        if len(self._around) + _height(value) > DEEPEST:
            raise Unreadable(*self.complaints, _too_deep(event))
        self._put(event, value)

    def _name_anchor(self, event: Any, value: Any) -> None:
        if event.anchor in self._anchors:
            hint = "give each anchor a name of its own"
            raise Unreadable(*self.complaints, _complaint(event, f"anchor {quoted(event.anchor)} already given", hint))
        self._anchors[event.anchor] = value

    def _refuse_tag(self, event: Any) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._complain(event, f"tags not allowed: {shorten(tag)}", "leave it away; put the value in quotes to make it a text")

    def _complain(self, event: Any, message: str, hint: str) -> None:
        self.complaints.append(_complaint(event, message, hint))

    def _explain(self, error: yaml.MarkedYAMLError) -> Complaint:
        since = _mark(error.context_mark) if error.context_mark else None
        at = _mark(error.problem_mark) if error.problem_mark else Mark(0, 0)
        return explain(error.problem or "", at, error.context or "", since, LINE_BREAK.split(self._text))


def _complaint(event: Any, message: str, hint: str) -> Complaint:
    return Complaint(_mark(event.start_mark), message, hint)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line, mark.column)


def _too_deep(event: Any) -> Complaint:
    return _complaint(event, f"too deep ({DEEPEST})", "maps and lists within each other; a bracket may be missing")


def _weight(value: Any, limit: int) -> int:
    """How many values an alias stands for, written out; counted no further than the limit."""
    weight = 1
    for item in _items(value):
        weight += _weight(item, limit - weight)
        if weight > limit:
            break
    return weight


def _height(value: Any) -> int:
    """How deep an alias goes; its weight must be known to be bounded."""
    return 1 + max(map(_height, _items(value)), default=0) if isinstance(value, dict | list) else 0


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class Node:
    """
    A scalar, a map or a list, where it stands.

    Args:
        start: Of its first character.
        end: Behind its last.
        kind: `scalar`, `map` or `list`.
        text: Of a scalar, without its quotes.
        is_quoted: A scalar between quotes.
    """

    start: Mark
    end: Mark
    kind: str
    text: str = ""
    is_quoted: bool = False


class Tree:
    """
    Where everything stands in a text that was read before. Not thread-safe: remembers what it has looked up.

    Args:
        text: Whole, or some lines of one.
        first_line: Of these lines, from 0.

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
        The key and the node at a path, or at as much of it as there is; and the steps that were taken.

        Index 0 of what is no list is no step: a list of one in its short form.
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

    def duplicates(self) -> Iterator[Complaint]:
        """Keys that are given twice in one map."""
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
                        message = f"key {quoted(key.value)} already given on line {earlier.start_mark.line + 1}"
                        yield Complaint(_mark(key.start_mark), message, "keep one of them", len(key.value))

    def _pairs_of(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        if id(node) not in self._pairs:
            pairs = ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))
            self._pairs[id(node)] = {key.value: (key, value) for key, value in pairs}
        return self._pairs[id(node)]

    def _node(self, node: yaml.Node | None) -> Node | None:
        if node is None:
            return None
        start, end = (Mark(self._first_line + mark.line, mark.column) for mark in (node.start_mark, node.end_mark))
        if isinstance(node, yaml.ScalarNode):
            return Node(start, end, "scalar", node.value, node.style in ("'", '"'))
        return Node(start, end, "map" if isinstance(node, yaml.MappingNode) else "list")


class Part(Tree):
    """
    The tree of one key, by the lines on which it stands.

    Args:
        text: Those lines.
        first_line: From 0.
        key: Its path in the whole text.

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
