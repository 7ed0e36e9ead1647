"""The command line, as people and scripts call it: data on stdout, messages on stderr, exit statuses."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pysqlite3 import dbapi2

from tests.support.daemon import DaemonProcess, StartedCommand, daemon, eventually, tminus, tminus_json
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer
from tminus.ledger.engine import open_ledger

ROOT = Path(__file__).resolve().parents[2]

OCCURRENCE_KEYS = {
    "id", "job", "fire_time", "run", "planned_at", "retry_of", "params", "count", "origin", "state", "outcome", "reason",
    "start_offset_ms", "armed", "started_at", "finished_at", "duration_ms", "attempts", "http_status", "chain", "executor",
    "config_version", "cause", "next_attempt_at", "resolved", "chain_result",
}  # fmt: skip


def _folder(path: Path, target: TargetServer) -> Path:
    (path / "jobs.yaml").write_text(f"""\
version: 1
timezone: Europe/Berlin
daemon: {{lead: 200ms}}
templates:
  shop: {{http: {{headers: {{X-Api-Key: "${{env:SHOP_KEY}}"}}}}, tags: [shop]}}
jobs:
  pay: {{schedule: {{every: 1h}}, params: {{day: today}}, http: {{url: "{target.url}/pay", query: {{day: "{{{{ params.day }}}}"}}}}}}
  pack: {{extends: shop, schedule: manual, http: {{url: "{target.url}/pack", method: POST}}}}
  fail: {{schedule: manual, http: "{target.url}/status/503"}}
  rest: {{suspend: true, schedule: {{every: 1s}}, http: "{target.url}/rest"}}
""")
    return path


@pytest.fixture
def folder(tmp_path: Path, target: TargetServer) -> Path:
    """A folder with a jobs file that aims at the target."""
    return _folder(tmp_path, target)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for tests that start nothing. `pay` has run, then `fail`."""
    with TargetServer() as target:
        folder = _folder(tmp_path_factory.mktemp("past"), target)
        assert run(folder, "run-now", "pay").returncode == 0
        assert run(folder, "run-now", "fail").returncode == 1
    return folder


ENV = {"SHOP_KEY": "hunter2"}
#: A schedule that has a next fire time and is not due during a test.
FAR_AHEAD = "at: '2199-01-01T00:00:00Z'"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ledger = f"sqlite:///{folder}/ledger/ledger.db"
    return tminus(*arguments, cwd=folder, env=ENV | {"TMINUS_LEDGER": ledger})


def _json(folder: Path, *arguments: str) -> Any:
    return json.loads(run(folder, *arguments, "--json").stdout)


# --- the jobs file ---


def test_validate_of_a_good_file(past: Path) -> None:
    said = run(past, "validate")
    assert (said.returncode, said.stdout) == (0, "jobs.yaml: 4 jobs, no problems\n")


def test_validate_says_every_error_with_its_place_and_ends_with_2(folder: Path) -> None:
    (folder / "bad.yaml").write_text(
        "version: 1\njobs:\n  a: {schedule: {every: 5 parsecs}, http: ftp://x/}\n  b: {http: http://x/}\n"
    )
    said = run(folder, "validate", "bad.yaml", "--json")
    found = json.loads(said.stdout)
    assert said.returncode == 2
    assert found["valid"] is False
    assert [(error["path"], error["line"], error["column"]) for error in found["errors"]] == [
        ("bad.yaml", 3, 25),
        ("bad.yaml", 3, 43),
        ("bad.yaml", 4, 3),
    ]
    assert all(error["message"] and error["hint"] for error in found["errors"])
    assert "--> bad.yaml:3:25" in run(folder, "validate", "bad.yaml").stderr


def test_validate_without_secrets(folder: Path) -> None:
    (folder / "jobs.yaml").write_text(
        "version: 1\njobs: {a: {schedule: manual, http: 'http://x/?${env:NONE}'}}\n"
    )
    assert "secret NONE not found" in run(folder, "validate").stderr
    said = run(folder, "validate", "--no-secrets")
    assert (said.returncode, said.stdout) == (0, "jobs.yaml: 1 job, no problems\n")


