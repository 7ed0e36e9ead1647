"""
A row of the ledger starts what the application's code declares, and nothing else, whoever has written it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.flask import RunHandle, ledgers
from tminus.ledger import submissions
from tminus.model.background import Submission, SubmissionReceipt

#: The application that the fixture `shop` imports.
APP = "forged"


@pytest.fixture
def running(tmp_path: Path, shop: Any) -> Iterator[DaemonProcess]:
    """A daemon with that application."""
    with daemon(tmp_path, shop_file(), env={"CANARY": "kanarienvogel-4711"}) as process:
        yield process


def row(ref: str, *args: Any, **options: Any) -> SubmissionReceipt:
    """A row as anybody writes it who may write to the ledger."""
    work = Submission(app="shop", ref=ref, options=options, given={"args": list(args), "kwargs": {}})
    return submissions.submit(ledgers.ledger(), work, now_ns=SystemClock.wall_ns())


def ended(one: SubmissionReceipt) -> tuple[str | None, str | None, Any]:
    """How a run ended, when it has."""
    run = RunHandle(one.id, str(one.occurrence))
    eventually(lambda: run.status().outcome, what="the run ends")
    standing = run.status()
    return standing.outcome, standing.reason, standing.result


def test_a_row_with_another_function_is_refused_and_logged(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    forged = [
        row("os:system", f"echo system >> {tmp_path}/notes"),
        row("subprocess:check_output", ["touch", f"{tmp_path}/notes"]),
        row("shop:plain", "a word"),
        row("shop:app", "a word"),
        row("shop:Flask", "a word"),
    ]
    declared = [shop.look.submit("shoes"), shop.later.submit("a note"), row("shop_tasks:look", "shoes")]
    assert [ended(one)[0] for one in forged] == ["failed"] * len(forged)
    assert (
        ended(forged[0])[1]
        == "definition: os:system is not a @background function: the call comes from the ledger only, so it is "
        "not made"
    )
    assert [ended(one)[0] for one in declared] == ["succeeded"] * len(declared)
    eventually(lambda: "follows" in (tmp_path / "notes").read_text(), what="the chain is followed")
    notes = (tmp_path / "notes").read_text()
    assert "system" not in notes
    assert "plain" not in notes
    assert "'text': '${env:NOT_SET} {{ as written }}'" in notes
    assert "shop:plain is not a @background function" in running.log_file.read_text()


def test_a_row_with_another_chain_runs_without_it_and_nothing_is_put_into_it(
    shop: Any, running: DaemonProcess, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kanarienvogel-4711")
    chains: list[Any] = [
        [{"callback": {"call": "os:system", "kwargs": {}}}],
        [{"callback": "shop:plain"}],
        [{"callback": {"call": "shop:follows", "kwargs": {"text": "${env:CANARY}"}}}],
        [{"callback": {"call": "shop:follows", "kwargs": {"text": f"${{file:{secret}}}"}}}],
        [
            {
                "callback": {
                    "call": "shop:follows",
                    "kwargs": {"text": "${env:NOT_SET} {{ as written }}"},
                    "app": None,
                }
            }
        ],
    ]
    for chain in chains[:4]:
        assert ended(row("shop:look", "forged", then=chain))[0] == "succeeded"
    assert ended(row("shop:look", "declared", then=chains[4]))[0] == "succeeded"
    eventually(lambda: (tmp_path / "notes").exists(), what="the declared link is called")
    history = eventually(
        lambda: found if len(found := _links(running)) == 5 else None, what="all links have ended"
    )
    assert history == ["failed"] * 4 + ["succeeded"]
    notes = (tmp_path / "notes").read_text()
    assert notes.count("\n") == 1
    assert "kanarienvogel" not in notes + running.log_file.read_text()


def _links(running: DaemonProcess) -> list[str]:
    """The states of all links that have ended, the oldest first."""
    found = [link["state"] for one in reversed(running.json("history")) for link in one["chain"]]
    return [state for state in found if state in ("succeeded", "failed")]


def write_rows(folder: Path, *statements: tuple[Any, ...]) -> None:
    """
    Whatever a member of `ledger_group` may write while no daemon runs: statements, each with its values.
    """
    with dbapi2.connect(folder / "ledger" / "ledger.db") as ledger:
        for statement, *values in statements:
            ledger.execute(statement, values)


def test_forged_versions_occurrences_and_chains_start_only_what_the_file_says(
    tmp_path: Path, target: TargetServer
) -> None:
    evil = {"http": f"{target.url}/forged", "schedule": "manual"}
    chained = {
        "call": "os:getpid",
        "then": [{"callback": {"call": "os:mkdir", "kwargs": {"path": f"{tmp_path}/forged"}}}],
    }
    text = json.dumps(
        {"version": 1, "timezone": "UTC", "jobs": {"pay": evil, "gone": evil, "chained": chained}}
    )
    jobs = {
        "pay": {**evil, "http": f"{target.url}/declared"},
        "chained": {"schedule": "manual", "call": "os:getpid"},
    }
    declared = {"version": 1, "timezone": "UTC", "daemon": {"lead": "200ms"}, "jobs": jobs}
    with daemon(tmp_path, json.dumps(declared)) as running:
        running.tminus("run-now", "pay", "chained")
        running.stop()
        columns = (
            "job, origin, state, params, config_version, fire_time_ns, planned_at_ns, run, count, attempts"
        )
        new = f"INSERT INTO occurrences ({columns}) VALUES (?, ?, ?, '{{}}', 'forged', ?4, ?4, 0, 1, 0)"  # noqa: S608
        write_rows(
            tmp_path,
            ("INSERT INTO configs VALUES ('forged', ?, 0, 0)", text),
            (new, "pay", "manual", "queued", SystemClock.wall_ns()),
            (new, "gone", "schedule", "claimed", SystemClock.wall_ns()),
            ("UPDATE occurrences SET config_version = 'forged'",),
            (
                "INSERT INTO links (occurrence, position, link, state) SELECT id, 0, 'callback os:mkdir', 'waiting'"
                " FROM occurrences WHERE job = 'chained'",
            ),
            ("INSERT INTO chains SELECT id, 0, '{\"result\": 1}' FROM occurrences WHERE job = 'chained'",),
        )
        running.start()
        (gone,) = running.wait_for(job="gone", state="finished")
        assert (gone["outcome"], gone["reason"]) == ("cancelled", "the job was deleted from the jobs file")
        running.wait_for(job="pay", outcome="succeeded", rows=2)
        (link,) = eventually(
            lambda: [one for one in running.occurrences("chained")[0]["chain"] if one["state"] == "failed"]
        )
        assert link["error"] == "its job does not have these links any more"
    assert [one.path for one in target.arrivals] == ["/declared", "/declared"]
    assert not (tmp_path / "forged").exists()


_SLOW = """
import os, time
while os.path.exists("wait"):
    time.sleep(0.02)
