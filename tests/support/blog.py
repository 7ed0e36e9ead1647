"""The application `tests/apps/blog` as a site: gunicorn behind a TLS proxy, below a prefix; a daemon; a mail server."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2

from tests.support.apps import install_package
from tests.support.daemon import DaemonProcess, children_of, daemon, eventually
from tests.support.mail_server import MailServer
from tests.support.target import Authority
from tests.support.tls_proxy import TlsProxy
from tests.support.web import Gunicorn, gunicorn
from tests.support.web_client import Page, WebClient

EDITOR = "editor@blog.example"
PASSWORD = "a long one of somebody"
_APP = {"app": "blog:create_app()", "env_file": "blog.env", "background": 10}
_JOBS = json.dumps(
    {"version": 1, "timezone": "UTC", "daemon": {"reload": "sighup"}, "apps": {"blog": _APP}, "jobs": {}}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlogSite:
    """A blog with all that it needs."""

    folder: Path
    daemon: DaemonProcess
    server: Gunicorn
    proxy: TlsProxy
    mails: MailServer
    authority: str

    def visitor(self) -> WebClient:
        """Return a visitor who is not logged in."""
        return WebClient(self.proxy.url(), self.authority)

    def register(self, name: str, *, email: str = "", password: str = PASSWORD) -> WebClient:
        """Register a user; return a visitor who is not logged in."""
        visitor = self.visitor()
        email = email or address_of(name)
        page = visitor.fill_in(
            "/auth/register", name=name, email=email, password=password, password2=password
        )
        assert "Welcome!" in page.text, page.text
        return visitor

    def member(self, name: str, *, email: str = "", posts: int = 0) -> "Member":
        """Register a user, log in, and publish this many posts."""
        visitor = self.register(name, email=email)
        log_in(visitor, name)
        for number in range(posts):
            visitor.fill_in("/", text=f"post {number} of {name}")
        return Member(name, visitor)

    def runner(self) -> int:
        """Return the process of the application's runner, once there is one."""
        assert self.daemon.process is not None
        pid = self.daemon.process.pid
        found: list[int] = eventually(
            lambda: children_of(pid, b"tminus.executors.python"), what="a runner runs"
        )
        return found[0]

    def asked_workers(self) -> list[tuple[str, int]]:
        """Return the exports that web workers were asked for, each with the process, in the order of the requests."""
        said = re.findall(r"export (\w+) is asked for in process (\d+)", self.server.log_file.read_text())
        return [(id, int(pid)) for id, pid in said]

    def reload(self) -> None:
        """Send SIGHUP to the daemon, and wait until new code is in force."""
        self.daemon.reload(_JOBS)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the application's database."""
        with contextlib.closing(dbapi2.connect(self.folder / "blog.db")) as database:
            return database.execute(query).fetchall()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def locked_ledger(self) -> Iterator[None]:
        """Let nobody write to the ledger."""
        ledger = dbapi2.connect(self.folder / "ledger" / "ledger.db", isolation_level=None)
        eventually(lambda: _can_lock(ledger), what="the ledger is locked")
        try:
            yield
        finally:
            ledger.execute("ROLLBACK")
            ledger.close()

    def stored_bytes(self) -> bytes:
        """Return all that the ledger's files contain, and those that SQLite keeps beside its file."""
        files = sorted((self.folder / "ledger").glob("ledger.db*"))
        assert {file.name for file in files} >= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
        return b"".join(file.read_bytes() for file in files)


@dataclass(frozen=True, slots=True)
class Member:
    """A user who is logged in."""

    name: str
    visitor: WebClient

    def ask_for_export(self) -> str:
        """Ask for an export, as a user does who tries again until there is a response; return its id."""
        page = _until_it_is_there(lambda: self.visitor.get("/exports/"))
        return _until_it_is_there(lambda: self.visitor.send(page)).url.rpartition("/")[2]

    def run(self, id: str) -> dict[str, Any]:
        """Return the JSON of a run."""
        page = self.visitor.get(f"/tminus/runs/{id}", Accept="application/json")
        assert page.status == 200, page.text
        return page.json()  # type: ignore[no-any-return]

    def export(self, id: str) -> dict[str, Any]:
        """Return the row of an export."""
        return self.visitor.get(f"/exports/{id}.json").json()  # type: ignore[no-any-return]


def _until_it_is_there(load: Callable[[], Page]) -> Page:
    pages: list[Page] = []

    def is_there() -> bool:
        pages.append(load())
        return pages[-1].status == 200

    eventually(is_there, what="a page is there", instead=lambda: pages[-1].text)
    return pages[-1]


def address_of(name: str) -> str:
    """Return the address of a user."""
    return f"{name}@blog.example"


def log_in(visitor: WebClient, name: str, password: str = PASSWORD) -> None:
    """Log a user in."""
    page = visitor.fill_in("/auth/log-in", name=name, password=password)
    assert "Log out" in page.text, page.text


def at_once(members: Sequence[Member]) -> list[str]:
    """Have all members ask for an export at once; return the ids."""
    with ThreadPoolExecutor(len(members)) as pool:
        return list(pool.map(Member.ask_for_export, members))


@contextlib.contextmanager
def blog_site(folder: Path, *, knows_its_url: bool = False) -> Iterator[BlogSite]:
    """
    Yield a site that serves, with 2 web workers of 4 threads.

    Args:
        folder: The folder for the application, its database and the ledger.
        knows_its_url: Whether the configuration has the URL of the site, with the name `127.0.0.1`. Visitors use the
            name `localhost`. So a link shows whether it follows the request or the configuration.
    """
    install_package("blog", folder)
    authority = Authority(folder)
    tls = authority.context("localhost", "127.0.0.1")
    with contextlib.ExitStack() as stack:
        mails = stack.enter_context(MailServer())
        proxy = stack.enter_context(TlsProxy(tls, "/blog"))
        env = _environment(folder, mails) | (_own_url(proxy) if knows_its_url else {})
        (folder / "blog.env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        _create_tables(folder, env)
        running = stack.enter_context(daemon(folder, _JOBS))
        web = {**env, "TMINUS_LEDGER": running.ledger}
        # As if the proxy were on another host: the scheme comes from the application's ProxyFix, not from gunicorn.
        options = ("--forwarded-allow-ips", "192.0.2.1")
        server = stack.enter_context(
            gunicorn(folder, "blog:create_app()", *options, workers=2, threads=4, env=web)
        )
        proxy.upstream = server.url.removeprefix("http://")
        yield BlogSite(
            folder=folder, daemon=running, server=server, proxy=proxy, mails=mails, authority=authority.path
        )


def _environment(folder: Path, mails: MailServer) -> dict[str, str]:
    """Return the configuration of the application, for web workers and for the runner."""
    return {
        "BLOG_SECRET_KEY": "made up for the tests",
        "BLOG_SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/blog.db",
        "BLOG_MAIL_PORT": str(mails.port),
        "BLOG_EDITOR": EDITOR,
    }


def _own_url(proxy: TlsProxy) -> dict[str, str]:
    return {
        "BLOG_SERVER_NAME": f"127.0.0.1:{proxy.server_port}",
        "BLOG_APPLICATION_ROOT": proxy.prefix,
        "BLOG_PREFERRED_URL_SCHEME": "https",
    }


def _create_tables(folder: Path, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "flask", "--app", "blog", "create-tables"]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": os.getcwd()} | env, check=True)


def _can_lock(ledger: Any) -> bool:
    try:
        ledger.execute("BEGIN IMMEDIATE")
    except dbapi2.OperationalError:
        return False
    return True
