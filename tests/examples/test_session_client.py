"""The session client example: a job that logs in, and whose cookies go along with what it asks then."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import daemon, tminus, tminus_json
from tests.support.target import TargetServer
from tests.support.web import example

pytestmark = pytest.mark.long

_PASSWORD = "canary & ümlaut"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example."""
    return example("session_client", tmp_path)


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    """The URL of the example's own site, on a port that nobody else has."""
    environment = os.environ | {"ORDERS_PASSWORD": _PASSWORD}
    command = [sys.executable, "orders_site.py", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module that has the session."""
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("session_client")
    del sys.modules["session_client"]


def bytes_of(folder: Path) -> bytes:
    """All that was written there."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_the_result_of_the_job_is_that_of_the_site_and_contains_no_secret(folder: Path, site: str) -> None:
    with daemon(folder, (folder / "jobs.yaml").read_text(), env={"ORDERS_PASSWORD": _PASSWORD}) as running:
        (done,) = running.json("run-now", "orders", "--set", f"site={site}")
        logs = running.tminus("logs", done["id"], "--json").stdout
        shown = running.tminus("show", "orders").stdout
        assert running.stop() == 0
    assert done["outcome"] == "succeeded"
    result = json.loads(json.loads(logs)["attempts"][0]["body"])
    assert [result[name]["status"] for name in ("login", "orders", "confirmed")] == [200, 200, 200]
    assert result["login"]["json"]["user"] == "tminus"
    assert result["orders"]["json"] == {"open": [1001, 1002, 1003]}
    assert result["confirmed"]["json"] == {"confirmed": [1001, 1002, 1003], "by": "tminus"}
    assert all(json.loads(one["text"]) == one["json"] for one in result.values())
    assert "${env:ORDERS_PASSWORD}" in shown
    written = bytes_of(folder) + logs.encode() + shown.encode()
    assert b"confirmed" in written
    assert b"canary" not in written
    assert b"session=" not in written  # the cookie


def test_with_a_wrong_password_the_job_fails_and_its_errback_is_called(folder: Path, site: str) -> None:
    environment = {"ORDERS_PASSWORD": "canary-wrong", "TMINUS_LEDGER": f"sqlite:///{folder}/ledger.db"}
    (done,) = tminus_json("run-now", "orders", "--set", f"site={site}", cwd=folder, env=environment)
    reason = 'RuntimeError: the site refused the login: 403 {"error":"wrong user or password"}'
    assert (done["outcome"], done["reason"]) == ("failed", f"exception: {reason}")
    assert done["chain"][0]["state"] == "succeeded"
    assert (folder / "not_confirmed.log").read_text() == f"{done['id']}: {reason}\n"
    assert b"canary" not in bytes_of(folder)


def test_the_site_needs_its_cookie_to_read_and_its_token_to_change(site: str, client: Any) -> None:
    with client.Session() as session:
        assert session.get(f"{site}/orders").status == 401
        login = session.post(f"{site}/login", form={"user": "tminus", "password": _PASSWORD})
        assert session.get(f"{site}/orders").status == 200
        assert session.post(f"{site}/orders/confirm", document={"orders": [1001]}).status == 400
    with client.Session() as another:
        headers = {"X-CSRF-Token": login.json()["csrf"]}
        assert (
            another.post(f"{site}/orders/confirm", document={"orders": [1001]}, headers=headers).status == 401
        )


def test_cookies_go_to_the_host_that_set_them_and_to_no_other(
    site: str, client: Any, target: TargetServer
) -> None:
    with client.Session() as session:
        session.post(f"{site}/login", form={"user": "tminus", "password": _PASSWORD})
        session.get(target.url)  # the same host; a cookie does not ask for the port
        session.get(target.url.replace("127.0.0.1", "localhost"))
    assert ["cookie" in arrival.headers for arrival in target.arrivals] == [True, False]


def test_validate_says_what_is_missing_where_the_password_is_not_set(folder: Path) -> None:
    checked = tminus("validate", cwd=folder)
    assert checked.returncode == 2
    assert "ORDERS_PASSWORD" in checked.stdout + checked.stderr
