"""What `Scheduler.pause` refuses, whether a daemon runs or not."""

from pathlib import Path
from typing import Any

import pytest

from tminus.errors import UsageError
from tminus.flask import Scheduler
from tminus.ledger import requests
from tminus.ledger.engine import open_ledger


@pytest.mark.parametrize(
    ("reason", "raises", "said"),
    [
        ("x" * 1_001, UsageError, "the reason has more than 1000 characters"),
        (7, TypeError, "a reason must be a str; got 7"),
    ],
)
def test_without_a_daemon_a_reason_that_is_not_valid_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Any, raises: type[Exception], said: str
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url)
    monkeypatch.setenv("TMINUS_LEDGER", url)
    with pytest.raises(raises, match=said):
        Scheduler(app="shop").pause("nightly", reason=reason)
    assert list(requests.pending(ledger)) == []
    ledger.close()
