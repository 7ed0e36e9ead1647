"""Chains go on, whatever functions give, and whatever becomes of who is to call them."""

from pathlib import Path
from typing import Any

from tests.process.test_chains import NOTE, a_file, states
from tests.support.apps import install
from tests.support.daemon import daemon, eventually


def test_a_link_whose_application_a_reload_has_removed_fails_and_its_chain_goes_on(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, time\n"
        "def waits(value):\n"
        "    open('waits', 'w').close()\n"
        "    while not os.path.exists('go'):\n"
        "        time.sleep(0.01)\n"
    )
    look: dict[str, Any] = {"call": {"ref": "shop:export"}, "then": [{"callback": "slow:waits"}]}
    job = {
        **look,
        "then": [
            {"callback": "slow:waits"},
            {"callback": NOTE},
            {"errback": {"call": "shop:note", "app": None}},
        ],
    }
    with daemon(install("chains", tmp_path), a_file({"job": job, "other": look})) as running:
        running.tminus("run-now", "job", "--no-wait")
        eventually((tmp_path / "waits").exists)
        running.reload(a_file({"other": look}, apps={}))
        (tmp_path / "go").touch()
        ended = eventually(lambda: states(one := running.occurrences("job")[0])[-1] == "succeeded" and one)
    assert states(ended) == ["succeeded", "failed", "succeeded"]
    assert ended["chain"][1]["error"] == "its application is in the jobs file no more"


def test_a_runner_that_takes_no_more_commands_is_replaced_and_the_chains_go_on(tmp_path: Path) -> None:
    # Its GIL is held for good, and what the second link is given is longer than a pipe.
    (tmp_path / "hog.py").write_text(
        "import ctypes\ndef hogs(value):\n    open('hogs', 'w').close()\n    ctypes.PyDLL(None).sleep(1_000)\n"
    )
    long = {"call": "shop:note", "kwargs": {"more": "x" * 200_000}}
    jobs = {
        "hog": {"call": "shop:export", "then": [{"callback": "hog:hogs"}]},
        "long": {"http": "http://127.0.0.1:9/", "then": [{"both": long}]},
    }
    with daemon(install("chains", tmp_path), a_file(jobs)) as running:
        running.tminus("run-now", "hog", "--no-wait")
        eventually((tmp_path / "hogs").exists)
        running.tminus("run-now", "long", "--no-wait")
        eventually(lambda: (found := running.occurrences("long")) and states(found[0]) == ["succeeded"])
        assert states(running.occurrences("hog")[0]) == ["unknown"]
