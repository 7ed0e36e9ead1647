"""
Threads that do not end when their time is over: they count for `overlap` as long as they run, and do not pile
up.
"""

import json
from pathlib import Path

from tests.support.apps import install
from tests.support.daemon import daemon, eventually


def test_a_job_whose_thread_stays_is_skipped_until_its_runner_has_ended(
    tmp_path: Path,
) -> None:
    install("staying", tmp_path)
    jobs = {
        "stays": {
            "schedule": {"every": "1s"},
            "call": {"ref": "shop:stays", "app": "shop"},
            "timeout": "500ms",
        },
        "holds": {"schedule": "manual", "call": {"ref": "shop:holds", "app": "shop"}, "timeout": "1h"},
    }
    file = {
        "version": 1,
        "timezone": "UTC",
        "daemon": {"lead": "1s"},
        "apps": {"shop": {"app": "shop:app"}},
        "jobs": jobs,
    }

    def began() -> int:
        return len((tmp_path / "notes").read_text().split()) if (tmp_path / "notes").exists() else 0

    with daemon(tmp_path, json.dumps(file)) as running:
        assert running.tminus("run-now", "holds", "--no-wait").returncode == 0
        eventually(began, what="it runs")
        running.wait_for(job="stays", outcome="timed_out")
        before = began()
        running.wait_until_said("a runner is worn out, a fresh one takes what comes")
        skipped = len(running.occurrences("stays"))
        running.wait_for(job="stays", outcome="skipped", rows=3, reason="overlap: ")
        eventually(lambda: len(running.occurrences("stays")) > skipped + 2, what="some more were due")
        assert began() == before
        (tmp_path / "go").touch()
        running.wait_for(job="holds", outcome="succeeded")
        eventually(lambda: began() > before, what="the old runner has ended, and with it the thread")
