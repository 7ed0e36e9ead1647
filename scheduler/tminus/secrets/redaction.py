"""
Redaction removes secrets that were sent: a response may echo them, and a reason may quote them.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

#: A shorter secret would be found everywhere, and is easy to guess anyway.
_SHORTEST = 4
_STARS = b"***"
#: Written by a runner between the two halves of an output that is too long. A job may print such lines, too.
_LEFT_OUT = re.compile("(\n(?:… [0-9]+ bytes are left out …\n)+)".encode())
#: Written by a runner behind the beginning of a message that is too long. A message may contain it, too.
_CUT = "… (cut, ".encode()
#: The value of a cookie, or all of it if it has no name.
_COOKIE = re.compile(r"(set-cookie2?\s*:\s*(?:[^;=]*=)?)[^;]*", re.IGNORECASE)


class Redaction:
    """
    Replaces secrets by stars, as they are and as URLs, JSON and base64 encode them. ASCII letters match in
    any case.

    It searches for each form by itself: compiling a pattern of a long secret takes longer than searching a
    long response. It searches bytes, because changing the case of a long text that is not ASCII takes
    seconds.

    Args:
        secrets: The values of the secrets. `repr` shows none.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST]

    def __repr__(self) -> str:
        return "<Redaction>"

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if not self._secrets:
            return text
        data = self.data(text.encode(errors="surrogatepass"))
        *cut, rest = data.split(_CUT)
        data = _CUT.join([*(_without_beginning(part, self._forms) for part in cut), rest])
        return data.decode(errors="surrogatepass")

    def data(self, data: bytes) -> bytes:
        """Return the bytes without secrets."""
        return _masked(data, self._forms) if data and self._secrets else data

    def beginning(self, data: bytes, *, keep: int, size: int) -> bytes:
        """
        Return the beginning of some bytes, without secrets, and without the beginning of a secret at the cut.

        Args:
            data: The bytes, as far as they are known.
            keep: How many bytes are kept at most.
            size: How many bytes there were.
        """
        if not self._secrets:
            return data[:keep]
        searched = data[: keep + max(map(len, self._forms))]
        redacted = self.data(searched)
        if len(searched) < size:
            redacted = _without_beginning(redacted, self._forms)
        return redacted[:keep]

    def output(self, data: bytes) -> bytes:
        """
        Return the output of a job without secrets. If its runner has left out the middle, it may have cut a
        secret there.
        """
        parts = _LEFT_OUT.split(data)  # a part, a marker, a part, and so on
        for at in range(0, len(parts), 2):
            part = self.data(parts[at])
            if at > 0:
                part = _without_end(part, self._forms)
            if at < len(parts) - 1:
                part = _without_beginning(part, self._forms)
            parts[at] = part
        return b"".join(parts)

    def json_text(self, text: str) -> str:
        """
        Return a JSON text without secrets.

        Raises:
            ValueError: it is nested too deeply to be searched.
        """
        if not self._secrets:
            return text
        try:
            return json.dumps(self.json(json.loads(text)))
        except RecursionError:
            raise ValueError("it is nested too deeply to be searched for secrets") from None

    def json(self, value: Any) -> Any:
        """Return a JSON value without secrets, also in keys and numbers."""
        if not self._secrets:
            return value
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {self.text(key): self.json(item) for key, item in value.items()}
            case int() | float() if (text := json.dumps(value)) != self.text(text):
                return _STARS.decode()
            case _:
                return value

    @cached_property
    def _forms(self) -> list[bytes]:
        """
        The forms of the secrets, the longest first: if two begin alike, the longer one is found whole.
        """
        forms = {
            form.encode(errors="surrogatepass").lower() for secret in self._secrets for form in _forms(secret)
        }
        return sorted(forms, key=len, reverse=True)


def _masked(data: bytes, forms: Iterable[bytes]) -> bytes:
    lowered = data.lower()
    for form in forms:
        if (found := lowered.find(form)) < 0:
            continue
        parts: list[bytes] = []
        at = 0
        while found >= 0:
            parts += [data[at:found], _STARS]
            at = found + len(form)
            found = lowered.find(form, at)
        data = b"".join([*parts, data[at:]])
        lowered = data.lower()
    return data


def _without_beginning(data: bytes, forms: Iterable[bytes]) -> bytes:
    """Return the bytes without the beginning of a secret at their end."""
    lowered = data.lower()
    for form in forms:
        first = form[:_SHORTEST]
        at = lowered.find(first, max(len(lowered) - len(form), 0))
        while at >= 0:
            if form.startswith(lowered[at:]):
                return data[:at] + _STARS
            at = lowered.find(first, at + 1)
    return data


def _without_end(data: bytes, forms: Iterable[bytes]) -> bytes:
    """Return the bytes without the end of a secret at their beginning."""
    lowered = data.lower()
    for form in forms:
        last = form[-_SHORTEST:]
        at = lowered.rfind(last, 0, len(form))
        while at >= 0:
            end = at + len(last)
            if form.endswith(lowered[:end]):
                return _STARS + data[end:]
            at = lowered.rfind(last, 0, end - 1)
    return data


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield from _quoted(secret)
    yield from _in_json(secret)
    yield from _in_base64(secret.encode(errors="surrogatepass"))


def _quoted(secret: str) -> Iterator[str]:
    data = secret.encode(errors="surrogatepass")
    yield from (quote(data, safe=""), quote(data), quote_plus(data))


def _in_json(secret: str) -> Iterator[str]:
    for is_ascii in (True, False):
        text = json.dumps(secret, ensure_ascii=is_ascii)[1:-1]
        yield text
        yield text.replace("/", r"\/")


def _in_base64(data: bytes) -> Iterator[str]:
    """
    Yield the part that does not depend on the text around the secret, which often follows a name and a colon.

    For a short secret that part is too short: it would be found everywhere.
    """
    if len(data) < 2 * _SHORTEST:
        return
    # Base64 has a character per 6 bits. Yield only those without bits of the text around, for each number of
    # bytes that may come before the secret in its group of three.
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:last]


def mask_cookies(line: str) -> str:
    """Return a header line of a response for storage. A cookie is a credential, so its value is masked."""
    if line.startswith((" ", "\t")):
        return " ***"  # it continues the line before, which may be a cookie
    return _COOKIE.sub(r"\1***", line, count=1) if line[:10].lower() == "set-cookie" else line
