"""`@background`: what `submit` stores."""

from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask

from tminus.flask import application, background, ledgers
from tminus.instants import LATEST_NS
from tminus.ledger import background_queue
from tminus.ledger.engine import open_ledger


@background
def look(word: str) -> None:
    """Get a copy of the request."""


@background(request=False)
def count(word: str) -> None:
    """Get no copy of the request."""


def test_only_a_function_that_takes_a_copy_of_the_request_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("TMINUS_LEDGER", url)
    monkeypatch.setenv("TMINUS_APP", "shop")
    monkeypatch.setattr(application, "schedulers", set())  # those of other tests' applications
    with closing(open_ledger(url)) as ledger:
        with Flask("shop").test_request_context("/search?q=shoes"):
            look.submit("a")
        with Flask("shop").test_request_context("/", method="POST", data={"photo": (BytesIO(b"x"), "a.png")}):
            count.submit("b")
        ledgers.ledger().close()
        first, second = background_queue.find_due_runs(ledger, "shop", now_ns=LATEST_NS, limit=9)
    assert first.work.given["args"] == ["a"]
    assert first.work.given["request"]["path"] == "/search?q=shoes"
    assert second.work.given == {"args": ["b"], "kwargs": {}}


@pytest.mark.parametrize("timeout", ["0s", 0, "30000d"])
def test_a_timeout_that_no_run_can_have_is_refused_at_once(timeout: str | float) -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0s and at most 73 years"):
        background(timeout=timeout)
