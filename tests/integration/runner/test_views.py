"""A view as a job: through the whole WSGI stack of the application."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.runner import RunnerProcess, a_view, runner

_SHOP = """
from flask import Blueprint, Flask, abort, jsonify, request, session, stream_with_context

app = Flask("shop")
app.secret_key = "made up"
reports = Blueprint("reports", __name__, url_prefix="/reports")
seen = []

@app.before_request
def before():
    seen.append(request.path)

@app.after_request
def after(response):
    response.headers["X-After"] = "yes"
    return response

@app.errorhandler(404)
def not_found(error):
    return {"error": "nothing here"}, 404

@reports.route("/<int:n>", methods=["GET", "POST"])
def one(n):
    print("report", n)
    return jsonify(n=n, method=request.method, json=request.get_json(silent=True), q=request.args.get("q"))

@app.route("/broken")
def broken():
    raise ValueError("no such customer")

@app.route("/stream")
def stream():
    def parts():
        yield request.path
        yield "!"
    return stream_with_context(parts())

@app.route("/long")
def long():
    return "x" * 2_000_000

app.register_blueprint(reports)

def writes(environ, start_response, flask=app.wsgi_app):
    if environ["PATH_INFO"] != "/writes":
        return flask(environ, start_response)
    write = start_response("200 OK", [])
    for _ in range(int(environ["QUERY_STRING"])):
        write(b"x" * (1 << 19))
    return [b"!"]
app.wsgi_app = writes
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    """One runner for all tests of this file."""
    with runner(tmp_path_factory.mktemp("shop"), _SHOP) as process:
        yield process


def test_a_view_is_called_by_its_endpoint_with_its_arguments(shop: RunnerProcess) -> None:
    done = shop.run(a_view(endpoint="reports.one", args={"n": 7}))[0]
    assert (done.status, json.loads(done.body)["n"]) == (200, 7)
    assert done.output == b"report 7\n"


def test_a_view_is_called_by_its_url_with_method_query_and_json(shop: RunnerProcess) -> None:
    headers = [["Content-Type", "application/json"]]
    done = shop.run(a_view(path="/reports/8?q=x", method="POST", headers=headers, body=b'{"kind": "daily"}'))[
        0
    ]
    assert json.loads(done.body) == {"n": 8, "method": "POST", "json": {"kind": "daily"}, "q": "x"}


def test_the_whole_stack_is_passed_through(shop: RunnerProcess) -> None:
    done = shop.run(a_view(path="/nowhere"))[0]
    assert (done.status, json.loads(done.body)) == (404, {"error": "nothing here"})
    assert "X-After: yes" in done.headers


def test_a_view_that_raises_answers_500_and_its_traceback_is_in_the_output(shop: RunnerProcess) -> None:
    done = shop.run(a_view(path="/broken"))[0]
    assert (done.status, done.cause) == (500, None)
    assert b"ValueError: no such customer" in done.output


def test_a_streamed_answer_is_read_to_its_end_within_its_context(shop: RunnerProcess) -> None:
    assert shop.run(a_view(path="/stream"))[0].body == b"/stream!"


def test_what_an_application_writes_itself_comes_first_and_is_bounded_too(shop: RunnerProcess) -> None:
    assert shop.run(a_view(path="/writes?1"))[0].body_size == (1 << 19) + 1
    for times in (2, 200):
        done = shop.run(a_view(path=f"/writes?{times}"))[0]
        assert (done.cause, done.detail) == ("too_large", "the answer is longer than max_body, 1048576 bytes")


def test_an_answer_is_bounded(shop: RunnerProcess) -> None:
    done = shop.run(a_view(path="/long"))[0]
    assert (done.cause, done.detail) == ("too_large", "the answer is longer than max_body, 1048576 bytes")


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        (
            {"endpoint": "reports.on"},
            "the application has no endpoint 'reports.on'; did you mean 'reports.one'?",
        ),
        ({"endpoint": "reports.one"}, "the view reports.one needs n: give args: {n: …} (/reports/<int:n>)"),
    ],
)
def test_a_view_that_cannot_be_reached_fails_before_it_starts_and_says_why(
    shop: RunnerProcess, request_: dict[str, Any], detail: str
) -> None:
    done = shop.run(a_view(**request_))[0]
    assert (done.cause, done.detail, done.started_ns) == ("definition", detail, 0)


def test_a_hundred_views_are_called_at_once_and_each_gets_its_own_answer(shop: RunnerProcess) -> None:
    done = shop.run_armed(*(a_view(n, endpoint="reports.one", args={"n": n}) for n in range(100)))
    assert [json.loads(done[n].body)["n"] for n in range(100)] == list(range(100))
    assert all(one.armed and one.started_ns >= shop.release_at_ns for one in done.values())
