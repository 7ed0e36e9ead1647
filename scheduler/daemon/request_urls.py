"""URLs of requests, once everything is put in: checked, and written as libcurl takes them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import idna

from scheduler.jobsfile.urls import check_rendered
from scheduler.templates import as_text


def url_of(rendered: Any, query: Mapping[str, Any]) -> str:
    """
    Return a URL as libcurl takes it, checked as strictly as a URL without templates when the file is read.

    Raises:
        ValueError: it is not a URL; `Wrong` if there is a sentence for people.
    """
    text = as_text(rendered)
    check_rendered(text)
    parts = urlsplit(text)
    host = parts.netloc
    if not host.isascii():
        name, colon, port = host.partition(":")
        host = idna.encode(name, uts46=True).decode() + colon + port
    joined = "&".join(part for part in (parts.query, query_text(query)) if part)
    return urlunsplit((parts.scheme.lower(), host, parts.path or "/", joined, ""))


def query_text(query: Mapping[str, Any]) -> str:
    """Return the names and values of a query, or of a form, as they are sent."""
    return urlencode({name: as_text(value) for name, value in query.items()})
