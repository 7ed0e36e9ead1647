"""
The text between `{{` and `}}`: Jinja expressions without calls, so none runs for long or fills the memory.

The parsed tree is checked first; Jinja's sandbox is the second line of defence. Thread-safe: its only state
is caches.
"""

import base64
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tminus.errors import quoted, shorten
from tminus.suggestions import did_you_mean, suggest
from tminus.templates.date_filters import FILTERS, UNKNOWN, argument_fault
from tminus.templates.values import LONGEST_TEXT, RenderError, TextFault, as_text

DEEPEST = 30

#: The names, each with its attributes; None for any attribute.
_NAMES: Mapping[str, frozenset[str] | None] = {
    "params": None,
    "fire_time": frozenset(),
    "planned_at": frozenset(),
    "occurrence": frozenset({"attempt", "id", "run"}),
    "job": frozenset({"name"}),
    "cause": frozenset({"id", "job", "outcome", "reason"}),
}
_SUCH_AS = "such as {{ params.day }}"
_TOO_DEEP = (f"an expression nested too deep ({DEEPEST})", _SUCH_AS)
_FILTERS = (
    "abs",
    "default",
    "first",
    "float",
    "int",
    "last",
    "length",
    "lower",
    "trim",
    "upper",
    "urlencode",
)
_TESTS = (
    "boolean",
    "defined",
    "divisibleby",
    "even",
    "in",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "undefined",
)
_ALLOWED = (
    nodes.Const | nodes.Name | nodes.Getattr | nodes.Getitem | nodes.Slice
    | nodes.List | nodes.Tuple | nodes.Dict | nodes.Pair
    | nodes.Filter | nodes.Test | nodes.Keyword | nodes.CondExpr
    | nodes.Compare | nodes.Operand | nodes.And | nodes.Or | nodes.Not
    | nodes.Neg | nodes.Pos | nodes.Add | nodes.Sub | nodes.Mul | nodes.Div | nodes.FloorDiv | nodes.Mod
    | nodes.Concat
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """
    The result of a check of an expression.

    Attributes:
        faults: What is wrong; offsets are from its start.
        params: The parameters that it uses.
        calendars: The calendars that it uses.
    """

    faults: tuple[TextFault, ...]
    params: frozenset[str] = frozenset()
    calendars: frozenset[str] = frozenset()


def evaluate(source: str, names: Mapping[str, Any]) -> Any:
    """
    Return the value of an expression, as JSON: nothing else is sent, stored or shown.

    Raises:
        RenderError: the expression is not allowed, or fails with these names.
    """
    faults = checked(source).faults
    if faults:
        raise RenderError(f"{{{{{shorten(source)}}}}}: {faults[0].message}", hint=faults[0].hint)
    try:
        return _plain(_compiled(source)(**names))
    except (
        jinja2.TemplateError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise RenderError(f"{{{{{shorten(source)}}}}}: {error}") from None


@lru_cache(maxsize=4096)
def checked(source: str) -> Checked:
    """Check an expression without evaluating it."""
    if source.startswith("-") or source.endswith("-"):
        return Checked(
            (
                _fault(
                    source,
                    "whitespace control ({{- and -}}) is not part of these templates",
                    "write {{ and }}",
                ),
            )
        )
    try:
        parser = Parser(_environment(), source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise jinja2.TemplateSyntaxError(f"unexpected {parser.stream.current.value!r}", 1)
    except jinja2.TemplateSyntaxError as error:
        return Checked(
            (_fault(source, f"not an expression: {shorten(error.message or error, 200)}", _SUCH_AS),)
        )
    except ValueError:  # more digits than Python converts to a number
        return Checked((_fault(source, "not an expression: a number that is too long", _SUCH_AS),))
    except RecursionError:
        return Checked((_fault(source, *_TOO_DEEP),))
    used = list(_walk(tree, 1))
    faults = (
        _fault(source, item.message, item.hint, item.word) for item in used if isinstance(item, _Refused)
    )
    return Checked(
        tuple(faults),
        frozenset(item.name for item in used if isinstance(item, _Parameter)),
        frozenset(item.name for item in used if isinstance(item, _Calendar)),
    )


@dataclass(frozen=True, slots=True)
class _Refused:
    word: str  # of the expression; empty for all of it
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str


@dataclass(frozen=True, slots=True)
class _Calendar:
    name: str


_Found = _Refused | _Parameter | _Calendar


def _fault(source: str, message: str, hint: str, word: str = "") -> TextFault:
    found = (
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", source)
        if word
        else re.search(r"\S.*\S|\S", source, re.DOTALL)
    )
    start, end = found.span() if found else (0, len(source))
    return TextFault(start, max(end - start, 1), message, hint)


def _walk(node: nodes.Node, depth: int) -> Iterator[_Found]:
    """Yield what is not allowed in an expression, and the parameters and calendars that it uses."""
    if depth > DEEPEST:
        yield _Refused("", *_TOO_DEEP)
        return
    if not isinstance(node, _ALLOWED):
        what = {"Call": "calls are", "Pow": "** is"}.get(type(node).__name__, "this is")
        yield _Refused(
            "",
            f"{what} not allowed in templates",
            f"filters are: {', '.join(sorted(_environment().filters))}",
        )
        return
    match node:
        case nodes.Name():
            yield from _check_name(node.name)
        case nodes.Getattr(node=nodes.Name(name=owner), attr=attribute):
            yield from _check_attribute(owner, attribute)
        case nodes.Getitem(node=nodes.Name(name=owner), arg=nodes.Const(value=str(attribute))):
            yield from _check_attribute(owner, attribute)
        case nodes.Filter():
            yield from _check_listed("filter", node.name, _environment().filters)
            yield from _check_arguments(node)
        case nodes.Test():
            yield from _check_listed("test", node.name, _environment().tests)
    for child in node.iter_child_nodes():
        yield from _walk(child, depth + 1)


def _check_name(name: str) -> Iterator[_Refused]:
    if name not in _NAMES:
        hint = suggest(name, _NAMES, otherwise=f"there are: {', '.join(_NAMES)}")
        yield _Refused(name, f"no such name {quoted(name)}", hint)


def _check_attribute(owner: str, attribute: str) -> Iterator[_Refused | _Parameter]:
    if owner not in _NAMES:
        return  # `_check_name` reports it
    has = _NAMES[owner]
    if has is None:
        yield _Parameter(attribute)
    elif attribute not in has:
        hint = (
            f"there are: {', '.join(f'{owner}.{name}' for name in sorted(has))}"
            if has
            else f"write {{{{ {owner} }}}}"
        )
        yield _Refused(attribute, f"{owner} has no {quoted(attribute)}", hint)


def _check_listed(kind: str, name: str, listed: Collection[str]) -> Iterator[_Refused]:
    if name not in listed:
        yield _Refused(
            name,
            f"no {kind} {quoted(name)}{did_you_mean(name, listed)}",
            f"there are: {', '.join(sorted(listed))}",
        )


def _check_arguments(node: nodes.Filter) -> Iterator[_Refused | _Calendar]:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        return  # they are checked when the filter is called
    arguments = [_constant(argument) for argument in node.args]
    if fault := argument_fault(node.name, arguments):
        yield _Refused(node.name, fault.message, fault.hint)
    elif node.name == "workday":
        yield from (_Calendar(name) for name in arguments[1:])


def _constant(node: nodes.Expr) -> Any:
    match node:
        case nodes.Const(value=value):
            return value
        case nodes.Neg(node=nodes.Const(value=int(value))):
            return -value
        case _:
            return UNKNOWN


class _Environment(ImmutableSandboxedEnvironment):
    """An environment that finds items of maps and lists, and no attribute of any Python object."""

    intercepted_binops = frozenset({"*", "%"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        # A text times a number, or a number in a format, could fill the memory.
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise TypeError(f"{operator} is for numbers")
        return super().call_binop(context, operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple | str) and isinstance(argument, int | slice):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)


@cache
def _environment() -> _Environment:
    environment = _Environment(undefined=jinja2.StrictUndefined)
    own: dict[str, Callable[..., Any]] = {
        "tojson": _to_json,
        "join": _join,
        "b64encode": _b64encode,
        **FILTERS,
    }
    environment.filters = {name: environment.filters[name] for name in _FILTERS} | own
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    environment.globals.clear()
    return environment


@lru_cache(maxsize=4096)
def _compiled(source: str) -> Callable[..., Any]:
    return _environment().compile_expression(source, undefined_to_none=False)


def _b64encode(value: Any) -> str:
    return base64.b64encode(as_text(_plain(value)).encode()).decode()


def _to_json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _join(items: Any, separator: str = "") -> str:
    texts = [as_text(_plain(item)) for item in items]
    if sum(map(len, texts)) + len(separator) * len(texts) > LONGEST_TEXT:
        raise ValueError(f"renders to more than {LONGEST_TEXT >> 20} MiB")
    return separator.join(texts)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)  # an undefined value raises here
