"""Links that cannot be called: they fail, with the reason, and hold up nobody for ever."""

from pathlib import Path

import pytest

from tests.support.new_ledgers import new_ledger
from tminus.cli.run_now_local import run_here
from tminus.clock import SystemClock
from tminus.daemon.calls import calls
from tminus.instants import SECOND
from tminus.jobsfile.load import load
from tminus.ledger import history
from tminus.model.chain import LinkStatus
from tminus.operations.run_now import RunNowRequest

_JOBS = """
version: 1
timezone: UTC
jobs:
  job:
    schedule: manual
    call: hooks:number
    then: [{callback: odd:look}, {errback: hooks:look}]
"""
_HOOKS = """
def number():
    return 1

def look(value):
    return None
"""


def links(folder: Path, odd: str) -> list[LinkStatus]:
    """Those of a run whose first link is in a module like this."""
    (folder / "jobs.yaml").write_text(_JOBS)
    (folder / "hooks.py").write_text(_HOOKS)
    (folder / "odd.py").write_text(odd)
    definitions = load(str(folder / "jobs.yaml")).definitions
    assert definitions
    ledger = new_ledger(folder)
    try:
        run_here(
            ledger,
            definitions,
            RunNowRequest(jobs=("job",), set={}, at_ns=None),
            clock=SystemClock(),
            follow=lambda _ids, _at: None,
        )
        return list(history.find(ledger)[0].chain)
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        pytest.param(
            "import threading; threading.Event().wait()", "its module was not imported within 4 s", id="hangs"
        ),
        pytest.param(
            "import os; os._exit(3)",
            "the executor process died before the function was entered (exit status 3)",
            id="dies",
        ),
    ],
)
def test_a_link_whose_module_never_gets_ready_fails_and_its_chain_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, why: str
) -> None:
    monkeypatch.setattr(calls, "_ENTERED_NS", 4 * SECOND)
    first, second = links(tmp_path, odd)
    assert (first.state, first.error, second.state) == ("failed", why, "succeeded")
