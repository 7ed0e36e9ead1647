"""
Redirects of requests that carry a credential in a header other than Authorization and Cookie.

On a redirect to another server, libcurl removes Authorization and Cookie, and sends all other headers there.
"""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urljoin, urlsplit

from tminus.executors.http.resolver import HostPort, host_port
from tminus.executors.http.wire import Request
from tminus.policies.credentials import names_credential

_AUTHENTICATE = frozenset({401, 407})
_REMOVED_BY_LIBCURL = frozenset({"authorization", "cookie"})
#: What `urllib` and libcurl parse in the same way: a path, query or fragment, `//host…`, or an absolute URL
#: without a user.
_PLAIN = re.compile(
    rb"(https?:)?//[\w.\-\[\]:]+([/?#][!-\[\]-~]*)?|[/?#](?!/)[!-\[\]-~]*|[\w.\-]+([/?#][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)


def leaked_headers(request: Request, status: int, lines: Sequence[bytes]) -> list[str]:
    """
    Return the names of the headers with credentials that libcurl would now send to another server.

    Args:
        status: The status of the response that makes libcurl send again.
        lines: The header lines of all responses so far.
    """
    names = [] if status in _AUTHENTICATE else forwarded_credentials(request)
    return names if names and not stays(request, lines) else []


def forwarded_credentials(request: Request) -> list[str]:
    """Return the names of the headers with credentials that libcurl sends to every server."""
    # Headers of libcurl: `Name: value`, or `Name;` for an empty one.
    names = [re.split("[:;]", line, maxsplit=1)[0] for line in request.headers]
    confidential = {name.lower() for name in request.confidential}
    return [
        name
        for name in names
        if name.lower() not in _REMOVED_BY_LIBCURL
        and (name.lower() in confidential or names_credential(name))
    ]


def stays(request: Request, lines: Sequence[bytes]) -> bool:
    """
    Return whether a redirect leads to the same scheme, host and port.

    Args:
        lines: The header lines of all responses so far; the last response is a redirect.
    """
    locations = list(_locations(lines))
    return bool(locations) and all(_is_same(request.url, location) for location in locations)


def _locations(lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in reversed(lines):
        if line.startswith(b"HTTP/"):
            return
        if line[:9].lower() == b"location:":
            yield line[9:].strip()


def _is_same(url: str, location: bytes) -> bool:
    if not _PLAIN.fullmatch(location):
        return False  # libcurl may find another host in it
    try:
        return _server(url) == _server(urljoin(url, location.decode("ascii")))
    except ValueError:
        return False


def _server(url: str) -> tuple[str, HostPort]:
    return urlsplit(url).scheme, host_port(url)
