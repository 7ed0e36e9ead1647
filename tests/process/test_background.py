"""Background runs: submitted by a view, run in the application's runner, followed by a page."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.web_worker import web_worker
from tminus.clock import SystemClock
from tminus.errors import TminusError
from tminus.flask import Failure, RunHandle, ledgers
from tminus.ledger import history, requests, submissions
from tminus.model.background import Submission


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, DaemonProcess]]:
    """The application as a web worker has it, and the daemon that does its work."""
    folder = tmp_path_factory.mktemp("site")
    with (
        pytest.MonkeyPatch.context() as patch,
        web_worker(folder, "background", patch) as module,
        daemon(folder, shop_file()) as process,
    ):
        yield module, process


@pytest.fixture
def running(site: tuple[Any, DaemonProcess], monkeypatch: pytest.MonkeyPatch) -> DaemonProcess:
    """The daemon of all tests that leave it as it is."""
    _, process = site
    monkeypatch.setenv("TMINUS_LEDGER", process.ledger)
    for name in ("notes", "go"):
        (process.folder / name).unlink(missing_ok=True)
    return process


@pytest.fixture
def shop(site: tuple[Any, DaemonProcess], running: DaemonProcess) -> Any:
    """The application of these tests."""
    return site[0]


@pytest.fixture
def own_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application of one test."""
    with web_worker(tmp_path, "background", monkeypatch) as module:
        yield module


@pytest.fixture
def own_daemon(tmp_path: Path, own_shop: Any) -> Iterator[DaemonProcess]:
    """The daemon of one test."""
    with daemon(tmp_path, shop_file()) as process:
        yield process


def client(shop: Any) -> FlaskClient:
    """A browser."""
    found: FlaskClient = shop.app.test_client()
    return found


def looked_at(shop: Any, run: str) -> dict[str, Any]:
    """What the page's script gets."""
    found: dict[str, Any] = client(shop).get(f"/tminus/runs/{run}").get_json()
    return found


def over(shop: Any, run: str) -> dict[str, Any]:
    """The same, when the run has ended."""
    found: dict[str, Any] = eventually(
        lambda: said if (said := looked_at(shop, run))["state"] not in ("queued", "processing") else None,
        what="the run ends",
    )
    return found


