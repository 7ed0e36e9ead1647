"""
`prepare`: Python that changes an HTTP request before T, in the runner of its application, and what becomes of
it when it fails.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_python_jobs import logs_of, run_now
from tests.support.apps import install
from tests.support.daemon import coming, daemon, eventually, tminus_json
from tests.support.jobs import shop_file
from tests.support.ledgers import opened
from tests.support.target import TargetServer
from tminus.instants import SECOND, parse_rfc3339
from tminus.ledger import instances


def prepared(target: TargetServer, hook: str, path: str = "/", **http: Any) -> dict[str, Any]:
    """Return a job whose request goes through a function of the shop, and that may be late."""
    request = {"url": f"{target.url}{path}", **http}
    return {"http": request, "app": "shop", "prepare": f"shop:{hook}", "misfire_grace_time": "10m"}


def run_prepared(folder: Path, jobs: dict[str, Any], **top: Any) -> dict[str, dict[str, Any]]:
    """Run all of them once, without a daemon; by name."""
    return run_now(folder, jobs, app="prepare", **top)


def signature(body: bytes) -> str:
    """As the shop makes it."""
    return hmac.new(b"made up", body, hashlib.sha256).hexdigest()


#: What is said of each function that goes wrong.
_REASONS = {
    "fails": "prepare shop:fails raised ValueError: no such key",
    "nowhere": "prepare: shop:nowhere: module 'shop' has no 'nowhere'",
    "returns": "prepare: shop:returns returned a dict; it is to change the request that it gets, and to return nothing",
    "exits": "prepare: sys.exit(3) ended the job",
    "goes_elsewhere": "prepare shop:goes_elsewhere made what may not be sent: url: only http, https",
    "two_in_one": "prepare shop:two_in_one raised ValueError: there is a line break, or another control character, in the header X-Key",
    "another_host": "prepare shop:another_host made what may not be sent: Host cannot be given; it follows from the URL and the body",
    "another_method": "prepare shop:another_method raised AttributeError: property 'method' of 'Request' object has no setter",
    "gives_a_body": "prepare shop:gives_a_body made what may not be sent: method GET has no body",
}


@pytest.fixture(scope="module")
def sent() -> Iterator[TargetServer]:
    """The server that gets what `ran` sends."""
    with TargetServer() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `ran`."""
    return tmp_path_factory.mktemp("ran")


@pytest.fixture(scope="module")
def ran(folder: Path, sent: TargetServer) -> dict[str, dict[str, Any]]:
    """One run of a job for each function that leaves its runner alive; the occurrences by name."""
    jobs = {hook: prepared(sent, hook, f"/{hook}") for hook in _REASONS}
    jobs |= {
        "sign": prepared(sent, "sign", "/a?n=1", method="POST", body="hello"),
        "look_around": prepared(sent, "look_around", "/b?n=1", method="PUT", body="hello"),
        "beside": {"http": f"{sent.url}/beside", "prepare": "hooks:mark"},
        "tells": prepared(sent, "tells", "/${env:SHOP_KEY}"),
    }
    jobs["fails"]["then"] = [{"errback": "shop:note"}]
    install("prepare", folder)
    (folder / "hooks.py").write_text("def mark(request):\n    request.headers['X-Mark'] = 'made up'\n")
    all_of_it = {name: {"schedule": "manual", **job} for name, job in jobs.items()}
    (folder / "jobs.yaml").write_text(shop_file(all_of_it, ledger=f"sqlite:///{folder}/ledger.db"))
    env = {"SHOP_KEY": "hunter2hunter2"}
    return {one["job"]: one for one in tminus_json("run-now", *jobs, cwd=folder, env=env)}


def test_url_headers_and_body_go_out_as_prepare_has_left_them(
    ran: dict[str, dict[str, Any]], sent: TargetServer
) -> None:
    assert ran["sign"]["outcome"] == "succeeded"
    (came,) = [one for one in sent.arrivals if one.path.startswith("/a")]
    assert (came.path, came.body, came.headers["x-signature"]) == (
        "/a?n=1&signed=yes",
        b"[hello]",
        signature(b"[hello]"),
    )


def test_it_finds_its_occurrence_and_a_request_like_its_own_around_it(
    ran: dict[str, dict[str, Any]], folder: Path
) -> None:
    assert ran["look_around"]["outcome"] == "succeeded"
    assert logs_of(folder, ran["look_around"])["output"] == "True PUT /b?n=1 b'hello'\n"


def test_without_an_application_it_is_found_beside_the_jobs_file(
    ran: dict[str, dict[str, Any]], sent: TargetServer
) -> None:
    assert ran["beside"]["outcome"] == "succeeded"
    (came,) = [one for one in sent.arrivals if one.path == "/beside"]
    assert came.headers["x-mark"] == "made up"


