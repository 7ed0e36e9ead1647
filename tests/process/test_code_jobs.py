"""
Jobs defined in code, as their users have them: with a daemon and without, through changes, clashes and
crashes.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, daemon, eventually, patched, tminus, tminus_json
from tests.support.target import TargetServer

_SHOP = """
from flask import Flask, current_app, request
from tminus.flask import Scheduler, current_occurrence

app = Flask("shop")
scheduler = Scheduler(app="shop")

def told(result):
    print("told", result)

@scheduler.job(cron="30 11 * * *", timezone="Europe/Berlin", tags=["nightly"])
def sync():
    return [current_app.name, current_occurrence().id]

@scheduler.job("tick", every="1s", then=[told])
def ticks():
    return "tick"

@app.post("/report")
@scheduler.job(schedule="manual", request={"json": {"n": 7}})
def report():
    print(request.get_json())
    return "done"
"""
_HANGS = "import threading\nthreading.Event().wait()\n"
#: The daemon is not ready before it knows the jobs in the code, however slow its machine is.
_PATIENT = """
import sys
if "daemon" in sys.orig_argv:
    from tminus.daemon import reloads
    reloads._CODE_NS *= 100
"""


def jobs_file(jobs: dict[str, Any] | None = None, **top: Any) -> str:
    """JSON is YAML, too; on lines of their own, so that a place is one."""
    said = {"version": 1, "timezone": "UTC", "apps": {"shop": {"app": "shop:app"}}, **top, "jobs": jobs or {}}
    return json.dumps(said, indent=0)


def a_shop(folder: Path, code: str = _SHOP, jobs: str = "") -> Path:
    """A folder with an application whose code defines jobs."""
    (folder / "shop.py").write_text(code)
    (folder / "jobs.yaml").write_text(jobs or jobs_file())
    return folder


@contextmanager
def a_daemon(folder: Path, jobs: str = "", *, code: str = _SHOP) -> Iterator[DaemonProcess]:
    """Yield a daemon that knows the jobs in the code."""
    with daemon(a_shop(folder, code), jobs or jobs_file()) as running:
        eventually(lambda: known(running)["jobs"] >= 3, what="the jobs in the code are known")
        yield running


def reload_code(running: DaemonProcess, code: str) -> None:
    """Other code from now on, by SIGHUP."""
    before = len(running.said("reloaded"))
    (running.folder / "shop.py").write_text(code)
    running.signal(signal.SIGHUP)
    running.wait_until_said("reloaded", before + 1)


def known(running: DaemonProcess) -> dict[str, Any]:
    """The log line of the last configuration that came into force."""
    return [*running.said("ready"), *running.said("reloaded")][-1]


def names(running: DaemonProcess) -> list[str]:
    """Of all jobs, as `jobs` has them."""
    return [one["job"] for one in running.json("jobs")]


def test_jobs_shows_those_of_the_file_then_those_of_the_code_with_their_places(
    tmp_path: Path,
) -> None:
    a_shop(tmp_path, jobs=jobs_file({"ping": {"schedule": "manual", "http": "http://127.0.0.1:1/"}}))
    assert {one["job"]: (one["from"], one["target"]) for one in tminus_json("jobs", cwd=tmp_path)} == {
        "ping": ("jobs.yaml:10", "GET http://127.0.0.1:1/"),
        "sync": ("shop.py:11 (app shop)", "call shop:sync"),
        "tick": ("shop.py:15 (app shop)", "call shop:ticks"),
        "report": ("shop.py:19 (app shop)", "flask shop report"),
    }


def test_show_and_validate_know_them(tmp_path: Path) -> None:
    a_shop(tmp_path, jobs=jobs_file(defaults={"timeout": "7s"}))
    where = {one["key"]: one["where"] for one in tminus_json("show", "sync", cwd=tmp_path)["values"]}
    assert (where["schedule.cron"], where["timeout.total"]) == (
        "shop.py:11 (app shop)",
        "defaults, jobs.yaml:10",
    )
    assert tminus("validate", cwd=tmp_path).stdout == "jobs.yaml: 3 jobs, no problems\n"


def test_validate_says_what_is_wrong_in_the_code_with_its_place(tmp_path: Path) -> None:
    code = _SHOP.replace("30 11 * * *", "99 * * * *").replace(
        "then=[told]", 'then=[{"callback": "shop:tld"}]'
    )
    a_shop(tmp_path, code, jobs_file({"report": {"schedule": "manual", "http": "http://127.0.0.1:1/"}}))
    errors = tminus_json("validate", cwd=tmp_path)["errors"]
    assert [(error["path"], error["line"], error["message"]) for error in errors] == [
        ("shop.py", 11, "jobs.sync.schedule.cron: '99' is not a minute 0–59"),
        ("shop.py", 19, "jobs: job 'report' defined in jobs.yaml:10 and shop.py:19 (app shop)"),
    ]
    a_shop(tmp_path, code.replace("99 *", "30 *"))
    (error,) = tminus_json("validate", cwd=tmp_path)["errors"]
    assert (
        error["message"]
        == "jobs.tick.then[0].callback: shop:tld: module 'shop' has no 'tld'; did you mean 'told'?"
    )


def test_validate_says_that_an_application_that_no_job_names_does_not_import(tmp_path: Path) -> None:
    a_shop(tmp_path, "import no_such_module")
    (error,) = tminus_json("validate", cwd=tmp_path)["errors"]
    assert (error["path"], error["message"]) == (
        "jobs.yaml",
        "apps.shop.app: shop does not import: ModuleNotFoundError: No module named 'no_such_module'",
    )


def test_validate_warns_of_jobs_for_an_application_that_is_not_in_the_file(tmp_path: Path) -> None:
    a_shop(tmp_path, _SHOP.replace('Scheduler(app="shop")', 'Scheduler(app="shp")'))
    said = tminus_json("validate", cwd=tmp_path)
    assert said["errors"] == []
    (warning,) = said["warnings"]
    assert (
        warning["message"]
        == "apps.shop: its code defines jobs for an app 'shp', which is not here; did you mean 'shop'?"
    )
    assert warning["line"] == 5


def test_without_a_daemon_an_application_that_does_not_import_is_a_warning(tmp_path: Path) -> None:
    a_shop(
        tmp_path,
        "import no_such_module",
        jobs_file({"ping": {"schedule": "manual", "http": "http://127.0.0.1:1/"}}),
    )
    done = tminus("jobs", "--json", cwd=tmp_path)
    assert [one["job"] for one in json.loads(done.stdout)] == ["ping"]
    assert done.stderr == (
        "warning: the jobs in the code of shop are not known: "
        "shop does not import: ModuleNotFoundError: No module named 'no_such_module'\n"
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder, and each job's occurrence, of a run of all jobs without a daemon."""
    folder = a_shop(tmp_path_factory.mktemp("ran"))
    ran = tminus_json("run-now", "sync", "report", "tick", cwd=folder, env=ledger_of(folder))
    return folder, {one["job"]: one for one in ran}


