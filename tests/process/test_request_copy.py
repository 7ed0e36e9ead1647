"""
What must not be written down is in no output and in no byte of the ledger.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import sqlalchemy as sa

from tests.support.apps import install
from tests.support.canary import CANARY, found, needles
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.moments import PATIENCE_S
from tests.support.postgres import a_schema_of_its_own
from tests.support.web import Gunicorn, gunicorn
from tminus.ledger.engine import open_ledger
from tminus.ledger.tables import metadata

#: In the copy on purpose.
_KEPT = "kept-for-the-run-0815"

_HEADERS = {
    "Authorization": f"Basic {base64.b64encode(f'somebody:{CANARY}'.encode()).decode()}",
    "Proxy-Authorization": f"Bearer {CANARY}",
    "X-CSRF-Token": CANARY,
    "X-CSRFToken": CANARY,
    "x-csrf-anything": CANARY,
    "X-XSRF-Token": CANARY,
    "X-Api-Key": CANARY,
    "X-Auth-Token": CANARY,
    "X-Forwarded-Access-Token": CANARY,
    "X-Request-Id": CANARY,
    "Referer": f"http://here:{quote(CANARY, safe='')}@here/reset?"
    + urlencode({"page": CANARY})
    + f"#{CANARY}",
    "X-Tenant": _KEPT,
}
_DROPPED_KEYS = [
    *(
        "password",
        "password2",
        "New_Password",
        "passphrase",
        "PWD",
        "Secret",
        "client_secret",
        "TOKEN",
        "csrf_token",
    ),
    *(
        "api_key",
        "X_API_KEY",
        "authorization",
        "oauth",
        "sessionid",
        "CARD_NUMBER",
        "cvv2",
        "otp_code",
        "pin",
        "nickName",
    ),
]
_DROPPED = dict.fromkeys(_DROPPED_KEYS, CANARY)
_JSON = {**_DROPPED, "deep": [{"list": [[_DROPPED], {"token": {"inside": [CANARY]}, "kept": _KEPT}]}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon on a ledger of each kind."""
    install("request_copy", tmp_path)
    if request.param == "sqlite":
        with daemon(tmp_path, shop_file()) as process:
            yield process
        return
    with a_schema_of_its_own() as url, daemon(tmp_path, shop_file(), ledger=url) as process:
        yield process


@contextmanager
def served(running: DaemonProcess) -> Iterator[Gunicorn]:
    """The application behind a worker."""
    with gunicorn(
        running.folder, "shop:app", "--access-logfile", "-", workers=1, env={"TMINUS_LEDGER": running.ledger}
    ) as server:
        yield server


def bytes_of(running: DaemonProcess) -> bytes:
    """All that the ledger holds: every file of SQLite's as it lies there, every row of PostgreSQL's."""
    if running.ledger.startswith("sqlite"):
        return b"".join(file.read_bytes() for file in sorted((running.folder / "ledger").iterdir()))
    ledger = open_ledger(running.ledger, create=False)
    try:
        with ledger.read() as connection:
            rows = [
                tuple(row) for table in metadata.sorted_tables for row in connection.execute(sa.select(table))
            ]
        return repr(rows).encode()
    finally:
        ledger.close()


def sent(server: Gunicorn, path: str, body: str, content_type: str) -> tuple[str, str]:
    """Hand over, logged in; the run's id, and the cookie that went with it."""
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE_S)
    connection.request("GET", "/log-in")
    answer = connection.getresponse()
    answer.read()
    cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0].partition("=")[2]
    headers = {
        **_HEADERS,
        "Content-Type": content_type,
        "Cookie": f"session={cookie}; other={quote(CANARY, safe='')}",
    }
    connection.request("POST", path, body, headers)
    identity = str(json.load(connection.getresponse())["id"])
    connection.close()
    return identity, cookie


def page(server: Gunicorn, identity: str, accept: str) -> bytes:
    """What a browser, or a script, gets of a run."""
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE_S)
    connection.request("GET", f"/tminus/runs/{identity}", headers={"Accept": accept})
    data = connection.getresponse().read()
    connection.close()
    return data


def test_dropped_values_are_in_no_output_and_not_in_the_ledger(
    running: DaemonProcess,
) -> None:
    with served(running) as server:
        form = urlencode({**_DROPPED, "kept": _KEPT})
        query = urlencode({"Token": CANARY, "password": CANARY, "page": "1"})
        runs = [
            sent(server, "/loud", json.dumps(_JSON), "application/json"),
            sent(server, f"/loud?{query}", form, "application/x-www-form-urlencoded"),
            sent(
                server,
                "/loud",
                "\r\n".join(f"{key}={value}" for key, value in _DROPPED.items()),
                "text/plain",
            ),
            sent(server, "/loud", json.dumps(_JSON), "text/plain"),
        ]
        what = [*needles(), *(cookie.encode() for _, cookie in runs), b"other="]
        eventually(lambda: len([one for one in running.occurrences() if one["state"] == "running"]) == 4)
        while_it_runs = bytes_of(running)
        assert _KEPT.encode() in while_it_runs, "the copy is looked for where it is"
        assert found(while_it_runs, what) == []
        outputs = [_said(running, "status"), page(server, runs[0][0], "text/html")]
        (running.folder / "go").touch()
        ended = running.wait_for(rows=4, state="finished")
        outputs += [
            page(server, identity, accept)
            for identity, _ in runs
            for accept in ("text/html", "application/json")
        ]
        outputs += [
            _said(running, "history", "--json"),
            *(_said(running, "logs", one["id"], "--json") for one in ended),
        ]
        assert all(b"all of it" in output for output in outputs[-4:]), "what a function logs is shown"
        assert found(b"".join(outputs), what) == []
        assert found(bytes_of(running), what) == []
    running.stop()
    assert found(bytes_of(running), what) == []
    assert found(running.log_file.read_bytes(), what) == []
    # The server's own access log has the line of the request as it came, which is not ours to change.
    own = b"\n".join(
        line for line in (running.folder / "gunicorn.log").read_bytes().splitlines() if b'"POST /' not in line
    )
    assert found(own, what) == []


def _said(running: DaemonProcess, *words: str) -> bytes:
    done = running.tminus(*words)
    return (done.stdout + done.stderr).encode()
