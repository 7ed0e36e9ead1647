"""
Flask and call jobs under the daemon: together with HTTP jobs, and when their runner dies or never comes up.
"""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, coming, daemon, eventually, suspend, tminus, tminus_json
from tests.support.jobs import shop_file
from tests.support.target import TargetServer


def a_shop(folder: Path, code: str | None = None, *, app: str = "python_jobs") -> Path:
    """Install an application, or write this code as one; return its folder."""
    install(app, folder)
    if code is not None:
        (folder / "shop.py").write_text(code)
    return folder


def run_now(
    folder: Path, jobs: dict[str, Any], *, code: str | None = None, app: str = "python_jobs", **top: Any
) -> dict[str, dict[str, Any]]:
    """Run all of these jobs once, without a daemon; return the occurrences by name."""
    (a_shop(folder, code, app=app) / "jobs.yaml").write_text(
        shop_file({name: {"schedule": "manual", **job} for name, job in jobs.items()}, **top)
    )
    return {one["job"]: one for one in tminus_json("run-now", *jobs, cwd=folder)}


def logs_of(folder: Path, occurrence: dict[str, Any]) -> Any:
    """What `logs` says of it."""
    return tminus_json("logs", occurrence["id"], cwd=folder)


def test_jobs_of_every_kind_start_together_and_stand_in_one_batch(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs: dict[str, Any] = {f"http_{n}": {"http": f"{target.url}/{n}"} for n in range(20)}
    jobs |= {
        f"view_{n}": {"flask": {"app": "shop", "endpoint": "report", "args": {"n": n}}} for n in range(10)
    }
    jobs |= {
        f"call_{n}": {"call": {"ref": "shop:export", "kwargs": {"n": n}, "app": "shop"}} for n in range(10)
    }
    every = {name: {"schedule": {"every": "3s"}, **job} for name, job in jobs.items()}
    with daemon(a_shop(tmp_path), shop_file(every)) as running:
        planned_at = running.wait_until_said("batch")["planned_at"]
        assert running.stop() == 0
    # On a busy machine, a later batch may overlap this one.
    skew = running.json("skew", planned_at)
    assert (skew["jobs"], skew["started"]) == (40, 40)
    assert all(one["ms"] >= 0 for one in skew["offsets"])
    batch = [one for one in running.occurrences() if one["planned_at"] == planned_at]
    assert [one["outcome"] for one in batch] == ["succeeded"] * 40


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder of one run without a daemon, and its occurrences by name."""
    folder = a_shop(tmp_path_factory.mktemp("ran"))
    (folder / "tasks.py").write_text("def double(n):\n    return 2 * n\n")
    a_shop(
        folder / "elsewhere",
        "import os\nfrom flask import Flask\napp = Flask('x')\ndef look():\n    return [os.getcwd(), os.environ['SHOP_DB']]\n",
    )
    (folder / "shop.env").write_text("# the shop\nSHOP_DB='made up'\n")
    apps = {
        "shop": {"app": "shop:app"},
        "x": {"app": "shop:app", "directory": "elsewhere", "env_file": "shop.env"},
    }
    views = {
        "good": {"url": "/reports/1"},
        "bad": {"url": "/nowhere"},
        "expected": {"url": "/nowhere"},
        "broken": {"url": "/broken"},
    }
    jobs: dict[str, Any] = {name: {"flask": {"app": "shop", **view}} for name, view in views.items()}
    jobs["expected"] |= {"expect": {"status": 404}}
    export = {
        "ref": "shop:export",
        "kwargs": {"n": "{{ params.n }}"},
        "app": "shop",
        "request": {"path": "/export"},
    }
    jobs["export"] = {"params": {"n": 7}, "call": export}
    jobs["double"] = {"call": {"ref": "tasks:double", "kwargs": {"n": 21}}}
    jobs["look"] = {"call": {"ref": "shop:look", "app": "x"}}
    done = run_now(folder, jobs, apps=apps, ledger=f"sqlite:///{folder}/ledger.db")
    return folder, done


def test_a_function_s_result_and_output_are_kept_and_logs_shows_them(
    ran: tuple[Path, dict[str, dict[str, Any]]],
) -> None:
    folder, done = ran
    logs = logs_of(folder, done["export"])
    assert json.loads(logs["attempts"][0]["body"]) == {"n": 7, "path": "/export"}
    assert logs["output"].endswith("INFO shop: exporting 7\n")


def test_a_view_is_judged_by_expect_as_http_is(ran: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, done = ran
    assert {
        name: (done[name]["outcome"], done[name]["http_status"])
        for name in ("good", "bad", "expected", "broken")
    } == {
        "good": ("succeeded", 200),
        "bad": ("failed", 404),
        "expected": ("succeeded", 404),
        "broken": ("failed", 500),
    }
    assert "ValueError: no such customer" in logs_of(folder, done["broken"])["output"]


def test_a_function_without_an_application_is_found_beside_the_jobs_file(
    ran: tuple[Path, dict[str, dict[str, Any]]],
) -> None:
    folder, done = ran
    assert logs_of(folder, done["double"])["attempts"][0]["body"] == "42"


def test_an_application_gets_its_directory_and_its_environment(
    ran: tuple[Path, dict[str, dict[str, Any]]],
) -> None:
    folder, done = ran
    (attempt,) = logs_of(folder, done["look"])["attempts"]
    assert json.loads(attempt["body"]) == [str(folder / "elsewhere"), "made up"]


def test_an_application_that_does_not_import_fails_its_jobs_and_no_others(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = {
        "http": {"schedule": {"every": "3s"}, "http": target.url},
        "view": {"schedule": {"every": "3s"}, "flask": {"app": "shop", "url": "/"}},
    }
    with daemon(a_shop(tmp_path, "import no_such_module"), shop_file(jobs)) as running:
        running.wait_for(job="http", outcome="succeeded")
        (failed, *_) = running.wait_for(job="view", outcome="failed")
        assert running.stop() == 0
    assert (
        failed["reason"]
        == "definition, not sent: shop does not import: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_an_application_that_hangs_in_its_import_makes_only_its_own_jobs_miss(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs: dict[str, Any] = {
        "http": {"schedule": {"every": "4s"}, "http": target.url},
        "view": {
            "schedule": {"every": "4s"},
            "flask": {"app": "shop", "url": "/"},
            "misfire_grace_time": "1s",
        },
    }
    with daemon(a_shop(tmp_path, "import threading\nthreading.Event().wait()"), shop_file(jobs)) as running:
        running.wait_for(job="http", outcome="succeeded")
        reason = "released later than its misfire_grace_time"
        running.wait_for(job="view", outcome="missed", reason=reason)
        assert running.stop() == 0
    assert {one["outcome"] for one in running.occurrences("http")} <= {"succeeded", None}


def test_a_runner_that_dies_before_t_is_replaced_and_its_jobs_start_at_t(tmp_path: Path) -> None:
    at = {"at": coming(8)}
    jobs = {
        f"call_{n}": {"schedule": at, "call": {"ref": "shop:export", "args": [n], "app": "shop"}}
        for n in range(5)
    }
    with daemon(a_shop(tmp_path), shop_file(jobs, daemon={"lead": "6s"})) as running:
        running.wait_for(rows=5, state="claimed")
        killed = runner_pid(running)
        os.kill(killed, signal.SIGKILL)
        running.wait_for(rows=5, outcome="succeeded")
        assert runner_pid(running) != killed
        assert running.stop() == 0


def test_a_runner_that_dies_before_t_without_its_application_fails_its_jobs_alone(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs: dict[str, Any] = {"http": {"schedule": {"at": coming(7)}, "http": target.url}}
    call = {"schedule": jobs["http"]["schedule"], "call": {"ref": "shop:export", "args": [1], "app": "shop"}}
    with daemon(a_shop(tmp_path), shop_file(jobs | {"call": call}, daemon={"lead": "6s"})) as running:
        running.wait_for(job="call", state="claimed")
        runner = runner_pid(running)
        suspend(runner)  # it starts nothing, however late the reload is
        running.reload(json.dumps({"version": 1, "timezone": "UTC", "daemon": {"lead": "6s"}, "jobs": jobs}))
        with contextlib.suppress(ProcessLookupError):  # it hangs: a slow machine's daemon has killed it
            os.kill(runner, signal.SIGKILL)
        (failed,) = running.wait_for(job="call", outcome="failed")
        # The words before depend on whether the runner had prepared the job when it was stopped.
        assert failed["reason"].endswith("is in the jobs file no more")
        assert running.wait_for(job="http", state="finished")[0]["outcome"] == "succeeded"
        assert not running.said("countdown broke")


def test_when_a_runner_dies_after_t_only_what_had_begun_is_unknown(
    tmp_path: Path,
) -> None:
    jobs = {
        "dies": {"schedule": "manual", "call": {"ref": "shop:dies", "app": "shop"}},
        "export": {"schedule": "manual", "call": {"ref": "shop:export", "args": [1], "app": "shop"}},
    }
    with daemon(a_shop(tmp_path), shop_file(jobs)) as running:
        assert running.tminus("run-now", "dies", "export", "--no-wait").returncode == 0
        running.wait_for(job="export", outcome="succeeded")
        (tmp_path / "go").touch()
        (dies,) = running.wait_for(job="dies", outcome="unknown")
    assert (
        dies["reason"]
        == "executor: the executor process died after the release (exit status 3); how far it came is not known"
    )
    assert dies["start_offset_ms"] >= 0


def test_an_application_is_imported_anew_at_a_reload_and_what_runs_goes_on(tmp_path: Path) -> None:
    jobs = {"long": {"schedule": "manual", "call": {"ref": "shop:takes_long", "app": "shop"}}}
    jobs |= {"view": {"schedule": "manual", "flask": {"app": "shop", "url": "/new"}}}
    with daemon(a_shop(tmp_path), shop_file(jobs)) as running:
        assert running.tminus("run-now", "long", "--no-wait").returncode == 0
        running.wait_for(job="long", state="running")
        code = tmp_path / "shop.py"
        code.write_text(
            code.read_text()
            .replace('"/broken"', '"/new"')
            .replace('raise ValueError("no such customer")', 'return "new"')
        )
        running.signal(signal.SIGHUP)
        running.wait_until_said("reloaded")
        (done,) = running.json("run-now", "view")
        assert done["outcome"] == "succeeded"
        (tmp_path / "go").touch()
        running.wait_for(job="long", outcome="succeeded")


#: Jobs that the application does not have so, by name; and what is said of each.
_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": (
        {"call": {"ref": "shop:exprt", "args": [1], "app": "shop"}},
        "call.ref: shop:exprt: module 'shop' has no 'exprt'; did you mean 'export'?",
    ),
    "no_argument": (
        {"call": {"ref": "shop:export", "app": "shop"}},
        "call.ref: shop:export cannot be called with these arguments: missing a required argument: 'n'",
    ),
    "no_endpoint": (
        {"flask": {"app": "shop", "endpoint": "reports"}},
        "flask.endpoint: the application has no endpoint 'reports'; did you mean 'report'?",
    ),
    "no_value": (
        {"flask": {"app": "shop", "endpoint": "report"}},
        "flask.endpoint: the view report needs n: give args: {n: …} (/reports/<int:n>)",
    ),
    "no_application": (
        {"flask": {"app": "shop:ap", "url": "/"}},
        "flask.app: shop:ap: module 'shop' has no 'ap'; did you mean 'app'?",
    ),
}


def test_validate_asks_the_application(tmp_path: Path) -> None:
    jobs = {name: {"schedule": "manual", **job} for name, (job, _) in _WRONG.items()}
    (a_shop(tmp_path) / "jobs.yaml").write_text(shop_file(jobs))
    done = tminus("validate", cwd=tmp_path)
    assert done.returncode == 2
    for name, (_, said) in _WRONG.items():
        assert f"jobs.{name}.{said}" in done.stderr


@pytest.mark.parametrize("line", ["SECRET=hidden\0", "=hidden"])
def test_validate_names_the_line_of_an_environment_that_cannot_be(tmp_path: Path, line: str) -> None:
    (a_shop(tmp_path) / "shop.env").write_text(f"# all of it\n{line}\n")
    apps = {"x": {"app": "shop:app", "env_file": "shop.env"}}
    (tmp_path / "jobs.yaml").write_text(
        json.dumps(
            {
                "version": 1,
                "apps": apps,
                "jobs": {"x": {"schedule": "manual", "flask": {"app": "x", "url": "/"}}},
            }
        )
    )
    done = tminus("validate", cwd=tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/shop.env:2 is no line of NAME=value" in done.stderr
    assert "hidden" not in done.stderr


def test_validate_names_the_line_of_the_application_that_breaks_its_import(tmp_path: Path) -> None:
    (a_shop(tmp_path, "from flask import Flask\n\napp = Flask(nme='x')\n") / "jobs.yaml").write_text(
        shop_file({"x": {"schedule": "manual", "flask": {"app": "shop", "url": "/"}}})
    )
    said = tminus("validate", cwd=tmp_path).stderr
    assert "shop does not import: TypeError" in said
    assert f"look at {tmp_path}/shop.py:3" in said


def runner_pid(running: DaemonProcess) -> int:
    """The process of the application."""
    return int(eventually(lambda: _runner(running), what="the runner is there"))


def _runner(running: DaemonProcess) -> int | None:
    """None while processes come and go."""
    assert running.process is not None
    found = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{running.process.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"tminus.executors.python" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
    return found.pop() if len(found) == 1 else None
