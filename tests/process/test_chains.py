"""`then:` under the program: what follows runs of every kind, what it is given, and what is shown of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import install
from tests.support.daemon import daemon, eventually, tminus, tminus_json
from tests.support.jobs import shop_file
from tests.support.moments import wait_until
from tests.support.target import TargetServer, raw
from tminus.instants import SECOND, parse_rfc3339

NOTE = {"call": "shop:note", "app": "shop"}


def a_file(folder: Path, jobs: dict[str, Any], **top: Any) -> str:
    """Return a jobs file, and install the application beside it."""
    install("chains", folder)
    return shop_file({name: {"schedule": "manual", **job} for name, job in jobs.items()}, **top)


def run_now(folder: Path, jobs: dict[str, Any], *names: str, **top: Any) -> dict[str, Any]:
    """Run jobs once, without a daemon; by name."""
    (folder / "jobs.yaml").write_text(a_file(folder, jobs, **top))
    ledger = f"sqlite:///{folder}/ledger.db"
    return {
        one["job"]: one for one in tminus_json("--ledger", ledger, "run-now", *(names or jobs), cwd=folder)
    }


def notes(folder: Path) -> list[Any]:
    """What the chains have been given, each with what was around it."""
    return [json.loads(line) for line in (folder / "notes").read_text().splitlines()]


def states(occurrence: dict[str, Any]) -> list[str]:
    """Of its links."""
    return [link["state"] for link in occurrence["chain"]]


def test_a_callback_of_an_http_job_gets_the_answer_with_both_contexts_around_it(
    tmp_path: Path, target: TargetServer
) -> None:
    path = raw(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=latin-1\r\nContent-Length: 7\r\n\r\n["\xe4 b"]'
    )
    job = {
        "http": {"url": target.url + path, "method": "POST"},
        "app": "shop",
        "then": [{"callback": "shop:note"}],
    }
    done = run_now(tmp_path, {"sync": job})
    assert states(done["sync"]) == ["succeeded"]
    ((said, around),) = notes(tmp_path)
    assert said == {
        "status": 200,
        "type": "application/json; charset=latin-1",
        "text": '["ä b"]',
        "json": ["ä b"],
    }
    assert around["app"] == "the shop"
    assert around["request"][0] == "POST"
    assert around["request"][1].startswith("/raw/close?say=HTTP")


def test_a_callback_of_a_view_gets_its_answer_and_finds_its_request(tmp_path: Path) -> None:
    view = {"app": "shop", "endpoint": "report", "args": {"n": 7}, "method": "POST"}
    run_now(tmp_path, {"view": {"flask": view, "then": [{"callback": "shop:note"}]}})
    ((said, around),) = notes(tmp_path)
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
    done = run_now(
        tmp_path, {"export": {"call": call, "params": {"day": "today"}, "then": [{"callback": note}]}}
    )
    around = {"app": "the shop", "request": ["PUT", "/export?"], "run": done["export"]["id"], "day": "today"}
    assert notes(tmp_path) == [[{"n": 3}, around]]


def test_an_errback_gets_the_failure_of_every_kind_of_run(tmp_path: Path, target: TargetServer) -> None:
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
    done = run_now(tmp_path, jobs)
    for name, failure in failures.items():
        outcome = (done[name]["outcome"], states(done[name]))
        assert outcome == (failure["outcome"], ["passed_over", "succeeded", "succeeded"])
        said, handled = [noted for noted, around in notes(tmp_path) if around["job"] == name]
        assert {key: said[key] for key in failure} == failure
        assert said["text"] == said["message"]
        assert handled == {"noted": True}


def test_what_is_too_long_does_not_flow_and_an_errback_hears_of_it(
    tmp_path: Path, target: TargetServer
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
    done = run_now(tmp_path, jobs)
    assert {(one["outcome"], *states(one)) for one in (done["http"], done["call"])} == {
        ("succeeded", "passed_over", "succeeded")
    }
    assert (done["link"]["outcome"], *states(done["link"])) == ("succeeded", "failed", "succeeded")
    assert {(said["outcome"], said["kind"]) for said, _ in notes(tmp_path)} == {("failed", "too_large")}
    assert {said["message"] for said, _ in notes(tmp_path)} == {
        "the response cannot be handed on: it is longer than 1 MiB as JSON",
        "its result cannot be handed on: it is longer than 1 MiB as JSON",
        "what shop:long returned is longer than 1048576 bytes as JSON",
    }


def test_a_failure_brings_the_frames_of_the_code_that_raised_and_no_others(tmp_path: Path) -> None:
    run_now(tmp_path, {"job": {"call": {"ref": "shop:fails", "app": "shop"}, "then": [{"errback": NOTE}]}})
    ((said, _),) = notes(tmp_path)
    assert said["traceback"].count("File ") == 1
    assert "in fails" in said["traceback"]


def test_the_outcome_stays_what_the_run_did_whatever_its_chain_does(tmp_path: Path) -> None:
    then = [{"callback": "shop:breaks"}, {"both": NOTE}, {"callback": "shop:no_json"}, {"errback": NOTE}]
    done = run_now(tmp_path, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
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


def test_logs_shows_each_link_with_what_it_printed(tmp_path: Path) -> None:
    then = [{"callback": NOTE}, {"errback": NOTE}, {"callback": "shop:breaks"}]
    done = run_now(tmp_path, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    said = tminus("--ledger", ledger, "logs", done["id"], cwd=tmp_path).stdout
    assert "then callback shop:note: ● succeeded\n\n  noted for /\n" in said
    assert "then errback shop:note: – passed over\n" in said
    assert "then callback shop:breaks: ✕ failed\n  KeyError: 'customer'\n" in said
    assert (done["outcome"], done["chain_result"]) == ("succeeded", "failed")
    assert "\t● succeeded ✕ chain failed\t" in tminus("--ledger", ledger, "history", cwd=tmp_path).stdout
    links = tminus_json("--ledger", ledger, "logs", done["id"], cwd=tmp_path)["links"]
    assert [link["output"].splitlines()[:1] for link in links] == [
        ["noted for /"],
        [],
        ["Traceback (most recent call last):"],
    ]


def test_run_starts_a_job_with_origin_chain_and_hands_on_what_it_got(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = {
        "job": {
            "call": {"ref": "shop:export", "app": "shop"},
            "then": [{"callback": {"run": "page"}}, {"callback": NOTE}],
        },
        "page": {"http": f"{target.url}/page", "then": [{"both": {"run": "last"}}]},
        "last": {"http": f"{target.url}/last"},
    }
    run_now(tmp_path, jobs, "job")
    assert [arrival.path for arrival in target.arrivals] == ["/page", "/last"]
    causes = [arrival.headers["x-tminus-cause"] for arrival in target.arrivals]
    assert [cause.partition("@")[0] for cause in causes] == ["job", "page"]
    assert notes(tmp_path)[0][0] == {"n": 1}
    history = tminus_json("--ledger", f"sqlite:///{tmp_path}/ledger.db", "history", cwd=tmp_path)
    assert {one["job"]: (one["origin"], one["outcome"]) for one in history} == {
        "job": ("manual", "succeeded"),
        "page": ("chain", "succeeded"),
        "last": ("chain", "succeeded"),
    }


def test_a_link_whose_runner_dies_is_unknown_not_called_again_and_its_errback_runs(
    tmp_path: Path,
) -> None:
    then = [{"callback": "shop:dies"}, {"errback": NOTE}]
    done = run_now(tmp_path, {"job": {"call": {"ref": "shop:export", "app": "shop"}, "then": then}})["job"]
    assert states(done) == ["unknown", "succeeded"]
    assert (tmp_path / "deaths").read_text() == "died\n"
    ((said, _),) = notes(tmp_path)
    assert (said["outcome"], said["kind"]) == ("unknown", "executor")


def test_a_link_without_its_application_fails_with_the_reason(tmp_path: Path, target: TargetServer) -> None:
    then = [{"callback": {"call": "shop:note", "app": "gone"}}, {"errback": NOTE}]
    apps = {"shop": {"app": "shop:app"}, "gone": {"app": "no_such_module:app"}}
    done = run_now(tmp_path, {"job": {"http": target.url, "then": then}}, apps=apps)["job"]
    assert states(done) == ["failed", "succeeded"]
    assert "there is no module 'no_such_module'" in done["chain"][0]["error"]


def test_a_missed_run_is_a_failure_that_its_chain_hears_of(tmp_path: Path, target: TargetServer) -> None:
    job = {
        "schedule": {"every": "1s"},
        "http": target.url,
        "misfire_grace_time": "1s",
        "then": [{"errback": NOTE}],
    }
    with daemon(tmp_path, a_file(tmp_path, {"job": job})) as running:
        last = running.wait_for(job="job", outcome="succeeded")[0]
        running.kill()
        wait_until(parse_rfc3339(last["fire_time"]) + 3 * SECOND)
        running.start()
        missed = running.wait_for(job="job", outcome="missed")[0]
        eventually(lambda: states(running.wait_for(id=missed["id"])[0]) == ["succeeded"])
    (said, _), *_ = notes(tmp_path)
    assert (said["outcome"], said["kind"]) == ("missed", "missed")


def test_a_secret_in_a_link_is_put_in_and_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-0123456789")
    then = [
        {"callback": NOTE | {"kwargs": {"token": "${env:CANARY}"}}},
        {"callback": {"call": "shop:echo", "kwargs": {"t": "${env:CANARY}"}, "app": "shop"}},
    ]
    (tmp_path / "more").mkdir()
    job = {"call": {"ref": "shop:export", "app": "shop"}, "then": then}
    (tmp_path / "jobs.yaml").write_text(a_file(tmp_path, {"job": job}))
    with (tmp_path / "shop.py").open("a") as code:
        code.write("\ndef echo(value, t):\n    print('the token is', t)\n    raise ValueError(t)\n")
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    done = tminus("--ledger", ledger, "run-now", "job", "--json", cwd=tmp_path)
    (one,) = json.loads(done.stdout)
    said = tminus("--ledger", ledger, "logs", one["id"], cwd=tmp_path).stdout
    assert one["chain"][1]["error"] == "ValueError: ***"
    assert "the token is ***" in said
    assert notes(tmp_path)[0][1]["token"] == "canary-0123456789"
    everything = done.stdout + done.stderr + said
    assert "canary" not in everything
    assert all(b"canary" not in file.read_bytes() for file in tmp_path.glob("ledger.db*"))
