"""Applications that have modules and blueprints called `scheduler` or `tminus` themselves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from flask import Blueprint, Flask

from tests.support.apps import install
from tests.support.daemon import daemon, eventually, tminus, tminus_json
from tests.support.moments import PATIENCE_S
from tests.support.web import gunicorn
from tminus.errors import UsageError
from tminus.flask import Scheduler
from tminus.ledger.engine import open_ledger


def an_app(name: str, folder: Path, module: str = "shop") -> str:
    """Copy a test application there; return a jobs file for it."""
    install(name, folder)
    jobs = (
        {"greet": {"schedule": "manual", "flask": {"app": "shop", "url": "/"}}}
        if name == "own_tminus"
        else {}
    )
    apps = {"shop": {"app": f"{module}:app"}}
    return json.dumps({"version": 1, "timezone": "UTC", "apps": apps, "jobs": jobs})


def fetch(url: str, method: str = "GET") -> str:
    """Return the body of a response."""
    request = Request(url, method=method)  # noqa: S310  our own server
    with urlopen(request, timeout=PATIENCE_S) as response:  # noqa: S310
        return str(response.read().decode())


def test_an_application_keeps_its_own_modules_and_blueprints(tmp_path: Path) -> None:
    with (
        daemon(tmp_path, an_app("own_names", tmp_path)) as running,
        gunicorn(tmp_path, "shop:app", workers=1, env={"TMINUS_LEDGER": running.ledger}) as server,
    ):
        assert fetch(f"{server.url}/scheduler/") == "the application's own scheduler"
        assert fetch(f"{server.url}/tminus/") == "the application's own tminus"
        urls = json.loads(fetch(f"{server.url}/greet", "POST"))
        assert urls["run"].startswith("/work/runs/")
        assert "data-tminus-run" in fetch(server.url + urls["script"])
        eventually(lambda: json.loads(fetch(server.url + urls["run"]))["state"] == "completed")
        run = json.loads(fetch(server.url + urls["run"]))
        assert run["result"] == "the application's own scheduler"
        assert f'"id": "{run["id"]}"' in fetch(server.url + urls["events"])
        (done,) = running.json("run-now", "greet_by_hand")
        assert running.json("logs", done["id"])["output"] == "the application's own scheduler\n"


_BROWSER = """
import shop
browser = shop.app.test_client()
url = browser.post("/greet").json["run"]
print(url, browser.get(url, headers={"Accept": "text/html"}).text)
"""


def test_the_page_of_a_run_links_to_itself_by_the_blueprints_own_name(tmp_path: Path) -> None:
    an_app("own_names", tmp_path)
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    open_ledger(url).close()  # and no daemon, so that the run does not end
    done = subprocess.run(
        [sys.executable, "-c", _BROWSER],
        cwd=tmp_path,
        env=os.environ | {"TMINUS_LEDGER": url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    url, _, page = done.stdout.partition(" ")
    assert url.startswith("/work/runs/")
    assert f'<a href="{url}">' in page


def test_a_blueprint_that_is_there_is_named_with_the_way_out() -> None:
    app = Flask("shop")
    app.register_blueprint(Blueprint("tminus", __name__))
    with pytest.raises(UsageError, match="the application has a blueprint 'tminus'") as caught:
        Scheduler(app)
    assert caught.value.hint == "write Scheduler(…, name=…, url_prefix=…) with others"
    assert "tminus" not in app.extensions


#: What is said of a module `tminus` in the folder of the application.
_SHADOWED = "tminus.py has the name of the package tminus, and Python finds only one of the two: rename it"


@pytest.mark.parametrize("module", ["shop", "web"])
def test_validate_names_a_module_tminus_of_the_application(tmp_path: Path, module: str) -> None:
    (tmp_path / "jobs.yaml").write_text(an_app("own_tminus", tmp_path, module))
    said = tminus_json("validate", str(tmp_path / "jobs.yaml"), cwd=tmp_path)
    assert any(error["message"].endswith(f"{tmp_path}/{_SHADOWED}") for error in said["errors"])


def test_a_module_tminus_of_the_application_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(an_app("own_tminus", tmp_path))
    ran = tminus("--ledger", f"sqlite:///{tmp_path}/l/ledger.db", "run-now", "greet", cwd=tmp_path)
    assert ran.returncode != 0
    assert f"{tmp_path}/{_SHADOWED}" in ran.stdout + ran.stderr


def test_a_web_worker_says_which_module_stands_in_the_way(tmp_path: Path) -> None:
    an_app("own_tminus", tmp_path)
    command = [sys.executable, "-c", "import web"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.stderr.endswith("No module named 'tminus.flask'; 'tminus' is not a package\n")


def test_a_folder_tminus_beside_the_application_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from flask import Flask\napp = Flask('shop')\n")
    (tmp_path / "tminus").mkdir()
    apps = {"shop": {"app": "shop:app"}}
    jobs = {"view": {"schedule": "manual", "flask": {"app": "shop", "url": "/"}}}
    (tmp_path / "jobs.yaml").write_text(
        json.dumps({"version": 1, "timezone": "UTC", "apps": apps, "jobs": jobs})
    )
    assert tminus("validate", cwd=tmp_path).returncode == 0
