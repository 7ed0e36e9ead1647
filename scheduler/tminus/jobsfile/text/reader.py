"""
From a text to plain maps, lists and scalars by YAML 1.2, with the places of the keys of the first two levels.

One pass over libyaml's events both checks and builds. `compose` recurses in C and crashes on deep nesting.
So it runs only if a place is asked for, on a text whose depth is known.
"""

from collections.abc import Iterable
from typing import Any

import yaml
from yaml import events

from tminus.errors import quoted, shorten
from tminus.jobsfile.text.decode import LINE_BREAK, Mark, TextProblem, UnreadableText, to_mark
from tminus.jobsfile.text.scalars import resolve
from tminus.jobsfile.text.tree import Path, Tree
from tminus.jobsfile.text.yaml_errors import explain_yaml_error

DEEPEST = 50
MOST_ALIASES = 100
#: The most values that all aliases of a file together may stand for.
MOST_ALIASED = 100_000


class YamlReader:
    """
    One pass over the events of a text.

    Raises:
        UnreadableText: the text cannot be read at all.
    """

    def __init__(self, text: str) -> None:
        self.value: Any = None  #: None for an empty text
        self.key_marks: dict[Path, Mark] = {}  #: the place of each key of the first two levels
        self.problems: list[TextProblem] = []
        self._text = text
        self._here: Any = None  # the map or list that is being filled
        self._in_map = False
        self._key: str | None = None
        self._around: list[tuple[Any, bool]] = []  # the maps and lists around it, each with its _in_map
        self._section = ""
        self._has_duplicates = False
        self._anchors: dict[str, Any] = {}
        self._aliases = 0
        self._aliased = 0  # the values that the aliases so far stand for
        try:
            self._run()
        except yaml.MarkedYAMLError as error:
            raise UnreadableText(*self.problems, self._explain(error)) from None
        except yaml.YAMLError as error:
            raise UnreadableText(
                *self.problems,
                TextProblem(Mark(0, 0), f"not valid YAML: {error}", "save the file as UTF-8"),
            ) from None
        if self._has_duplicates:
            self.problems += Tree(text).duplicates()

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
        for event in iter(yaml.CBaseLoader(self._text).get_event, None):  # about 400,000 for 10,000 jobs
            if handler := handlers.get(type(event)):
                handler(event)
            elif type(event) is events.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._add(
                        event,
                        "one document a file, and here a second one begins",
                        "include: takes further files",
                    )
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
        """Take a scalar as the key of the value that follows."""
        key: str = event.value
        if key in self._here:
            self._has_duplicates = True
        if key == "<<" and not event.style:
            self._add(
                event,
                "merge keys (<<) are not part of this language",
                "use defaults:, or templates: and extends:",
            )
        level = len(self._around)
        if level == 1:
            self._section = key
            self.key_marks[key,] = to_mark(event.start_mark)
        elif level == 2:
            self.key_marks[self._section, key] = to_mark(event.start_mark)
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
            raise self._too_deep(event)
        self._here, self._in_map, self._key = container, in_map, None

    def _end(self, event: Any) -> None:
        self._here, self._in_map = self._around.pop()

    def _put(self, event: Any, value: Any) -> None:
        if self._in_map:
            if self._key is None and getattr(event, "flow_style", False) and isinstance(value, dict):
                raise self._unreadable(
                    event, "{{ outside of quotes", 'put it in quotes, such as "{{ fire_time }}"'
                )
            if self._key is None:
                raise self._unreadable(event, "a key must be a text", "write key: value")
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
            raise self._unreadable(event, f"no anchor {quoted(name)} before this alias", hint)
        value = self._anchors[name]
        if any(value is open_ for open_, _ in [*self._around, (self._here, False)] if open_ is not None):
            message = f"alias {quoted(name)} is inside the value that it stands for"
            raise self._unreadable(event, message, "write the value itself")
        self._aliases += 1
        self._aliased += _weight(value, MOST_ALIASED)
        if self._aliases > MOST_ALIASES or self._aliased > MOST_ALIASED:
            message = (
                f"too many aliases ({MOST_ALIASES})"
                if self._aliases > MOST_ALIASES
                else f"too many aliases: they stand for more than {MOST_ALIASED} values"
            )
            hint = "use defaults:, or templates: and extends:"
            raise self._unreadable(event, message, hint)
        if len(self._around) + _height(value) > DEEPEST:
            raise self._too_deep(event)
        self._put(event, value)

    def _name_anchor(self, event: Any, value: Any) -> None:
        if event.anchor in self._anchors:
            hint = "give each anchor a name of its own"
            raise self._unreadable(event, f"anchor {quoted(event.anchor)} already given", hint)
        self._anchors[event.anchor] = value

    def _refuse_tag(self, event: Any) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._add(
            event,
            f"tags not allowed: {shorten(tag)}",
            "leave it away; put the value in quotes to make it a text",
        )

    def _add(self, event: Any, message: str, hint: str) -> None:
        self.problems.append(TextProblem(to_mark(event.start_mark), message, hint))

    def _unreadable(self, event: Any, message: str, hint: str) -> UnreadableText:
        """Return the error that ends this pass, with the problems that were found before."""
        self._add(event, message, hint)
        return UnreadableText(*self.problems)

    def _too_deep(self, event: Any) -> UnreadableText:
        hint = "maps and lists within each other; a bracket may be missing"
        return self._unreadable(event, f"too deep ({DEEPEST})", hint)

    def _explain(self, error: yaml.MarkedYAMLError) -> TextProblem:
        since = to_mark(error.context_mark) if error.context_mark else None
        at = to_mark(error.problem_mark) if error.problem_mark else Mark(0, 0)
        return explain_yaml_error(
            error.problem or "", at, error.context or "", since, LINE_BREAK.split(self._text)
        )


def _weight(value: Any, limit: int) -> int:
    """
    Return the number of values that an alias stands for: the value itself, and all values in it. Above the
    limit, stop counting.
    """
    weight = 1
    for item in _items(value):
        weight += _weight(item, limit - weight)
        if weight > limit:
            break
    return weight


def _height(value: Any) -> int:
    """Return the levels of maps and lists in a value. `_weight` has shown that the value is small."""
    return 1 + max(map(_height, _items(value)), default=0) if isinstance(value, dict | list) else 0


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
