"""Work that a view hands over: written down, run in the application's runner, looked at by a page."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from scheduler.errors import TminusError
from scheduler.flask import handover
from scheduler.ledger import history, requests
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.web_worker import web_worker

_SHOP = """
import os, threading
from flask import Flask, current_app, jsonify, request, session
from scheduler.flask import Scheduler, background, current_occurrence

app = Flask("shop")
app.secret_key = "made up"
folder = os.path.dirname(os.path.abspath(__file__))
scheduler = Scheduler(app, app="shop", drop=["pin"])

def note(words):
    with open(os.path.join(folder, "notes"), "a") as file:
        file.write(words + "\\n")

def wait():
    while not os.path.exists(os.path.join(folder, "go")):
        threading.Event().wait(0.01)

@background
def look(word, *, times=1):
    note(word)
    headers = {name.lower(): value for name, value in request.headers}
    return {"word": word, "times": times, "app": current_app.name, "path": request.full_path, "method": request.method,
            "form": request.form.to_dict(), "json": request.get_json(silent=True), "user": session.get("user"),
            "from": request.remote_addr, "headers": headers}

@background
def slow(name="slow"):
    current_occurrence().progress(0.25, "a quarter")
    note(f"{name} began")
    wait()
    note(f"{name} ended")
    return "done"

@background(then=[{"errback": "shop:noted"}])
def stops():
    note("stops began")
    while not current_occurrence().should_stop:
        threading.Event().wait(0.01)

@background
def reports():
    counted = 0
    while not current_occurrence().should_stop:
        counted += 1
        current_occurrence().progress(0.5, f"{counted} of many")
    current_occurrence().progress(1)

@background(then=[{"errback": "shop:noted"}])
def fails(token):
    raise ValueError(f"{token} is not accepted")

def noted(failure):
    note(f"noted {failure}")

@background
def dies():
    note("dies")
    os._exit(3)

@background(timeout="0.3s")
def for_ever():
    wait()

@background
def asks():
    return look.submit("a").standing().state

@background
def hands_over(depth):
    note(f"depth {depth}")
    return hands_over.submit(depth - 1).id if depth else None

@app.route("/search", methods=["GET", "POST"])
def search():
    session["user"] = "me"
    if request.args.get("save"):
        request.files["photo"].save(os.path.join(folder, "photo"))
    run = look.submit("shoes", times=2)
    return {"id": run.id, "occurrence": run.occurrence}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application as a web worker has it."""
    with web_worker(tmp_path, _SHOP, monkeypatch) as module:
        yield module


@pytest.fixture
def running(tmp_path: Path, shop: Any) -> Iterator[DaemonProcess]:
    """A daemon that does its work."""
    with daemon(tmp_path, jobs_file()) as process:
        yield process


def jobs_file(**app: Any) -> str:
    """No job but what is handed over."""
    return json.dumps({"version": 1, "timezone": "UTC", "apps": {"shop": {"app": "shop:app", **app}}})


def client(shop: Any) -> FlaskClient:
    """A browser."""
    found: FlaskClient = shop.app.test_client()
    return found


def looked_at(shop: Any, run: str) -> dict[str, Any]:
    """What the page's script gets."""
    found: dict[str, Any] = client(shop).get(f"/scheduler/runs/{run}").get_json()
    return found


def over(shop: Any, run: str) -> dict[str, Any]:
    """The same, when the run has ended."""
    found: dict[str, Any] = eventually(
        lambda: said if (said := looked_at(shop, run))["state"] not in ("queued", "processing") else None, what="the run ends"
    )
    return found


