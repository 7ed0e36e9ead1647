"""`run-now`, as far as it asks a daemon."""

from pathlib import Path

import pytest

from tests.support.ledgers import T
from tests.unit.jobsfile.jobs_text import TOP, load_text
from tminus.cli.invocation import InForce, Invocation
from tminus.cli.output import CommandOutput
from tminus.cli.run_now_client import run_now
from tminus.errors import DaemonNeeded
from tminus.ledger import history
from tminus.ledger.engine import open_ledger
from tminus.operations.run_now import RunNowRequest


def test_what_the_ledger_says_is_in_force_runs_nothing_if_the_daemon_has_ended(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, f"{TOP}jobs: {{pay: {{schedule: manual, http: 'http://127.0.0.1:1/'}}}}")
    assert loaded.definitions
    url = f"sqlite:///{tmp_path}/ledger.db"
    open_ledger(url).close()
    output = CommandOutput(as_json=False, color=False, quiet=True, verbose=False)
    config = str(tmp_path / "jobs.yaml")
    invocation = Invocation(config=config, ledger_url=url, output=output, started_ns=T)
    in_force = InForce(loaded=loaded, definitions=loaded.definitions, is_stored=True)
    with pytest.raises(
        DaemonNeeded, match="the daemon has ended, and without it run-now needs a valid jobs file"
    ):
        run_now(invocation, in_force, RunNowRequest(jobs=["pay"], set={}, at_ns=None), wait=True)
    ledger = open_ledger(url)
    assert history.find(ledger) == []
    ledger.close()
