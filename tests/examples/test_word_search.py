"""The example `word_search`: served by gunicorn, seen by a browser, its log written by the daemon."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import make_url
from werkzeug.security import generate_password_hash

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.moments import stretched
from tests.support.postgres import a_schema_of_its_own
from tests.support.web import EXAMPLES, Gunicorn, chromium, example, gunicorn
from tminus.instants import MS, SECOND, parse_rfc3339
from tminus.jobsfile.load import load

pytestmark = pytest.mark.long

#: From the answer to the log: no answer that waits for the log comes sooner.
DELAY_S = 3


class Site:
    """The example as its README starts it."""

    def __init__(self, server: Gunicorn, background: DaemonProcess, env: dict[str, str]) -> None:
        self.server = server
        self.background = background
        self._env = env

    def flask(self, command: str) -> None:
        """`flask --app word_search COMMAND`."""
        env = os.environ | {"PYTHONPATH": os.getcwd()} | self._env
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "word_search", command],
            cwd=self.server.folder,
            env=env,
            check=True,
        )

    def kept(self) -> list[dict[str, str]]:
        """The entries in the spool."""
        return [json.loads(file.read_text()) for file in self.server.folder.glob("spool/*.json")]

    def failure(self) -> str:
        """Why the one run that there is could not log, when the errback has told of it."""
        (one,) = self.background.wait_for(outcome="failed")
        eventually(lambda: "a search could not be logged" in self.background.tminus("logs", one["id"]).stdout)
        return str(one["reason"])


@contextlib.contextmanager
def a_site(
    tmp_path: Path, database: str, *, delay: float = DELAY_S, table: bool = True, workers: int = 2
) -> Iterator[Site]:
    """It, with one user, ada, and its log in that database."""
    folder = example("word_search", tmp_path)
    ledger = f"sqlite:///{tmp_path}/ledger/ledger.db"
    env = {
        "TMINUS_LEDGER": ledger,
        "WORDS_DATABASE": database,
        "WORDS_DELAY": str(delay),
        "WORDS_SECRET_KEY": "made up",
        "WORDS_USERS": json.dumps({"ada": generate_password_hash("lovelace", "pbkdf2:sha256:1000")}),
    }
    jobs = (folder / "jobs.yaml").read_text()
    with (
        daemon(folder, jobs, ledger=ledger, env=env) as background,
        gunicorn(folder, "word_search:app", workers=workers, env=env) as it,
    ):
        site = Site(it, background, env)
        if table:
            site.flask("make-table")
        yield site


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/log.db"
        return
    with a_schema_of_its_own() as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as found:
        yield found


def search(page: Page, site: Site, phrase: str, letters: str) -> str:
    """Search for letters; returns what the page says."""
    page.goto(site.server.url)
    page.get_by_label("Phrase").fill(phrase)
    page.get_by_label("Letters").fill(letters)
    page.get_by_role("button", name="Search").click()
    return page.get_by_role("status").inner_text()


def log_in(page: Page, site: Site, *, typed: str = "lovelace") -> None:
    """As ada."""
    page.goto(f"{site.server.url}/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(typed)
    page.get_by_role("button", name="Log in").click()


def entries(page: Page, site: Site) -> list[list[str]]:
    """The rows of the log without their time, when there are some."""

    def rows() -> list[list[str]]:
        page.goto(f"{site.server.url}/log")
        return [row.locator("td").all_inner_texts()[1:] for row in page.locator("tbody tr").all()]

    return eventually(rows, what="the log has an entry")  # type: ignore[no-any-return]


def test_its_jobs_file_is_valid() -> None:
    assert load(EXAMPLES / "word_search" / "jobs.yaml", environ={}).errors == ()


def test_the_response_is_immediate_and_the_search_is_logged_from_the_copy(
    tmp_path: Path, database: str, browser: Browser
) -> None:
    delay_s = stretched(DELAY_S)
    with a_site(tmp_path, database, delay=delay_s) as site:
        page = browser.new_page(user_agent="A browser 1.0")
        with page.expect_response("**/search") as answer:
            assert search(page, site, "<b>hitch-hiker's galaxy</b>", "aeiou") == "aei"
        timing = answer.value.request.timing
        assert timing["responseEnd"] < delay_s * 1000
        log_in(page, site)
        assert entries(page, site) == [
            ["<b>hitch-hiker's galaxy</b>", "aeiou", "aei", "127.0.0.1", "A browser 1.0"]
        ]
        (run,) = site.background.wait_for(outcome="succeeded")
        assert parse_rfc3339(run["started_at"]) >= timing["startTime"] * MS + delay_s * SECOND


def test_only_who_has_logged_in_sees_the_log_until_the_log_out(tmp_path: Path, browser: Browser) -> None:
    with a_site(tmp_path, f"sqlite:///{tmp_path}/log.db") as site:
        page, log = browser.new_page(), f"{site.server.url}/log"
        page.goto(log)
        assert (page.url, page.get_by_role("alert").inner_text()) == (
            f"{site.server.url}/login",
            "Log in to see the log.",
        )
        log_in(page, site, typed="a wrong one")
        assert page.get_by_role("alert").inner_text() == "No user has this name and password."
        page.goto(log)
        assert page.url != log
        log_in(page, site)
        assert (page.url, page.locator("h1").inner_text()) == (log, "What was searched for")
        page.get_by_role("button", name="Log out ada").click()
        page.goto(log)
        assert page.url != log


def test_a_web_server_killed_between_search_and_log_entry_loses_nothing(
    tmp_path: Path, browser: Browser
) -> None:
    with a_site(tmp_path, f"sqlite:///{tmp_path}/log.db") as site:
        page = browser.new_page()
        search(page, site, "life", "xyz")
        site.server.kill()
        site.server.start()
        log_in(page, site)
        assert [row[:3] for row in entries(page, site)] == [["life", "xyz", ""]]


def _elsewhere(url: str, **other: str | int) -> str:
    """The same server under another name or address."""
    found = make_url(url).set(**other)  # type: ignore[arg-type]
    return found.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("ConnectionError_", "The database of the log does not answer. Please try again later."),
        ("CredentialsError", "The database of the log does not accept this site's name and password."),
        ("SQLError", "The database of the log does not understand this site. Has its table been made?"),
    ],
)
def test_trouble_with_a_server_is_told_apart_by_the_page_and_in_the_background(
    tmp_path: Path, browser: Browser, kind: str, says: str
) -> None:
    with a_schema_of_its_own() as url:
        wrong: dict[str, dict[str, str | int]] = {
            "ConnectionError_": {"host": "127.0.0.1", "port": 1, "query": {}},  # type: ignore[dict-item]
            "CredentialsError": {"username": "nobody_here", "password": "canary"},
        }
        database = _elsewhere(url, **wrong.get(kind, {}))
        with a_site(tmp_path, database, delay=0, table=False, workers=1) as site:
            assert_trouble(site, browser, kind, says)


@pytest.mark.parametrize(
    ("kind", "file", "says"),
    [
        (
            "ConnectionError_",
            "no/such/folder/log.db",
            "The database of the log does not answer. Please try again later.",
        ),
        (
            "SQLError",
            "log.db",
            "The database of the log does not understand this site. Has its table been made?",
        ),
    ],
)
def test_trouble_with_a_file_is_told_apart_likewise(
    tmp_path: Path, browser: Browser, kind: str, file: str, says: str
) -> None:
    with a_site(tmp_path, f"sqlite:///{tmp_path}/{file}", delay=0, table=False, workers=1) as site:
        assert_trouble(site, browser, kind, says)


def assert_trouble(site: Site, browser: Browser, kind: str, says: str) -> None:
    """
    The search is answered all the same; its entry is kept, and the log's page says what is wrong and no word
    more.
    """
    page = browser.new_page()
    assert search(page, site, "marvin", "aeiou") == "ai"
    log_in(page, site)
    assert page.get_by_role("alert").inner_text() == says
    assert page.locator("h1").inner_text() == "No log"
    assert "Traceback" not in page.content()
    assert "canary" not in page.content()
    assert site.failure().startswith(f"exception: {kind}: ")
    assert [(one["phrase"], one["found"]) for one in site.kept()] == [("marvin", "ai")]


def test_an_entry_that_was_kept_is_logged_when_the_database_is_there_again(
    tmp_path: Path, browser: Browser
) -> None:
    with a_site(tmp_path, f"sqlite:///{tmp_path}/log.db", delay=0, table=False, workers=1) as site:
        page = browser.new_page(user_agent="A browser 1.0")
        search(page, site, "towel", "ow")
        site.failure()
        site.flask("make-table")
        site.flask("read-spool")
        assert site.kept() == []
        log_in(page, site)
        assert entries(page, site) == [["towel", "ow", "ow", "127.0.0.1", "A browser 1.0"]]
