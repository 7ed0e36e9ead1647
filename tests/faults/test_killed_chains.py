"""
kill -9 of the daemon around a chain: each link is called once where that is known, marked where it is not,
and none is lost.
"""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.target import TargetServer


def a_file(folder: Path, jobs: dict[str, Any]) -> str:
    """A jobs file, and the functions that it names."""
    install("killed_chains", folder)
    return json.dumps(
        {
            "version": 1,
            "timezone": "UTC",
            "jobs": {name: {"schedule": "manual", **job} for name, job in jobs.items()},
        }
    )


def note(name: str) -> dict[str, Any]:
    """A function that notes that it was called, and hands on what it got."""
    return {"call": "hooks:note", "kwargs": {"name": name}}


def notes(folder: Path) -> list[str]:
    """What has been called, in order."""
    file = folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


def states(running: DaemonProcess, job: str) -> list[str]:
    """Of the links of its last occurrence."""
    return [link["state"] for link in running.occurrences(job)[0]["chain"]]


def ended(running: DaemonProcess, job: str) -> list[str]:
    """The same, once all have ended."""
    eventually(lambda: not {"waiting", "running"} & set(states(running, job)), what="the chain has ended")
    return states(running, job)


def test_killed_while_a_link_runs_it_is_unknown_and_the_chain_goes_on_later(
    tmp_path: Path,
) -> None:
    then = [
        {"callback": note("first")},
        {"callback": "hooks:waits"},
        {"callback": note("no")},
        {"errback": note("after")},
    ]
    with daemon(tmp_path, a_file(tmp_path, {"job": {"call": "hooks:number", "then": then}})) as running:
        running.tminus("run-now", "job", "--no-wait")
        eventually(lambda: "waits 42" in notes(tmp_path))
        running.kill()
        running.start()
        assert ended(running, "job") == ["succeeded", "unknown", "passed_over", "succeeded"]
    assert notes(tmp_path) == [
        "first 42",
        "waits 42",
        "after tminus was killed while it ran; how far it came is not known",
    ]


def test_killed_between_outcome_and_first_link_the_chain_begins_after_the_start(
    tmp_path: Path,
) -> None:
    jobs = {
        "job": {"call": "hooks:number", "then": [{"callback": note("first")}, {"callback": note("second")}]}
    }
    with daemon(tmp_path, a_file(tmp_path, jobs)) as running:
        running.tminus("run-now", "job")
        running.kill()
        # As it stands when the outcome is durable, and nothing else yet.
        with dbapi2.connect(tmp_path / "ledger" / "ledger.db") as ledger:
            ledger.execute("UPDATE links SET state = 'waiting', finished_at_ns = NULL")
            ledger.execute("INSERT INTO chains SELECT id, 0, '{\"result\": 42}' FROM occurrences")
        (tmp_path / "notes").unlink()
        running.start()
        assert ended(running, "job") == ["succeeded", "succeeded"]
    assert notes(tmp_path) == ["first 42", "second 42"]


def test_killed_while_the_run_itself_runs_its_chain_hears_that_it_is_unknown(tmp_path: Path) -> None:
    with daemon(
        tmp_path, a_file(tmp_path, {"job": {"call": "hooks:slow", "then": [{"errback": note("after")}]}})
    ) as running:
        running.tminus("run-now", "job", "--no-wait")
        eventually(lambda: notes(tmp_path))
        running.kill()
        running.start()
        assert ended(running, "job") == ["succeeded"]
    assert (
        notes(tmp_path)[1]
        == "after tminus was killed between the release and the answer; how far it came is not known"
    )


def test_stopped_while_a_link_runs_it_may_end_and_the_rest_waits_for_the_next_start(
    tmp_path: Path,
) -> None:
    jobs = {
        "job": {"call": "hooks:number", "then": [{"callback": "hooks:waits"}, {"callback": note("after")}]}
    }
    with daemon(tmp_path, a_file(tmp_path, jobs)) as running:
        running.tminus("run-now", "job", "--no-wait")
        eventually(lambda: "waits 42" in notes(tmp_path))
        running.signal(signal.SIGTERM)
        running.wait_until_said("stopping")
        (tmp_path / "go").touch()
        assert running.wait() == 0
        assert states(running, "job") == ["succeeded", "waiting"]
        running.start()
        assert ended(running, "job") == ["succeeded", "succeeded"]
    assert notes(tmp_path) == ["waits 42", "after waited"]


def test_a_reload_in_the_middle_of_a_chain_changes_nothing_about_it(tmp_path: Path) -> None:
    jobs = {"job": {"call": "hooks:number", "then": [{"callback": "hooks:waits"}, {"callback": note("old")}]}}
    with daemon(tmp_path, a_file(tmp_path, jobs)) as running:
        running.tminus("run-now", "job", "--no-wait")
        eventually(lambda: "waits 42" in notes(tmp_path))
        running.reload(
            a_file(tmp_path, {"job": {"call": "hooks:number", "then": [{"callback": note("new")}]}})
        )
        (tmp_path / "go").touch()
        assert ended(running, "job") == ["succeeded", "succeeded"]
    assert notes(tmp_path) == ["waits 42", "old waited"]


@pytest.mark.long
def test_killed_again_and_again_no_link_is_called_twice_and_no_job_is_started_twice(
    tmp_path: Path, target: TargetServer
) -> None:
    names = [f"job_{number}" for number in range(20)]
    then = [
        {"callback": note("{{ job.name }}.1")},
        {"both": {"run": "page"}},
        {"both": note("{{ job.name }}.2")},
    ]
    jobs: dict[str, Any] = {name: {"call": "hooks:number", "then": then} for name in names}
    jobs["page"] = {"http": f"{target.url}/page", "overlap": "allow_all"}
    with daemon(tmp_path, a_file(tmp_path, jobs)) as running:
        running.tminus("run-now", *names, "--no-wait")
        for seen in (1, 10, 25):
            eventually(lambda seen=seen: len(notes(tmp_path)) >= seen or _is_over(running, names))  # type: ignore[misc]
            running.kill()
            running.start()
        eventually(lambda: _is_over(running, names), what="all chains have ended")
        eventually(lambda: all(one["state"] == "finished" for one in running.occurrences("page")))
        chains = {name: [link["state"] for link in running.occurrences(name)[0]["chain"]] for name in names}
        pages = running.occurrences("page")
    calls = Counter(line.split()[0] for line in notes(tmp_path))
    assert set(calls.values()) == {1}
    for name, (first, run, second) in chains.items():
        assert run == "succeeded"
        for position, state in ((1, first), (2, second)):
            assert (
                calls[f"{name}.{position}"] == 1
                or state == "unknown"
                or (position == 1 and state == "passed_over")
            )
    assert len(pages) == len(names)
    arrivals = Counter(arrival.headers["x-tminus-occurrence"] for arrival in target.arrivals)
    assert set(arrivals.values()) == {1}


def _is_over(running: DaemonProcess, names: list[str]) -> bool:
    found = [one for name in names for one in running.occurrences(name)[:1]]
    return len(found) == len(names) and all(
        one["outcome"] and not {"waiting", "running"} & {link["state"] for link in one["chain"]}
        for one in found
    )
