"""The copy of a request that a background run gets: written down, so without what must not be."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask.json.tag import TaggedJSONSerializer

from scheduler.flask.credentials import Keys

if TYPE_CHECKING:
    from flask import Request
    from flask.sessions import SessionMixin
    from werkzeug.datastructures import FileStorage

_HIDDEN = "***"


def copy_of(request: "Request", session: "SessionMixin", keys: Keys) -> dict[str, Any]:
    """
    Method, path, query, headers, form or JSON, remote address and session values, as JSON has them.

    Raises:
        TypeError: there are uploaded files that nobody has saved, or the session holds what cannot be written down.
    """
    if unsaved := sorted({name for name, file in request.files.items(multi=True) if _is_unsaved(file)}):
        names = ", ".join(unsaved)
        raise TypeError(f"the request has uploaded files ({names}): save them first, and hand over their paths")
    body, content_type = _body(request, keys)
    changed = {"referer": _without_query(request.headers.get("Referer", ""))}
    if content_type:
        changed["content-type"] = content_type
    headers = [[name, changed.get(name.lower(), value)] for name, value in request.headers if keys.keep_header(name)]
    query = _query(request.query_string.decode("latin-1"), keys)
    return {
        "method": request.method,
        "path": request.path + (f"?{query}" if query else ""),
        "headers": headers,
        "body": body,
        "remote_addr": request.remote_addr,
        "session": _session(session, keys),
    }


def _is_unsaved(file: "FileStorage") -> bool:
    """Whether it was chosen, and stands at its beginning: who saves one has read it to its end."""
    return bool(file.filename) and not file.stream.closed and file.stream.tell() == 0


def _body(request: "Request", keys: Keys) -> tuple[str, str]:
    """The body, and its type where that is not the one that came."""
    if request.is_json:
        sent = request.get_json(silent=True)
        return ("" if sent is None else json.dumps(_masked(sent, keys))), ""
    if request.form or request.files:  # the files stay behind
        return _encoded(request.form.items(multi=True), keys), "application/x-www-form-urlencoded"
    return "", ""


def _without_query(text: str) -> str:
    """The page before this one: a link in a mail that resets a password has its token in the query."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return _HIDDEN
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _query(text: str, keys: Keys) -> str:
    """As it came, unless something in it is left out."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return _encoded(pairs, keys) if any(keys.hide(key) for key, _ in pairs) else text


def _encoded(pairs: Iterable[tuple[str, str]], keys: Keys) -> str:
    return urlencode([(key, _HIDDEN if keys.hide(key) else value) for key, value in pairs])


def _masked(value: Any, keys: Keys) -> Any:
    """The same value; what is left out is masked, however deep it lies."""
    if isinstance(value, Mapping):
        return {key: _HIDDEN if keys.hide(str(key)) else _masked(item, keys) for key, item in value.items()}
    return [_masked(item, keys) for item in value] if isinstance(value, list) else value


def _session(session: "SessionMixin", keys: Keys) -> str:
    """Its values in the words of Flask's own cookie, which knows more than JSON; empty where there are none."""
    if not session:
        return ""
    try:
        return str(TaggedJSONSerializer().dumps(_masked(dict(session), keys)))
    except TypeError as error:
        raise TypeError(f"the session cannot be written down: {error}") from None
