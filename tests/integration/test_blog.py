"""The application `tests/apps/blog` as its own developers would test it: without daemon, ledger and web server."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.apps import install_package
from tminus.flask import CollectedRun, application

pytest_plugins = ["tminus.flask.pytest_plugin"]

_SITE = "https://blog.example"
_PASSWORD = "a long one of somebody"
_ADA = {"name": "ada", "email": "ada@blog.example", "password": _PASSWORD, "password2": _PASSWORD}


@pytest.fixture
def blog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package `blog`, imported in this process as in a web worker."""
    monkeypatch.syspath_prepend(install_package("blog", tmp_path))
    # A process of its own would not know the schedulers of other tests.
    monkeypatch.setattr(application, "schedulers", WeakSet())
    try:
        yield importlib.import_module("blog")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "blog"]:
            del sys.modules[name]


@pytest.fixture
def app(blog: Any, tmp_path: Path) -> Iterator[Flask]:
    """The application, with a database of its own."""
    made: Flask = blog.create_app(
        {
            "TESTING": True,
            "WTF_CSRF_ENABLED": False,
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/blog.db",
        }
    )
    with made.app_context():
        blog.db.create_all()
    yield made
    with made.app_context():
        blog.db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor."""
    return app.test_client()


def post(client: FlaskClient, path: str, **form: str) -> TestResponse:
    """Send a form; return the page that follows."""
    return client.post(path, data=form, base_url=_SITE, follow_redirects=True)


def log_in(client: FlaskClient) -> None:
    """Register a user and log in."""
    post(client, "/auth/register", **_ADA)
    assert "Log out" in post(client, "/auth/log-in", name="ada", password=_PASSWORD).text


def test_a_registration_submits_one_welcome_whose_copy_has_no_password(
    client: FlaskClient, tminus_runs: list[CollectedRun]
) -> None:
    post(client, "/auth/register", **_ADA)
    (run,) = tminus_runs
    assert (run.name, run.args) == ("blog.tasks.send_welcome", [1])
    assert run.request
    assert run.request["base_url"] == f"{_SITE}/"
    assert "name=ada" in run.request["body"]
    assert "password2=%2A%2A%2A" in run.request["body"]


@pytest.mark.parametrize("wrong", [{"password2": "another one"}, {"email": "ada"}, {"name": "Ada!"}])
def test_a_registration_that_is_refused_submits_nothing(
    client: FlaskClient, tminus_runs: list[CollectedRun], wrong: dict[str, str]
) -> None:
    assert "<strong>" in post(client, "/auth/register", **_ADA | wrong).text
    assert tminus_runs == []


def test_a_form_that_is_sent_twice_asks_for_one_export(
    client: FlaskClient, tminus_runs: list[CollectedRun]
) -> None:
    log_in(client)
    tminus_runs.clear()
    pages = [post(client, "/exports/", key="0" * 32) for _ in range(2)]
    assert [page.status_code for page in pages] == [200, 200]
    assert [(run.id, run.name, run.args) for run in tminus_runs] == [
        ("0" * 32, "blog.tasks.export_posts", [1])
    ]
    assert "Your last export is not sent yet" in post(client, "/exports/", key="1" * 32).text
    assert len(tminus_runs) == 1


def test_a_welcome_called_at_once_has_a_link_that_confirms_the_address(
    blog: Any, app: Flask, client: FlaskClient
) -> None:
    app.config["TMINUS_EAGER"] = True
    with blog.mail.record_messages() as sent:
        post(client, "/auth/register", **_ADA)
    (mail,) = sent
    confirm, profile = re.findall(r"https?://\S+", mail.body)
    assert profile == f"{_SITE}/users/ada"
    assert "ada@blog.example is confirmed" in client.get(confirm).text
    assert ", confirmed" in client.get(profile).text


def test_an_export_called_at_once_is_sent_with_all_posts(blog: Any, app: Flask, client: FlaskClient) -> None:
    app.config["TMINUS_EAGER"] = True
    log_in(client)
    for text in ("first", "second"):
        post(client, "/", text=text)
    with blog.mail.record_messages() as sent:
        page = post(client, "/exports/", key="0" * 32)
    assert "2 of 2 posts, sent" in page.text
    (mail,) = sent
    assert [one["text"] for one in json.loads(mail.attachments[0].data)] == ["first", "second"]
    assert mail.extra_headers == {"X-Run": "0" * 32}
