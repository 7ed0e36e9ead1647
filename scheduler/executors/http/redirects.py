"""
Redirects of requests that carry a credential in a header of their own.

On a redirect to another server, libcurl removes Authorization and Cookie, and sends all other headers there.
"""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urljoin, urlsplit

from scheduler.executors.http.wire import Request
from scheduler.policies.credentials import names_credential

_AUTHENTICATE = frozenset({401, 407})
_BY_LIBCURL = frozenset({"authorization", "cookie"})
#: What `urllib` and libcurl read alike: a path, or an absolute URL without a user.
_PLAIN = re.compile(
    rb"(https?:)?//[\w.\-\[\]:]+([/?#][!-\[\]-~]*)?|[/?#](?!/)[!-\[\]-~]*|[\w.\-]+([/?#][!-\[\]-~]*)?", re.IGNORECASE | re.ASCII
)


def would_leak(request: Request, status: int, head: Sequence[bytes]) -> list[str]:
    """
    Return the names of the headers that no other server may get, and that the next request would take to one.

    Args:
        status: Of the answer that makes libcurl send again.
        head: The lines of all heads so far.
    """
    names = [] if status in _AUTHENTICATE else confidential(request)
    return names if names and not stays(request, head) else []


def confidential(request: Request) -> list[str]:
    """Return the names of the headers that no other server may get."""
    names = [re.split("[:;]", line, maxsplit=1)[0] for line in request.headers]
    return [
        name for name in names if name.lower() not in _BY_LIBCURL and (name in request.confidential or names_credential(name))
    ]


def stays(request: Request, head: Sequence[bytes]) -> bool:
    """
    Return whether a redirect leads to the same scheme, host and port.

    Args:
        head: The lines of all heads so far; the last one is a redirect.
    """
    locations = list(_locations(head))
    return bool(locations) and all(_is_same(request.url, location) for location in locations)


def _locations(head: Sequence[bytes]) -> Iterator[bytes]:
    for line in reversed(head):
        if line.startswith(b"HTTP/"):
            return
        if line[:9].lower() == b"location:":
            yield line[9:].strip()


def _is_same(url: str, location: bytes) -> bool:
    if not _PLAIN.fullmatch(location):
        return False  # another parser may see another host in it
    try:
        return _origin(url) == _origin(urljoin(url, location.decode("ascii")))
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
