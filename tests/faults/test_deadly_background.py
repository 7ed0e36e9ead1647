"""
Background runs that end their process: those beside them are called again one by one, and only the guilty run
pays.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import daemon, eventually
from tests.support.jobs import shop_file
from tminus.flask import RunHandle

#: The application that the fixture `shop` imports.
APP = "deadly"


def ended(handles: list[Any]) -> list[tuple[str | None, int]]:
    """Outcome and attempts of each, when all have ended."""
    eventually(lambda: all(run.status().outcome for run in handles), what="all have ended")
    return [(run.status().outcome, run.status().attempts) for run in handles]


def test_one_that_crashes_is_unknown_after_three_calls_and_the_others_succeed(
    shop: Any, tmp_path: Path
) -> None:
    with daemon(tmp_path, shop_file()) as running:
        running.stop()
        innocent = [shop.innocent.submit(6) for _ in range(5)]
        poison = shop.crashes.submit(6)
        running.start()
        assert ended(innocent) == [("succeeded", 2)] * 5
        assert ended([poison]) == [("unknown", 3)]
    assert (tmp_path / "notes").read_text().split().count("crashes") == 3


@pytest.mark.long
def test_two_that_crash_beside_one_that_hangs_cost_it_and_the_others_nothing(
    shop: Any, tmp_path: Path
) -> None:
    with daemon(tmp_path, shop_file()) as running:
        running.stop()
        innocent = [shop.innocent.submit(8) for _ in range(5)]
        poison = [shop.crashes.submit(8) for _ in range(2)]
        hanging = shop.hangs.submit(8)
        running.start()
        assert ended(innocent) == [("succeeded", 2)] * 5
        assert ended(poison) == [("unknown", 3)] * 2
        late = shop.innocent.submit(8)
        assert ended([late]) == [("succeeded", 1)]
        (tmp_path / "go").touch()
        assert ended([hanging]) == [("succeeded", 2)]


@pytest.mark.long
def test_a_kill_of_the_daemon_counts_against_nobody_and_a_suspect_stays_one(
    shop: Any, tmp_path: Path
) -> None:
    with daemon(tmp_path, shop_file()) as running:
        running.stop()
        hanging, poison = shop.hangs.submit(2), shop.crashes.submit(2)
        running.start()
        assert ended([poison]) == [("unknown", 3)]
        for attempt in range(2, 6):
            eventually(
                lambda attempt=attempt: (tmp_path / "notes").read_text().split().count("hangs") == attempt  # type: ignore[misc]
            )
            running.kill()
            running.start()
        (tmp_path / "go").touch()
        assert ended([hanging]) == [("succeeded", 6)]


def test_one_that_ends_its_process_before_it_is_entered_fails_alone(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, shop_file()) as running:
        running.stop()
        poison = RunHandle(shop.app.test_client().get("/exits").get_json()["id"], "")
        innocent = [shop.well.submit() for _ in range(5)]
        running.start()
        assert {outcome for outcome, _ in ended(innocent)} == {"succeeded"}
        assert ended([poison]) == [("failed", 0)]
        assert (
            poison.status().reason
            == "definition, not sent: the executor process died before the function was entered (exit status 3)"
        )