def test_options_stand_before_or_after_the_command(past: Path) -> None:
    elsewhere = str(past / "jobs.yaml")
    for arguments in (["--json", "-c", elsewhere, "next"], ["next", "-c", elsewhere, "--json"]):
        assert json.loads(tminus(*arguments, env=ENV).stdout)[0]["job"] == "pay"


def test_next_lists_coming_fire_times_in_time_order(past: Path) -> None:
    found = json.loads(run(past, "next", "--json", "--from", "2026-03-29T00:00:00Z", "-n", "3").stdout)
    assert [(one["fire_time"], one["local_time"]) for one in found] == [
        ("2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
        ("2026-03-29T02:00:00Z", "2026-03-29T04:00:00+02:00"),
        ("2026-03-29T03:00:00Z", "2026-03-29T05:00:00+02:00"),
    ]
    assert {(one["job"], one["zone"]) for one in found} == {("pay", "Europe/Berlin")}


def test_next_up_to_an_instant(past: Path) -> None:
    said = run(
        past, "next", "pay", "--json", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T02:00:00Z"
    )
    assert [one["fire_time"] for one in json.loads(said.stdout)] == [
        "2026-01-01T01:00:00Z",
        "2026-01-01T02:00:00Z",
    ]


def test_show_tells_where_each_value_comes_from_and_no_secret(past: Path) -> None:
    said = run(past, "show", "pack")
    assert "http.headers.X-Api-Key\t${env:SHOP_KEY}\ttemplate shop, jobs.yaml:5" in said.stdout
    assert "timeout.total\t30s\tbuilt in" in said.stdout
    assert "hunter2" not in said.stdout + said.stderr


def test_jobs_before_anything_has_run(folder: Path) -> None:
    found = {one["job"]: one for one in json.loads(run(folder, "jobs", "--json").stdout)}
    assert (found["rest"]["suspended"], found["rest"]["next"], found["rest"]["last"]) == (True, None, None)
    assert found["pack"]["schedule"] == "manual"
    assert found["pay"]["next"].endswith(":00:00Z")


def test_the_schema_accepts_the_shipped_file() -> None:
    import yaml

    schema = json.loads(tminus("schema").stdout)
    jsonschema.validate(yaml.safe_load((ROOT / "jobs.yaml").read_text()), schema)


@pytest.mark.parametrize("file", ["jobs.yaml"])
def test_the_shipped_file_is_valid_without_a_warning(file: str) -> None:
    assert tminus_json("validate", file, cwd=ROOT) == {"valid": True, "errors": [], "warnings": []}


# --- run-now ---


def test_run_now_without_a_daemon_runs_the_jobs_itself(folder: Path, target: TargetServer) -> None:
    said = run(folder, "run-now", "pay", "pack", "--json")
    found = json.loads(said.stdout)
    assert said.returncode == 0
    assert {one["job"]: one["outcome"] for one in found} == {"pay": "succeeded", "pack": "succeeded"}
    assert all(set(one) == OCCURRENCE_KEYS for one in found)
    assert {one["origin"] for one in found} == {"manual"}
    assert len({one["planned_at"] for one in found}) == 1
    assert sorted(arrival.path for arrival in target.arrivals) == ["/pack", "/pay?day=today"]


def test_run_now_with_another_value_for_a_param(folder: Path, target: TargetServer) -> None:
    (one,) = json.loads(run(folder, "run-now", "pay", "--set", "day=2026-11-20", "--json").stdout)
    assert target.arrivals[0].path == "/pay?day=2026-11-20"
    assert one["params"] == {"day": "2026-11-20"}


def test_what_a_target_receives_from_a_run_at_an_instant(folder: Path, target: TargetServer) -> None:
    (one,) = json.loads(run(folder, "run-now", "pack", "--json", "--at", "+1s").stdout)
    assert one["start_offset_ms"] >= 0
    assert one["outcome"] == "succeeded"
    headers = target.arrivals[0].headers
    assert headers["user-agent"].startswith("tminus/")
    assert {
        name: headers[name] for name in headers if name.startswith("x-") or name == "idempotency-key"
    } == {
        "x-tminus-job": "pack",
        "x-tminus-occurrence": one["id"],
        "x-tminus-attempt": "1",
        "idempotency-key": one["id"],
        "x-api-key": "hunter2",
    }


def test_run_now_ends_with_1_where_a_job_failed(folder: Path) -> None:
    said = run(folder, "run-now", "pay", "fail")
    assert said.returncode == 1
    assert "✕ failed\tfail\t503" in said.stdout
    assert "1 of 2 did not succeed; what came back: tminus logs fail@" in said.stderr


def test_run_now_starts_a_suspended_job_and_says_so(folder: Path) -> None:
    said = run(folder, "run-now", "rest")
    assert (said.returncode, "rest is suspended; it runs anyway" in said.stderr) == (0, True)


def test_run_now_of_a_pattern_asks_first_or_wants_yes(folder: Path) -> None:
    refused = run(folder, "run-now", "p*")
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: this starts 2 jobs\n  hint: --yes confirms it\n",
    )
    (one,) = _json(folder, "run-now", "tag:shop")
    assert (one["job"], one["outcome"]) == ("pack", "succeeded")
    assert run(folder, "run-now", "p*", "--yes").returncode == 0


