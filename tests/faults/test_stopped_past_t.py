"""
Processes are stopped through T, as by SIGSTOP or with a suspended machine: what is late runs with its number, or
is missed with the reason.
"""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.support.daemon import children_of, coming, daemon, suspend
from tests.support.jobs import jobs_file
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.instants import SECOND, parse_rfc3339

WHO = {
    "the daemon": [],
    "the lanes": [b"tminus.executors.http"],
    "the runner": [b"tminus.executors.python"],
    "all": [b"tminus.executors.http", b"tminus.executors.python"],
}
_TASKS = """
import pathlib

def note(name):
    with (pathlib.Path(__file__).parent / "entered").open("a") as notes:
        notes.write(name + "\\n")
"""
#: A job that may be late and one that may not, of both kinds.
GRACES = {"patient": "10m", "strict": "1s"}


@pytest.mark.parametrize("who", WHO)
def test_what_was_stopped_through_t_is_late_or_missed_and_never_doubled(
    tmp_path: Path, target: TargetServer, who: str
) -> None:
    (tmp_path / "tasks.py").write_text(_TASKS)
    at = coming(8)
    lines = ""
    for name, grace in GRACES.items():
        common = f"schedule: {{at: '{at}'}}, misfire_grace_time: {grace}"
        lines += f"  http_{name}: {{{common}, http: '{target.url}/ok'}}\n"
        lines += f"  call_{name}: {{{common}, call: {{ref: 'tasks:note', args: [call_{name}]}}}}\n"
    with daemon(tmp_path, jobs_file(lines, daemon="lead: 5s")) as running:
        assert running.process is not None
        daemons = [running.process.pid] if who in ("the daemon", "all") else []
        pids = [*daemons, *(pid for word in WHO[who] for pid in children_of(running.process.pid, word))]
        assert len(pids) == max(len(WHO[who]) + len(daemons), 1)
        running.wait_for(rows=4)
        for pid in pids:
            suspend(pid)
        wait_until(parse_rfc3339(at) + 2 * SECOND)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # the daemon has replaced it
                os.kill(pid, signal.SIGCONT)
        for job in ("http_patient", "call_patient"):
            (one,) = running.wait_for(job=job, state="finished")
            if (
                one["outcome"] == "unknown"
            ):  # stopped after its release, and replaced by a daemon that went on first
                assert "died after the release" in one["reason"]
            else:
                assert (one["outcome"], one["start_offset_ms"] >= 0) == ("succeeded", True)
        for job in ("http_strict", "call_strict"):
            (one,) = running.wait_for(job=job, state="finished")
            if one["outcome"] == "missed":
                assert "misfire_grace_time" in one["reason"]
            else:  # it was released before its process was stopped, or by another one
                assert (one["outcome"], one["start_offset_ms"] <= 1_000) == ("succeeded", True)
        started = [
            *(tmp_path / "entered").read_text().split(),
            *(one.headers["x-tminus-occurrence"] for one in target.arrivals),
        ]
        assert sorted(started) == sorted(set(started))
        assert running.stop() == 0
