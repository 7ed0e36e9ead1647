"""What may be handed over: how deep, how long; and a row that makes no sense costs itself, not those that begin with it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from scheduler.flask import handover
from scheduler.ledger import runs
from scheduler.model.background import Work
from tests.support.daemon import daemon, eventually
from tests.support.web_worker import web_worker

_SHOP = """
from flask import Flask, request
from scheduler.flask import Scheduler, background

app = Flask("shop")
app.testing = True
scheduler = Scheduler(app, app="shop")

@background
def look(what):
    return "looked"

@background
def hands_over(levels, length):
    what = "x" * length
    for _ in range(levels):
        what = [what]
    try:
        return look.submit(what).id
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"

@app.post("/search")
def search():
    return {"id": look.submit(request.get_json(force=True)).id}

@app.post("/copied")
def copied():
    return {"id": look.submit("this").id}
"""
_TOO_DEEP = "shop:look: the arguments are not JSON: nested more than 100 levels deep"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application as a web worker has it."""
    with web_worker(tmp_path, _SHOP, monkeypatch) as module:
        yield module


def jobs_file() -> str:
    return json.dumps({"version": 1, "timezone": "UTC", "apps": {"shop": {"app": "shop:app"}}})


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def results(handles: list[Any]) -> list[tuple[str | None, Any]]:
    """How these have ended, when they all have."""
    eventually(lambda: all(run.standing().outcome for run in handles), what="all have ended")
    return [(run.standing().outcome, run.standing().result) for run in handles]


def test_what_is_too_deep_or_too_long_is_refused_at_once_in_a_view_and_in_a_job(shop: Any, tmp_path: Path) -> None:
    client: FlaskClient = shop.app.test_client()
    with daemon(tmp_path, jobs_file()):
        with pytest.raises(TypeError, match=_TOO_DEEP):
            client.post("/search", data=nested(900), content_type="text/plain")
        with pytest.raises(TypeError, match="the request cannot be copied: its JSON is nested too deeply"):
            client.post("/copied", data=nested(sys.getrecursionlimit() - 60), content_type="application/json")
        with pytest.raises(ValueError, match=r"the copy of the request is longer than 1048576 bytes as JSON"):
            client.post("/copied", json="x" * (1 << 20))
        with pytest.raises(ValueError, match=r"shop:look: the arguments are longer than 1048576 bytes as JSON"):
            shop.look.submit("x" * (1 << 20))
        assert client.post("/search", data=nested(90), content_type="text/plain").status_code == 200
        ended = results([shop.hands_over.submit(900, 1), shop.hands_over.submit(1, 2 << 20), shop.hands_over.submit(1, 1 << 18)])
        assert ended[0] == ("succeeded", f"TypeError: {_TOO_DEEP}")
        assert ended[1][1].startswith("ValueError: shop:look: the arguments are longer than 1048576 bytes as JSON")
        assert len(ended[2][1]) == 32


def test_rows_that_make_no_sense_fail_and_those_that_begin_with_them_run(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file()) as running:
        running.stop()
        innocent = [shop.look.submit(number) for number in range(5)]
        deep = json.loads(nested(900))
        given: list[dict[str, Any]] = [
            {"given": {"args": [deep]}},
            {"given": {"args": ["this"], "request": {"method": "GET", "headers": deep, "body": ""}}},
            {"given": {"args": ["this"], "request": ["no", "request"]}},
            {"given": {"args": 7}},
            {"options": {"then": "no link"}},
            {"options": {"timeout_ns": "soon"}},
        ]
        broken = [runs.submit(handover.ledger(), Work(app="shop", ref="shop:look", **one), now_ns=1) for one in given]
        running.start()
        assert results(innocent) == [("succeeded", "looked")] * 5
        ended = results([handover.Run(one.id, str(one.occurrence)) for one in broken])
        assert [outcome for outcome, _ in ended] == ["failed"] * len(broken)
        running.stop()
        assert running.said("background runs broke, trying again") == []