def notes(folder: Path) -> list[str]:
    """What the functions have noted."""
    return (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []


def test_it_runs_with_a_copy_of_the_request_that_handed_it_over(shop: Any, running: DaemonProcess) -> None:
    headers = {"X-Request-Id": "me", "User-Agent": "a browser"}
    answer = (
        client(shop)
        .post("/search?q=1", data={"a": "ä"}, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"})
        .get_json()
    )
    said = over(shop, answer["id"])
    assert (said["state"], said["error"], said["attempts"]) == ("completed", None, 1)
    result = said["result"]
    assert (result["word"], result["times"], result["app"]) == ("shoes", 2, "shop")
    assert (result["method"], result["path"], result["form"]) == ("POST", "/search?q=1", {"a": "ä"})
    assert (result["user"], result["from"]) == ("me", "192.0.2.7")
    assert (result["headers"]["x-request-id"], result["headers"]["user-agent"]) == ("me", "a browser")
    one = running.json("logs", answer["occurrence"])["occurrence"]
    assert (one["id"], one["job"], one["origin"], one["outcome"]) == (
        answer["occurrence"],
        "shop.look",
        "background",
        "succeeded",
    )


def test_the_input_of_a_run_cancelled_before_its_start_is_soon_overwritten(
    shop: Any, running: DaemonProcess
) -> None:
    assert shop.look.submit("canary", delay="1h").cancel()
    eventually(
        lambda: all(b"canary" not in file.read_bytes() for file in (running.folder / "ledger").iterdir())
    )


def test_the_copy_of_a_request_is_overwritten_soon_after_its_run_has_ended(
    shop: Any, running: DaemonProcess
) -> None:
    def is_in_the_ledger() -> bool:
        return any(b"canary" in file.read_bytes() for file in (running.folder / "ledger").iterdir())

    runs = []
    for kept in ("canary", "canary" * 1000):
        with shop.app.test_request_context("/search", method="POST", data={"kept": kept}):
            runs.append(shop.slow.submit())
    assert is_in_the_ledger()
    (running.folder / "go").touch()
    assert {over(shop, run.id)["state"] for run in runs} == {"completed"}
    eventually(lambda: not is_in_the_ledger(), what="nothing of it is left")


def test_it_is_durable_before_submit_returns_and_waits_for_a_daemon(
    own_shop: Any, tmp_path: Path, own_daemon: DaemonProcess
) -> None:
    own_daemon.stop()
    answer = client(own_shop).get("/search").get_json()
    assert looked_at(own_shop, answer["id"])["state"] == "queued"
    own_daemon.start()
    assert over(own_shop, answer["id"])["state"] == "completed"


def test_a_page_sees_it_queued_processing_with_its_progress_and_completed(
    shop: Any, running: DaemonProcess
) -> None:
    run = shop.slow.submit()
    said = eventually(lambda: said if (said := looked_at(shop, run.id))["progress"] else None)
    assert (said["state"], said["progress"], said["progress_text"], said["result"]) == (
        "processing",
        0.25,
        "a quarter",
        None,
    )
    (running.folder / "go").touch()
    said = over(shop, run.id)
    assert (said["state"], said["result"]) == ("completed", "done")


def test_outside_of_a_request_it_runs_without_a_copy_of_one(shop: Any, running: DaemonProcess) -> None:
    run = shop.look.submit("hats")
    result = over(shop, run.id)["result"]
    assert (result["word"], result["path"], result["form"], result["user"]) == ("hats", "/?", {}, None)


def test_a_job_hands_work_over_as_a_view_does(shop: Any, running: DaemonProcess) -> None:
    run = shop.hands_over.submit(2).id
    while run is not None:
        run = over(shop, run)["result"]
    assert notes(running.folder) == ["depth 2", "depth 1", "depth 0"]


def test_inside_a_job_nobody_asks_how_work_stands_and_is_told_so(shop: Any, running: DaemonProcess) -> None:
    said = over(shop, shop.asks.submit().id)
    assert said["error"]["message"] == (
        "exception: UsageError: a job cannot read the status of a run: only the daemon uses the ledger"
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


def test_one_that_the_loaded_code_does_not_have_waits_for_newer_code_or_its_cancel(
    shop: Any, running: DaemonProcess
) -> None:
    for ref, given, reason in (
        ("shop:not_yet", {}, "shop:not_yet: module 'shop' has no 'not_yet'"),
        (
            "shop:look",
            {"kwargs": {"since": 1}},
            "shop:look cannot be called with these arguments: missing a required argument",
        ),
    ):
        work = Submission(app="shop", ref=ref, given=given)
        receipt = submissions.submit(ledgers.ledger(), work, now_ns=SystemClock.wall_ns())
        (row,) = running.wait_for(
            job=ref.replace(":", "."), state="queued", reason=f"waits for newer code: {reason}"
        )
        assert (row["attempts"], row["started_at"]) == (0, None)
        assert looked_at(shop, receipt.id)["state"] == "queued"
        assert any(row["reason"] in problem for problem in running.json("status")["problems"])
        assert RunHandle(receipt.id, str(receipt.occurrence)).cancel()
        assert over(shop, receipt.id)["state"] == "cancelled"
    assert over(shop, shop.look.submit("shoes").id)["state"] == "completed"


def test_one_that_fails_says_why_and_its_chain_hears_of_it(shop: Any, running: DaemonProcess) -> None:
    said = over(shop, shop.fails.submit("it").id)
    assert (said["state"], said["error"]) == (
        "failed",
        {"kind": "failed", "message": "exception: ValueError: it is not accepted"},
    )
    eventually(lambda: notes(running.folder) == ["noted ValueError: it is not accepted"])


def test_one_that_raises_what_its_retry_policy_names_is_called_again(
    shop: Any, running: DaemonProcess
) -> None:
    for error, attempts in (("busy", 3), ("other", 1)):
        run = shop.busy.submit(error)
        said = over(shop, run.id)
        assert (said["state"], said["attempts"]) == ("failed", attempts)
        assert len(running.json("logs", run.occurrence)["attempts"]) == attempts


def test_the_log_of_one_that_fails_has_its_own_frames_and_no_jobs_file(
    shop: Any, running: DaemonProcess
) -> None:
    run = shop.fails.submit("it")
    over(shop, run.id)
    said = running.tminus("logs", run.occurrence).stdout
    assert "in fails" in said
    assert said.count("  File ") == 1
    assert "origin background, by python-shop@" in said
    assert "config" not in said
    eventually(lambda: notes(running.folder), what="its chain has ended, too")


def test_one_that_takes_too_long_has_timed_out(own_shop: Any, own_daemon: DaemonProcess) -> None:
    said = over(own_shop, own_shop.for_ever.submit().id)
    assert (said["state"], said["error"]["kind"]) == ("failed", "timed_out")


def test_killed_while_it_runs_it_is_called_again_and_says_so(
    own_shop: Any, own_daemon: DaemonProcess, tmp_path: Path
) -> None:
    run = own_shop.slow.submit()
    eventually(lambda: notes(tmp_path) == ["slow began"])
    (row,) = own_daemon.occurrences()
    assert run.status().attempts == row["attempts"] == 1
    own_daemon.kill()
    (tmp_path / "go").touch()
    own_daemon.start()
    said = over(own_shop, run.id)
    assert (said["state"], said["attempts"]) == ("completed", 2)
    attempts = own_daemon.json("logs", run.occurrence)["attempts"]
    assert [one["outcome"] for one in attempts] == ["unknown", "succeeded"]
    (row,) = own_daemon.occurrences()
    assert row["started_at"] == attempts[1]["started_at"] is not None
    assert row["start_offset_ms"] > 0
    assert attempts[0]["duration_ms"] is None
    assert "not armed" not in own_daemon.tminus("logs", run.occurrence).stdout  # it has no T


def test_one_that_ends_its_runner_is_called_three_times_and_then_it_is_unknown(
    shop: Any, running: DaemonProcess
) -> None:
    said = over(shop, shop.dies.submit().id)
    assert (said["state"], said["error"]["kind"], said["attempts"]) == ("failed", "unknown", 3)
    assert notes(running.folder) == ["dies"] * 3


def test_it_may_be_put_off(shop: Any, running: DaemonProcess) -> None:
    late = shop.look.submit("late", delay="1h")
    soon = shop.look.submit("soon", delay=0.5)
    assert over(shop, soon.id)["state"] == "completed"
    assert looked_at(shop, late.id)["state"] == "queued"
    assert late.cancel()
    assert over(shop, late.id)["state"] == "cancelled"


def test_a_wish_to_cancel_that_finds_the_run_waiting_again_cancels_it(
    shop: Any, running: DaemonProcess
) -> None:
    run = shop.look.submit("a", delay="1h")
    requests.add_request(
        ledgers.ledger(),
        requests.RequestKind.CANCEL,
        {"number": run.status().number},
        now_ns=SystemClock.wall_ns(),
    )
    assert over(shop, run.id)["state"] == "cancelled"


@pytest.mark.parametrize(("body", "kept"), [("on_failure", b'"done"'), ("never", b"")])
def test_the_history_keeps_a_result_as_configured_and_the_page_always_has_it(
    own_shop: Any, tmp_path: Path, body: str, kept: bytes
) -> None:
    (tmp_path / "go").touch()
    with daemon(tmp_path, shop_file(daemon={"history": {"body": body}})):
        run = own_shop.slow.submit()
        assert over(own_shop, run.id)["result"] == "done"
        (attempt,) = history.find_attempts(ledgers.ledger(), run.status().occurrence)
        assert attempt.body == kept


def test_a_cancelled_run_is_asked_to_stop_and_its_errback_is_called(
    shop: Any, running: DaemonProcess
) -> None:
    run = shop.stops.submit()
    eventually(lambda: notes(running.folder) == ["stops began"])
    assert run.cancel()
    assert over(shop, run.id)["state"] == "cancelled"
    assert not run.cancel()
    eventually(lambda: notes(running.folder) == ["stops began", "noted it was asked to stop while it ran"])


def test_no_more_run_at_once_than_the_application_may_have(own_shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, shop_file(app={"background": 2})):
        runs = [own_shop.slow.submit(f"slow {number}") for number in range(4)]
        eventually(lambda: len(notes(tmp_path)) == 2)
        assert sorted(looked_at(own_shop, run.id)["state"] for run in runs) == [
            "processing",
            "processing",
            "queued",
            "queued",
        ]
        (tmp_path / "go").touch()
        assert {over(own_shop, run.id)["state"] for run in runs} == {"completed"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"args": [object()]},
            "shop:look: the arguments are not JSON: Object of type object is not JSON serializable",
        ),
        (
            {"args": [float("nan")]},
            "shop:look: the arguments are not JSON: Out of range float values are not JSON compliant",
        ),
        ({"args": []}, "shop:look: missing a required argument: 'word'"),
        ({"args": ["a"], "delay": "5s", "at": "2030-01-01T00:00Z"}, "give delay or at, not both"),
    ],
)
def test_what_cannot_be_handed_over_is_a_type_error_at_once(
    shop: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError) as raised:
        shop.look.submit(*given.pop("args"), **given)
    assert str(raised.value).startswith(said)


