"""
Texts: `${env:NAME}` and `${file:PATH}` for secrets, `$${` for a literal `${`, `{{ … }}` for expressions.

Thread-safe: its only state is caches.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tminus.errors import quoted, shorten
from tminus.suggestions import nearest, suggest
from tminus.templates.values import LONGEST_TEXT, RenderError, TextFault, as_text

_SOURCES = ("env", "file")
_MARK = re.compile(r"\{\{|\$\$\{|\$\{")
_REFERENCE = re.compile(r"\$\{(?:(?P<source>[a-z]+):)?(?P<name>[^${}\n]*)\}")
_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|['"]|\}\}|[{(\[]|[})\]]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """`${source:name}`: a value that is put in when the job is armed."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"${{{self.source}:{self.name}}}"


@dataclass(frozen=True, slots=True)
class _Expression:
    source: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Parts:
    parts: tuple[str | Reference | _Expression, ...]
    faults: tuple[TextFault, ...]
    filled_in: tuple[tuple[int, int], ...]  # start and end of each reference and expression


def has_parts(text: str) -> bool:
    """Return whether a text has references or expressions; cheap, and false for nearly every text."""
    return "{{" in text or "${" in text


def references(value: Any) -> Iterator[Reference]:
    """Yield the references in a text, or in all texts of a list or a map, in order."""
    if isinstance(value, str):
        if "${" in value:
            yield from (part for part in _parts_of(value).parts if isinstance(part, Reference))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def blanked(text: str, filler: str) -> str:
    """
    Return a text of the same length, with `filler` in place of each character of a reference or an
    expression.
    """
    if not has_parts(text):
        return text
    pieces: list[str] = []
    position = 0
    for start, end in _parts_of(text).filled_in:
        pieces += (text[position:start], filler * (end - start))
        position = end
    return "".join((*pieces, text[position:]))


def check(text: str, params: Collection[str], calendars: Collection[str] = ()) -> list[TextFault]:
    """
    Return everything that is wrong in a text: syntax, unknown names, filters, parameters and calendars.
    References are not resolved.

    Args:
        text: The text as written.
        params: The keys of the job's `params:`.
        calendars: The names under `calendars:`.
    """
    if not has_parts(text):
        return []
    faults = list(_parts_of(text).faults)
    for part in _parts_of(text).parts:
        if isinstance(part, _Expression):
            faults += _check_expression(part, params, calendars)
    return faults


def calendars_in(text: str) -> frozenset[str]:
    """Return the names of the calendars that the expressions of a text use."""
    from tminus.templates.expressions import checked  # with Jinja

    expressions = (part for part in _parts_of(text).parts if isinstance(part, _Expression))
    return frozenset().union(*(checked(part.source).calendars for part in expressions))


def render(value: Any, names: Mapping[str, Any], value_of: Callable[[Reference], str]) -> Any:
    """
    Put in the values of a text, or of every text of a list or a map. A text that is a single `{{ … }}` keeps
    the type of its value.

    Args:
        value: The value as written; the keys of maps stay as they are.
        names: The names from `context`.
        value_of: Resolves a reference. Its exceptions are passed on.

    Raises:
        RenderError: an expression fails, or a text grows beyond `LONGEST_TEXT`.
    """
    if isinstance(value, str):
        return _render_text(value, names, value_of) if has_parts(value) else value
    if isinstance(value, Mapping):
        return {key: render(item, names, value_of) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, names, value_of) for item in value]
    return value


def _render_text(text: str, names: Mapping[str, Any], value_of: Callable[[Reference], str]) -> Any:
    taken = _parts_of(text)
    if taken.faults:
        raise RenderError(taken.faults[0].message, hint=taken.faults[0].hint)
    if len(taken.parts) == 1 and isinstance(taken.parts[0], _Expression):
        return _evaluate(taken.parts[0].source, names)
    pieces: list[str] = []
    left = LONGEST_TEXT
    for part in taken.parts:
        match part:
            case _Expression():
                pieces.append(as_text(_evaluate(part.source, names)))
            case Reference():
                pieces.append(value_of(part))
            case _:
                pieces.append(part)
        left -= len(pieces[-1])
        if left < 0:
            raise RenderError(f"a text renders to more than {LONGEST_TEXT >> 20} MiB")
    return "".join(pieces)


