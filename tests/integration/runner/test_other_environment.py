"""An application in an environment of its own: Flask 2.3, SQLAlchemy 1.4, and no library of ours."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runner import RunnerProcess, a_call, a_view, runner

pytestmark = pytest.mark.long

_SHOP = """
import importlib.metadata, importlib.util, sys, warnings
warnings.simplefilter("error")
from flask import Flask, current_app, request
from sqlalchemy import create_engine, text
from tminus.flask import Answer, Failure, Scheduler, current_occurrence

app = Flask("shop")

scheduler = Scheduler(app)

@app.route("/versions")
@scheduler.job(cron="30 11 * * *")
def versions():
    return {name: importlib.metadata.version(name) for name in ("flask", "sqlalchemy")}

@scheduler.job(every="1h")
def look():
    ours = ["pycurl", "apscheduler", "msgspec", "structlog", "alembic"]
    with create_engine("sqlite://").connect() as connection:
        one = connection.execute(text("select 1")).scalar()
    return [one, current_app.name, request.path, [name for name in ours if importlib.util.find_spec(name)]]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    """A runner in that environment."""
    folder: Path = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    wanted = ["flask==2.3.3", "werkzeug==2.3.8", "sqlalchemy==1.4.54"]
    subprocess.run([folder / "venv/bin/pip", "install", "--quiet", *wanted], check=True, capture_output=True)
    with runner(folder, _SHOP, python=str(folder / "venv/bin/python")) as process:
        yield process


def test_a_view_is_called_there(shop: RunnerProcess) -> None:
    done = shop.run(a_view(path="/versions"))[0]
    assert json.loads(done.body) == {"flask": "2.3.3", "sqlalchemy": "1.4.54"}


def test_a_function_gets_its_contexts_there_and_sees_no_library_of_ours(shop: RunnerProcess) -> None:
    done = shop.run(a_call("shop:look"))[0]
    assert json.loads(done.body) == [1, "shop", "/", []]


def test_its_code_defines_jobs_there(shop: RunnerProcess) -> None:
    targets = [job["keys"].get("flask") or job["keys"]["call"] for job in shop.hello.jobs]
    assert targets == [
        {"endpoint": "versions", "method": "GET", "app": "shop"},
        {"ref": "shop:look", "app": "shop"},
    ]


def test_no_flask_is_said_in_a_sentence(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = str(tmp_path / "venv/bin/python")
    with runner(tmp_path, "app = 1", python=python) as process:
        assert process.hello.error == f"there is no Flask in the environment of {python}"