def test_uploaded_files_are_refused_with_a_clear_sentence(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.app, "testing", True)
    with pytest.raises(
        TypeError,
        match=r"the request has uploaded files \(photo\): save them first, and pass their paths",
    ):
        client(shop).post("/search", data={"photo": (BytesIO(b"x"), "a.png")})


def test_a_request_with_saved_or_empty_uploads_is_copied_without_files(
    shop: Any, running: DaemonProcess
) -> None:
    form = {"a": "b", "photo": (BytesIO(b"x"), "a.png"), "other": (BytesIO(), "")}
    result = over(shop, client(shop).post("/search?save=1", data=form).get_json()["id"])["result"]
    assert (result["form"], result["headers"]["content-type"]) == (
        {"a": "b"},
        "application/x-www-form-urlencoded",
    )
    assert (running.folder / "photo").read_bytes() == b"x"


def test_without_a_ledger_it_says_so_and_nothing_is_accepted(own_shop: Any) -> None:
    with pytest.raises(TminusError, match="no ledger at"):
        own_shop.look.submit("a")


def test_who_does_not_know_the_id_gets_404_and_who_asks_again_304(shop: Any, running: DaemonProcess) -> None:
    assert client(shop).get(f"/tminus/runs/{'0' * 32}").status_code == 404
    run = shop.look.submit("a", delay="1h")
    first = client(shop).get(f"/tminus/runs/{run.id}")
    assert (first.status_code, first.headers["Retry-After"]) == (200, "1")
    again = client(shop).get(f"/tminus/runs/{run.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_without_javascript_the_page_refreshes_itself_until_the_run_has_ended(
    shop: Any, running: DaemonProcess
) -> None:
    run = shop.look.submit("<b>", delay="1h")
    page = client(shop).get(f"/tminus/runs/{run.id}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.mimetype == "text/html"
    assert b'http-equiv="refresh"' in page.data
    run.cancel()
    page = client(shop).get(f"/tminus/runs/{run.id}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert b'http-equiv="refresh"' not in page.data
    assert b"cancelled" in page.data


def test_a_child_of_a_preloaded_server_opens_a_connection_of_its_own(
    shop: Any, running: DaemonProcess
) -> None:
    parent = shop.look.submit("parent")
    opened = ledgers.ledger()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            run = shop.look.submit("child")
            os.write(writer, f"{run.id} {ledgers.ledger() is opened}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    run, is_shared = os.read(reader, 100).decode().split()
    assert is_shared == "False"
    assert {over(shop, one)["result"]["word"] for one in (parent.id, run)} == {"parent", "child"}


def test_an_application_started_as_a_script_submits_under_its_modules_name(
    tmp_path: Path, running: DaemonProcess
) -> None:
    known = {one["id"] for one in running.occurrences("shop.look")}
    code = install("background", tmp_path) / "shop.py"
    code.write_text(f"{code.read_text()}\nif __name__ == '__main__':\n    look.submit('by a script')\n")
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "TMINUS_LEDGER": running.ledger}
    subprocess.run([sys.executable, code], env=environment, check=True)
    (run,) = [one for one in running.occurrences("shop.look") if one["id"] not in known]
    eventually(lambda: "by a script" in notes(running.folder), what=f"{run['id']} is run")


def test_one_that_is_cancelled_while_its_application_is_imported_is_not_called(
    own_shop: Any, tmp_path: Path
) -> None:
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)\n"
    code = tmp_path / "shop.py"
    code.write_text(wait + code.read_text())
    with daemon(tmp_path, shop_file()):
        run = own_shop.stops.submit()
        eventually(lambda: looked_at(own_shop, run.id)["state"] == "processing", what="it is with its runner")
        assert run.cancel()
        (tmp_path / "go").touch()
        assert over(own_shop, run.id)["state"] == "cancelled"
        eventually(lambda: notes(tmp_path) == ["noted it was asked to stop before it began"])


def test_one_that_says_without_end_how_far_it_is_holds_up_nobody(shop: Any, running: DaemonProcess) -> None:
    run = shop.reports.submit()
    eventually(lambda: looked_at(shop, run.id)["progress"], what="it has begun")
    others = [over(shop, shop.look.submit("shoes").id) for _ in range(5)]
    assert {one["state"] for one in others} == {"completed"}
    assert run.cancel()
    said = over(shop, run.id)
    assert (said["state"], said["progress"], said["attempts"]) == ("cancelled", 1, 1)


def test_a_run_is_found_by_its_id_and_knows_it(shop: Any, running: DaemonProcess) -> None:
    run = shop.says_its_id.submit()
    assert shop.scheduler.run(run.id) == run
    assert shop.scheduler.run(run.id).wait("1h") == run.id
    with pytest.raises(TminusError, match="no run has the id 'x'"):
        shop.scheduler.run("x")


def test_waiting_for_a_run_raises_what_its_function_raised(shop: Any, running: DaemonProcess) -> None:
    with pytest.raises(Failure) as raised:
        shop.fails.submit("4711").wait()
    assert (raised.value.outcome, raised.value.kind) == ("failed", "exception")
    assert str(raised.value) == "ValueError: 4711 is not accepted"


def test_a_second_submit_with_the_same_id_returns_the_first_run(shop: Any, running: DaemonProcess) -> None:
    first = shop.look.submit("once", id="order-4711.look")
    assert shop.look.submit("twice", id="order-4711.look") == first
    assert first.wait()["word"] == "once"
    assert shop.look.submit("twice", id="order-4711.look") == first
    with pytest.raises(TminusError, match=r"the run order-4711\.look calls shop:look of shop"):
        shop.slow.submit(id="order-4711.look")
    assert looked_at(shop, "order-4711.look")["state"] == "completed"
    assert notes(running.folder) == ["once"]


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "x" * 101, "é", "\0", 7, ".."])
def test_an_id_that_a_url_could_not_have_is_refused(shop: Any, bad: Any) -> None:
    with pytest.raises(ValueError, match="id must be up to 100 letters, digits and"):
        shop.look.submit("a", id=bad)


