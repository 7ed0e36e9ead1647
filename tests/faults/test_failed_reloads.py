"""
A reload that fails, at whatever step, keeps the old configuration and the old runners, and says so; the next
one may succeed.
"""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import DaemonProcess, daemon, eventually, patched

_SHOP = "import os\nfrom flask import Flask\napp = Flask('shop')\ndef pid():\n    return os.getpid()\n"
_CODE_JOB = """
from tminus.flask import Scheduler
@Scheduler(app="shop").job(schedule="manual")
def in_code():
    return os.getpid()
"""
_BREAKS = """
import os, sys
if "daemon" in sys.orig_argv:
    from tminus.jobsfile import load
    read = load.JobsFile.load
    def breaks(self, *args, **given):
        if os.path.exists({path!r}):
            os.remove({path!r})
            raise ZeroDivisionError("a bug")
        return read(self, *args, **given)
    load.JobsFile.load = breaks
"""
_LEDGER_BREAKS = """
import os, sys
if "daemon" in sys.orig_argv:
    from tminus.errors import LedgerError
    from tminus.ledger import schedules
    replace = schedules.replace_schedules
    def breaks(*args, **given):
        if os.path.exists({path!r}):
            os.remove({path!r})
            raise LedgerError("it is locked")
        return replace(*args, **given)
    schedules.replace_schedules = breaks
"""

_LEDGER_LOCKED = """
import os, sys
if "daemon" in sys.orig_argv:
    from tminus.errors import LedgerError
    from tminus.ledger import upkeep
    keep = upkeep.keep_config
    def breaks(*args, **given):
        if os.path.exists({path!r}):
            raise LedgerError("it is locked")
        return keep(*args, **given)
    upkeep.keep_config = breaks
"""
_LOCKED = "the ledger did not take the reload, trying again: it is locked"


def _jobs(*names: str) -> str:
    job = {"schedule": "manual", "call": {"ref": "shop:pid", "app": "shop"}}
    top = {
        "version": 1,
        "timezone": "UTC",
        "daemon": {"lead": "500ms", "reload": "sighup"},
        "apps": {"shop": {"app": "shop:app"}},
    }
    return json.dumps({**top, "jobs": dict.fromkeys(names, job)})


@contextmanager
def _shop(folder: Path, patch: str) -> Iterator[tuple[DaemonProcess, Path]]:
    """A daemon with this patch, and the file that makes it fail while it exists."""
    fault = folder / "fault"
    (folder / "shop.py").write_text(_SHOP)
    with daemon(folder, _jobs("first"), env=patched(folder, patch.format(path=str(fault)))) as running:
        yield running, fault
        assert running.stop() == 0


def _is_reported_until_the_ledger_takes_it(running: DaemonProcess, locked: Path) -> None:
    eventually(lambda: _LOCKED in running.json("status")["problems"], what="the status says so")
    locked.unlink()
    running.wait_until_said("reloaded")
    eventually(lambda: running.json("status")["problems"] == [], what="the status says nothing more")


def _runner(running: DaemonProcess) -> int:
    """The process that runs jobs now."""
    (one,) = running.json("run-now", "first")
    return int(running.json("logs", one["id"])["attempts"][0]["body"])


def _fails(running: DaemonProcess, problem: str) -> None:
    """A reload fails with this problem, and `status` reports it until one succeeds."""
    before = len(running.log())
    running.signal(signal.SIGHUP)
    eventually(lambda: any(line["level"] == "error" for line in running.log()[before:]), what="it fails")
    eventually(lambda: problem in running.tminus("status").stdout, what=f"the status says {problem!r}")
    assert running.tminus("status").returncode == 1


def test_a_reload_that_fails_keeps_the_old_configuration_and_runners(tmp_path: Path) -> None:
    shop = tmp_path / "shop.py"
    with _shop(tmp_path, _BREAKS) as (running, bug):
        assert running.process
        before = _runner(running)
        running.write(_jobs("first", "second"))

        shop.write_text("import no_such_module")
        _fails(
            running, "apps.shop: shop does not import: ModuleNotFoundError: No module named 'no_such_module'"
        )
        assert _runner(running) == before
        shop.write_text(_SHOP)

        bug.touch()
        _fails(running, "the reload failed, the old configuration is in force: ZeroDivisionError: a bug")
        assert "ZeroDivisionError" in json.dumps(
            running.said("the reload failed, the old jobs file stays in force")[0]["exception"]
        )
        assert _runner(running) == before

        limits = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        taken = {int(one) for one in os.listdir(f"/proc/{running.process.pid}/fd")}
        free = [number for number in range(limits[0]) if number not in taken][5]
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (free, limits[1]))
        _fails(running, "Too many open files")
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, limits)
        assert _runner(running) == before

        running.reload(_jobs("first", "second"))
        assert _runner(running) != before


def test_a_reload_that_the_ledger_did_not_take_is_made_again_once_it_does(tmp_path: Path) -> None:
    with _shop(tmp_path, _LEDGER_BREAKS) as (running, bug):
        bug.touch()
        running.write(_jobs("first", "second"))
        running.signal(signal.SIGHUP)
        running.wait_until_said("reloaded")
        assert not bug.exists()
        assert running.tminus("run-now", "second").returncode == 0


def test_a_reload_that_the_ledger_did_not_take_is_reported_until_the_ledger_takes_it(tmp_path: Path) -> None:
    with _shop(tmp_path, _LEDGER_LOCKED) as (running, locked):
        before = running.said("ready")[0]["config_version"]
        locked.touch()
        running.write(_jobs("first", "second"))
        done = running.tminus("reload")
        assert (done.returncode, done.stderr) == (1, f"error: {_LOCKED}\n")
        assert done.stdout == f"no job changes\nin force: {before}\n"
        _is_reported_until_the_ledger_takes_it(running, locked)


def test_new_jobs_in_code_that_the_ledger_did_not_take_are_reported_and_tried_again(tmp_path: Path) -> None:
    with _shop(tmp_path, _LEDGER_LOCKED) as (running, locked):
        runner = _runner(running)
        locked.touch()
        (tmp_path / "shop.py").write_text(_SHOP + _CODE_JOB)
        os.kill(runner, signal.SIGKILL)  # the next one has the new code
        _is_reported_until_the_ledger_takes_it(running, locked)
        assert running.tminus("run-now", "in_code").returncode == 0
