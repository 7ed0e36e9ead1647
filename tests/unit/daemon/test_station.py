"""What a batch does on its way to T."""

import os
from pathlib import Path

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon.executors import Executors
from scheduler.daemon.handovers import Handovers
from scheduler.daemon.recorder import Recorder
from scheduler.daemon.station import Station
from scheduler.jobsfile.load import load
from scheduler.ledger.engine import open_ledger
from scheduler.model.job import HttpTarget
from scheduler.release.gate import Gate
from tests.support.values import a_due, a_job


def test_the_folder_of_the_jobs_file_is_looked_for_when_it_is_read_and_not_for_each_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "jobs.yaml").write_text("version: 1\ntimezone: UTC\njobs: {a: {schedule: manual, http: 'http://x/'}}\n")
    (tmp_path / "real" / "secret").write_text("canary")
    (tmp_path / "real" / "secret").chmod(0o600)
    (tmp_path / "jobs.yaml").symlink_to(tmp_path / "real" / "jobs.yaml")
    definitions = load(tmp_path / "jobs.yaml").definitions
    assert definitions
    clock, ledger = SystemClock(), open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    gate = Gate(clock)
    station = Station(
        clock=clock,
        ledger=ledger,
        instance="",
        definitions=definitions,
        executors=Executors(clock, handovers=Handovers(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=gate, clock=clock),
        gate=gate,
    )
    station.renderer()
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "readlink"):  # of a file system that hangs
            patch.setattr(os, name, lambda *_, **__: pytest.fail("it is looked for"))
        renderer = station.renderer()
    due = a_due(a_job(target=HttpTarget(url="http://x/", headers={"X-Key": "${file:secret}"})), fire_time_ns=0)
    assert renderer.secrets(due) == {"canary"}
    ledger.close()