"""
_TICKS = """
@scheduler.job(every="1s")
def tick():
    note("tick")
"""


@pytest.mark.parametrize(
    ("forged", "outcome"),
    [({}, "succeeded"), ({'"shop:tick"': '"shop:plain"'}, "failed")],
    ids=["as it was", "another function"],
)
def test_a_job_in_code_from_the_ledger_starts_only_if_the_code_defines_it(
    tmp_path: Path, forged: dict[str, str], outcome: str
) -> None:
    code = install(APP, tmp_path) / "shop.py"
    code.write_text(_SLOW + code.read_text() + _TICKS)
    with daemon(tmp_path, shop_file()) as running:
        running.wait_for(job="tick", outcome="succeeded")
        running.stop()
        for old, new in forged.items():
            write_rows(tmp_path, ("UPDATE configs SET text = replace(text, ?, ?)", old, new))
        (tmp_path / "notes").unlink()
        (tmp_path / "wait").touch()
        known = {one["id"] for one in running.occurrences("tick")}

        def new_outcomes() -> set[str | None]:
            return {one["outcome"] for one in running.occurrences("tick") if one["id"] not in known}

        running.start()
        eventually(lambda: len(running.occurrences("tick")) > len(known), what="one is claimed")
        (tmp_path / "wait").unlink()
        eventually(lambda: outcome in new_outcomes(), what=f"one has {outcome}")
        running.wait_for(job="tick", outcome="succeeded", rows=len(known) + 1)
        assert new_outcomes() <= {outcome, "succeeded", "skipped", None}
        if forged:
            refused = [one["reason"] for one in running.occurrences("tick") if one["outcome"] == "failed"]
            assert all("comes from the ledger only" in reason for reason in refused)
    assert set((tmp_path / "notes").read_text().split("\n")) == {"('tick',) {}", ""}
