"""A visitor of a web site without a browser: keeps cookies, follows redirects, and sends forms as they are."""

import json
import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPMessage
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, HTTPSHandler, OpenerDirector, Request, build_opener

from tests.support.moments import PATIENCE_S


@dataclass(slots=True)
class Form:
    """A form of a page: where it is sent to, and the values that it has before anything is typed."""

    action: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A response, after all redirects."""

    url: str
    status: int
    headers: HTTPMessage
    text: str

    def form(self, id: str = "form") -> Form:
        """Return the form with this id."""
        parser = _FormParser()
        parser.feed(self.text)
        assert id in parser.forms, f"{self.url} has no form {id!r}: {self.text}"
        return parser.forms[id]

    def json(self) -> Any:
        """Return the body, parsed as JSON."""
        return json.loads(self.text)


class WebClient:
    """
    A visitor. Not thread-safe.

    Args:
        url: The URL of the site, without a slash at its end.
        authority: The file with the certificate of its issuer.
    """

    def __init__(self, url: str, authority: str) -> None:
        self.url = url
        context = ssl.create_default_context(cafile=authority)
        self._opener: OpenerDirector = build_opener(HTTPSHandler(context=context), HTTPCookieProcessor())

    def get(self, address: str = "/", **headers: str) -> Page:
        """Load a page, by its path below the site or by its URL."""
        return self._open(Request(self._absolute(address), headers=headers))  # noqa: S310  only https

    def send(self, page: Page, form: str = "form", **typed: str) -> Page:
        """Type values into a form of a page and send it; return the page that follows."""
        found = page.form(form)
        data = urlencode(found.values | typed).encode()
        # Flask-WTF compares the referrer of a form that is sent by https.
        headers = {"Referer": page.url}
        return self._open(Request(urljoin(page.url, found.action), data, headers))  # noqa: S310  only https

    def fill_in(self, path: str, form: str = "form", **typed: str) -> Page:
        """Load a page and send its form; return the page that follows."""
        return self.send(self.get(path), form, **typed)

    def _absolute(self, address: str) -> str:
        return address if address.startswith("https://") else f"{self.url}{address}"

    def _open(self, request: Request) -> Page:
        try:
            response = self._opener.open(request, timeout=PATIENCE_S)
        except HTTPError as error:
            response = error
        with response:
            text = response.read().decode()
            return Page(response.url, response.status, response.headers, text)


class _FormParser(HTMLParser):
    """The forms of a page, by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, Form] = {}
        self._current: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._current = self.forms[given.get("id", "")] = Form(given.get("action", ""))
        elif tag == "input" and self._current and given.get("name") and given.get("type") != "checkbox":
            self._current.values[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._current = None
