"""An application that has no entry under `apps:` and only stands inline in a job, `app: "shop:create_app()"`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, daemon, eventually
from tminus.flask import ledgers
from tminus.ledger import submissions

#: The application that the fixture `shop` imports.
APP = "factory"

_INLINE = "shop:create_app()"


def an_inline_app() -> str:
    """Return a jobs file whose only job names the application inline."""
    jobs = {"page": {"schedule": "manual", "flask": {"app": _INLINE, "url": "/"}}}
    return json.dumps({"version": 1, "timezone": "UTC", "jobs": jobs})


@pytest.fixture
def running(tmp_path: Path, shop: Any) -> Iterator[DaemonProcess]:
    """A daemon on that file."""
    with daemon(tmp_path, an_inline_app()) as process:
        yield process


def test_what_it_submits_runs_from_a_web_worker_and_from_a_job(shop: Any, running: DaemonProcess) -> None:
    assert submissions.known_apps(ledgers.ledger()) == [_INLINE]
    with shop.create_app().app_context():
        run = shop.twice.submit(21)
    eventually(lambda: run.status().outcome)
    assert run.status().result == {"app": "shop", "result": 42}
    (page,) = running.json("run-now", "page")
    assert page["outcome"] == "succeeded"
    (by_job,) = eventually(lambda: running.occurrences("shop.by_job"))
    eventually(lambda: running.occurrences("shop.by_job")[0]["outcome"] == "succeeded")
    assert by_job["origin"] == "background"


def test_its_code_defines_no_jobs(shop: Any, running: DaemonProcess) -> None:
    assert [job["job"] for job in running.json("jobs")] == ["page"]
