"""`then:` under the program: what follows runs of every kind, what it is given, and what is shown of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.moments import wait_until
from tests.support.target import TargetServer, raw
from tminus.clock import SystemClock
from tminus.instants import SECOND

NOTE = {"call": "shop:note", "app": "shop"}


#: Secrets in the environment of the daemon. What is written down is `{"result": …}`: a secret of that name is none.
ENV = {"CANARY": "canary-0123456789", "RESULT": "result"}
_NAMED_RESULT = {"token": "${env:RESULT}"}


def a_file(jobs: dict[str, Any], **top: Any) -> str:
    """Return a jobs file with the application `chains`."""
    top = {"daemon": {"lead": "200ms", "reload": "sighup"}} | top
    return shop_file({name: {"schedule": "manual", **job} for name, job in jobs.items()}, **top)


@pytest.fixture(scope="module")
def _daemon_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("chains")
    with daemon(install("chains", folder), a_file({}), env=ENV) as running:
        yield running


@pytest.fixture
def running(_daemon_of_all: DaemonProcess) -> DaemonProcess:
    """The daemon of all tests, without what other tests have left."""
    _daemon_of_all.forget()
    (_daemon_of_all.folder / "notes").unlink(missing_ok=True)
    return _daemon_of_all


def run_now(running: DaemonProcess, jobs: dict[str, Any], *names: str, **top: Any) -> dict[str, Any]:
    """Put these jobs in force, run them once, and wait for their chains; by name."""
    running.reload(a_file(jobs, **top))
    running.tminus("run-now", *(names or jobs))
    return wait_for_chains(running)


def wait_for_chains(running: DaemonProcess) -> dict[str, Any]:
    """Wait until all links have ended; return the occurrences, by name."""

    def ended() -> bool:
        return all({"waiting", "running"}.isdisjoint(states(one)) for one in running.occurrences())

    eventually(ended, what="all links have ended", instead=lambda: str(running.occurrences()))
    return {one["job"]: one for one in running.occurrences()}


def notes(running: DaemonProcess) -> list[Any]:
    """What the chains have been given, each with what was around it."""
    return [json.loads(line) for line in (running.folder / "notes").read_text().splitlines()]


def states(occurrence: dict[str, Any]) -> list[str]:
    """Of its links."""
    return [link["state"] for link in occurrence["chain"]]


def test_a_callback_of_an_http_job_gets_the_answer_with_both_contexts_around_it(
    running: DaemonProcess, target: TargetServer
) -> None:
    path = raw(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=latin-1\r\nContent-Length: 7\r\n\r\n["\xe4 b"]'
    )
    job = {
        "http": {"url": target.url + path, "method": "POST"},
        "app": "shop",
        "then": [{"callback": "shop:note"}],
    }
    done = run_now(running, {"sync": job})
    assert states(done["sync"]) == ["succeeded"]
    ((said, around),) = notes(running)
    assert said == {
        "status": 200,
        "type": "application/json; charset=latin-1",
        "text": '["ä b"]',
        "json": ["ä b"],
    }
    assert around["app"] == "the shop"
    assert around["request"][0] == "POST"
    assert around["request"][1].startswith("/raw/close?say=HTTP")


def test_a_callback_of_a_view_gets_its_answer_and_finds_its_request(running: DaemonProcess) -> None:
    view = {"app": "shop", "endpoint": "report", "args": {"n": 7}, "method": "POST"}
    run_now(running, {"view": {"flask": view, "then": [{"callback": "shop:note"}]}})
    ((said, around),) = notes(running)
    assert (said["status"], said["json"]) == (200, {"n": 7})
    assert around == {"app": "the shop", "request": ["POST", "/reports/7?"]}


def test_a_callback_of_a_function_gets_what_it_returned_and_its_own_kwargs(tmp_path: Path) -> None:
    call = {
        "ref": "shop:export",
        "kwargs": {"n": 3},
        "app": "shop",
        "request": {"path": "/export", "method": "PUT"},
    }
    note = NOTE | {"kwargs": {"run": "{{ occurrence.id }}", "day": "{{ params.day }}"}}
    job = {"call": call, "params": {"day": "today"}, "then": [{"callback": note}]}
    without = DaemonProcess(install("chains", tmp_path), a_file({"export": job}))
    (done,) = without.json("run-now", "export")
    around = {"app": "the shop", "request": ["PUT", "/export?"], "run": done["id"], "day": "today"}
    assert (states(done), notes(without)) == (["succeeded"], [[{"n": 3}, around]])


def test_an_errback_gets_the_failure_of_every_kind_of_run(
    running: DaemonProcess, target: TargetServer
) -> None:
    failures: dict[str, dict[str, Any]] = {
        "status": {"outcome": "failed", "kind": "status", "message": "500 instead of 2xx", "traceback": None},
        "late": {"outcome": "timed_out", "kind": "timeout"},
        "view": {"outcome": "failed", "kind": "status", "message": "500 instead of 2xx"},
        "call": {"outcome": "failed", "kind": "exception", "message": "ValueError: nothing to export"},
    }
    jobs: dict[str, Any] = {
        "status": {"http": {"url": f"{target.url}/status/500"}},
        "late": {"http": {"url": f"{target.url}/stall"}, "timeout": "0.3s"},
        "view": {"flask": {"app": "shop", "url": "/broken"}},
        "call": {"call": {"ref": "shop:fails", "app": "shop"}},
    }
    for name, job in jobs.items():
        note = NOTE | {"kwargs": {"job": name}}
        job["then"] = [{"callback": "shop:breaks"}, {"errback": note}, {"callback": note}]
    done = run_now(running, jobs)
    for name, failure in failures.items():
        outcome = (done[name]["outcome"], states(done[name]))
        assert outcome == (failure["outcome"], ["passed_over", "succeeded", "succeeded"])
        said, handled = [noted for noted, around in notes(running) if around["job"] == name]
        assert {key: said[key] for key in failure} == failure
        assert said["text"] == said["message"]
        assert handled == {"noted": True}


def test_what_is_too_long_does_not_flow_and_an_errback_hears_of_it(
    running: DaemonProcess, target: TargetServer
) -> None:
    jobs = {
        "http": {"http": f"{target.url}/bytes/2000000", "then": [{"callback": NOTE}, {"errback": NOTE}]},
        "call": {
            "call": {"ref": "shop:long", "app": "shop"},
            "then": [{"callback": NOTE}, {"errback": NOTE}],
        },
        "link": {
            "call": {"ref": "shop:export", "app": "shop"},
            "then": [{"callback": "shop:long"}, {"errback": NOTE}],
        },
    }
    done = run_now(running, jobs)
    assert {(one["outcome"], *states(one)) for one in (done["http"], done["call"])} == {
        ("succeeded", "passed_over", "succeeded")
    }
    assert (done["link"]["outcome"], *states(done["link"])) == ("succeeded", "failed", "succeeded")
    assert {(said["outcome"], said["kind"]) for said, _ in notes(running)} == {("failed", "too_large")}
    assert {said["message"] for said, _ in notes(running)} == {
        "the response cannot be handed on: it is longer than 1 MiB as JSON",
        "its result cannot be handed on: it is longer than 1 MiB as JSON",
        "what shop:long returned is longer than 1048576 bytes as JSON",
    }


def test_a_failure_brings_the_frames_of_the_code_that_raised_and_no_others(running: DaemonProcess) -> None:
    run_now(running, {"job": {"call": {"ref": "shop:fails", "app": "shop"}, "then": [{"errback": NOTE}]}})
    ((said, _),) = notes(running)
    assert said["traceback"].count("File ") == 1
    assert "in fails" in said["traceback"]


def test_the_outcome_stays_what_the_run_did_whatever_its_chain_does(running: DaemonProcess) -> None:
    then = [{"callback": "shop:breaks"}, {"both": NOTE}, {"callback": "shop:no_json"}, {"errback": NOTE}]
    done = run_now(running, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
    assert done["outcome"] == "succeeded"
    assert done["chain"] == [
        {"link": "callback shop:breaks", "state": "failed", "error": "KeyError: 'customer'"},
        {"link": "both shop:note", "state": "succeeded", "error": None},
        {
            "link": "callback shop:no_json",
            "state": "failed",
            "error": "what shop:no_json returned is not JSON: Object of type object is not JSON serializable",
        },
        {"link": "errback shop:note", "state": "succeeded", "error": None},
    ]


def test_a_chain_that_failed_is_a_bad_result_of_run_now(running: DaemonProcess) -> None:
    job = {"call": {"ref": "shop:export", "app": "shop"}}
    running.reload(
        a_file(
            {"well": {**job, "then": [{"callback": NOTE}]}, "ill": {**job, "then": [{"both": "shop:breaks"}]}}
        )
    )
    assert running.tminus("run-now", "well").returncode == 0
    ill = running.tminus("run-now", "ill")
    assert (ill.returncode, "succeeded ✕ chain failed" in ill.stdout) == (1, True)
    assert "1 of 1 did not succeed" in ill.stderr


def test_logs_shows_each_link_with_what_it_printed(running: DaemonProcess) -> None:
    then = [{"callback": NOTE}, {"errback": NOTE}, {"callback": "shop:breaks"}]
    done = run_now(running, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
    said = running.tminus("logs", done["id"]).stdout
    assert "then callback shop:note: ● succeeded\n\n  noted for /\n" in said
    assert "then errback shop:note: – passed over\n" in said
    assert "then callback shop:breaks: ✕ failed\n  KeyError: 'customer'\n" in said
    assert (done["outcome"], done["chain_result"]) == ("succeeded", "failed")
    assert "\t● succeeded ✕ chain failed\t" in running.tminus("history").stdout
    links = running.json("logs", done["id"])["links"]
    assert [link["output"].splitlines()[:1] for link in links] == [
        ["noted for /"],
        [],
        ["Traceback (most recent call last):"],
    ]


def test_run_starts_a_job_with_origin_chain_and_hands_on_what_it_got(
    running: DaemonProcess, target: TargetServer
) -> None:
    jobs = {
        "job": {
            "call": {"ref": "shop:export", "app": "shop"},
            "then": [{"callback": {"run": "page"}}, {"callback": NOTE}],
        },
        "page": {"http": f"{target.url}/page", "then": [{"both": {"run": "last"}}]},
        "last": {"http": f"{target.url}/last"},
    }
    run_now(running, jobs, "job")
    arrivals = target.wait_for(2)
    assert [arrival.path for arrival in arrivals] == ["/page", "/last"]
    causes = [arrival.headers["x-tminus-cause"] for arrival in arrivals]
    assert [cause.partition("@")[0] for cause in causes] == ["job", "page"]
    assert notes(running)[0][0] == {"n": 1}
    running.wait_for(job="last", outcome="succeeded")
    assert {one["job"]: (one["origin"], one["outcome"]) for one in running.occurrences()} == {
        "job": ("manual", "succeeded"),
        "page": ("chain", "succeeded"),
        "last": ("chain", "succeeded"),
    }


def test_a_link_whose_runner_dies_is_unknown_not_called_again_and_its_errback_runs(
    running: DaemonProcess,
) -> None:
    then = [{"callback": "shop:dies"}, {"errback": NOTE}]
    done = run_now(running, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
    assert states(done) == ["unknown", "succeeded"]
    assert (running.folder / "deaths").read_text() == "died\n"
    ((said, _),) = notes(running)
    assert (said["outcome"], said["kind"]) == ("unknown", "executor")


def test_a_link_without_its_application_fails_with_the_reason(tmp_path: Path, target: TargetServer) -> None:
    then = [{"callback": {"call": "shop:note", "app": "gone"}}, {"errback": NOTE}]
    apps = {"shop": {"app": "shop:app"}, "gone": {"app": "no_such_module:app"}}
    jobs = a_file({"job": {"http": target.url, "then": then}}, apps=apps)
    (done,) = DaemonProcess(install("chains", tmp_path), jobs).json("run-now", "job")
    assert states(done) == ["failed", "succeeded"]
    assert "there is no module 'no_such_module'" in done["chain"][0]["error"]


def test_a_missed_run_is_a_failure_that_its_chain_hears_of(tmp_path: Path, target: TargetServer) -> None:
    job = {"http": target.url, "misfire_grace_time": "100ms", "then": [{"errback": NOTE}]}
    stopped = DaemonProcess(install("chains", tmp_path), a_file({"job": job}))
    assert stopped.tminus("run-now", "job", "--at", "+1s", "--no-wait").returncode == 0
    wait_until(SystemClock().wall_ns() + 2 * SECOND)
    try:
        stopped.start()
        (missed,) = stopped.wait_for(outcome="missed")
        eventually(lambda: states(stopped.wait_for(id=missed["id"])[0]) == ["succeeded"])
    finally:
        stopped.close()
    ((said, _),) = notes(stopped)
    assert (said["outcome"], said["kind"]) == ("missed", "missed")


def test_a_secret_in_a_link_is_put_in_and_shown_nowhere(running: DaemonProcess) -> None:
    then = [
        {"callback": NOTE | {"kwargs": {"token": "${env:CANARY}"}}},
        {"callback": {"call": "shop:echo", "kwargs": {"t": "${env:CANARY}"}, "app": "shop"}},
    ]
    one = run_now(running, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
    said = running.tminus("logs", one["id"])
    assert one["chain"][1]["error"] == "ValueError: ***"
    assert "the token is ***" in said.stdout
    assert notes(running)[0][1]["token"] == "canary-0123456789"
    assert "canary" not in said.stdout + said.stderr + running.log_file.read_text()
    assert all(b"canary" not in file.read_bytes() for file in (running.folder / "ledger").iterdir())


def test_whatever_a_function_gives_its_chain_goes_on(running: DaemonProcess) -> None:
    odd: dict[str, tuple[Any, str | None]] = {
        "nested": ("odd:nested", "what odd:nested returned is not JSON: nested more than 100 levels deep"),
        "huge_number": ("odd:huge_number", None),
        "answer": ({"call": "odd:answer", "kwargs": _NAMED_RESULT}, None),
        "named_like_a_secret": ({"call": "odd:look", "kwargs": _NAMED_RESULT}, None),
        "no_text": ("odd:no_text", "{'a': <class 'object'>}"),
        "too_long": ("odd:too_long", f"{'m' * (1 << 14)}… (cut, {17 << 20} characters)"),
        "own": ("odd:own", "mine"),
        "not_raised": ("odd:not_raised", None),
    }
    jobs: dict[str, Any] = {
        name: {"call": "shop:export", "then": [{"callback": call}, {"both": "odd:look"}]}
        for name, (call, _) in odd.items()
    }
    jobs["job"] = {
        "call": {"ref": "odd:nested", "kwargs": {"value": 1} | _NAMED_RESULT},
        "then": [{"errback": "odd:look"}],
    }
    ended = run_now(running, jobs)
    for name, (_, error) in odd.items():
        first, second = ended[name]["chain"]
        assert (name, first["state"], first["error"]) == (name, "failed" if error else "succeeded", error)
        assert (name, second["state"]) == (name, "succeeded")
    assert states(ended["job"]) == ["succeeded"]


def test_an_import_that_takes_longer_than_the_jobs_time_is_waited_for(running: DaemonProcess) -> None:
    (running.folder / "heavy.py").write_text(
        "import time\ntime.sleep(6)\ndef look(value):\n    return value\n"
    )
    jobs = {"job": {"call": "shop:export", "timeout": "2s", "then": [{"callback": "heavy:look"}]}}
    assert states(run_now(running, jobs)["job"]) == ["succeeded"]