@pytest.mark.parametrize("hook", _REASONS)
def test_what_goes_wrong_in_it_is_said_and_nothing_is_sent(
    ran: dict[str, dict[str, Any]], sent: TargetServer, hook: str
) -> None:
    done = ran[hook]
    assert (done["outcome"], done["reason"]) == ("failed", f"definition, not sent: {_REASONS[hook]}")
    assert f"/{hook}" not in {one.path for one in sent.arrivals}


def test_what_it_printed_and_its_own_frames_are_in_the_logs(
    ran: dict[str, dict[str, Any]], folder: Path
) -> None:
    output = logs_of(folder, ran["fails"])["output"]
    assert output.startswith("about to fail\nTraceback (most recent call last):\n")
    assert 'raise ValueError("no such key")' in output


def test_no_secret_of_the_job_comes_out_of_it(
    ran: dict[str, dict[str, Any]], sent: TargetServer, folder: Path
) -> None:
    assert (
        ran["tells"]["reason"]
        == f"definition, not sent: prepare shop:tells raised ValueError: {sent.url}/***"
    )
    assert "hunter2" not in str(logs_of(folder, ran["tells"]))


def test_what_follows_the_run_hears_of_its_failure(ran: dict[str, dict[str, Any]], folder: Path) -> None:
    assert ran["fails"]["chain"][0]["state"] == "succeeded"
    assert (
        folder / "note"
    ).read_text() == "failed definition: prepare shop:fails raised ValueError: no such key"


def test_prepared_requests_are_armed_and_start_with_the_others_of_their_batch(
    tmp_path: Path, target: TargetServer
) -> None:
    at = {"schedule": {"every": "5s"}}
    jobs = {f"plain_{n}": {**at, "http": f"{target.url}/{n}"} for n in range(20)}
    jobs |= {
        f"signed_{n}": {**at, **prepared(target, "sign", f"/{n}", method="POST", body=str(n))}
        for n in range(20)
    }
    install("prepare", tmp_path)
    with daemon(tmp_path, shop_file(jobs, daemon={"lead": "4s"})) as running:

        def is_armed() -> bool:
            """Whether all of one batch was armed; a busy machine may not be in time for each."""
            armed = Counter(one["planned_at"] for one in running.occurrences() if one["armed"])
            return 40 in armed.values()

        eventually(is_armed, what="all of a batch is armed")
        running.assert_all_is_well(target)
    assert {one.headers.get("x-signature", "") for one in target.arrivals} == {
        "",
        *(signature(f"[{n}]".encode()) for n in range(20)),
    }


def test_an_application_that_does_not_import_fails_what_it_prepares_and_no_others(
    tmp_path: Path, target: TargetServer
) -> None:
    done = run_now(
        tmp_path, {"x": prepared(target, "sign"), "y": {"http": target.url}}, code="import no_such_module"
    )
    assert done["y"]["outcome"] == "succeeded"
    assert (
        done["x"]["reason"]
        == "definition, not sent: shop does not import: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_one_that_hangs_makes_its_own_job_miss_and_the_others_start_armed(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = {
        "hangs": {**prepared(target, "hangs"), "misfire_grace_time": "500ms"},
        "signed": prepared(target, "sign", method="POST"),
        "plain": {"http": target.url},
    }

    def is_armed() -> bool:
        done = run_prepared(tmp_path, jobs)
        assert (done["hangs"]["outcome"], done["hangs"]["reason"]) == (
            "missed",
            "its prepare was not done within its misfire_grace_time",
        )
        assert {done[name]["outcome"] for name in ("plain", "signed")} == {"succeeded"}
        return bool(done["plain"]["armed"])

    eventually(is_armed, what="the others are armed")


def test_one_that_is_late_starts_late_and_holds_up_nobody(tmp_path: Path, target: TargetServer) -> None:
    at = {"schedule": {"at": coming(6)}}
    install("prepare", tmp_path)
    with daemon(
        tmp_path,
        shop_file({"late": {**at, **prepared(target, "waits")}, "plain": {**at, "http": target.url}}),
    ) as running:
        running.wait_for(job="plain", outcome="succeeded")
        assert len(target.arrivals) == 1
        (tmp_path / "go").touch()
        (late,) = running.wait_for(job="late", outcome="succeeded")
        running.assert_all_is_well(target)
    assert late["start_offset_ms"] > 0
    assert running.occurrences("plain")[0]["start_offset_ms"] < late["start_offset_ms"]


def test_what_dies_with_its_runner_is_prepared_again(tmp_path: Path, target: TargetServer) -> None:
    done = run_prepared(
        tmp_path, {"x": prepared(target, "dies_once"), "y": prepared(target, "sign", method="POST")}
    )
    assert {name: one["outcome"] for name, one in done.items()} == {"x": "succeeded", "y": "succeeded"}
    assert len(target.arrivals) == 2


