"""The parts of a request: methods, header names, header values and paths (RFC 9110)."""

import re

from tminus.errors import InvalidText, quoted

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
WITHOUT_BODY = frozenset({"GET", "HEAD", "TRACE"})
#: Methods that RFC 9110, section 9.2.1, calls safe: sending such a request twice changes nothing.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
#: Headers that libcurl computes from the URL and the body.
_COMPUTED = frozenset({"host", "content-length", "transfer-encoding"})


class InvalidSyntax(InvalidText):
    """A text that may not be a part of a request."""


def is_header_name(name: str) -> bool:
    """Return whether a text has the form of a header name."""
    return _TOKEN.fullmatch(name) is not None


def has_control_character(value: str) -> bool:
    """Return whether a text has a character that no header value may have, such as a line break."""
    return _CONTROL.search(value) is not None


def check_header_name(name: str) -> None:
    """
    Check the name of a header that a job sets.

    Raises:
        InvalidSyntax: it is not a name, or a job may not set this header.
    """
    if name.lower() in _COMPUTED:
        message = f"{name} cannot be given; it follows from the URL and the body"
        raise InvalidSyntax(message, hint="leave it out")
    if not is_header_name(name):
        raise InvalidSyntax(f"{quoted(name)} is not a header name", hint="letters, digits and -")


def check_header_value(value: str) -> None:
    """
    Check the value of a header.

    Raises:
        InvalidSyntax: it has a control character, such as a line break.
    """
    if match := _CONTROL.search(value):
        message = f"control character U+{ord(match[0]):04X} in a header"
        raise InvalidSyntax(message, hint="a header is one line")


def check_path(path: str) -> None:
    """
    Check the path of a URL that has no host.

    Raises:
        InvalidSyntax: it has a control character or a space.
    """
    if match := _UNPRINTABLE.search(path):
        raise InvalidSyntax(f"character U+{ord(match[0]):04X} in a path", hint="write it as %XX")


def check_body(method: str, *, has_body: bool) -> None:
    """
    Check that a request of this method may have a body.

    Raises:
        InvalidSyntax: it has one and may not.
    """
    if has_body and method in WITHOUT_BODY:
        raise InvalidSyntax(f"method {method} has no body", hint="write method: POST")