@lru_cache(maxsize=4096)
def _parts_of(text: str) -> _Parts:
    parts: list[str | Reference | _Expression] = []
    faults: list[TextFault] = []
    filled_in: list[tuple[int, int]] = []
    position = 0
    while mark := _MARK.search(text, position):
        start = mark.start()
        parts.append(text[position:start])
        if mark[0] == "$${":
            parts.append("${")
            position = mark.end()
        elif mark[0] == "${":
            found = _REFERENCE.match(text, start)
            position = found.end() if found else mark.end()
            filled_in.append((start, position))
            if fault := _check_reference(found, start):
                faults.append(fault)
            elif found:
                parts.append(Reference(found["source"], found["name"]))
        elif (close := _closing(text, mark.end())) is not None:
            parts.append(_Expression(text[mark.end() : close], mark.end()))
            position = close + 2
            filled_in.append((start, position))
        else:
            faults.append(
                TextFault(
                    start, 2, "a {{ that is not closed", 'write {{ "{{" }} for the two braces themselves'
                )
            )
            position = len(text)
    parts.append(text[position:])
    return _Parts(tuple(part for part in parts if part != ""), tuple(faults), tuple(filled_in))


def _check_reference(found: re.Match[str] | None, start: int) -> TextFault | None:
    if found is None:
        return TextFault(start, 2, "a ${ that is not closed", "write $${ for a literal ${")
    source, name, length = found["source"], found["name"], found.end() - start
    if source in _SOURCES:
        return (
            None
            if name
            else TextFault(start, length, f"{found[0]} has no name", "write ${env:NAME} or ${file:PATH}")
        )
    if source is not None:
        hint = suggest(source, _SOURCES, otherwise="write ${env:NAME} or ${file:PATH}")
        return TextFault(start, length, f"no such source {quoted(source)} in {shorten(found[0])}", hint)
    hint = f"write ${{env:{shorten(name or 'NAME')}}} for an environment variable, $${{ for a literal ${{"
    return TextFault(start, length, f"{shorten(found[0])} does not say where from", hint)


def _evaluate(source: str, names: Mapping[str, Any]) -> Any:
    from tminus.templates.expressions import evaluate  # with Jinja

    return evaluate(source, names)


def _check_expression(
    expression: _Expression, params: Collection[str], calendars: Collection[str]
) -> Iterator[TextFault]:
    from tminus.templates.expressions import checked  # with Jinja

    found = checked(expression.source)
    for fault in found.faults:
        yield TextFault(expression.offset + fault.offset, fault.length, fault.message, fault.hint)
    for name in sorted(found.params.difference(params)):
        at = max(expression.source.find(name, expression.source.find("params")), 0)
        near = nearest(name, params)
        hint = f"did you mean params.{near}?" if near else "give it a value under the job's params:"
        yield TextFault(expression.offset + at, len(name), f"no {quoted(name)} under the job's params", hint)
    for name in sorted(found.calendars.difference(calendars)):
        at = max(expression.source.find(name, expression.source.find("workday")), 0)
        hint = suggest(name, calendars, otherwise="calendars stand under calendars: at the top")
        yield TextFault(expression.offset + at, len(name), f"no calendar {quoted(name)}", hint)


def _closing(text: str, position: int) -> int | None:
    """Return the place of the `}}` that ends an expression. It is not in quotes and not in brackets."""
    depth = 0
    while token := _TOKEN.search(text, position):
        position = token.end()
        if token[0] in ("'", '"'):
            return None
        if token[0] in ("{", "(", "["):
            depth += 1
        elif token[0] == "}}" and depth <= 0:
            return token.start()
        elif token[0][0] in "})]":
            depth -= 1
            position = token.start() + 1
    return None
