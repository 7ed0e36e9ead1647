"""A module that ends its process while it is imported: its own job fails, and the others of the batch run."""

import json
from pathlib import Path

from tests.support.daemon import DaemonProcess, daemon, eventually

_SHOP = "from flask import Flask\napp = Flask('shop')\ndef well():\n    return 'done'\n"


def test_a_module_that_ends_its_process_fails_its_own_job_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(_SHOP)
    (tmp_path / "exits.py").write_text("import os\nos._exit(3)\n")
    refs = {"exits": "exits:work", **{f"well_{n}": "shop:well" for n in range(5)}}
    jobs = {
        name: {"schedule": {"every": "10s"}, "call": {"ref": ref, "app": "shop"}}
        for name, ref in refs.items()
    }
    file = {
        "version": 1,
        "timezone": "UTC",
        "daemon": {"lead": "4s"},
        "apps": {"shop": {"app": "shop:app"}},
        "jobs": jobs,
    }
    with daemon(tmp_path, json.dumps(file)) as running:
        (failed, *_) = running.wait_for(job="exits", outcome="failed")
        assert (
            failed["reason"]
            == "executor, not sent: the executor process died while it was arming the job (exit status 3)"
        )
        # On a busy machine the import may end the process after T: then what has begun beside it is lost, but
        # not in each batch.
        eventually(lambda: any(_are_well(running, one["planned_at"]) for one in running.occurrences("exits")))


def _are_well(running: DaemonProcess, planned_at: str) -> bool:
    batch = {one["job"]: one["outcome"] for one in running.occurrences() if one["planned_at"] == planned_at}
    return batch == {"exits": "failed", **{f"well_{n}": "succeeded" for n in range(5)}}


def test_functions_without_an_application_bear_a_deadly_module_too(tmp_path: Path) -> None:
    (tmp_path / "works.py").write_text("def well():\n    return 'done'\n")
    (tmp_path / "exits.py").write_text("import os\nos._exit(3)\n")
    refs = {"exits": "exits:work", "well": "works:well"}
    jobs = {name: {"schedule": {"every": "10s"}, "call": ref} for name, ref in refs.items()}
    with daemon(
        tmp_path, json.dumps({"version": 1, "timezone": "UTC", "daemon": {"lead": "4s"}, "jobs": jobs})
    ) as running:
        (failed, *_) = running.wait_for(job="exits", outcome="failed")
        assert (
            failed["reason"]
            == "executor, not sent: the executor process died while it was arming the job (exit status 3)"
        )
        running.wait_for(job="well", outcome="succeeded")
