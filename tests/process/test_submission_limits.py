"""
Limits of submissions: how deep and how long they may be. A row that is not valid fails alone, not those that start
with it.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.daemon import daemon, eventually
from tests.support.jobs import shop_file
from tminus.flask import RunHandle, ledgers
from tminus.ledger import submissions
from tminus.model.background import Submission

if TYPE_CHECKING:
    from flask.testing import FlaskClient

#: The application that the fixture `shop` imports.
APP = "limits"

_TOO_DEEP = "shop:look: the arguments are not JSON: nested more than 100 levels deep"


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def results(handles: list[Any]) -> list[tuple[str | None, Any]]:
    """How these have ended, when they all have."""
    eventually(lambda: all(run.status().outcome for run in handles), what="all have ended")
    return [(run.status().outcome, run.status().result) for run in handles]


def test_what_is_too_deep_or_too_long_is_refused_at_once_in_a_view_and_in_a_job(
    shop: Any, tmp_path: Path
) -> None:
    client: FlaskClient = shop.app.test_client()
    with daemon(tmp_path, shop_file()):
        with pytest.raises(TypeError, match=_TOO_DEEP):
            client.post("/search", data=nested(900), content_type="text/plain")
        with pytest.raises(TypeError, match="the request cannot be copied: its JSON is nested too deeply"):
            client.post("/copied", data=nested(sys.getrecursionlimit() - 60), content_type="application/json")
        with pytest.raises(ValueError, match=r"the copy of the request is longer than 1048576 bytes as JSON"):
            client.post("/copied", json="x" * (1 << 20))
        with pytest.raises(
            ValueError, match=r"shop:look: the arguments are longer than 1048576 bytes as JSON"
        ):
            shop.look.submit("x" * (1 << 20))
        assert client.post("/search", data=nested(90), content_type="text/plain").status_code == 200
        ended = results(
            [
                shop.hands_over.submit(900, 1),
                shop.hands_over.submit(1, 2 << 20),
                shop.hands_over.submit(1, 1 << 18),
            ]
        )
        assert ended[0] == ("succeeded", f"TypeError: {_TOO_DEEP}")
        assert ended[1][1].startswith(
            "ValueError: shop:look: the arguments are longer than 1048576 bytes as JSON"
        )
        assert len(ended[2][1]) == 32


def test_rows_that_make_no_sense_fail_and_those_that_begin_with_them_run(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, shop_file()) as running:
        running.stop()
        innocent = [shop.look.submit(number) for number in range(5)]
        deep = json.loads(nested(900))
        given: list[dict[str, Any]] = [
            {"given": {"args": [deep]}},
            {"given": {"args": ["this"], "request": {"method": "GET", "headers": deep, "body": ""}}},
            {"given": {"args": ["this"], "request": ["no", "request"]}},
            {"given": {"args": 7}},
            {"given": {"args": ["this"]}, "options": {"then": "no link"}},
            {"given": {"args": ["this"]}, "options": {"timeout_ns": "soon"}},
        ]
        broken = [
            submissions.submit(ledgers.ledger(), Submission(app="shop", ref="shop:look", **one), now_ns=1)
            for one in given
        ]
        running.start()
        assert results(innocent) == [("succeeded", "looked")] * 5
        ended = results([RunHandle(one.id, str(one.occurrence)) for one in broken])
        assert [outcome for outcome, _ in ended] == ["failed"] * len(broken)
        running.stop()
        assert running.said("background runs broke, trying again") == []
