"""Headers as libcurl takes and gives them: a line each."""

import re
from collections.abc import Iterable, Sequence

#: Leaves out one of libcurl's own: it would call any body a form.
_NO_TYPE = "Content-Type:"
#: The value of a cookie, or all of it if it has no name.
_COOKIE = re.compile(r"(set-cookie2?\s*:\s*(?:[^;=]*=)?)[^;]*", re.IGNORECASE)


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


def masked(line: str) -> str:
    """The line of an answer as it is kept: a cookie is a credential, so its value is not."""
    if line.startswith((" ", "\t")):
        return " ***"  # the rest of the line before, which may be a cookie's
    return _COOKIE.sub(r"\1***", line, count=1) if line[:10].lower() == "set-cookie" else line
