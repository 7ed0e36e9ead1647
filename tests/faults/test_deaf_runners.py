"""
A runner does not read its commands, or a file or the log hangs: requests start as without that, and other
runners, too.
"""

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, coming, daemon, eventually, suspend
from tests.support.target import TargetServer
from tests.support.web_worker import web_worker

_REQUESTS = [f"http_{number}" for number in range(30)]
#: More than a pipe holds.
_LARGE = "x" * 200_000
#: A batch may start this late on a busy machine, however early the undisturbed one was. What hangs hangs for
#: seconds.
_FLOOR_MS = 100
#: A busy machine may make requests late beside whatever it is; a defect makes them late in each try.
_TRIES = 5
_REPLACED = "executor hangs, replacing it"


def _jobs_file(folder: Path, target: TargetServer, *, lead: str) -> str:
    install("deaf", folder)
    _make_file(folder / "body")

    def call(ref: str, argument: str) -> dict[str, Any]:
        return {"schedule": "manual", "call": {"ref": ref, "app": ref.partition(":")[0], "args": [argument]}}

    jobs: dict[str, Any] = {
        name: {"schedule": "manual", "http": f"{target.url}/{name}"} for name in _REQUESTS
    }
    jobs |= {"small": call("shop:pid", ""), "large": call("shop:pid", "x" * 300_000)}
    jobs |= {"keeps": call("busy:keeps_the_gil", str(folder / "kept")), "takes": call("busy:takes", _LARGE)}
    body = {"url": f"{target.url}/body", "method": "POST", "body_file": str(folder / "body")}
    jobs["body"] = {"schedule": "manual", "http": body}
    settings = {"lead": lead, "reload": "sighup"}
    apps = {name: {"app": f"{name}:app"} for name in ("shop", "busy")}
    return json.dumps({"version": 1, "timezone": "UTC", "daemon": settings, "apps": apps, "jobs": jobs})


def _shop_runner(running: DaemonProcess) -> int:
    """The process of the application's runner."""
    (small,) = running.json("run-now", "small")
    return int(running.json("logs", small["id"])["attempts"][0]["body"])


def test_requests_start_on_time_beside_a_runner_that_is_stopped_with_a_full_pipe(
    tmp_path: Path, target: TargetServer
) -> None:
    """The daemon replaces a runner after 5 s of silence: nothing waits for that."""
    with daemon(tmp_path, _jobs_file(tmp_path, target, lead="1s")) as running:
        # If all have arrived, and the runner has not been replaced yet, nothing has waited for that.
        assert any(_all_arrive_before_the_end_of_the_runner(running, target) for _ in range(_TRIES))
        assert running.stop() == 0


def _all_arrive_before_the_end_of_the_runner(running: DaemonProcess, target: TargetServer) -> bool:
    """Run all requests beside a runner that is stopped, until it has been replaced."""
    replaced, arrived = len(running.said(_REPLACED)), len(target.arrivals)
    suspend(_shop_runner(running))
    assert running.tminus("run-now", "large", *_REQUESTS, "--no-wait").returncode == 0
    target.wait_for(arrived + len(_REQUESTS))
    is_before = len(running.said(_REPLACED)) == replaced
    running.wait_until_said(_REPLACED, replaced + 1)
    eventually(lambda: running.occurrences("large")[0]["outcome"] == "succeeded", what="its job has run")
    return is_before


