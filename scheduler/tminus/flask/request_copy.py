"""The copy of a request that a background run gets. It is stored, so it contains no credentials."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask.json.tag import TaggedJSONSerializer

from tminus.flask.copy_rules import CopyRules

if TYPE_CHECKING:
    from flask import Request
    from flask.sessions import SessionMixin
    from werkzeug.datastructures import FileStorage

_MASK = "***"


def copy_request(request: "Request", session: "SessionMixin", rules: CopyRules) -> dict[str, Any]:
    """
    Return method, path, query, headers, form or JSON, remote address and session values, as JSON.

    Raises:
        TypeError: the request has uploaded files that are not saved, or the session contains a value that
            cannot be stored.
    """
    if unsaved := sorted({name for name, file in request.files.items(multi=True) if _is_unsaved(file)}):
        names = ", ".join(unsaved)
        raise TypeError(f"the request has uploaded files ({names}): save them first, and pass their paths")
    body, content_type = _body(request, rules)
    changed = {"referer": _without_query(request.headers.get("Referer", ""))}
    if content_type:
        changed["content-type"] = content_type
    headers = [
        [name, changed.get(name.lower(), value)]
        for name, value in request.headers
        if rules.copies_header(name)
    ]
    query = _query(request.query_string.decode("latin-1"), rules)
    return {
        "method": request.method,
        "path": request.path + (f"?{query}" if query else ""),
        "headers": headers,
        "body": body,
        "remote_addr": request.remote_addr,
        "session": _session(session, rules),
    }


def _is_unsaved(file: "FileStorage") -> bool:
    """Return whether a file was uploaded and not read: saving a file reads it to its end."""
    return bool(file.filename) and not file.stream.closed and file.stream.tell() == 0


def _body(request: "Request", rules: CopyRules) -> tuple[str, str]:
    """Return the body, and the content type that replaces that of the request; empty if that one stays."""
    if request.is_json:
        sent = request.get_json(silent=True)
        return ("" if sent is None else json.dumps(_masked(sent, rules))), ""
    if request.form or request.files:  # the files are not copied
        return _encoded(request.form.items(multi=True), rules), "application/x-www-form-urlencoded"
    return "", ""


def _without_query(text: str) -> str:
    """Return a URL without query, fragment and credentials: a link to reset a password has a token."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return _MASK
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _query(text: str, rules: CopyRules) -> str:
    """Return the query unchanged, unless a value in it is masked."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return _encoded(pairs, rules) if any(rules.masks(key) for key, _ in pairs) else text


def _encoded(pairs: Iterable[tuple[str, str]], rules: CopyRules) -> str:
    return urlencode([(key, _MASK if rules.masks(key) else value) for key, value in pairs])


def _masked(value: Any, rules: CopyRules) -> Any:
    """Return the value with masks at all levels."""
    if isinstance(value, Mapping):
        return {key: _MASK if rules.masks(str(key)) else _masked(item, rules) for key, item in value.items()}
    return [_masked(item, rules) for item in value] if isinstance(value, list) else value


def _session(session: "SessionMixin", rules: CopyRules) -> str:
    """
    Return the values in the format of Flask's own cookie, which has more types than JSON; empty if none.
    """
    if not session:
        return ""
    try:
        return str(TaggedJSONSerializer().dumps(_masked(dict(session), rules)))
    except TypeError as error:
        raise TypeError(f"the session cannot be stored: {error}") from None
