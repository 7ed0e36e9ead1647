"""A job that is a client of a site: it logs in, and the cookies that it is given go along with whatever it asks then."""

import json
import ssl
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pycurl

from scheduler.flask import Failure, current_occurrence


class Answer:
    """
    What a site answered.

    Attributes:
        status: Of HTTP.
        text: The body.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text

    def json(self) -> Any:
        """
        The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.text)

    def kept(self) -> dict[str, Any]:
        """Status, text and JSON, for the result of a job; `json` is None where the body is none."""
        try:
            document = self.json()
        except ValueError:
            document = None
        return {"status": self.status, "text": self.text, "json": document}


class Session:
    """
    Asks a site several things, one after another. The cookies that it sets are sent back to its host and to no other, and are
    forgotten at the end of the `with` block. Redirects are not followed. Not thread-safe: a job makes its own.

    Args:
        timeout_s: For one answer, from its name's look-up to its last byte.
    """

    def __init__(self, timeout_s: int = 20) -> None:
        self._curl = curl = pycurl.Curl()
        curl.setopt(pycurl.COOKIEFILE, "")  # no file: it makes libcurl keep cookies, in memory
        curl.setopt(pycurl.TIMEOUT, timeout_s)
        curl.setopt(pycurl.NOSIGNAL, True)  # jobs are threads, and a signal is the process's
        if authorities := ssl.get_default_verify_paths().cafile:
            curl.setopt(pycurl.CAINFO, authorities)  # PycURL's wheel has another system's path built in

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._curl.close()

    def get(self, url: str) -> Answer:
        """
        Ask for a page.

        Raises:
            pycurl.error: there was no answer.
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
            pycurl.error: there was no answer.
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
    The job: a login, a page, and what is to be sent; all three answers are its result.

    Raises:
        RuntimeError: the site refused one of them.
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
    The same answer, if it is a good one.

    Raises:
        RuntimeError: it is none.
    """
    if answer.status != 200:
        raise RuntimeError(f"the site refused {what}: {answer.status} {answer.text[:200].strip()}")
    return answer


def not_confirmed(failure: Failure) -> None:
    """The errback: a line for whoever looks after the orders."""
    with Path(__file__).with_name("not_confirmed.log").open("a") as log:
        log.write(f"{current_occurrence().id}: {failure}\n")
