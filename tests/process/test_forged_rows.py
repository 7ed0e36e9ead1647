"""A row of the ledger starts what the application's code declares, and nothing else, whoever has written it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.flask import handover
from scheduler.ledger import runs
from scheduler.model.background import Accepted, Work
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.web_worker import web_worker

_SHOP = """
import pathlib
from flask import Flask
from scheduler.flask import Scheduler, background

app = Flask("shop")
scheduler = Scheduler(app, app="shop")
folder = pathlib.Path(__file__).parent

def note(*words, **more):
    with (folder / "notes").open("a") as file:
        file.write(f"{words} {more}\\n")

def plain(*words, **more):
    note("plain", *words)

def follows(value, **more):
    note("follows", value, **more)

@background(then=[{"callback": {"call": follows, "kwargs": {"text": "${env:NOT_SET} {{ as written }}"}}}])
def look(word):
    return word

later = background(note)
"""
#: In a module that the application does not import.
_TASKS = """
from scheduler.flask import background

@background
def look(word):
    return word
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application as a web worker has it."""
    (tmp_path / "shop_tasks.py").write_text(_TASKS)
    with web_worker(tmp_path, _SHOP, monkeypatch) as module:
        yield module


@pytest.fixture
def running(tmp_path: Path, shop: Any) -> Iterator[DaemonProcess]:
    """A daemon with that application."""
    jobs = {"version": 1, "timezone": "UTC", "apps": {"shop": {"app": "shop:app"}}}
    with daemon(tmp_path, json.dumps(jobs), env={"CANARY": "kanarienvogel-4711"}) as process:
        yield process


def row(ref: str, *args: Any, **options: Any) -> Accepted:
    """A row as anybody writes it who may write to the ledger."""
    work = Work(app="shop", ref=ref, options=options, given={"args": list(args), "kwargs": {}})
    return runs.submit(handover.ledger(), work, now_ns=handover.now_ns())


def ended(one: Accepted) -> tuple[str | None, str | None, Any]:
    """How a run ended, when it has."""
    run = handover.Run(one.id, str(one.occurrence))
    eventually(lambda: run.standing().outcome, what="the run ends")
    standing = run.standing()
    return standing.outcome, standing.reason, standing.result


def test_a_row_with_another_function_is_refused_and_logged_and_costs_nobody_else_anything(
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
    assert ended(forged[0])[1] == "definition: os:system is not a @background function: the ledger cannot start it"
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
        [{"callback": {"call": "shop:follows", "kwargs": {"text": "${env:NOT_SET} {{ as written }}"}, "app": None}}],
    ]
    for chain in chains[:4]:
        assert ended(row("shop:look", "forged", then=chain))[0] == "succeeded"
    assert ended(row("shop:look", "declared", then=chains[4]))[0] == "succeeded"
    eventually(lambda: (tmp_path / "notes").exists(), what="the declared link is called")
    history = eventually(lambda: found if len(found := _links(running)) == 5 else None, what="all links have ended")
    assert history == ["failed"] * 4 + ["succeeded"]
    notes = (tmp_path / "notes").read_text()
    assert notes.count("\n") == 1
    assert "kanarienvogel" not in notes + running.log_file.read_text()


def _links(running: DaemonProcess) -> list[str]:
    """The states of all links that have ended, the oldest first."""
    found = [link["state"] for one in reversed(running.json("history")) for link in one["chain"]]
    return [state for state in found if state in ("succeeded", "failed")]
