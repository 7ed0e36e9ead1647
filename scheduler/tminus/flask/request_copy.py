"""The copy of a request that a background run gets. It is stored, so it contains no credentials."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from flask.json.tag import TaggedJSONSerializer

from tminus.flask.copy_rules import CopyRules

if TYPE_CHECKING:
    from flask import Request
    from flask.sessions import SessionMixin
    from werkzeug.datastructures import FileStorage

_MASK = "***"
#: What a path contains unquoted (RFC 3986, section 3.3).
_IN_PATH = "/!$&'()*+,;=:@-._~"
_LINE = re.compile(r"[^\r\n]+")
_KEY = re.compile(r"([^=:&\r\n]+)[=:]")
_SERIALIZER = TaggedJSONSerializer()
_log = logging.getLogger("tminus")


def copy_request(request: "Request", session: "SessionMixin", rules: CopyRules) -> dict[str, Any]:
    """
    Return scheme, host, mount point, method, path, query, headers, form, JSON or text, remote address and
    session values, as JSON.

    Raises:
        TypeError: the request has uploaded files that are not saved.
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
        "base_url": request.root_url,
        "method": request.method,
        "path": quote(request.path, safe=_IN_PATH) + (f"?{query}" if query else ""),
        "headers": headers,
        "body": body,
        "remote_addr": request.remote_addr,
        "session": _session(session, rules),
    }


def _is_unsaved(file: "FileStorage") -> bool:
    """Return whether a file was uploaded and not read: saving a file reads it to its end."""
    return bool(file.filename) and not file.stream.closed and file.stream.tell() == 0


def _body(request: "Request", rules: CopyRules) -> tuple[str, str]:
    """Return the body, and its new content type; that is empty if the type of the request stays."""
    if request.is_json:
        sent = request.get_json(silent=True)
        return ("" if sent is None else json.dumps(_masked(sent, rules))), ""
    if request.form or request.files:  # the files are not copied
        return _encoded(request.form.items(multi=True), rules), "application/x-www-form-urlencoded"
    if request.mimetype == "text/plain":
        return _text(request.get_data(as_text=True), rules), "text/plain; charset=utf-8"
    return "", ""


def _text(text: str, rules: CopyRules) -> str:
    """
    Return a text with masks. If the text or a line is JSON, masks replace values in it. In any other line, a
    mask replaces what follows `KEY=` or `KEY:`.
    """
    text = text.removeprefix("\ufeff")
    whole = _json(text, rules)
    return _LINE.sub(lambda line: _line(line[0], rules), text) if whole is None else whole


def _line(line: str, rules: CopyRules) -> str:
    if (found := _json(line, rules)) is not None:
        return found
    for key in _KEY.finditer(line):
        if rules.masks(key[1]):
            return line[: key.end()] + _MASK
    return line


def _json(text: str, rules: CopyRules) -> str | None:
    """Return an object or an array with masks; None if the text is neither."""
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return json.dumps(_masked(sent, rules)) if isinstance(sent, dict | list) else None


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
    Values of other types, which a server-side session may contain, are left out, with a warning.
    """
    kept = {}
    for key, value in dict(session).items():
        try:
            # Flask's format first: whatever class a value has, it is then JSON, which can be masked.
            stored = json.loads(_SERIALIZER.dumps(value))
        except (TypeError, ValueError, RecursionError) as error:
            _log.warning("the copy of the request leaves out %r of the session: %s", key, error)
        else:
            kept[str(key)] = stored
    return json.dumps(_masked(kept, rules)) if kept else ""
