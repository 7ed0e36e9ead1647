"""The URL of a job's request: what a view sees, and what `url_for` makes of it."""

import json
import re
from typing import Any

import pytest
from flask import Blueprint, Flask, Request, Response, g, jsonify, request, session, url_for
from flask.sessions import SecureCookieSession, SessionInterface
from werkzeug.test import EnvironBuilder

from tminus.executors.python import contexts
from tminus.executors.python.loading import CannotLoad
from tminus.executors.python.prepared_view import PreparedView
from tminus.executors.python.wire import RequestContext, Work, context_of_copy
from tminus.flask.copy_rules import CopyRules
from tminus.flask.request_copy import copy_request


def a_shop(*, subdomains: bool = False, **config: Any) -> Flask:
    """Return an application whose views respond with their URL, and with a link."""
    app = Flask("shop", subdomain_matching=subdomains)
    app.config.update(config)
    pages = Blueprint("pages", __name__, url_prefix="/<lang>", subdomain="api" if subdomains else None)

    @pages.url_defaults
    def add_language(endpoint: str, values: dict[str, Any]) -> None:
        values.setdefault("lang", g.get("lang", "en"))

    @pages.url_value_preprocessor
    def take_language(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.lang = (values or {}).pop("lang")

    @pages.get("/page/<int:n>")
    def page(n: int) -> Any:
        return jsonify(
            url=request.url, root=request.root_path, link=url_for("pages.page", n=n + 1, _external=True)
        )

    app.register_blueprint(pages)
    return app


def response_of(app: Flask, context: RequestContext) -> tuple[int, Any]:
    """Return the status and the JSON of a view that a job calls."""
    work = Work(
        index=0,
        job="report",
        occurrence="report@2026-11-20T11:30:00Z",
        ref=None,
        request=context,
        latest_ns=0,
        total_ns=0,
        max_body=1 << 20,
        keep_body=0,
        keep_output=0,
    )
    result = PreparedView(work, app).enter()
    return result.status, json.loads(result.body) if result.status == 200 else None


@pytest.mark.parametrize(
    ("config", "url"),
    [
        pytest.param({}, "http://localhost/{}/page/{}", id="nothing"),
        pytest.param(
            {"APPLICATION_ROOT": "/shop"}, "http://localhost/shop/{}/page/{}", id="APPLICATION_ROOT"
        ),
        pytest.param(
            {"SERVER_NAME": "shop.example:8443", "PREFERRED_URL_SCHEME": "https"},
            "https://shop.example:8443/{}/page/{}",
            id="SERVER_NAME",
        ),
        pytest.param(
            {"SERVER_NAME": "shop.example", "APPLICATION_ROOT": "/shop/v2"},
            "http://shop.example/shop/v2/{}/page/{}",
            id="both",
        ),
        pytest.param(
            {"SERVER_NAME": "shop.example", "APPLICATION_ROOT": "/shop", "subdomains": True},
            "http://api.shop.example/shop/{}/page/{}",
            id="subdomain",
        ),
    ],
)
def test_a_view_by_its_endpoint_sees_the_url_that_the_application_gives_it(
    config: dict[str, Any], url: str
) -> None:
    app = a_shop(**config)
    status, seen = response_of(app, RequestContext(endpoint="pages.page", args={"n": 7, "lang": "de"}))
    assert (status, seen) == (
        200,
        {"url": url.format("de", 7), "root": config.get("APPLICATION_ROOT", ""), "link": url.format("de", 8)},
    )


def test_defaults_of_a_blueprint_complete_the_url_of_an_endpoint() -> None:
    _, seen = response_of(a_shop(), RequestContext(endpoint="pages.page", args={"n": 7, "q": "x y"}))
    assert seen["url"] == "http://localhost/en/page/7?q=x+y"


def test_a_view_by_its_path_lies_below_the_mount_point() -> None:
    status, seen = response_of(a_shop(APPLICATION_ROOT="/shop"), RequestContext(path="/de/page/7?q=1"))
    assert (status, seen["url"]) == (200, "http://localhost/shop/de/page/7?q=1")


@pytest.mark.parametrize("config", [{}, {"SERVER_NAME": "other.example", "APPLICATION_ROOT": "/other"}])
def test_a_copied_request_has_the_links_of_the_request_itself(config: dict[str, Any]) -> None:
    app = a_shop(**config)
    sent = EnvironBuilder(
        "/de/page/7", base_url="https://shop.example/shop", query_string="q=1"
    ).get_environ()
    with app.request_context(sent) as before:
        copy = copy_request(request, before.session, CopyRules())
        wanted = [
            request.url,
            request.root_path,
            request.is_secure,
            url_for("pages.page", n=8, _external=True),
        ]
    stored = json.loads(json.dumps(copy))
    with contexts.request_context(app, context_of_copy(stored)):
        found = [
            request.url,
            request.root_path,
            request.is_secure,
            url_for("pages.page", n=8, _external=True),
        ]
    assert found == wanted


def test_an_endpoint_that_does_not_exist_is_named() -> None:
    message = re.escape("the application has no endpoint 'page.page'; did you mean 'pages.page'?")
    with pytest.raises(CannotLoad, match=message):
        contexts.build_url(a_shop(), RequestContext(endpoint="page.page"))


class SessionsOnTheServer(SessionInterface):
    """Sessions in a dictionary; a cookie has the id."""

    def __init__(self) -> None:
        self.stored: dict[str, SecureCookieSession] = {}

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        return self.stored.get(request.cookies.get("sid", ""), SecureCookieSession())

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        self.stored["7"] = session
        response.set_cookie("sid", "7", httponly=True)


@pytest.mark.parametrize("on_the_server", [False, True])
def test_a_view_has_the_session_of_its_job_as_the_application_stores_sessions(on_the_server: bool) -> None:
    app = Flask("shop")
    app.secret_key = "made up"
    if on_the_server:
        app.session_interface = SessionsOnTheServer()

    @app.get("/")
    def page() -> Any:
        return jsonify(user=session.get("user_id"), deep=session["deep"], theme=request.cookies.get("theme"))

    context = RequestContext(
        path="/", session='{"user_id": 1, "deep": {"a": [2]}}', headers=[["Cookie", "theme=dark"]]
    )
    assert response_of(app, context) == (200, {"user": 1, "deep": {"a": [2]}, "theme": "dark"})
    assert response_of(app, RequestContext(path="/"))[0] == 500, "the next one has no session"


def test_a_session_of_an_application_without_sessions_is_an_error() -> None:
    with pytest.raises(CannotLoad, match="the application has no sessions: it has no SECRET_KEY"):
        response_of(a_shop(), RequestContext(path="/de/page/7", session='{"user_id": 1}'))
