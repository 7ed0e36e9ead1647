"""Background runs in tests of an application: called at once, or collected, and no ledger needed."""

import asyncio
from typing import Any

import pytest
from flask import Flask, current_app, g, got_request_exception, request, session

from tminus.flask import (
    CollectedRun,
    Failure,
    RunHandle,
    Scheduler,
    TminusError,
    background,
    current_occurrence,
)

pytest_plugins = ["tminus.flask.pytest_plugin"]

heard: list[Any] = []


def then(result: Any) -> Any:
    """Note a result."""
    heard.append(["then", result, current_app.name])
    return "passed on"


def otherwise(failure: Failure) -> str:
    """Note a failure."""
    heard.append(["otherwise", failure.outcome, str(failure)])
    return "handled"


def last(value: Any, *, word: str) -> None:
    """Note what comes last."""
    heard.append(["last", value, word])


@background(
    then=[{"callback": then, "errback": otherwise}, {"both": {"call": last, "kwargs": {"word": "x"}}}]
)
def search(word: str) -> dict[str, Any]:
    """Search in a copy of the request."""
    current_occurrence().progress(0.5, "half of it")
    if word == "nothing":
        raise LookupError(word)
    g.word = word
    return {
        "app": current_app.name,
        "q": request.args["q"],
        "user": session.get("user"),
        "job": current_occurrence().id.partition("@")[0],
        "run": current_occurrence().run_id,
    }


@background(request=False, then={"both": otherwise})
def give_up() -> bool:
    """Stop itself, as another thread may."""
    job = current_occurrence()
    return Scheduler().run(job.run_id or "").cancel() and job.should_stop


@background(request=False)
def count(n: int) -> int:
    """Return a number."""
    return n


@pytest.fixture
def app() -> Flask:
    """An application that submits in a view."""
    flask_app = Flask("shop")
    flask_app.config.update(SECRET_KEY="made up", TMINUS_EAGER=True, TESTING=True)
    Scheduler(flask_app)

    @flask_app.get("/search/<word>")
    def view(word: str) -> Any:
        session["user"] = "ada"
        g.word = "the view's"
        run = search.submit(word)
        return {"id": run.id, "word": g.word}

    heard.clear()
    return flask_app


def submitted(app: Flask, word: str) -> RunHandle:
    """Return the run that a view submits."""
    answer = app.test_client().get(f"/search/{word}?q=1").get_json()
    assert answer["word"] == "the view's"
    scheduler: Scheduler = app.extensions["tminus"]
    return scheduler.run(answer["id"])


def test_an_eager_run_has_contexts_of_its_own_and_ends_before_submit_returns(app: Flask) -> None:
    run = submitted(app, "shoes")
    wanted = {"app": "shop", "q": "1", "user": "ada", "job": f"{__name__}.search", "run": run.id}
    assert run.wait() == wanted
    status = run.status()
    assert (status.state, status.attempts, status.progress_text) == ("finished", 1, "half of it")
    assert heard == [["then", wanted, "shop"], ["last", "passed on", "x"]]


def test_an_eager_run_that_raises_does_not_break_the_view(app: Flask) -> None:
    run = submitted(app, "nothing")
    with pytest.raises(Failure, match="LookupError: nothing") as raised:
        run.wait()
    assert (raised.value.outcome, raised.value.kind) == ("failed", "exception")
    assert heard == [["otherwise", "failed", "LookupError: nothing"], ["last", "handled", "x"]]
    assert run.cancel() is False


def test_an_eager_run_that_is_cancelled_while_it_runs_is_asked_to_stop(app: Flask) -> None:
    with app.app_context():
        run = give_up.submit()
    with pytest.raises(Failure, match="it was asked to stop while it ran"):
        run.wait()
    assert heard == [["otherwise", "cancelled", "it was asked to stop while it ran"]]


def test_the_page_of_an_eager_run_shows_its_result(app: Flask) -> None:
    run = submitted(app, "shoes")
    page = app.test_client().get(f"/tminus/runs/{run.id}").get_json()
    assert (page["state"], page["progress"], page["result"]["q"]) == ("completed", 0.5, "1")


def test_the_application_is_told_of_the_error_of_a_run(app: Flask) -> None:
    errors: list[BaseException] = []

    def note(_sender: Flask, exception: BaseException, **_: Any) -> None:
        errors.append(exception)
        assert request.path == "/search/nothing"

    with got_request_exception.connected_to(note, app):
        submitted(app, "nothing")
    assert [type(error) for error in errors] == [LookupError]


def test_a_receiver_of_that_signal_that_raises_changes_no_result(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_sender: Flask, **_: Any) -> None:
        raise ConnectionError("no Sentry")

    with got_request_exception.connected_to(breaks, app):
        run = submitted(app, "nothing")
    assert run.status().reason == "exception: LookupError: nothing"
    assert "ConnectionError: no Sentry" in capsys.readouterr().err


def test_the_variable_of_the_environment_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMINUS_EAGER", "1")
    assert count.submit(7).wait() == 7
    monkeypatch.setenv("TMINUS_EAGER", "0")
    with pytest.raises(TminusError):
        count.submit(7)


def test_a_second_submit_with_the_same_id_calls_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMINUS_EAGER", "1")
    first = count.submit(1, id="one-and-the-same")
    assert count.submit(2, id="one-and-the-same") == first
    assert first.wait() == 1


@background(request=False)
async def waits(n: int) -> int:
    """Return a number, in a loop."""
    await asyncio.sleep(0)
    return n


def test_a_coroutine_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMINUS_EAGER", "1")
    assert waits.submit(7).wait() == 7


def test_an_id_of_another_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMINUS_EAGER", "1")
    count.submit(1, id="of-a-count")
    with pytest.raises(TminusError, match="the run of-a-count calls"):
        waits.submit(1, id="of-a-count")


def test_collected_runs_are_listed_and_neither_stored_nor_called(
    app: Flask, tminus_runs: list[CollectedRun]
) -> None:
    run = submitted(app, "shoes")
    count.map([1, 2])
    assert [(one.name, one.args) for one in tminus_runs] == [
        (f"{__name__}.search", ["shoes"]),
        (f"{__name__}.count", [1]),
        (f"{__name__}.count", [2]),
    ]
    assert tminus_runs[0].request is not None
    assert tminus_runs[0].request["path"] == "/search/shoes?q=1"
    assert (run.status().state, heard) == ("queued", [])
    assert run.cancel()
    with pytest.raises(Failure, match="cancelled before it began"):
        run.wait()


def test_waiting_for_a_run_ends_at_its_limit(tminus_runs: list[CollectedRun]) -> None:
    with pytest.raises(TimeoutError, match="has not ended within 10ms"):
        count.submit(1).wait("10ms")


@pytest.mark.parametrize("n", [1, 2])
def test_an_id_that_one_test_has_used_is_free_in_the_next(app: Flask, n: int) -> None:
    with app.app_context():
        assert count.submit(n, id="order-1.count").wait() == n
