"""Redaction: a secret that went out may come back, in an answer that echoes it or a reason that quotes it."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

#: A shorter one would be found everywhere, and hides nothing that could not be guessed.
_SHORTEST = 4


class Redaction:
    """
    Puts stars in the place of secrets, as they are and as they are written in URLs and JSON.

    Args:
        secrets: Their values. `repr` shows none.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._text = re.compile(pattern, re.IGNORECASE) if forms else None
        self._data = re.compile(pattern.encode(errors="surrogateescape"), re.IGNORECASE) if forms else None

    def __repr__(self) -> str:
        return "<Redaction>"

    def text(self, text: str) -> str:
        """The text without them."""
        return self._text.sub("***", text) if self._text else text

    def data(self, data: bytes) -> bytes:
        """The bytes without them."""
        return self._data.sub(b"***", data) if self._data else data

    def json_text(self, text: str) -> str:
        """
        A text of JSON without them.

        Raises:
            ValueError: it is more than can be searched.
        """
        if self._text is None:
            return text
        try:
            return json.dumps(self.json(json.loads(text)))
        except RecursionError:
            raise ValueError("it is nested too deeply to be searched for secrets") from None

    def json(self, value: Any) -> Any:
        """A value of JSON without them, in keys and numbers too."""
        if self._text is None:
            return value
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {self.text(key): self.json(item) for key, item in value.items()}
            case int() | float() if self._text.search(json.dumps(value)):
                return "***"
            case _:
                return value


def _forms(secret: str) -> Iterable[str]:
    yield secret
    with_escapes = (quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1])
    yield from (form for form in with_escapes if form != secret)
