"""
A job forks: its runner's death is noticed all the same, what it has forked ends with it, and SIGTERM ends the
daemon.
"""

import json
import os
import signal
from pathlib import Path

from tests.support.apps import install
from tests.support.checker import gaps, violations
from tests.support.daemon import DaemonProcess, daemon, eventually, is_alive
from tests.support.target import TargetServer


def _jobs(target: TargetServer) -> str:
    jobs = {
        "tick": {"schedule": {"every": "1s"}, "http": f"{target.url}/ok"},
        "pooled": {"schedule": {"every": "1s"}, "call": {"ref": "shop:pooled", "app": "shop"}},
        "alone": {"schedule": "manual", "call": {"ref": "shop:alone", "app": "shop", "isolate": "process"}},
    }
    top = {
        "daemon": {"lead": "500ms", "shutdown_grace": "2s", "reload": "sighup"},
        "apps": {"shop": {"app": "shop:app"}},
    }
    return json.dumps({"version": 1, "timezone": "UTC", **top, "jobs": jobs})


def _pooled(running: DaemonProcess, *, not_by: int = 0) -> tuple[int, list[int]]:
    """Wait for a run of `pooled` by another runner; the runner, and what it has forked."""

    def found() -> tuple[int, list[int]] | None:
        for one in running.occurrences("pooled"):
            if one["outcome"] == "succeeded":
                said = json.loads(running.json("logs", one["id"])["attempts"][0]["body"])
                return (said["runner"], said["forked"]) if said["runner"] != not_by else None
        return None

    return eventually(found, what="the pool has been used")  # type: ignore[no-any-return]


def test_what_jobs_fork_hides_no_death_and_outlives_no_runner_and_no_daemon(
    tmp_path: Path, target: TargetServer
) -> None:
    install("forking", tmp_path)
    says = tmp_path / "says"
    with daemon(tmp_path, _jobs(target), env={"SAYS": str(says)}) as running:
        runner, forked = _pooled(running)
        os.kill(runner, signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, forked)), what="what the runner's job had forked has ended")
        runner, forked = _pooled(running, not_by=runner)
        assert running.tminus("run-now", "alone", "--no-wait").returncode == 0
        server, child = map(int, eventually(lambda: says.exists() and says.read_text()).split())
        os.kill(server, signal.SIGKILL)
        eventually(lambda: not is_alive(child), what="what the isolated job had forked has ended")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        eventually(lambda: not any(map(is_alive, (runner, *forked))), what="nothing outlives the daemon")
        assert violations(running.occurrences("tick"), target.arrivals) == []
        assert gaps([*running.occurrences("tick"), *running.occurrences("pooled")], every_s=1) == []
