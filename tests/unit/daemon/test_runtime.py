"""What a batch does on its way to T."""

import os
from pathlib import Path

import pytest

from tests.support.new_ledgers import new_ledger
from tests.support.values import a_due, a_job
from tminus.clock import SystemClock
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.runtime import Runtime
from tminus.jobsfile.load import load
from tminus.model.job import HttpTarget
from tminus.release.gate import Gate


def test_the_folder_of_the_jobs_file_is_found_once_and_not_for_each_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "jobs.yaml").write_text(
        "version: 1\ntimezone: UTC\njobs: {a: {schedule: manual, http: 'http://x/'}}\n"
    )
    (tmp_path / "real" / "secret").write_text("canary")
    (tmp_path / "real" / "secret").chmod(0o600)
    (tmp_path / "jobs.yaml").symlink_to(tmp_path / "real" / "jobs.yaml")
    definitions = load(tmp_path / "jobs.yaml").definitions
    assert definitions
    clock, ledger = SystemClock(), new_ledger(tmp_path)
    gate = Gate(clock)
    runtime = Runtime(
        clock=clock,
        ledger=ledger,
        instance="",
        definitions=definitions,
        executors=Executors(clock, job_requests=JobRequestHandler(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=gate, clock=clock),
        gate=gate,
    )
    runtime.renderer()
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "readlink"):  # of a file system that hangs
            patch.setattr(os, name, lambda *_, **__: pytest.fail("it is looked for"))
        renderer = runtime.renderer()
    due = a_due(
        a_job(target=HttpTarget(url="http://x/", headers={"X-Key": "${file:secret}"})), fire_time_ns=0
    )
    assert renderer.secrets(due) == {"canary"}
    ledger.close()
