"""A function as a job: contexts around it, its result, what it prints, how it fails."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.runner import RunnerProcess, a_call, runner
from tminus.executors.python.wire import RequestContext, Work
from tminus.outcome import Phase

_SHOP = """
import asyncio, contextvars, os, sys, threading
from flask import Flask, current_app, g, request, session, url_for

app = Flask("shop")
app.secret_key = "made up"
torn_down = []

@app.route("/items/<int:n>")
def item(n):
    return {}

@app.teardown_appcontext
def teardown(error):
    torn_down.append(repr(error))

def greet(name, times=1):
    print("greeting", name)
    current_app.logger.info("greeted %s", name)
    return {"name": name, "times": times}

def look_around():
    return [current_app.name, request.method, request.path, request.headers.get("X-Who"), request.get_json(silent=True), url_for("item", n=3)]

def leaves_something(n):
    found = [getattr(g, "mine", None), session.get("mine")]
    g.mine = session["mine"] = n
    return found

async def in_a_loop(n):
    await asyncio.sleep(0)
    return [n, request.path, current_app.name]

def scheduled():
    return os.sched_getscheduler(0)

def fails():
    raise ValueError("no such customer")

def calls_badly():
    greet()

def teardowns():
    return torn_down

def exits():
    sys.exit(3)

def recursion():
    return recursion()

def not_json():
    return object()

def not_a_number():
    return float("nan")

def long():
    return "x" * 2_000_000

def prints(n):
    for i in range(n):
        print(f"line {i}")

def closes_stdout():
    sys.stdout.close()
    sys.stdout = None
    return "closed"

def reads_stdin():
    return sys.stdin.read()

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def raises_odd():
    raise Odd()
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    """
    One runner for all tests of this file: that they do not disturb each other is part of what they show.
    """
    folder = tmp_path_factory.mktemp("shop")
    (folder / "broken.py").write_text("from shop import what_newer_code_has\n")
    with runner(folder, _SHOP) as process:
        yield process


def test_a_function_gets_its_arguments_and_its_result_comes_back_as_json(shop: RunnerProcess) -> None:
    done = shop.run(a_call("shop:greet", "Ada", times=2))[0]
    assert (done.cause, json.loads(done.body)) == (None, {"name": "Ada", "times": 2})


def test_a_function_was_armed_before_t_and_entered_after_it(shop: RunnerProcess) -> None:
    done = shop.run_armed(a_call("shop:greet", "Ada"))[0]
    assert done.phases.keys() == {Phase.ARMED}
    assert done.phases[Phase.ARMED] < shop.release_at_ns <= done.started_ns


def test_current_app_request_and_url_for_work_inside_and_the_request_is_the_jobs(shop: RunnerProcess) -> None:
    request = RequestContext(
        method="POST",
        path="/export?day=1",
        headers=[["X-Who", "me"], ["Content-Type", "application/json"]],
        body=b'{"a": 1}',
    )
    done = shop.run(replace(a_call("shop:look_around"), request=request))[0]
    assert json.loads(done.body) == ["shop", "POST", "/export", "me", {"a": 1}, "/items/3"]


def test_g_and_session_do_not_leak_from_one_job_into_another(shop: RunnerProcess) -> None:
    first = shop.run(*(a_call("shop:leaves_something", n, index=n) for n in range(50)))
    second = shop.run(*(a_call("shop:leaves_something", n, index=n) for n in range(50)))
    assert {json.loads(done.body) == [None, None] for done in (*first.values(), *second.values())} == {True}


def test_an_async_function_runs_with_the_same_contexts(shop: RunnerProcess) -> None:
    assert json.loads(shop.run(a_call("shop:in_a_loop", 7))[0].body) == [7, "/", "shop"]


def test_what_a_function_raises_is_its_end_and_the_teardown_hears_of_it(shop: RunnerProcess) -> None:
    done = shop.run(a_call("shop:fails"))[0]
    assert (done.cause, done.detail) == ("exception", "ValueError: no such customer")
    assert "ValueError('no such customer')" in json.loads(shop.run(a_call("shop:teardowns"))[0].body)


def test_the_output_of_a_failed_function_ends_with_the_traceback_of_its_own_frames(
    shop: RunnerProcess,
) -> None:
    output = shop.run(a_call("shop:fails"))[0].output.decode()
    assert "in fails" in output
    assert output.endswith("ValueError: no such customer\n")
    assert "executors/python" not in output


def test_no_function_is_entered_with_a_real_time_priority(shop: RunnerProcess) -> None:
    done = shop.run(*(a_call("shop:scheduled", index=n) for n in range(20)))
    assert {one.body for one in done.values()} == {str(os.SCHED_OTHER).encode()}


def test_a_hundred_jobs_print_and_log_at_once_and_nothing_mixes(shop: RunnerProcess) -> None:
    done = shop.run(*(a_call("shop:greet", f"n{n}", index=n) for n in range(100)))
    for n in range(100):
        printed, logged = done[n].output.decode().splitlines()
        assert printed == f"greeting n{n}"
        assert logged.endswith(f"INFO shop: greeted n{n}")


def test_of_too_much_output_the_beginning_and_the_end_are_kept(shop: RunnerProcess) -> None:
    output = shop.run(a_call("shop:prints", 10_000, keep_output=200))[0].output.decode()
    assert output.startswith("line 0\nline 1\n")
    assert output.endswith("line 9999\n")
    assert "bytes are left out" in output


