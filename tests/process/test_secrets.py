"""
A secret is in the request and nowhere else: not in a log, not in the ledger's bytes, not in what a command
prints.
"""

import signal
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, daemon
from tests.support.target import TargetServer

IN_ENVIRONMENT = "canary-in-the-environment"
IN_FILE = "canary-in-a-file"

JOBS = """\
version: 1
daemon: {{lead: 200ms, reload: sighup}}
defaults:
  http: {{method: POST, headers: {{X-Key: "${{env:CANARY}}", X-File: "${{file:canary.txt}}"}}}}
jobs:
  well: {{schedule: manual, params: {{day: today}}, http: {{url: "{url}/ok/${{env:CANARY}}?k=${{file:canary.txt}}", body: "${{env:CANARY}}"}}}}
  odd: {{schedule: manual, http: {{url: "{url}/status/503", query: {{k: "${{env:CANARY}}"}}, json: {{k: "${{file:canary.txt}}"}}}}}}
  dead: {{schedule: manual, http: {{url: "http://127.0.0.1:1/${{env:CANARY}}", form: {{k: "${{file:canary.txt}}"}}}}}}
  lost: {{schedule: manual, http: {{url: "http://${{env:CANARY}}.invalid/"}}}}
  echoed: {{schedule: manual, expect: {{status: 418}}, http: {{url: "{url}/echo/${{env:CANARY}}", body: "${{env:CANARY}}"}}}}
  cut: {{schedule: manual, http: {{url: "{url}/close", body: "${{env:CANARY}}"}}}}
  broken: {{schedule: manual, params: {{n: 0}}, http: {{url: "{url}/ok", body: "${{env:CANARY}} {{{{ 1 // params.n }}}}"}}}}
  unfit: {{schedule: manual, http: {{url: "{url}/ok/{{{{ ' ' }}}}${{env:CANARY}}"}}}}
"""


@pytest.mark.parametrize("log", ["json", "journal"])
def test_the_canary_is_seen_by_the_server_alone(tmp_path: Path, target: TargetServer, log: str) -> None:
    secret_file = tmp_path / "canary.txt"
    secret_file.touch(0o600)
    secret_file.write_text(IN_FILE)
    jobs = JOBS.format(url=target.url)
    environment = {"CANARY": IN_ENVIRONMENT} | (
        {"JOURNAL_STREAM": "1:1", "TMINUS_LOG": ""} if log == "journal" else {}
    )
    with daemon(tmp_path, jobs, env=environment) as running:
        printed = run_everything(running)
        assert running.stop() == 0
    sent = "".join(f"{arrival.path} {arrival.headers} {arrival.body!r}" for arrival in target.arrivals)
    assert IN_ENVIRONMENT in sent
    assert IN_FILE in sent
    outcomes = {one["job"]: (one["outcome"], one["reason"]) for one in running.occurrences()}
    assert outcomes["well"] == ("succeeded", None)
    assert {name for name, (outcome, _) in outcomes.items() if outcome == "succeeded"} == {"well"}
    kept = {"the log": running.log_file.read_bytes(), "the commands": printed.encode()}
    kept |= {str(path): path.read_bytes() for path in (tmp_path / "ledger").iterdir()}
    assert kept["the log"]
    assert [
        name
        for name, content in kept.items()
        if IN_ENVIRONMENT.encode() in content or IN_FILE.encode() in content
    ] == []


def run_everything(running: DaemonProcess) -> str:
    """Each job, with every command that tells of it afterwards; all that they printed."""
    said = [running.tminus("run-now", "--all", "--yes", "-v")]
    said += [
        running.tminus(*arguments)
        for arguments in (["history", "--json"], ["skew"], ["status"], ["jobs"], ["validate"])
    ]
    said += [
        running.tminus("show", "well"),
        *(running.tminus("logs", one["id"]) for one in running.occurrences()),
    ]
    running.signal(signal.SIGHUP)
    return "".join(one.stdout + one.stderr for one in said)