def ledger_of(folder: Path) -> dict[str, str]:
    """The environment of commands on the ledger in this folder."""
    return {"TMINUS_LEDGER": f"sqlite:///{folder}/ledger/ledger.db"}


def test_without_a_daemon_run_now_runs_them(ran: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, done = ran
    assert {one["outcome"] for one in done.values()} == {"succeeded"}
    logs = {
        name: tminus_json("logs", done[name]["id"], cwd=folder, env=ledger_of(folder))
        for name in ("sync", "report")
    }
    assert json.loads(logs["sync"]["attempts"][0]["body"]) == ["shop", done["sync"]["id"]]
    assert logs["report"]["output"] == "{'n': 7}\n"


def test_a_function_that_a_job_in_code_names_follows_it(ran: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    _, done = ran
    assert done["tick"]["chain"] == [{"link": "callback shop:told", "state": "succeeded", "error": None}]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that has just started for the first time; a job of its file names one of the code."""
    folder = tmp_path_factory.mktemp("first")
    ping = {"schedule": "manual", "http": "http://127.0.0.1:1/", "then": [{"callback": {"run": "sync"}}]}
    with daemon(a_shop(folder), jobs_file({"ping": ping}), env=patched(folder, _PATIENT)) as running:
        yield running


def test_a_job_in_code_can_be_run_as_soon_as_the_first_daemon_is_ready(first: DaemonProcess) -> None:
    assert first.said("ready")[0]["jobs"] == 4
    (done,) = tminus_json("run-now", "sync", cwd=first.folder, env=ledger_of(first.folder))
    assert done["outcome"] == "succeeded"
    first.wait_for(job="tick", outcome="succeeded", rows=2)


def test_a_file_that_names_a_job_of_the_code_starts_for_the_first_time(first: DaemonProcess) -> None:
    jobs = tminus_json("jobs", cwd=first.folder, env=ledger_of(first.folder))
    assert [one["job"] for one in jobs] == ["ping", "sync", "tick", "report"]
    assert first.said("jobs file") == []


def test_a_job_moves_from_the_code_to_the_file_in_one_reload(tmp_path: Path) -> None:
    with a_daemon(tmp_path, jobs_file(daemon={"reload": "sighup"})) as running:
        in_file = {"tick": {"schedule": {"every": "1s"}, "call": {"ref": "shop:ticks", "app": "shop"}}}
        running.write(jobs_file(in_file, daemon={"reload": "sighup"}))
        reload_code(running, _SHOP.replace('@scheduler.job("tick", every="1s", then=[told])', ""))
        assert {one["job"]: one["from"] for one in running.json("jobs")}["tick"].endswith("jobs.yaml:13")
        assert running.said("jobs file") == []


def test_code_that_is_wrong_at_a_reload_keeps_the_old_one_in_force_until_it_is_right(tmp_path: Path) -> None:
    with a_daemon(tmp_path) as running:
        new = _SHOP.replace('"tick"', '"tock"')
        (tmp_path / "shop.py").write_text(new.replace("30 11 * * *", "99 * * * *"))
        running.signal(signal.SIGHUP)
        said = running.wait_until_said("jobs file")
        assert (said["at"], said["problem"]) == (
            "shop.py:11:1",
            "jobs.sync.schedule.cron: '99' is not a minute 0–59",
        )
        before = {one["id"] for one in running.occurrences("tick")}
        ticks = running.wait_for(job="tick", outcome="succeeded", rows=len(before) + 1)
        (later, *_) = [one for one in ticks if one["id"] not in before]
        assert running.json("logs", later["id"])["attempts"][0]["body"] == '"tick"'
        (problem,) = running.json("status")["problems"]
        assert problem.endswith(f"{said['at']}: {said['problem']}")
        reload_code(running, new)
        assert names(running) == ["sync", "tock", "report"]
        running.wait_for(job="tock", outcome="succeeded")
        eventually(lambda: running.json("status")["problems"] == [])


def test_an_application_that_breaks_keeps_its_jobs_which_say_why_they_fail(tmp_path: Path) -> None:
    with a_daemon(tmp_path) as running:
        (tmp_path / "shop.py").write_text("import no_such_module")
        running.kill()
        running.start()
        running.wait_for(job="tick", outcome="failed", reason="definition, not sent: shop does not import")
        assert names(running) == ["sync", "tick", "report"]
        # There is no runner that works and would be lost.
        reload_code(running, "import no_such_module_either")
        assert known(running)["jobs"] == 3
        reload_code(running, _SHOP)
        (done,) = running.json("run-now", "sync")
        assert done["outcome"] == "succeeded"


def test_after_kill_9_the_same_version_goes_on(tmp_path: Path) -> None:
    with a_daemon(tmp_path) as running:
        ticks = running.wait_for(job="tick", outcome="succeeded")
        reloads, before = running.said("reloaded"), known(running)
        running.kill()
        running.start()
        ready = running.said("ready")[-1]
        assert (ready["jobs"], ready["config_version"]) == (before["jobs"], before["config_version"])
        running.wait_for(job="tick", outcome="succeeded", rows=len(ticks) + 1)
        assert running.said("reloaded") == reloads  # the ledger knew what the new runner has reported


def test_an_application_that_hangs_while_it_is_imported_holds_up_no_other_job(
    tmp_path: Path, target: TargetServer
) -> None:
    ticks = {"ping": {"schedule": {"every": "1s"}, "http": target.url}}
    env = patched(tmp_path, _PATIENT)
    with closing(DaemonProcess(a_shop(tmp_path, _HANGS), jobs_file(ticks), env=env)) as running:
        running.start(wait=False)
        target.wait_for(2)
        assert running.said("ready") == []
        assert running.stop() == 0
        assert "missed" not in {one["outcome"] for one in running.occurrences("ping")}


def test_an_import_that_takes_long_brings_its_jobs_when_it_is_done(tmp_path: Path) -> None:
    slow = f"import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n{_SHOP}"
    with daemon(a_shop(tmp_path, slow), jobs_file()) as running:
        assert running.said("ready")[0]["jobs"] == 0
        (tmp_path / "go").touch()
        assert running.wait_until_said("reloaded")["jobs"] == 3
        running.wait_for(job="tick", outcome="succeeded")


def test_a_runner_that_comes_back_with_other_jobs_is_heard(tmp_path: Path) -> None:
    code = _SHOP + "\nimport os\n\n@scheduler.job(schedule='manual')\ndef dies():\n    os._exit(3)\n"
    with a_daemon(tmp_path, code=code) as running:
        (tmp_path / "shop.py").write_text(_SHOP.replace('"tick"', '"tock"'))
        before = len(running.said("reloaded"))
        running.tminus("run-now", "dies")
        assert running.wait_until_said("reloaded", before + 1)["jobs"] == 3
        running.wait_for(job="tock", outcome="succeeded")


def test_other_code_does_not_hide_that_the_file_of_a_refused_reload_is_not_valid(tmp_path: Path) -> None:
    dies = _SHOP + "\nimport os\n\n@scheduler.job(schedule='manual')\ndef dies():\n    os._exit(3)\n"
    refused = "the jobs file is not valid, the old one stays in force"
    with a_daemon(tmp_path, jobs_file(daemon={"reload": "sighup"}), code=dies) as running:
        before = running.said("reloaded")
        running.write(jobs_file({"ping": {}}))
        (tmp_path / "shop.py").write_text(dies.replace('"tick"', '"tock"'))
        running.signal(signal.SIGHUP)
        running.wait_until_said(refused)
        (tmp_path / "shop.py").write_text(dies.replace('"tick"', '"tack"'))
        running.tminus("run-now", "dies")
        running.wait_until_said(refused, times=2)
        assert running.said("reloaded") == before
        said = "the jobs file is not valid, an old one is in force: "
        eventually(lambda: any(one.startswith(said) for one in running.json("status")["problems"]))


def test_what_the_ledger_knows_of_the_code_does_not_keep_a_file_from_starting(tmp_path: Path) -> None:
    with a_daemon(tmp_path) as running:
        assert running.stop() == 0
        a_shop(tmp_path, _SHOP.replace('@scheduler.job("tick", every="1s", then=[told])', ""))
        running.write(
            jobs_file({"tick": {"schedule": "manual", "call": {"ref": "shop:ticks", "app": "shop"}}})
        )
        running.start()
        assert names(running) == ["tick", "sync", "report"]
        assert running.said("jobs file") == []


def test_flask_has_the_same_commands(tmp_path: Path) -> None:
    done = flask_scheduler(tmp_path, "run-now", "sync")
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout


def flask_scheduler(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("flask")), "--app", "shop", "tminus", *arguments]
    environment = os.environ | {"TMINUS_CONFIG": "jobs.yaml"} | ledger_of(folder)
    return subprocess.run(
        command, cwd=a_shop(folder), env=environment, capture_output=True, text=True, check=False
    )
