"""Notifications of a real daemon, to servers of the test: messages, pings, the beat, and `notify test`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import QUICK, job
from tests.support.moments import wait_until
from tests.support.target import Arrival, TargetServer
from tminus.clock import SystemClock
from tminus.instants import SECOND


@pytest.fixture
def receiver() -> Iterator[TargetServer]:
    """A server that gets the notifications; the jobs call another one."""
    with TargetServer() as server:
        yield server


def file_of(channels: str, jobs: str, *, top: str = "", settings: str = QUICK) -> str:
    return f"version: 1\ndaemon: {{{settings}}}\nnotify: {{{channels}}}\n{top}jobs:\n{jobs}"


def hook(name: str, receiver: TargetServer, more: str = "") -> str:
    return f"{name}: {{webhook: '{receiver.url}/{name}'{more}}}"


def documents(receiver: TargetServer, path: str) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.arrivals if one.path == path]


def wait_for_document(receiver: TargetServer, path: str, count: int = 1) -> list[dict[str, Any]]:
    eventually(lambda: len(documents(receiver, path)) >= count, what=f"{count} documents at {path}")
    return documents(receiver, path)


def pings(receiver: TargetServer, name: str) -> list[Arrival]:
    return [one for one in receiver.arrivals if one.path.startswith(f"/{name}")]


def test_the_failures_of_a_batch_are_one_message_and_recoveries_another(
    tmp_path: Path, target: TargetServer, receiver: TargetServer
) -> None:
    channels = hook("ops", receiver, ", secret: '${env:HOOK_KEY}', recovered: true")
    at = coming(4)

    def jobs(path: str) -> str:
        bad = "".join(
            job(f"bad_{index}", f"{target.url}/{path}", f"at: '{at}'", "notify: ops") for index in range(3)
        )
        return bad + "".join(job(f"good_{index}", f"{target.url}/ok", f"at: '{at}'") for index in range(7))

    env = {"HOOK_KEY": "hunter2-hunter2"}
    with daemon(tmp_path, file_of(channels, jobs("status/503")), env=env) as running:
        (failed,) = wait_for_document(receiver, "/ops")
        assert (failed["type"], failed["data"]["title"]) == ("failed", "3 of 10 failed")
        assert {one["job"] for one in failed["data"]["occurrences"]} == {"bad_0", "bad_1", "bad_2"}
        assert all(one["reason"].startswith("status: 503") for one in failed["data"]["occurrences"])
        running.reload(file_of(channels, jobs("ok")))
        assert running.tminus("run-now", "bad_0", "bad_1").returncode == 0
        (_, recovered) = wait_for_document(receiver, "/ops", 2)
        assert (recovered["type"], recovered["data"]["title"]) == ("recovered", "2 jobs succeeded again")
        assert running.stop() == 0
    assert len(documents(receiver, "/ops")) == 2
    assert len({one.headers["webhook-signature"] for one in receiver.arrivals}) == 2
    assert "hunter2" not in running.log_file.read_text()


def test_a_batch_that_starts_late_is_told_of(
    tmp_path: Path, target: TargetServer, receiver: TargetServer
) -> None:
    top = "start_slo: {last: 100ms, notify: ops}\n"
    jobs = file_of(hook("ops", receiver), job("late", f"{target.url}/ok", "manual"), top=top)
    stopped = DaemonProcess(tmp_path, jobs)
    assert stopped.tminus("run-now", "late", "--at", "+1s", "--no-wait").returncode == 0
    wait_until(SystemClock().wall_ns() + 2 * SECOND)
    try:
        stopped.start()
        (late,) = wait_for_document(receiver, "/ops")
    finally:
        stopped.close()
    assert late["type"] == "late_start"
    assert late["data"]["last_ms"] > 1_000


def test_a_channel_that_hangs_delays_no_other_one(
    shared: DaemonProcess, target: TargetServer, receiver: TargetServer
) -> None:
    channels = f"stall: {{webhook: '{receiver.url}/stall'}}, {hook('ops', receiver, ', throttle: 0')}"
    jobs = job("bad", f"{target.url}/status/503", "every: 1s", "notify: [stall, ops]")
    shared.reload(file_of(channels, jobs))
    told = wait_for_document(receiver, "/ops", 3)
    assert {one["data"]["title"] for one in told} == {"bad failed"}
    assert len(pings(receiver, "stall")) == 1


def test_a_check_is_told_of_starts_and_ends(
    shared: DaemonProcess, target: TargetServer, receiver: TargetServer
) -> None:
    channels = ", ".join(
        f"{name}: {{healthchecks: '{receiver.url}/{name}'}}" for name in ("quick", "slow", "bad")
    )
    jobs = (
        job("quick", f"{target.url}/ok", "manual", "notify: quick")
        + job("slow", f"{target.url}/hold", "manual", "notify: slow")
        + job("bad", f"{target.url}/status/503", "manual", "notify: bad")
    )
    shared.reload(file_of(channels, jobs))
    shared.tminus("run-now", "quick", "slow", "bad", "--no-wait")
    eventually(lambda: pings(receiver, "slow"), what="the first ping of the slow job")
    target.release_held()
    eventually(lambda: len(pings(receiver, "slow")) >= 2, what="its second ping")
    eventually(lambda: pings(receiver, "quick") and pings(receiver, "bad"), what="the other pings")
    assert [one.path.partition("?")[0] for one in pings(receiver, "slow")] == ["/slow/start", "/slow"]
    assert len({one.path.partition("?")[2] for one in pings(receiver, "slow")}) == 1, "one run id"
    assert [one.path.partition("?")[0] for one in pings(receiver, "bad")][-1] == "/bad/fail"
    assert [one.path.partition("?")[0] for one in pings(receiver, "quick")][-1] == "/quick"
    assert b"status: 503" in pings(receiver, "bad")[-1].body


def test_the_checks_of_the_daemon_are_pinged_while_it_is_well(
    shared: DaemonProcess, receiver: TargetServer
) -> None:
    channels = f"beat: {{healthchecks: '{receiver.url}/beat'}}, gone: {{healthchecks: 'http://127.0.0.1:1/'}}"
    settings = "lead: 1s, reload: sighup, notify: [beat, gone]"
    jobs = job("idle", receiver.url, "manual")
    shared.reload(file_of(channels, jobs, settings=settings))
    eventually(lambda: pings(receiver, "beat"), what="a ping of the daemon")
    problem = "the daemon's check gone cannot be pinged: "
    eventually(
        lambda: any(one.startswith(problem) for one in shared.json("status")["problems"]),
        what="status says that a check cannot be pinged",
    )
    assert pings(receiver, "beat")[0].path == "/beat"


def test_notify_test_says_what_was_sent(tmp_path: Path, receiver: TargetServer) -> None:
    channels = f"{hook('ops', receiver)}, broken: {{webhook: '{receiver.url}/status/503'}}, beat: {{healthchecks: '{receiver.url}/beat'}}, secret: {{webhook: 'http://127.0.0.1:1/${{env:HOOK_PATH}}'}}"
    idle = DaemonProcess(
        tmp_path,
        file_of(channels, job("idle", receiver.url, "manual")),
        env={"HOOK_PATH": "T0KEN-T0KEN"},
    )
    done = idle.tminus("notify", "test", "ops", "beat")
    assert (done.returncode, done.stdout) == (0, "ops: sent\nbeat: sent\n")
    assert [one.path for one in receiver.arrivals] == ["/ops", "/beat/log"]
    assert documents(receiver, "/ops")[0]["type"] == "test"
    done = idle.tminus("notify", "test", "--json")
    assert done.returncode == 1
    results = {one["channel"]: one for one in json.loads(done.stdout)}
    assert results["broken"] == {"channel": "broken", "sent": False, "error": "the server answered 503"}
    assert not results["secret"]["sent"]
    assert "T0KEN" not in done.stdout + done.stderr
    done = idle.tminus("notify", "test", "opps")
    assert (done.returncode, "did you mean 'ops'?" in done.stderr) == (2, True)
    idle.write("version: 1\njobs: {a: {schedule: manual, http: https://x.example.com/}}\n")
    done = idle.tminus("notify", "test")
    assert (done.returncode, "the jobs file has no channels" in done.stderr) == (2, True)


def test_a_change_of_a_channel_alone_comes_into_force(
    tmp_path: Path, target: TargetServer, receiver: TargetServer
) -> None:
    jobs, settings = job("bad", f"{target.url}/status/503", "manual", "notify: ops"), "lead: 1s"
    with daemon(tmp_path, file_of(hook("ops", receiver), jobs, settings=settings)) as running:
        running.write(file_of(hook("ops", receiver, ", throttle: 0"), jobs, settings=settings))
        running.wait_until_said("reloaded")
        for count in (1, 2):
            running.tminus("run-now", "bad")
            wait_for_document(receiver, "/ops", count)


def test_a_message_has_no_secret(tmp_path: Path, receiver: TargetServer) -> None:
    (tmp_path / "shop.py").write_text("def pay(key):\n    raise ValueError(f'{key} is not accepted')\n")
    call = "{ref: 'shop:pay', kwargs: {key: '${env:PAY_KEY}'}}"
    jobs = f"  pay: {{schedule: manual, call: {call}, notify: [ops, check]}}\n"
    channels = f"{hook('ops', receiver)}, check: {{healthchecks: '{receiver.url}/check'}}"
    with daemon(tmp_path, file_of(channels, jobs), env={"PAY_KEY": "hunter2-hunter2"}) as running:
        running.tminus("run-now", "pay")
        (told,) = wait_for_document(receiver, "/ops")
        eventually(lambda: pings(receiver, "check"), what="the ping")
    assert "ValueError: *** is not accepted" in told["data"]["text"]
    assert not any(b"hunter2" in one.body for one in receiver.arrivals)