@pytest.mark.parametrize(
    ("function", "cause", "detail"),
    [
        ("exits", "exception", "sys.exit(3) ended the job"),
        ("recursion", "exception", "RecursionError: maximum recursion depth exceeded"),
        (
            "not_json",
            "result",
            "what shop:not_json returned is not JSON: Object of type object is not JSON serializable",
        ),
        (
            "not_a_number",
            "result",
            "what shop:not_a_number returned is not JSON: Out of range float values are not JSON compliant",
        ),
        ("long", "too_large", "what shop:long returned is longer than 1048576 bytes as JSON"),
        ("raises_odd", "exception", "Odd"),
    ],
)
def test_how_a_function_may_end_badly(shop: RunnerProcess, function: str, cause: str, detail: str) -> None:
    done = shop.run(a_call(f"shop:{function}"))[0]
    assert done.cause == cause
    assert done.detail.startswith(detail)


@pytest.mark.parametrize(
    ("work", "detail"),
    [
        (a_call("shop:gret", "Ada"), "shop:gret: module 'shop' has no 'gret'; did you mean 'greet'?"),
        (
            a_call("shop:greet"),
            "shop:greet cannot be called with these arguments: missing a required argument: 'name'",
        ),
        (a_call("shop:torn_down"), "shop:torn_down is a list, not a function"),
    ],
)
def test_what_cannot_be_called_fails_before_it_starts_and_says_why(
    shop: RunnerProcess, work: Work, detail: str
) -> None:
    done = shop.run(work)[0]
    assert (done.cause, done.detail, done.started_ns, done.armed) == ("definition", detail, 0, False)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        pytest.param(a_call("shop:gret", "Ada"), True, id="no such name"),
        pytest.param(a_call("shop:greet"), True, id="other arguments"),
        pytest.param(a_call("shopp.tasks:export"), True, id="no such module"),
        pytest.param(a_call("broken:export"), True, id="a module that raises"),
        pytest.param(a_call("shop:torn_down"), False, id="no function"),
        pytest.param(replace(a_call("shop:greet", "Ada"), declared_by="shop:greet"), False, id="undeclared"),
        pytest.param(replace(a_call("os:getpid"), declared_by="os:getpid"), False, id="standard library"),
        pytest.param(
            replace(a_call("shop:gret"), declared_by="shop:gret"), True, id="neither here nor declared"
        ),
        pytest.param(a_call("shop:calls_badly"), False, id="a TypeError inside"),
    ],
)
def test_a_result_says_whether_the_loaded_code_has_such_a_function(
    shop: RunnerProcess, work: Work, *, expected: bool
) -> None:
    done = shop.run(work)[0]
    assert (done.not_in_code, bool(done.cause)) == (expected, True)


def test_a_module_that_is_not_there_is_named_with_the_interpreter(shop: RunnerProcess) -> None:
    done = shop.run(a_call("shopp.tasks:export"))[0]
    assert done.detail.startswith("shopp.tasks:export: there is no module 'shopp' in the environment of /")


def test_a_job_that_closes_stdout_closes_it_for_nobody(shop: RunnerProcess) -> None:
    done = shop.run(a_call("shop:closes_stdout"), a_call("shop:greet", "Ada", index=1))
    assert done[0].body == b'"closed"'
    assert shop.run(a_call("shop:greet", "Ada"))[0].output.startswith(b"greeting Ada\n")


def test_a_job_that_reads_its_input_finds_none(shop: RunnerProcess) -> None:
    assert shop.run(a_call("shop:reads_stdin"))[0].body == b'""'


def test_functions_need_no_application(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("def double(n):\n    return 2 * n\n")
    with runner(tmp_path, app=None) as process:
        assert process.run(a_call("tasks:double", 21))[0].body == b"42"


_LOGS = """
import logging, sys
from flask import Flask, current_app
from flask.logging import default_handler

app = Flask("shop")
app.logger.setLevel(logging.INFO)
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("mine: %(message)s"))
{}

def works():
    current_app.logger.info("one")
    logging.getLogger("other").warning("two")
"""


@pytest.mark.parametrize(
    ("set_up", "printed"),
    [
        pytest.param("", [" INFO shop: one", " WARNING other: two"], id="none-of-its-own"),
        pytest.param(
            "app.logger.addHandler(handler)", ["mine: one", " WARNING other: two"], id="of-its-logger"
        ),
        pytest.param("app.logger.addHandler(default_handler)", ["in shop: one", "other: two"], id="of-flask"),
        pytest.param("logging.root.addHandler(handler)", ["mine: one", "mine: two"], id="of-the-root"),
        pytest.param(
            "handler.setLevel(logging.WARNING); logging.root.addHandler(handler)",
            [" INFO shop: one", "mine: two"],
            id="for-warnings",
        ),
        pytest.param(
            "logging.basicConfig(force=True, handlers=[handler], level=logging.INFO)",
            ["mine: one", "mine: two"],
            id="instead-of-all",
        ),
    ],
)
def test_a_line_of_the_log_is_in_the_output_once_whatever_handlers_there_are(
    tmp_path: Path, set_up: str, printed: list[str]
) -> None:
    with runner(tmp_path, _LOGS.format(set_up)) as shop:
        lines = shop.run(a_call("shop:works"))[0].output.decode().splitlines()
    assert len(lines) == 2
    assert [line for line, end in zip(lines, printed, strict=True) if not line.endswith(end)] == []
