"""
A job that logs in to a site and sends the cookies of the login with its further requests.
"""

import json
import ssl
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pycurl

from tminus.flask import Failure, current_occurrence


class Answer:
    """
    A response of the site.

    Attributes:
        status: HTTP status code.
        text: The body.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text

    def json(self) -> Any:
        """
        Return the body, decoded from JSON.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.text)

    def kept(self) -> dict[str, Any]:
        """Return status, text and JSON, as part of a job's result. `json` is None if the body is not JSON."""
        try:
            document = self.json()
        except ValueError:
            document = None
        return {"status": self.status, "text": self.text, "json": document}


class Session:
    """
    A session of requests to a site. Cookies are sent only to the host that set them, and are deleted at the
    end of the `with` block. Redirects are not followed. Not thread-safe: each job creates its own.

    Args:
        timeout_s: Limit for one response, from the name lookup to the last byte, in seconds.
    """

    def __init__(self, timeout_s: int = 20) -> None:
        self._curl = curl = pycurl.Curl()
        curl.setopt(pycurl.COOKIEFILE, "")  # no file: this turns the cookie engine on, in memory
        curl.setopt(pycurl.TIMEOUT, timeout_s)
        curl.setopt(pycurl.NOSIGNAL, True)  # jobs are threads, and a signal belongs to the process
        if authorities := ssl.get_default_verify_paths().cafile:
            curl.setopt(pycurl.CAINFO, authorities)  # PycURL's wheel has the path of another system

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._curl.close()

    def get(self, url: str) -> Answer:
        """
        Get a page.

        Raises:
            pycurl.error: there was no response.
        """
        self._curl.setopt(pycurl.HTTPGET, True)
        return self._answer(url, {})

    def post(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        document: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        Send a form, or a document as JSON.

        Raises:
            pycurl.error: there was no response.
        """
        self._curl.setopt(pycurl.POST, True)
        if form is not None:
            self._curl.setopt(pycurl.POSTFIELDS, urlencode(form))
            return self._answer(url, headers or {})
        self._curl.setopt(pycurl.POSTFIELDS, json.dumps(document))
        return self._answer(url, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, url: str, headers: Mapping[str, str]) -> Answer:
        body = BytesIO()
        self._curl.setopt(pycurl.URL, url)
        self._curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        self._curl.setopt(pycurl.WRITEDATA, body)
        self._curl.perform()
        return Answer(self._curl.getinfo(pycurl.RESPONSE_CODE), body.getvalue().decode(errors="replace"))


def confirm_orders(site: str, user: str, password: str) -> dict[str, Any]:
    """
    Log in, get the open orders and confirm them. Return all three responses.

    Raises:
        RuntimeError: the site rejected a request.
    """
    with Session() as session:
        login = allowed("the login", session.post(f"{site}/login", form={"user": user, "password": password}))
        orders = allowed("the list of orders", session.get(f"{site}/orders"))
        confirmed = allowed(
            "the confirmation",
            session.post(
                f"{site}/orders/confirm",
                document={"orders": orders.json()["open"]},
                headers={"X-CSRF-Token": login.json()["csrf"]},
            ),
        )
    return {"login": login.kept(), "orders": orders.kept(), "confirmed": confirmed.kept()}


def allowed(what: str, answer: Answer) -> Answer:
    """
    Return the response if its status is 200.

    Raises:
        RuntimeError: the status is another one.
    """
    if answer.status != 200:
        raise RuntimeError(f"the site refused {what}: {answer.status} {answer.text[:200].strip()}")
    return answer


def not_confirmed(failure: Failure) -> None:
    """Errback: write a line for the people who handle orders."""
    with Path(__file__).with_name("not_confirmed.log").open("a") as log:
        log.write(f"{current_occurrence().id}: {failure}\n")
