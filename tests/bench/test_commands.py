"""The bench as it is started: whether it works, never how fast anything is."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.waiting import eventually
from tests.support.moments import PATIENCE_S

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent


def _bench(module: str, *words: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    environment.pop("CI", None)  # which would let it install packages
    if module == "bench.soak":
        words = (*words, "--out", str(tmp_path / "results"))  # not among those that are published
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_quick_run_measures_each_contestant_and_writes_both_files(tmp_path: Path) -> None:
    done = _bench("bench", "--quick", "--only", "loopback", "--out", str(tmp_path / "out"), tmp_path=tmp_path)
    assert done.returncode in (0, 1), done.stderr  # 1: not fast enough, which on a busy machine is no news
    (table,) = json.loads((tmp_path / "out" / "latest.json").read_text())["tables"]
    assert [run["contestant"] for run in table["raw"]] == [
        "tminus",
        "barrier",
        "apscheduler",
        "limit",
        "tminus-normal",
    ]
    assert [run["figures"]["started"] for run in table["raw"]] == [100] * 5
    assert [run["figures"]["doubled"] for run in table["raw"]] == [0] * 5
    text = (tmp_path / "out" / "latest.md").read_text()
    assert "each job once and none before T in 1 of 1 runs" in text
    assert "processor: " in text
    assert table["title"] in done.stdout


def test_a_quick_run_measures_python_functions_and_requests_beside_them(tmp_path: Path) -> None:
    done = _bench(
        "bench",
        "--quick",
        "--only",
        "calls",
        "--only",
        "mixed",
        "--out",
        str(tmp_path / "out"),
        tmp_path=tmp_path,
    )
    assert done.returncode in (0, 1), done.stderr  # as above
    calls, mixed = json.loads((tmp_path / "out" / "latest.json").read_text())["tables"]
    assert [run["contestant"] for run in calls["raw"]] == [
        "tminus",
        "flask-barrier",
        "tminus-isolated",
        "forks",
    ]
    assert [run["figures"]["started"] for run in calls["raw"]] == [100] * 4
    assert [run["figures"]["doubled"] for run in calls["raw"]] == [0] * 4
    assert calls["raw"][0]["start"]["off_by_ms"] is not None
    assert len(mixed["raw"]) == 2  # with a real-time priority, where that is allowed, and without
    kinds = ("alone", "beside", "functions")
    assert [[batches[kind][0]["started"] for kind in kinds] for batches in mixed["raw"]] == [[100] * 3] * 2


def test_a_quick_run_measures_submits_and_the_requests_around_which_they_are(tmp_path: Path) -> None:
    done = _bench("bench", "--quick", "--only", "submits", "--out", str(tmp_path / "out"), tmp_path=tmp_path)
    assert done.returncode in (0, 1), done.stderr  # as above
    (table,) = json.loads((tmp_path / "out" / "latest.json").read_text())["tables"]
    (found,) = table["raw"]
    assert (len(found["took"]), found["ran"]) == (100, 100)
    assert [found[kind][0]["started"] for kind in ("alone", "beside")] == [100] * 2


def test_a_quick_run_measures_many_jobs_a_long_history_and_a_long_stop(tmp_path: Path) -> None:
    done = _bench("bench", "--quick", "--only", "large", "--out", str(tmp_path / "out"), tmp_path=tmp_path)
    assert done.returncode in (0, 1), done.stderr  # as above
    (table,) = json.loads((tmp_path / "out" / "latest.json").read_text())["tables"]
    assert [cost["what"].rpartition(": ")[2] for cost in table["raw"]] == [
        *("validate", "next", "daemon ready"),
        *("claim of 1000", "history", "status", "skew", "audit"),
        *("next", "status"),
        "daemon ready",
        "validate",
    ]
    assert all(cost["cpu_s"] > 0 for cost in table["raw"])
    assert re.search(r"ok +0 of 14[34]\d0 due fire times without a row", done.stdout), done.stdout
    assert re.search(r"ok +0 of 14[34]\d0 due fire times covered twice", done.stdout)


def test_a_soak_of_a_few_seconds_accounts_for_every_occurrence(tmp_path: Path) -> None:
    done = _bench("bench.soak", "--only", "jobs", "--minutes", "0.05", tmp_path=tmp_path)
    assert "0 of 300 due but not in the server's log" in done.stdout, done.stdout + done.stderr
    assert "0 of 300 due but not succeeded in the ledger" in done.stdout
    assert "more than once" in done.stdout
    assert done.returncode == 0


def test_a_soak_of_few_background_calls_accounts_for_each_though_killed(tmp_path: Path) -> None:
    done = _bench("bench.soak", "--only", "background", "--calls", "60", tmp_path=tmp_path)
    assert "60 of 60 calls were accepted" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("killed and started again") == 5
    assert "0 of 60 accepted, but never called" in done.stdout
    assert done.returncode == 0


def test_a_deploy_under_load_loses_no_background_run_and_fails_none(tmp_path: Path) -> None:
    done = _bench("bench.soak", "--only", "deploy", "--submits", "60", tmp_path=tmp_path)
    assert re.search(r"ok +[1-9]\d* runs waited for newer code", done.stdout), done.stdout + done.stderr
    assert re.search(r"ok +0 of \d+ not succeeded", done.stdout)
    assert re.search(r"ok +0 of \d+ accepted, but never called", done.stdout)
    assert "more than one attempt" in done.stdout
    assert done.returncode == 0


def test_a_soak_of_a_few_failures_accounts_for_the_message_about_each(tmp_path: Path) -> None:
    done = _bench("bench.soak", "--only", "messages", "--minutes", "0.05", tmp_path=tmp_path)
    assert "0 of 3 failures that were not told" in done.stdout, done.stdout + done.stderr
    assert "0 of 3 failures that were told more than once" in done.stdout
    assert "from a failed start to its message, p99" in done.stdout


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_leaves_nothing_behind(asked: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    environment.pop("CI", None)
    said = tmp_path / "said"
    with said.open("wb") as output:
        command = [sys.executable, "-m", "bench.soak", "--out", str(tmp_path / "results")]
        soak = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    assert eventually(lambda: b"jobs due every second" in said.read_bytes(), timeout_s=PATIENCE_S), (
        said.read_text()
    )
    soak.send_signal(asked)
    assert soak.wait(PATIENCE_S) == 128 + asked
    assert [command for command in _commands() if str(tmp_path).encode() in command] == []
    assert [each.name for each in tmp_path.iterdir()] == ["said"]


def _commands() -> list[bytes]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes())
        except OSError:  # ended meanwhile
            continue
    return found