@pytest.fixture
def unread(tmp_path: Path, target: TargetServer) -> Iterator["Unread"]:
    """A daemon that is ready, and whose log goes into a pipe."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(read_end, fcntl.F_SETPIPE_SZ, 4096)
    running = DaemonProcess(tmp_path, _jobs_file(tmp_path, target, lead="3s"))
    try:
        running.start(wait=False, stderr=write_end)
        log = b""
        while b'"ready"' not in log:
            log += os.read(read_end, 65536)
        yield Unread(running, target, read_end)
    finally:
        running.close()
        os.close(read_end)
        os.close(write_end)


class Unread:
    """Batches on a daemon, undisturbed or with all that may hang beside the requests."""

    def __init__(self, running: DaemonProcess, target: TargetServer, log: int) -> None:
        self.running = running
        self._target = target
        self._log = log

    def give(self, *more: str, in_s: float = 5, before_claim: Callable[[], object] = lambda: None) -> str:
        """Let all requests run at one T; return it once they are armed."""
        connections, at = self._target.connections, coming(in_s)
        assert self.running.tminus("run-now", *_REQUESTS, *more, "--at", at, "--no-wait").returncode == 0
        before_claim()
        self._target.wait_for_connections(connections + len(_REQUESTS))
        return at

    def requests(self, at: str) -> list[dict[str, Any]]:
        """Return the rows of the requests of this T, once all have succeeded."""
        every = self.running.wait_for(
            rows=len(_REQUESTS), planned_at=at, outcome="succeeded", http_status=200
        )
        return [one for one in every if one["job"] in _REQUESTS]

    @contextlib.contextmanager
    def hanging(self, folder: Path) -> Iterator[int]:
        """Keep the GIL of one runner, and fill the log; yield the process of another runner."""
        shop, kept = _shop_runner(self.running), folder / "kept"
        assert self.running.tminus("run-now", "keeps", "--no-wait").returncode == 0
        busy = int(eventually(lambda: kept.exists() and kept.read_text(), what="the GIL is kept"))
        self._fill_log()
        yield shop
        for runner in (shop, busy):
            with contextlib.suppress(ProcessLookupError):
                os.kill(runner, signal.SIGKILL)
        kept.unlink()
        os.set_blocking(self._log, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._log, 65536):
                pass

    def _fill_log(self) -> None:
        """Fill the pipe of the log to the last byte."""
        # Opened anew: the daemon's own end goes on to block.
        descriptor = os.open(f"/proc/self/fd/{self._log}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while os.write(descriptor, b"x"):
                pass
        os.close(descriptor)


def test_requests_start_as_without_them_beside_all_that_hangs(
    tmp_path: Path, unread: Unread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A kept GIL, a stopped runner that is sent much between arming and T, a FIFO as a body, and a log that nobody
    reads.
    """
    with web_worker(tmp_path, "deaf", monkeypatch) as shop:
        for tries_left in reversed(range(_TRIES)):
            undisturbed = unread.requests(unread.give())
            with unread.hanging(tmp_path) as runner:
                # No command takes a file whose body is a FIFO: it becomes one afterwards.
                at = unread.give(
                    "small", "takes", "body", in_s=9, before_claim=lambda: _make_fifo(tmp_path / "body")
                )
                suspend(runner)
                shop.takes.submit(_LARGE)
                disturbed = unread.requests(at)
                (body,) = unread.running.wait_for(planned_at=at, job="body", state="finished")
                assert (body["outcome"], ", not sent: " in body["reason"]) == ("failed", True)
                _make_file(tmp_path / "body")
            if _are_alike(disturbed, undisturbed):
                break
            assert tries_left, f"{_last_ms(disturbed)} ms after T, undisturbed {_last_ms(undisturbed)} ms"
        assert unread.running.stop() == 0


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _make_file(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.write_text("hello")


def _are_alike(disturbed: Sequence[dict[str, Any]], undisturbed: Sequence[dict[str, Any]]) -> bool:
    """Return whether the requests were armed and started as early as those of another batch."""
    armed = [sum(one["armed"] for one in rows) for rows in (disturbed, undisturbed)]
    return armed[0] >= armed[1] and _last_ms(disturbed) <= max(5 * _last_ms(undisturbed), _FLOOR_MS)


def _last_ms(rows: Sequence[dict[str, Any]]) -> float:
    """Return how long after T the last of them started."""
    return max(float(one["start_offset_ms"]) for one in rows)
