"""
Make docs/api.md from the docstrings of what `tminus.flask` exports.

    python -m tools.api_docs            write the page
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tminus.flask

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
_HEAD = """# API of `tminus.flask`

Made from the docstrings by `python -m tools.api_docs`. See also [background.md](background.md),
[python-jobs.md](python-jobs.md) and [state.md](state.md).
"""
_SECTIONS = ("Args", "Attributes", "Returns", "Raises")
_ITEM = re.compile(r"([\w*, ]+): (.*)", re.DOTALL)


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for name in tminus.flask.__all__:
        parts += _entry(name, getattr(tminus.flask, name))
    return "\n".join(parts)


def _entry(name: str, value: Any) -> Iterator[str]:
    title = f"class {name}" if inspect.isclass(value) else f"{name}{_signature(value)}"
    if inspect.isclass(value) and _is_made_by_users(value):
        title += _signature(value)
    yield f"## `{title}`\n"
    yield f"{_text(value)}\n"
    for member_name, member in _members(value):
        if isinstance(member, property):
            yield f"### `{name}.{member_name}`\n"
        else:
            yield f"### `{name}.{member_name}{_signature(member)}`\n"
        yield f"{_text(member)}\n"


def _is_made_by_users(value: type) -> bool:
    """Return whether an application calls the class itself, so that the arguments concern it."""
    return value is tminus.flask.Scheduler or issubclass(value, BaseException)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if inspect.isclass(value):
        for name, member in vars(value).items():
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                yield name, member


def _signature(function: Any) -> str:
    """Return names and built-in values of the parameters, without types and `self`."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _text(value: Any) -> str:
    """Return a docstring as Markdown: its sections become lists."""
    lines: list[str] = []
    section = ""
    for block in inspect.cleandoc(value.__doc__ or "").split("\n"):
        if block.rstrip(":") in _SECTIONS and block.endswith(":"):
            section = block.rstrip(":")
            lines += [f"{'Arguments' if section == 'Args' else section}:", ""]
        elif not section or not block.strip():
            lines.append(block)
        elif (match := _ITEM.fullmatch(block.strip())) and len(block) - len(block.lstrip()) == 4:
            lines.append(f"- `{match[1]}`: {match[2]}")
        elif section == "Returns" and lines[-1] == "":
            lines.append(f"- {block.strip()}")
        else:
            lines.append(f"  {block.strip()}")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