def test_what_dies_with_its_runner_again_has_failed_and_was_not_sent(
    tmp_path: Path, target: TargetServer
) -> None:
    done = run_prepared(tmp_path, {"x": prepared(target, "dies"), "y": {"http": target.url}})
    reason = "executor, not sent: its runner died twice during its prepare (exit status 3)"
    assert (done["x"]["outcome"], done["x"]["reason"]) == ("failed", reason)
    assert done["y"]["outcome"] == "succeeded"


def test_a_job_that_is_deleted_while_it_is_prepared_is_not_sent(tmp_path: Path, target: TargetServer) -> None:
    def file(jobs: dict[str, Any]) -> str:
        return shop_file(jobs, daemon={"reload": "sighup"})

    idle = {"idle": {"schedule": "manual", "http": target.url}}
    install("prepare", tmp_path)
    with daemon(
        tmp_path, file(idle | {"x": {"schedule": {"at": coming(6)}, **prepared(target, "waits")}})
    ) as running:
        eventually(lambda: [*tmp_path.glob("*.waits")], what="it is being prepared")
        running.reload(file(idle))
        (tmp_path / "go").touch()
        (deleted,) = running.wait_for(job="x", state="finished")
        running.assert_all_is_well(target)
    assert (deleted["outcome"], deleted["reason"]) == ("cancelled", "the job was deleted from the jobs file")


def test_killed_while_it_is_prepared_it_starts_once_after_the_next_start(
    tmp_path: Path, target: TargetServer
) -> None:
    at = {"schedule": {"at": coming(6)}}
    install("prepare", tmp_path)
    with daemon(tmp_path, shop_file({"x": {**at, **prepared(target, "waits")}})) as running:
        eventually(lambda: [*tmp_path.glob("*.waits")], what="it is being prepared")
        running.kill()
        assert [one["state"] for one in running.occurrences()] == ["claimed"]
        (tmp_path / "go").touch()
        running.start()
        running.wait_for(job="x", outcome="succeeded")
        running.assert_all_is_well(target)
    assert len(target.arrivals) == 1


def test_one_that_takes_longer_than_the_lead_is_begun_earlier_the_next_time(
    tmp_path: Path, target: TargetServer
) -> None:
    install("prepare", tmp_path)
    with daemon(
        tmp_path, shop_file({"x": {"schedule": {"every": "5s"}, **prepared(target, "takes_long")}})
    ) as running:
        eventually(lambda: [one for one in running.occurrences("x") if one["armed"]], what="one is armed")
        running.assert_all_is_well(target, every_s=5)


def test_one_that_takes_long_is_begun_as_early_after_a_kill(tmp_path: Path, target: TargetServer) -> None:
    long = {"schedule": "manual", **prepared(target, "takes_long")}
    first = {"schedule": "manual", "http": f"{target.url}/ok", "then": [{"callback": {"run": "long"}}]}
    install("prepare", tmp_path)
    with daemon(tmp_path, shop_file({"long": long, "first": first})) as running:
        running.tminus("run-now", "long")
        with opened(running.ledger) as ledger:
            eventually(lambda: instances.arming_costs(ledger), what="what was learned is in the ledger")
        running.kill()
        running.start()
        running.tminus("run-now", "first")
        started = running.wait_for(job="long", origin="chain")[0]
        ended = running.wait_for(job="first")[0]
    assert parse_rfc3339(started["planned_at"]) - parse_rfc3339(ended["finished_at"]) > 3 * SECOND


def test_what_is_still_prepared_when_a_stop_waits_no_longer_was_not_sent(
    tmp_path: Path, target: TargetServer
) -> None:
    at = {"schedule": {"at": coming(6)}}
    jobs = {"x": {**at, **prepared(target, "waits")}, "y": {**at, "http": target.url}}
    install("prepare", tmp_path)
    with daemon(tmp_path, shop_file(jobs, daemon={"shutdown_grace": "300ms"})) as running:
        running.wait_for(job="y", outcome="succeeded")
        running.assert_all_is_well(target)
    (stopped,) = running.occurrences("x")
    assert (stopped["outcome"], stopped["reason"]) == (
        "missed",
        "tminus was stopped before its prepare was done (shutdown_grace)",
    )


def test_a_module_that_ends_the_runner_while_it_is_loaded_fails_its_own_request(
    tmp_path: Path, target: TargetServer
) -> None:
    (tmp_path / "exits.py").write_text("import os\nos._exit(3)\n")
    deadly = {"http": target.url, "app": "shop", "prepare": "exits:sign"}
    done = run_prepared(
        tmp_path, {"x": deadly, **{f"y{n}": prepared(target, "sign", method="POST") for n in range(3)}}
    )
    reason = "executor, not sent: its runner died while its prepare was loaded (exit status 3)"
    assert (done["x"]["outcome"], done["x"]["reason"]) == ("failed", reason)
    assert {done[f"y{n}"]["outcome"] for n in range(3)} == {"succeeded"}