def test_many_calls_are_submitted_at_once_from_a_view_and_from_a_job(
    shop: Any, running: DaemonProcess
) -> None:
    runs = shop.look.map(["a", "b", "c"])
    assert [run.wait()["word"] for run in runs] == ["a", "b", "c"]
    ids = shop.maps.submit(50).wait()
    assert [shop.scheduler.run(one).wait()["word"] for one in ids] == [str(number) for number in range(50)]
    assert shop.look.map([]) == []
    with pytest.raises(TypeError, match="the arguments are not JSON"):
        shop.look.map(["well", {1, 2}])


def test_calls_that_are_too_long_together_are_refused(shop: Any, running: DaemonProcess) -> None:
    with (
        shop.app.test_request_context("/", method="POST", json="x" * 1_000_000),
        pytest.raises(ValueError, match=r"longer than 64 MiB .* most of it copies of the request"),
    ):
        shop.look.map(map(str, range(100)))


@pytest.fixture
def nightly(tmp_path: Path, own_shop: Any) -> Iterator[DaemonProcess]:
    """A daemon with a job that the application may run and pause."""
    job = {
        "call": {"ref": "shop:note", "args": ["{{ params.word }}"], "app": "shop"},
        "schedule": "0 3 1 1 *",
        "params": {"word": "tonight", "times": 1},
    }
    with daemon(
        tmp_path,
        shop_file(
            {
                "nightly": job,
                "operates": {"call": {"ref": "shop:operates", "app": "shop"}, "schedule": "manual"},
            }
        ),
    ) as process:
        yield process


