"""Kills at system calls: what the ledger must not say at a kill, and afterwards; the jobs of the batch."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.system_calls import jobs_text, sent_without_release, unknown_without_release
from bench.torture.witness import Arrival
from tminus.jobsfile.load import load

ID = "job@2026-11-20T11:30:00Z"


@pytest.mark.parametrize(
    ("row", "is_well"),
    [
        pytest.param({"state": "claimed", "attempts": 0}, False, id="claimed"),
        pytest.param({"state": "claimed", "attempts": 1}, True, id="waits for its next attempt"),
        pytest.param({"state": "running", "attempts": 0}, True, id="released"),
        pytest.param({"state": "finished", "attempts": 1}, True, id="finished"),
    ],
)
def test_what_has_arrived_was_released(row: dict[str, Any], *, is_well: bool) -> None:
    arrival = Arrival(at_ns=1, what="http", occurrence=ID)
    assert (sent_without_release([{"id": ID, **row}], [arrival]) == []) is is_well
    assert sent_without_release([{"id": ID, **row}], []) == []


@pytest.mark.parametrize(
    ("outcome", "released", "is_well"),
    [("unknown", {ID}, True), ("unknown", set(), False), ("missed", set(), True)],
)
def test_only_what_was_released_at_a_kill_may_be_unknown(
    outcome: str, released: set[str], *, is_well: bool
) -> None:
    assert (unknown_without_release([{"id": ID, "outcome": outcome}], released) == []) is is_well


def test_a_hundred_jobs_are_due_together(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(jobs_text("http://127.0.0.1:1"))
    scheduled = [job for job in json.loads(file.read_text())["jobs"].values() if job["schedule"] != "manual"]
    assert (load(file).errors, len(scheduled)) == ((), 100)
    assert all(job["schedule"] == scheduled[0]["schedule"] for job in scheduled)