def notes(folder: Path) -> list[str]:
    """What the functions have noted."""
    return (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []


def test_it_runs_with_a_copy_of_the_request_that_handed_it_over(shop: Any, running: DaemonProcess) -> None:
    headers = {"X-Request-Id": "me", "User-Agent": "a browser"}
    answer = (
        client(shop).post("/search?q=1", data={"a": "ä"}, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"}).get_json()
    )
    said = over(shop, answer["id"])
    assert (said["state"], said["error"], said["attempts"]) == ("completed", None, 1)
    result = said["result"]
    assert (result["word"], result["times"], result["app"]) == ("shoes", 2, "shop")
    assert (result["method"], result["path"], result["form"]) == ("POST", "/search?q=1", {"a": "ä"})
    assert (result["user"], result["from"]) == ("me", "192.0.2.7")
    assert (result["headers"]["x-request-id"], result["headers"]["user-agent"]) == ("me", "a browser")
    (one,) = running.json("history")
    assert (one["id"], one["job"], one["origin"], one["outcome"]) == (
        answer["occurrence"],
        "shop.look",
        "background",
        "succeeded",
    )


def test_what_must_not_be_written_down_is_in_no_byte_of_the_ledger_and_the_copy_goes_with_the_run(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    names = ("Authorization", "Proxy-Authorization", "Cookie", "X-CSRFToken", "X-CSRF-Token")
    headers = {name: f"canary-{name}" for name in names}
    one = client(shop).post(
        "/search", json={"deep": [{"Password": "canary-1", "token": {"a": "canary-2"}}], "b": 1}, headers=headers
    )
    two = client(shop).post("/search", data={"secret": "canary-3", "PIN": "canary-4", "kept": "kept-1"}, headers=headers)
    results = [over(shop, answer.get_json()["id"])["result"] for answer in (one, two)]
    assert results[0]["json"] == {"deep": [{"Password": "***", "token": "***"}], "b": 1}
    assert results[1]["form"] == {"secret": "***", "PIN": "***", "kept": "kept-1"}
    running.stop()
    assert all(b"canary" not in file.read_bytes() for file in (tmp_path / "ledger").iterdir())
    assert "canary" not in running.log_file.read_text()


def test_what_a_run_was_given_that_is_cancelled_before_it_begins_is_soon_in_no_byte_of_the_ledger(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    assert shop.look.submit("canary", delay="1h").cancel()
    eventually(lambda: all(b"canary" not in file.read_bytes() for file in (tmp_path / "ledger").iterdir()))


def test_it_is_durable_before_submit_returns_and_waits_for_a_daemon(shop: Any, tmp_path: Path, running: DaemonProcess) -> None:
    running.stop()
    answer = client(shop).get("/search").get_json()
    assert looked_at(shop, answer["id"])["state"] == "queued"
    running.start()
    assert over(shop, answer["id"])["state"] == "completed"


def test_a_page_sees_it_queued_processing_with_its_progress_and_completed(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    run = shop.slow.submit()
    said = eventually(lambda: said if (said := looked_at(shop, run.id))["progress"] else None)
    assert (said["state"], said["progress"], said["progress_text"], said["result"]) == ("processing", 0.25, "a quarter", None)
    (tmp_path / "go").touch()
    said = over(shop, run.id)
    assert (said["state"], said["result"]) == ("completed", "done")


def test_outside_of_a_request_it_runs_without_a_copy_of_one(shop: Any, running: DaemonProcess) -> None:
    run = shop.look.submit("hats")
    result = over(shop, run.id)["result"]
    assert (result["word"], result["path"], result["form"], result["user"]) == ("hats", "/?", {}, None)


def test_a_job_hands_work_over_as_a_view_does(shop: Any, running: DaemonProcess, tmp_path: Path) -> None:
    run = shop.hands_over.submit(2).id
    while run is not None:
        run = over(shop, run)["result"]
    assert notes(tmp_path) == ["depth 2", "depth 1", "depth 0"]


def test_inside_a_job_nobody_asks_how_work_stands_and_is_told_so(shop: Any, running: DaemonProcess) -> None:
    said = over(shop, shop.asks.submit().id)
    assert said["error"]["message"] == (
        "exception: UsageError: inside a job nobody can ask how work stands: the ledger is the daemon's"
    )


def test_work_of_an_application_that_no_daemon_runs_waits_and_status_says_so(
    shop: Any, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.scheduler, "app", "shopp")
    with shop.app.app_context():
        run = shop.look.submit("a")
    assert looked_at(shop, run.id)["state"] == "queued"
    said = "waiting for an application 'shopp', which this daemon does not have: 1 background run; did you mean 'shop'?"
    assert said in running.json("status")["problems"]


def test_one_that_fails_says_why_and_its_chain_hears_of_it(shop: Any, running: DaemonProcess, tmp_path: Path) -> None:
    said = over(shop, shop.fails.submit("it").id)
    assert (said["state"], said["error"]) == (
        "failed",
        {"kind": "failed", "message": "exception: ValueError: it is not accepted"},
    )
    eventually(lambda: notes(tmp_path) == ["noted ValueError: it is not accepted"])


def test_the_log_of_one_that_fails_has_its_own_frames_and_no_jobs_file(shop: Any, running: DaemonProcess) -> None:
    run = shop.fails.submit("it")
    over(shop, run.id)
    said = running.tminus("logs", run.occurrence).stdout
    assert "in fails" in said
    assert said.count("  File ") == 1
    assert "origin background, by python-shop@" in said
    assert "config" not in said


def test_one_that_takes_too_long_has_timed_out(shop: Any, running: DaemonProcess) -> None:
    said = over(shop, shop.for_ever.submit().id)
    assert (said["state"], said["error"]["kind"]) == ("failed", "timed_out")


def test_killed_while_it_runs_it_is_called_again_and_says_so(shop: Any, running: DaemonProcess, tmp_path: Path) -> None:
    run = shop.slow.submit()
    eventually(lambda: notes(tmp_path) == ["slow began"])
    running.kill()
    (tmp_path / "go").touch()
    running.start()
    said = over(shop, run.id)
    assert (said["state"], said["attempts"]) == ("completed", 2)
    attempts = running.json("logs", run.occurrence)["attempts"]
    assert [one["outcome"] for one in attempts] == ["unknown", "succeeded"]


def test_one_that_ends_its_runner_is_called_three_times_and_then_it_is_unknown(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    said = over(shop, shop.dies.submit().id)
    assert (said["state"], said["error"]["kind"], said["attempts"]) == ("failed", "unknown", 3)
    assert notes(tmp_path) == ["dies"] * 3


def test_it_may_be_put_off(shop: Any, running: DaemonProcess) -> None:
    late = shop.look.submit("late", delay="1h")
    soon = shop.look.submit("soon", delay=0.5)
    assert over(shop, soon.id)["state"] == "completed"
    assert looked_at(shop, late.id)["state"] == "queued"
    assert late.cancel()
    assert over(shop, late.id)["state"] == "cancelled"


def test_a_wish_to_cancel_that_finds_the_run_waiting_again_cancels_it(shop: Any, running: DaemonProcess) -> None:
    run = shop.look.submit("a", delay="1h")
    requests.ask(handover.ledger(), requests.Kind.CANCEL, {"number": run.standing().number}, now_ns=handover.now_ns())
    assert over(shop, run.id)["state"] == "cancelled"


@pytest.mark.parametrize(("body", "kept"), [("on_failure", b'"done"'), ("never", b"")])
def test_what_the_history_keeps_of_a_result_is_as_the_file_says_and_who_asks_by_the_id_gets_it(
    shop: Any, tmp_path: Path, body: str, kept: bytes
) -> None:
    (tmp_path / "go").touch()
    file = json.loads(jobs_file()) | {"daemon": {"history": {"body": body}}}
    with daemon(tmp_path, json.dumps(file)):
        run = shop.slow.submit()
        assert over(shop, run.id)["result"] == "done"
        (attempt,) = history.attempts_of(handover.ledger(), run.standing().occurrence)
        assert attempt.body == kept


def test_one_that_runs_is_told_to_stop_when_it_is_cancelled_and_its_chain_hears_of_it(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    run = shop.stops.submit()
    eventually(lambda: notes(tmp_path) == ["stops began"])
    assert run.cancel()
    assert over(shop, run.id)["state"] == "cancelled"
    assert not run.cancel()
    eventually(lambda: notes(tmp_path) == ["stops began", "noted it was told to stop while it ran"])


def test_no_more_run_at_once_than_the_application_may_have(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file(background=2)):
        runs = [shop.slow.submit(f"slow {number}") for number in range(4)]
        eventually(lambda: len(notes(tmp_path)) == 2)
        assert sorted(looked_at(shop, run.id)["state"] for run in runs) == ["processing", "processing", "queued", "queued"]
        (tmp_path / "go").touch()
        assert {over(shop, run.id)["state"] for run in runs} == {"completed"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"args": [object()]}, "shop:look: the arguments are not JSON: Object of type object is not JSON serializable"),
        ({"args": [float("nan")]}, "shop:look: the arguments are not JSON: Out of range float values are not JSON compliant"),
        ({"args": []}, "shop:look: missing a required argument: 'word'"),
        ({"args": ["a"], "delay": "5s", "at": "2030-01-01T00:00Z"}, "give delay or at, not both"),
    ],
)
def test_what_cannot_be_handed_over_is_a_type_error_at_once(shop: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as raised:
        shop.look.submit(*given.pop("args"), **given)
    assert str(raised.value).startswith(said)


def test_uploaded_files_are_refused_with_a_clear_sentence(shop: Any, running: DaemonProcess) -> None:
    shop.app.testing = True
    with pytest.raises(TypeError, match=r"the request has uploaded files \(photo\): save them first, and hand over their paths"):
        client(shop).post("/search", data={"photo": (BytesIO(b"x"), "a.png")})


def test_a_request_whose_uploaded_files_are_saved_or_were_never_chosen_is_handed_over_without_them(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    form = {"a": "b", "photo": (BytesIO(b"x"), "a.png"), "other": (BytesIO(), "")}
    result = over(shop, client(shop).post("/search?save=1", data=form).get_json()["id"])["result"]
    assert (result["form"], result["headers"]["content-type"]) == ({"a": "b"}, "application/x-www-form-urlencoded")
    assert (tmp_path / "photo").read_bytes() == b"x"


def test_without_a_ledger_it_says_so_and_nothing_is_accepted(shop: Any) -> None:
    with pytest.raises(TminusError, match="no ledger at"):
        shop.look.submit("a")


def test_who_does_not_know_the_id_gets_404_and_who_asks_again_304(shop: Any, running: DaemonProcess) -> None:
    assert client(shop).get(f"/scheduler/runs/{'0' * 32}").status_code == 404
    run = shop.look.submit("a", delay="1h")
    first = client(shop).get(f"/scheduler/runs/{run.id}")
    assert (first.status_code, first.headers["Retry-After"]) == (200, "1")
    again = client(shop).get(f"/scheduler/runs/{run.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_browser_without_javascript_gets_a_page_that_refreshes_itself_until_it_is_over(
    shop: Any, running: DaemonProcess
) -> None:
    run = shop.look.submit("<b>", delay="1h")
    page = client(shop).get(f"/scheduler/runs/{run.id}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.mimetype == "text/html"
    assert b'http-equiv="refresh"' in page.data
    run.cancel()
    page = client(shop).get(f"/scheduler/runs/{run.id}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert b'http-equiv="refresh"' not in page.data
    assert b"cancelled" in page.data


def test_a_child_of_a_preloaded_server_opens_a_connection_of_its_own(shop: Any, running: DaemonProcess) -> None:
    parent = shop.look.submit("parent")
    opened = handover.ledger()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            run = shop.look.submit("child")
            os.write(writer, f"{run.id} {handover.ledger() is opened}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    run, is_shared = os.read(reader, 100).decode().split()
    assert is_shared == "False"
    assert {over(shop, one)["result"]["word"] for one in (parent.id, run)} == {"parent", "child"}


def test_an_application_that_is_started_as_a_script_hands_over_under_its_modules_name(
    tmp_path: Path, running: DaemonProcess
) -> None:
    script = "\nif __name__ == '__main__':\n    look.submit('by a script')\n"
    (tmp_path / "shop.py").write_text(_SHOP + script)
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "TMINUS_LEDGER": running.ledger}
    subprocess.run([sys.executable, tmp_path / "shop.py"], env=environment, check=True)
    running.wait_for(job="shop.look", outcome="succeeded")


def test_one_that_is_cancelled_while_its_application_is_imported_is_not_called(shop: Any, tmp_path: Path) -> None:
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)\n"
    (tmp_path / "shop.py").write_text(wait + _SHOP)
    with daemon(tmp_path, jobs_file()):
        run = shop.stops.submit()
        eventually(lambda: looked_at(shop, run.id)["state"] == "processing", what="it is with its runner")
        assert run.cancel()
        (tmp_path / "go").touch()
        assert over(shop, run.id)["state"] == "cancelled"
        eventually(lambda: notes(tmp_path) == ["noted it was told to stop before it began"])


def test_one_that_says_without_end_how_far_it_is_holds_up_nobody(shop: Any, running: DaemonProcess) -> None:
    run = shop.reports.submit()
    eventually(lambda: looked_at(shop, run.id)["progress"], what="it has begun")
    others = [over(shop, shop.look.submit("shoes").id) for _ in range(5)]
    assert {one["state"] for one in others} == {"completed"}
    assert run.cancel()
    said = over(shop, run.id)
    assert (said["state"], said["progress"], said["attempts"]) == ("cancelled", 1, 1)
