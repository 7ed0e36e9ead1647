"""Headers as libcurl takes them: a line each."""

from collections.abc import Iterable, Sequence

#: Leaves out one of libcurl's own: it would call any body a form.
_NO_TYPE = "Content-Type:"


def of(headers: Sequence[tuple[str, str]]) -> list[str]:
    """The lines of these headers."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers]  # `Name;` is one without a value
    if all(name.lower() != "content-type" for name, _ in headers):
        lines.append(_NO_TYPE)
    return lines


def parsed(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The headers in such lines."""
    parts = (line.partition(": ") for line in lines if line != _NO_TYPE)
    return [(name, value) if colon else (name.removesuffix(";"), "") for name, colon, value in parts]