def test_run_now_that_does_not_wait_is_not_lost_without_a_daemon(
    tmp_path: Path, target: TargetServer
) -> None:
    jobs = f"version: 1\njobs:\n  pay: {{schedule: manual, http: '{target.url}/pay'}}\n"
    (tmp_path / "jobs.yaml").write_text(jobs)
    ledger = f"sqlite:///{tmp_path}/ledger/ledger.db"
    said = tminus("run-now", "pay", "--no-wait", cwd=tmp_path, env={"TMINUS_LEDGER": ledger})
    assert (said.returncode, said.stderr) == (
        0,
        "no daemon runs on this ledger: the request waits until one starts\n",
    )
    with daemon(tmp_path, jobs, ledger=ledger):
        target.wait_for(1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "'x' is no crash point\n"),
        ("armed:0", "'0' is not a positive number of passages\n  hint: such as armed:1\n"),
    ],
)
def test_a_crash_point_that_does_not_exist_is_one_clear_error(value: str, said: str) -> None:
    # A process of its own, because the variable is read at an import.
    done = tminus("daemon", env={"TMINUS_CRASH_AT": value, "PYTHONUNBUFFERED": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: $TMINUS_CRASH_AT: {said}"


def test_an_interrupted_run_now_ends_with_130_and_starts_nothing(folder: Path, target: TargetServer) -> None:
    idle = DaemonProcess(folder, (folder / "jobs.yaml").read_text(), env=ENV)
    open_ledger(idle.ledger).close()
    with idle.beside("run-now", "pay", "--at", "+1h") as running:
        idle.wait_for(rows=1)
        assert (running.interrupt(), running.stderr.splitlines()[-1]) == (130, "interrupted")
    (one,) = idle.occurrences()
    idle.close()
    assert (one["outcome"], one["reason"], target.arrivals) == ("cancelled", "interrupted", [])


# --- what has run ---


def test_history_logs_and_skew_of_what_has_run(past: Path) -> None:
    (one,) = json.loads(run(past, "history", "--outcome", "failed", "--since", "-1h", "--json").stdout)
    assert one["reason"] == "status: 503 instead of 2xx"
    logs = json.loads(run(past, "logs", one["id"], "--json").stdout)
    assert (logs["occurrence"]["id"], logs["output"]) == (one["id"], "as asked")
    assert set(logs["attempts"][0]) >= {
        "attempt",
        "started_at",
        "finished_at",
        "armed",
        "http_status",
        "outcome",
        "reason",
    }
    assert set(logs["attempts"][0]["phases_ms"]) >= {"sent", "first_byte", "done"}
    request = logs["attempts"][0]["request"]
    assert (request["method"], request["url"][-11:]) == ("GET", "/status/503")
    assert f"X-Tminus-Occurrence: {one['id']}" in request["headers"]
    text = run(past, "logs", one["id"]).stdout
    assert f"  > X-Tminus-Occurrence: {one['id']}\n" in text
    assert re.search(r"^  from T: .*\bsent \S+ \S+, first byte \S+ \S+, done ", text, re.MULTILINE)
    skew = json.loads(run(past, "skew", "--json").stdout)
    assert (skew["jobs"], skew["started"], skew["offsets"][0]["id"]) == (1, 1, one["id"])
    assert json.loads(run(past, "skew", one["planned_at"], "--json").stdout) == skew


def test_skew_writes_its_picture(past: Path) -> None:
    said = run(past, "skew", "--svg", "batch.svg")
    assert (said.returncode, said.stderr) == (0, "wrote batch.svg\n")
    assert (past / "batch.svg").read_text().startswith("<svg ")


def test_history_of_a_span_of_time(past: Path) -> None:
    fail, pay = _json(past, "history")
    assert [one["id"] for one in _json(past, "history", "--until", fail["planned_at"])] == [pay["id"]]
    assert _json(past, "history", "--since", "1d", "--until", "yesterday") == []


def test_history_follows_what_ends(folder: Path) -> None:
    run(folder, "run-now", "pay")
    env = ENV | {"TMINUS_LEDGER": f"sqlite:///{folder}/ledger/ledger.db"}
    with StartedCommand("history", "--follow", cwd=folder, env=env) as following:
        eventually(lambda: len(following.stdout.splitlines()) == 1)
        run(folder, "run-now", "fail")
        eventually(lambda: len(following.stdout.splitlines()) == 2)
        assert following.interrupt() == 130
        assert [line.split("\t")[1] for line in following.stdout.splitlines()] == ["pay", "fail"]
    assert run(folder, "history", "--follow", "--json").returncode == 2


def test_history_in_a_pipe_is_one_line_an_occurrence(past: Path) -> None:
    said = run(past, "history")
    header, *lines = said.stdout.splitlines()
    at, *columns = header.split("\t")
    assert at in ("PLANNED AT (CET)", "PLANNED AT (CEST)")
    assert columns == ["JOB", "OUTCOME", "OFFSET", "DURATION", "STATUS", "REASON"]
    assert len(lines) == 2
    assert all(len(line.split("\t")) == 7 for line in lines)
    assert "\x1b" not in said.stdout


# --- health ---


def test_status_tells_running_from_stopped_by_its_exit_status(tmp_path: Path, target: TargetServer) -> None:
    jobs = jobs_file(job("pay", f"{target.url}/status/500", FAR_AHEAD), daemon="reload: watch")
    with daemon(tmp_path, jobs) as running:
        said = running.tminus("status", "--json")
        status = json.loads(said.stdout)
        assert said.returncode == 0
        assert running.process is not None
        assert (status["state"], status["pid"], status["running"], status["problems"]) == (
            "running",
            running.process.pid,
            0,
            [],
        )
        assert status["next"]["jobs"] == 1
        running.tminus("run-now", "pay")
        failed = running.tminus("status", "--json")
        assert (failed.returncode, json.loads(failed.stdout)["outcomes_24h"]) == (1, {"failed": 1})
        assert json.loads(failed.stdout)["problems"] == [
            "the last run of pay failed (status: 500 instead of 2xx): tminus logs pay"
        ]
        running.write("nonsense")
        running.wait_until_said("the jobs file is not valid, the old one stays in force")
        odd = eventually(lambda: problems if (problems := running.json("status")["problems"]) else None)
        assert odd[0].startswith("the jobs file is not valid, an old one is in force: ")
        assert running.tminus("status").returncode == 1
        running.write(jobs)
        running.wait_until_said("the jobs file is valid again")
        running.suspend()
        stuck = eventually(
            lambda: said if "holds the ledger" in (said := running.tminus("status").stdout) else None
        )
        assert f"pid {running.process.pid} on " in stuck
        running.signal(signal.SIGCONT)
        running.stop()
        stopped = running.tminus("status", "--json")
        assert (stopped.returncode, json.loads(stopped.stdout)["state"]) == (3, "stopped")


def test_status_while_the_daemon_stops(tmp_path: Path, target: TargetServer) -> None:
    held = job("slow", f"{target.url}/hold", "manual", "timeout: {total: 10m}")
    jobs = jobs_file(held + job("soon", f"{target.url}/", FAR_AHEAD), daemon="shutdown_grace: 10m")
    with daemon(tmp_path, jobs) as running:
        running.tminus("run-now", "slow", "--no-wait")
        target.wait_for(1)
        running.signal(signal.SIGTERM)
        said = eventually(
            lambda: status if (status := running.json("status"))["state"] == "stopping" else None
        )
        assert (said["pid"], said["next"]) == (running.process and running.process.pid, None)
        assert running.tminus("status").returncode == 1
        later = running.tminus("run-now", "soon", "--no-wait")
        assert (later.returncode, "waits until one starts" in later.stderr) == (0, True)
        target.release_held()
        assert running.wait() == 0
        assert (running.json("status")["state"], running.tminus("status").returncode) == ("stopped", 3)


def test_status_tells_of_an_application_that_does_not_import(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("raise ImportError('no such thing')\n")
    jobs = "version: 1\napps: {shop: {app: 'shop:app'}}\njobs:\n  a: {schedule: manual, call: {ref: 'shop:run', app: shop}}\n"
    with daemon(tmp_path, jobs) as running:
        (problem,) = eventually(lambda: running.json("status")["problems"])
        assert problem.startswith("the application shop does not work: ")
        assert "no such thing" in problem
        said = running.tminus("status")
        assert (said.returncode, said.stdout.startswith("degraded")) == (1, True)


def test_status_needs_no_jobs_file(tmp_path: Path, past: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = tminus("status", cwd=elsewhere, env={"TMINUS_LEDGER": f"sqlite:///{past}/ledger/ledger.db"})
    assert (said.returncode, said.stderr) == (3, "")
    assert "1 succeeded" in said.stdout


def test_status_without_a_ledger(folder: Path) -> None:
    said = run(folder, "status")
    assert said.returncode == 3
    assert said.stderr.startswith("error: no daemon on this ledger: no ledger at ")


def test_doctor_proves_that_priming_works_here(past: Path) -> None:
    said = run(past, "doctor", "--json")
    found = {one["check"]: one for one in json.loads(said.stdout)}
    assert found["priming"]["status"] == "ok"
    assert found["ledger"]["status"] == "ok"
    assert set(found) == {
        "versions",
        "priming",
        "priority",
        "connections",
        "clock",
        "time zones",
        "certificates",
        "ledger",
    }
    assert said.returncode == 0


def test_doctor_looks_at_the_limit_that_the_unit_asks_for(folder: Path) -> None:
    (folder / "systemctl").write_text("#!/bin/sh\necho 2\n")
    (folder / "systemctl").chmod(0o755)
    said = tminus("doctor", "--json", cwd=folder, env=ENV | {"PATH": f"{folder}:{os.environ['PATH']}"})
    (priority,) = [one for one in json.loads(said.stdout) if one["check"] == "priority"]
    assert priority["status"] == "ok" or "LimitRTPRIO=2 in the unit" not in priority["hint"]


def test_a_daemon_prints_some_of_many_warnings(tmp_path: Path) -> None:
    jobs = "".join(
        f"  a{number}: {{schedule: manual, params: {{password: x}}, http: 'http://127.0.0.1:9/'}}\n"
        for number in range(50)
    )
    with daemon(tmp_path, f"version: 1\njobs:\n{jobs}") as running:
        log = running.log_file.read_text()
        assert log.count("a secret in plain text") == 20
        assert "30 more warnings: `tminus validate` shows them" in log


# --- errors and streams ---


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        pytest.param(["nxt"], 2, "no command 'nxt'; did you mean 'next'?", id="unknown-command"),
        pytest.param(["next", "--nope"], 2, "No such option", id="unknown-option"),
        pytest.param(["next", "--from", "noon"], 2, "error: 'noon' is not a time", id="no-time"),
        pytest.param(["show", "pai"], 4, "error: no job 'pai'; did you mean 'pay'?", id="unknown-job"),
        pytest.param(["show", "pa*"], 2, "error: 'pa*' selects 2 jobs", id="several-jobs"),
        pytest.param(["run-now"], 2, "error: which jobs?", id="no-job"),
        pytest.param(
            ["run-now", "pay", "--set", "dai=1"],
            2,
            "job 'pay' has no param 'dai'; did you mean 'day'?",
            id="unknown-param",
        ),
        pytest.param(
            ["run-now", "pay", "--set", "day"], 2, "error: --set 'day' is not KEY=VALUE", id="no-pair"
        ),
        pytest.param(["logs", "pay"], 1, "error: no ledger at ", id="no-ledger-for-a-job"),
        pytest.param(["logs", "pay@2026-01-01T00:00:00Z"], 1, "error: no ledger at ", id="no-ledger"),
        pytest.param(["-c", "nope.yaml", "validate"], 2, "cannot read nope.yaml", id="no-file"),
        pytest.param(
            ["--ledger", "mysql://x/y", "history"],
            2,
            "error: a ledger cannot be in mysql",
            id="another-database",
        ),
        pytest.param(
            ["--ledger", "sqlite://", "history"],
            2,
            "error: a ledger in memory would remember nothing",
            id="in-memory",
        ),
        pytest.param(
            ["--ledger", "nonsense", "history"], 2, "error: the ledger's URL is not a URL", id="no-url"
        ),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    folder: Path, arguments: list[str], status: int, says: str
) -> None:
    said = run(folder, *arguments)
    assert (said.returncode, says in said.stderr, "Traceback" in said.stderr) == (status, True, False), (
        said.stderr
    )


@pytest.mark.parametrize("command", ["status", "watch", "reload"])
def test_a_command_that_needs_the_daemon_says_that_there_is_none(past: Path, command: str) -> None:
    said = run(past, command)
    assert (said.returncode, "no daemon on this ledger" in said.stdout + said.stderr) == (3, True)


def test_an_occurrence_that_is_not_there_is_status_4(past: Path) -> None:
    said = run(past, "logs", "pay@2026-01-01T00:00:00Z")
    assert (said.returncode, said.stderr.splitlines()[0]) == (
        4,
        "error: no occurrence pay@2026-01-01T00:00:00Z",
    )


def test_a_reader_that_has_seen_enough_is_no_error(past: Path) -> None:
    command = f"{sys.executable} -m tminus.cli next -n 20000 | head -1; echo ${{PIPESTATUS[0]}}"
    environment = os.environ | ENV | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        ["/bin/bash", "-c", command], cwd=past, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == ["FIRE TIME\tIN\tJOB", "0"]
    assert said.stderr == ""


def test_a_locale_without_unicode_gets_ascii(past: Path) -> None:
    said = tminus(
        "history",
        cwd=past,
        env=ENV | {"TMINUS_LEDGER": f"sqlite:///{past}/ledger/ledger.db", "PYTHONIOENCODING": "ascii"},
    )
    assert said.stdout.isascii()
    assert "ok succeeded" in said.stdout


def test_verbose_says_which_file_and_ledger_are_meant_and_why(past: Path) -> None:
    said = run(past, "history", "-v")
    assert "jobs file jobs.yaml (in this folder)" in said.stderr
    assert "ledger.db ($TMINUS_LEDGER)" in said.stderr


def test_version_and_help(folder: Path) -> None:
    assert tminus("--version").stdout.startswith("tminus ")
    help_text = tminus("--help").stdout
    for command in (
        "daemon",
        "demo",
        "validate",
        "next",
        "run-now",
        "jobs",
        "show",
        "status",
        "history",
        "logs",
        "skew",
        "watch",
        "doctor",
        "schema",
    ):
        assert f"\n  {command} " in help_text
        assert "tminus " in tminus(command, "--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(shell: str) -> None:
    assert "_TMINUS_COMPLETE" in tminus("completion", shell).stdout


def test_completion_knows_the_jobs(past: Path) -> None:
    completing = {"_TMINUS_COMPLETE": "bash_complete", "COMP_WORDS": "tminus run-now pa", "COMP_CWORD": "2"}
    said = tminus(cwd=past, env=ENV | completing)
    assert sorted(said.stdout.split()) == ["plain,pack", "plain,pay"]


def test_run_scheduler_is_the_same_program() -> None:
    said = subprocess.run(
        [sys.executable, ROOT / "run_scheduler.py", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == tminus("--version").stdout


def test_history_takes_tags_and_globs_and_refuses_what_is_no_job(past: Path) -> None:
    assert {one["job"] for one in _json(past, "history", "p*y")} == {"pay"}
    said = run(past, "history", "pai")
    assert (said.returncode, "did you mean" in said.stderr) == (4, True)


def test_a_job_that_has_gone_from_the_file_still_has_its_history(past: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((past / "jobs.yaml").read_text().replace("  pay:", "  paid:"))
    assert [one["job"] for one in _json(past, "-c", str(other), "history", "pay")] == ["pay"]


def test_logs_of_a_job_are_those_of_its_last_run(folder: Path) -> None:
    run(folder, "run-now", "pay")
    (last,) = _json(folder, "run-now", "pay")
    assert _json(folder, "logs", "pay")["occurrence"]["id"] == last["id"]


def test_who_only_asks_needs_no_secrets(folder: Path) -> None:
    jobs_file = folder / "jobs.yaml"
    jobs_file.write_text(
        jobs_file.read_text() + "  secret: {schedule: manual, http: 'http://127.0.0.1:1/${env:NOT_THERE}'}\n"
    )
    assert run(folder, "validate").returncode == 2
    assert run(folder, "daemon").returncode == 2
    assert "secret" in {one["job"] for one in _json(folder, "jobs")}
    (done,) = _json(folder, "run-now", "secret")
    assert done["reason"] == "definition, not sent: secret NOT_THERE not found"


def test_what_cannot_be_written_out_is_an_error_in_a_sentence(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tminus.cli", "schema"]
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: cannot write the output: No space left on device"


def test_history_needs_no_jobs_file(past: Path, tmp_path: Path) -> None:
    said = tminus("history", "pay", cwd=tmp_path, env={"TMINUS_LEDGER": f"sqlite:///{past}/ledger/ledger.db"})
    assert (said.returncode, len(said.stdout.splitlines())) == (0, 2)


def test_rows_of_an_unknown_kind_are_left_out_with_a_warning_and_the_same_status(
    folder: Path,
) -> None:
    run(folder, "run-now", "pay", "pack")
    commands = ("status", "history", "history --json", "jobs", "jobs --json", "skew", "logs pay")
    before = dict(zip(commands, (3, 0, 0, 0, 0, 0, 0), strict=True))
    with dbapi2.connect(folder / "ledger" / "ledger.db") as ledger:
        ledger.execute("UPDATE occurrences SET origin = 'prophecy', outcome = NULL WHERE job = 'pack'")
    for command, status in before.items():
        said = run(folder, *command.split())
        assert said.returncode == status, command
        assert "Traceback" not in said.stderr
        assert ("warning: " in said.stderr) is (command != "logs pay"), command
    assert run(folder, "logs", "pack").returncode == 4
    assert [one["job"] for one in _json(folder, "history")] == ["pay"]
