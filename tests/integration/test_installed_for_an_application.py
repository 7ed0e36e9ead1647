"""`pip install tminus[flask]`: what an application needs to hand work over, and no more."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.moments import PATIENCE_S
from tests.support.new_ledgers import new_ledger
from tminus.ledger import background_queue
from tminus.ledger.engine import Ledger

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent

_SHOP = """
import json
from flask import Flask, url_for
from tminus.flask import Scheduler, background

app = Flask("shop")
scheduler = Scheduler(app, app="shop")

@background
def look(word): ...

@app.post("/search")
def search():
    return {"page": url_for("tminus.run", id=look.submit("shoes").id), "script": url_for("tminus.script")}

def use():
    browser = app.test_client()
    pages = browser.post("/search").get_json()
    run = browser.get(pages["page"], headers={"Accept": "application/json"})
    print(json.dumps({"state": run.get_json()["state"], "page": browser.get(pages["page"], headers={"Accept": "text/html"}).status_code,
                      "script": browser.get(pages["script"]).mimetype}))
"""


@dataclass(frozen=True)
class Environment:
    """That of the application, with the oldest libraries that it may have."""

    folder: Path
    ledger: Ledger

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One of its commands."""
        program, *arguments = command
        env = {
            "PATH": "/usr/bin:/bin",
            "TMINUS_LEDGER": f"sqlite:///{self.folder}/ledger.db",
            "HOME": str(self.folder),
        }
        run = [str(self.folder / "venv/bin" / program), *arguments]
        return subprocess.run(
            run, cwd=self.folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Made from the package as it is shipped."""
    folder = tmp_path_factory.mktemp("application")
    (folder / "shop.py").write_text(_SHOP)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    wanted = [f"{wheel}[flask]", "flask==2.3.3", "werkzeug==2.3.8", "sqlalchemy==2.0.36"]
    subprocess.run([folder / "venv/bin/pip", "install", "--quiet", *wanted], check=True, capture_output=True)
    ledger = new_ledger(folder)
    yield Environment(folder, ledger)
    ledger.close()


def test_nothing_of_the_daemons_comes_with_it(environment: Environment) -> None:
    listed = environment.run("python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check")
    names = {each["name"].lower() for each in json.loads(listed.stdout)} - {"pip", "setuptools", "greenlet"}
    of_flask = {"flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker"}
    assert names == {"tminus", "sqlalchemy", "typing_extensions", "pysqlite3"} | of_flask


def test_an_application_hands_work_over_and_shows_it(environment: Environment) -> None:
    done = environment.run("python", "-c", "import shop; shop.use()")
    assert json.loads(done.stdout) == {"state": "queued", "page": 200, "script": "text/javascript"}, (
        done.stderr
    )
    (run,) = background_queue.find_due_runs(environment.ledger, "shop", now_ns=1 << 62, limit=2)
    assert (run.work.ref, run.work.given["args"]) == ("shop:look", ["shoes"])


@pytest.mark.parametrize("command", [["tminus", "validate"], ["flask", "--app", "shop", "tminus", "jobs"]])
def test_a_command_says_what_to_install(environment: Environment, command: list[str]) -> None:
    done = environment.run(*command)
    assert done.returncode != 0
    assert done.stderr.strip().endswith(
        "is not installed here; in the folder of tminus: pip install '.[daemon]'"
    )
    assert "Traceback" not in done.stderr


def test_the_applications_own_commands_go_on(environment: Environment) -> None:
    done = environment.run("flask", "--app", "shop", "routes")
    assert "/tminus/runs/<id>" in done.stdout
