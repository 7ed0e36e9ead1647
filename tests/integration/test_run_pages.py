"""`GET /tminus/runs/<id>`, as an application answers it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort
from flask.json.provider import DefaultJSONProvider

from tminus.flask import Scheduler, background, events, ledgers
from tminus.ledger.engine import Ledger

_HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@background
def work() -> None:
    """Waits, for there is no daemon."""


@pytest.fixture
def app(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An application with a ledger of its own."""
    monkeypatch.setenv("TMINUS_LEDGER", ledger.url.render_as_string(hide_password=False))
    app = Flask("site")
    Scheduler(app, app="site", events=True)
    yield app
    ledgers.ledger().close()


@pytest.fixture
def url(app: Flask) -> str:
    """That of a run which waits."""
    with app.app_context():
        return f"/tminus/runs/{work.submit().id}"


def test_a_stream_ends_after_its_time_and_says_when_to_come_again(
    app: Flask, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LASTS_NS", 10**9)
    text = app.test_client().get(f"{url}/events").get_data(as_text=True)
    assert text.startswith("retry: 1000\n\nid: ")
    assert text.endswith("\n\n:\n\n")


def test_a_stream_exists_only_with_events_and_for_those_who_may_see_the_run(app: Flask, url: str) -> None:
    plain, closed = Flask("plain"), Flask("closed")
    Scheduler(plain, app="site")
    Scheduler(closed, app="site", events=True, authorize=lambda id: id not in url)
    assert "tminus.run_events" not in plain.view_functions
    assert "tminus.run_events" in closed.view_functions
    for other in (plain, closed):
        assert other.test_client().get(f"{url}/events").status_code == 404
    assert closed.test_client().get(url).status_code == 404
    assert app.test_client().get(f"/tminus/runs/{'0' * 32}/events").status_code == 404


@pytest.mark.parametrize("path", ["%00", "a%00b", "%ff", "x" * 5000, "..%2f"])
def test_an_id_that_is_none_is_not_found(app: Flask, path: str) -> None:
    assert app.test_client().get(f"/tminus/runs/{path}").status_code == 404


@pytest.mark.parametrize("headers", [{}, _HTML], ids=["json", "html"])
def test_who_asks_again_gets_304_with_all_that_tells_when_to_ask_again(
    app: Flask, url: str, headers: dict[str, str]
) -> None:
    client = app.test_client()
    first = client.get(url, headers=headers)
    again = client.get(url, headers=headers | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Retry-After", "Cache-Control", "Vary"):
        assert again.headers[name] == first.headers[name]
    assert (first.headers["Retry-After"], first.headers["Cache-Control"]) == ("1", "private, no-cache")
    head = client.head(url, headers=headers)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", first.headers["ETag"])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,*/*;q=0.8", "text/html"),
        ("text/html;q=0.5,application/json", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_who_asks_for_html_gets_a_page_and_everybody_else_json(
    app: Flask, url: str, accept: str | None, kind: str
) -> None:
    answer = app.test_client().get(url, headers={"Accept": accept} if accept else {})
    assert answer.mimetype == kind
    assert "Accept" in answer.headers["Vary"]


def test_below_a_prefix_its_links_lead_there(app: Flask, url: str) -> None:
    page = app.test_client().get(url, headers=_HTML, base_url="http://localhost/shop")
    assert f'href="/shop{url}"' in page.get_data(as_text=True)


def test_if_authorize_raises_that_is_the_response_and_nothing_is_shown(app: Flask, url: str) -> None:
    def authorize(id: str) -> bool:
        return abort(403)

    guarded = Flask("guarded")
    Scheduler(guarded, app="site", authorize=authorize)
    answer = guarded.test_client().get(url)
    assert (answer.status_code, url[-32:] in answer.get_data(as_text=True)) == (403, False)


@pytest.mark.parametrize("path", ["", "/events"])
def test_while_the_ledger_does_not_work_the_response_is_503_and_does_not_name_it(
    app: Flask, url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TMINUS_LEDGER", f"sqlite:///{tmp_path}/nowhere/ledger.db")
        answer = app.test_client().get(url + path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json() == {"error": {"kind": "unavailable", "message": "the status cannot be read now"}}


def test_the_applications_own_json_does_not_change_the_shape(app: Flask, url: str) -> None:
    class Wrapped(DefaultJSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return super().dumps({"data": obj}, **kwargs)

    app.json = Wrapped(app)
    said = json.loads(app.test_client().get(url).data)
    assert list(said) == ["id", "state", "progress", "progress_text", "result", "error", "attempts"]
