"""Chains go on, whatever functions give, and whatever becomes of who is to call them."""

from pathlib import Path
from typing import Any

import pytest

from tests.process.test_chains import NOTE, a_file, run_now, states
from tests.support.daemon import daemon, eventually, tminus_json

_SECRET = {"token": "${env:CANARY}"}
_NESTED = "what odd:nested returned is not JSON: nested more than 100 levels deep"


def test_whatever_a_function_gives_its_chain_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is written down is `{"result": …}`: a secret of that name is none of it.
    monkeypatch.setenv("CANARY", "result")
    odd: dict[str, tuple[Any, str | None]] = {
        "nested": ("odd:nested", _NESTED),
        "huge_number": ("odd:huge_number", None),
        "answer": ({"call": "odd:answer", "kwargs": _SECRET}, None),
        "named_like_a_secret": ({"call": "odd:look", "kwargs": _SECRET}, None),
        "no_text": ("odd:no_text", "{'a': <class 'object'>}"),
        "too_long": ("odd:too_long", f"{'m' * (1 << 14)}… (cut, {17 << 20} characters)"),
        "own": ("odd:own", "mine"),
        "not_raised": ("odd:not_raised", None),
    }
    jobs: dict[str, Any] = {
        name: {"call": "shop:export", "then": [{"callback": call}, {"both": "odd:look"}]}
        for name, (call, _) in odd.items()
    }
    jobs["job"] = {
        "call": {"ref": "odd:nested", "kwargs": {"value": 1} | _SECRET},
        "then": [{"errback": "odd:look"}],
    }
    (tmp_path / "jobs.yaml").write_text(a_file(tmp_path, jobs))
    ended = tminus_json("--ledger", f"sqlite:///{tmp_path}/ledger.db", "run-now", *jobs, cwd=tmp_path)
    done = {one["job"]: one["chain"] for one in ended}
    for name, (_, error) in odd.items():
        first, second = done[name]
        assert (name, first["state"], first["error"]) == (name, "failed" if error else "succeeded", error)
        assert (name, second["state"]) == (name, "succeeded")
    assert [link["state"] for link in done["job"]] == ["succeeded"]


def test_an_import_that_takes_longer_than_the_jobs_time_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text("import time\ntime.sleep(6)\ndef look(value):\n    return value\n")
    jobs = {"job": {"call": "shop:export", "timeout": "2s", "then": [{"callback": "heavy:look"}]}}
    assert states(run_now(tmp_path, jobs)["job"]) == ["succeeded"]


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
    with daemon(tmp_path, a_file(tmp_path, {"job": job, "other": look})) as running:
        running.tminus("run-now", "job", "--no-wait")
        eventually((tmp_path / "waits").exists)
        running.reload(a_file(tmp_path, {"other": look}, apps={}))
        (tmp_path / "go").touch()
        ended = eventually(lambda: states(one := running.occurrences("job")[0])[-1] == "succeeded" and one)
    assert states(ended) == ["succeeded", "failed", "succeeded"]
    assert ended["chain"][1]["error"] == "its application is in the jobs file no more"


def test_a_runner_that_takes_no_more_commands_is_replaced_and_the_chains_go_on(tmp_path: Path) -> None:
    # Its GIL is held for good, and what the second link is given is longer than a pipe.
    (tmp_path / "hog.py").write_text(
        "import re\ndef hogs(value):\n    open('hogs', 'w').close()\n    re.match('(a+)+$', 'a' * 99 + 'b')\n"
    )
    long = {"call": "shop:note", "kwargs": {"more": "x" * 200_000}}
    jobs = {
        "hog": {"call": "shop:export", "then": [{"callback": "hog:hogs"}]},
        "long": {"http": "http://127.0.0.1:9/", "then": [{"both": long}]},
    }
    with daemon(tmp_path, a_file(tmp_path, jobs)) as running:
        running.tminus("run-now", "hog", "--no-wait")
        eventually((tmp_path / "hogs").exists)
        running.tminus("run-now", "long", "--no-wait")
        eventually(lambda: (found := running.occurrences("long")) and states(found[0]) == ["succeeded"])
        assert states(running.occurrences("hog")[0]) == ["unknown"]
