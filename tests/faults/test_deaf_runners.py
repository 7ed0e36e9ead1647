"""A runner does not read its commands: requests start as without it, and other runners, too."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.support.daemon import daemon, eventually
from tests.support.target import TargetServer

_SHOP = """
import os
from flask import Flask
app = Flask("shop")
def pid(*_):
    return os.getpid()
"""


def test_requests_start_on_time_beside_a_runner_that_is_stopped_with_a_full_pipe(tmp_path: Path, target: TargetServer) -> None:
    """The daemon replaces a runner after 5 s of silence: nothing waits for that."""
    (tmp_path / "shop.py").write_text(_SHOP)
    jobs: dict[str, Any] = {f"http_{n}": {"schedule": "manual", "http": f"{target.url}/{n}"} for n in range(30)}
    for name, argument in (("small", ""), ("large", "x" * 300_000)):
        jobs[name] = {"schedule": "manual", "call": {"ref": "shop:pid", "app": "shop", "args": [argument]}}
    settings = {"lead": "1s", "reload": "sighup"}
    apps = {"shop": {"app": "shop:app"}}
    text = json.dumps({"version": 1, "timezone": "UTC", "daemon": settings, "apps": apps, "jobs": jobs})
    with daemon(tmp_path, text) as running:
        (small,) = running.json("run-now", "small")
        runner = int(running.json("logs", small["id"])["attempts"][0]["body"])
        os.kill(runner, signal.SIGSTOP)
        requests = [name for name in jobs if name.startswith("http")]
        assert running.tminus("run-now", "large", *requests, "--no-wait").returncode == 0
        target.wait_for(30)
        # All have arrived, and the runner has not been replaced yet: nothing has waited for that.
        assert not running.said("executor hangs, replacing it")
        eventually(lambda: running.said("executor hangs, replacing it"), what="the runner is replaced")
        running.wait_for(job="large", outcome="succeeded")
        assert running.stop() == 0
