"""The copy of a request that a background run gets: written down, so without what must not be."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask.json.tag import TaggedJSONSerializer

if TYPE_CHECKING:
    from flask import Request
    from flask.sessions import SessionMixin
    from werkzeug.datastructures import FileStorage

_NEVER = frozenset({"authorization", "proxy-authorization", "cookie", "content-length", "transfer-encoding"})
_NEVER_BEGINS = ("x-csrf",)
_HIDDEN = "***"


def copy_of(request: "Request", session: "SessionMixin", drop: Iterable[str]) -> dict[str, Any]:
    """
    Method, path, query, headers, form or JSON, remote address and session values, as JSON has them.

    Args:
        drop: Keys of form and JSON, in any case, whose values are left out.

    Raises:
        TypeError: there are uploaded files that nobody has saved, or the session holds what cannot be written down.
    """
    if unsaved := sorted({name for name, file in request.files.items(multi=True) if _is_unsaved(file)}):
        names = ", ".join(unsaved)
        raise TypeError(f"the request has uploaded files ({names}): save them first, and hand over their paths")
    dropped = {key.lower() for key in drop}
    body, content_type = _body(request, dropped)
    headers = [[name, value] for name, value in request.headers if _is_kept(name)]
    if content_type:
        headers = [*([name, value] for name, value in headers if name.lower() != "content-type"), ["Content-Type", content_type]]
    query = request.query_string.decode("latin-1")
    return {
        "method": request.method,
        "path": request.path + (f"?{query}" if query else ""),
        "headers": headers,
        "body": body,
        "remote_addr": request.remote_addr,
        "session": _session(session),
    }


def _is_kept(name: str) -> bool:
    return name.lower() not in _NEVER and not name.lower().startswith(_NEVER_BEGINS)


def _is_unsaved(file: "FileStorage") -> bool:
    """Whether it was chosen, and stands at its beginning: who saves one has read it to its end."""
    return bool(file.filename) and not file.stream.closed and file.stream.tell() == 0


def _body(request: "Request", dropped: set[str]) -> tuple[str, str]:
    """The body, and its type where that is not the one that came."""
    if request.is_json:
        sent = request.get_json(silent=True)
        return ("" if sent is None else json.dumps(_without(sent, dropped))), ""
    if request.form or request.files:  # the files stay behind
        pairs = [(key, _HIDDEN if key.lower() in dropped else value) for key, value in request.form.items(multi=True)]
        return urlencode(pairs), "application/x-www-form-urlencoded"
    return "", ""


def _without(value: Any, dropped: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _HIDDEN if str(key).lower() in dropped else _without(item, dropped) for key, item in value.items()}
    return [_without(item, dropped) for item in value] if isinstance(value, list) else value


def _session(session: "SessionMixin") -> str:
    """Its values in the words of Flask's own cookie, which knows more than JSON; empty where there are none."""
    if not session:
        return ""
    try:
        return str(TaggedJSONSerializer().dumps(dict(session)))
    except TypeError as error:
        raise TypeError(f"the session cannot be written down: {error}") from None
