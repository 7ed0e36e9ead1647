"""Headers as libcurl takes and returns them: one line each."""

import re
from collections.abc import Iterable, Sequence

#: Removes libcurl's own header, which would call any body a form.
_NO_TYPE = "Content-Type:"
#: The value of a cookie, or all of it if it has no name.
_COOKIE = re.compile(r"(set-cookie2?\s*:\s*(?:[^;=]*=)?)[^;]*", re.IGNORECASE)


def of(headers: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines of these headers."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers]  # `Name;` is a header without a value
    if all(name.lower() != "content-type" for name, _ in headers):
        lines.append(_NO_TYPE)
    return lines


def parsed(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the headers in such lines."""
    parts = (line.partition(": ") for line in lines if line != _NO_TYPE)
    return [(name, value) if colon else (name.removesuffix(";"), "") for name, colon, value in parts]


def masked(line: str) -> str:
    """Return the line of a response as it is stored: without the value of a cookie, which is a credential."""
    if line.startswith((" ", "\t")):
        return " ***"  # it continues the line before, which may be a cookie
    return _COOKIE.sub(r"\1***", line, count=1) if line[:10].lower() == "set-cookie" else line