def test_an_application_runs_a_job_and_pauses_and_resumes_it(own_shop: Any, nightly: DaemonProcess) -> None:
    scheduler = own_shop.scheduler
    occurrence = scheduler.run_now("nightly", word="at once", times=2)
    one = nightly.wait_for(id=occurrence, outcome="succeeded")[0]
    assert (one["origin"], one["params"]) == ("manual", {"word": "at once", "times": 2})
    assert notes(nightly.folder) == ["at once"]
    assert scheduler.pause("nightly", until="2099-01-01T00:00:00Z", reason="stocktaking")
    assert {row["job"]: row["paused"] for row in nightly.json("jobs")}["nightly"]
    assert "application shop" in nightly.tminus("jobs").stdout
    assert scheduler.resume("nightly")
    assert not any(row["paused"] for row in nightly.json("jobs"))


def test_a_job_runs_and_pauses_another_one(own_shop: Any, nightly: DaemonProcess) -> None:
    own_shop.scheduler.run_now("operates")
    nightly.wait_for(job="operates", outcome="succeeded")
    occurrence = nightly.wait_for(job="nightly", outcome="succeeded")[0]["id"]
    assert {row["job"]: row["paused"] for row in nightly.json("jobs")}["nightly"]
    assert {f"ran {occurrence}", "paused True"} <= set(notes(nightly.folder))


def test_what_the_daemon_refuses_is_raised(own_shop: Any, nightly: DaemonProcess) -> None:
    scheduler = own_shop.scheduler
    with pytest.raises(TminusError, match="no job 'nightli'"):
        scheduler.run_now("nightli")
    with pytest.raises(TminusError, match="job 'nightly' has no param 'wort'; did you mean 'word'"):
        scheduler.run_now("nightly", wort="x")
    with pytest.raises(TminusError, match="no job 'nightli'"):
        scheduler.pause("nightli")
    with pytest.raises(ValueError, match="until needs a time zone"):
        scheduler.pause("nightly", until=datetime(2099, 1, 1))  # noqa: DTZ001


def test_without_a_daemon_a_request_of_an_application_waits_for_one(
    own_shop: Any, nightly: DaemonProcess
) -> None:
    nightly.stop()
    assert own_shop.scheduler.run_now("nightly") is None
    assert own_shop.scheduler.pause("nightly") is False
    nightly.start()
    nightly.wait_for(job="nightly", outcome="succeeded")
    assert {row["job"]: row["paused"] for row in nightly.json("jobs")}["nightly"]
