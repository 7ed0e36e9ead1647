"""
kill -9 of the daemon around background runs: none is lost, each that was called twice says so, none that was
cancelled begins.
"""

import json
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from tests.support.daemon import daemon, eventually
from tests.support.jobs import shop_file
from tests.support.moments import PATIENCE_S
from tests.support.web import Gunicorn, gunicorn
from tminus.instants import SECOND, parse_rfc3339

#: The application that the fixture `shop` imports.
APP = "killed"

CALLS = 600


def notes(folder: Path) -> list[str]:
    """What the functions have noted."""
    return (folder / "notes").read_text().split() if (folder / "notes").exists() else []


def hand_over(server: Gunicorn, numbers: range) -> list[str]:
    """One call each, on one connection; the ids in the answers."""
    connection, ids = HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE_S), []
    for number in numbers:
        connection.request("POST", f"/work/{number}")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        ids.append(json.load(answer)["id"])
    connection.close()
    return ids


def rows(folder: Path) -> dict[str, tuple[str, int, str]]:
    """By id: outcome, attempts and result, as the ledger has them."""
    query = "SELECT runs.id, outcome, attempts, result FROM runs JOIN occurrences ON occurrences.id = runs.occurrence"
    with dbapi2.connect(folder / "ledger" / "ledger.db") as ledger:
        return {
            identity: (outcome, attempts, result)
            for identity, outcome, attempts, result in ledger.execute(query)
        }


@pytest.mark.long
def test_submitted_while_the_daemon_is_killed_none_is_lost_and_repeats_are_marked(
    shop: Any, tmp_path: Path
) -> None:
    with (
        daemon(tmp_path, shop_file()) as running,
        gunicorn(tmp_path, "shop:app") as server,
        ThreadPoolExecutor(8) as pool,
    ):
        share = CALLS // 8
        handed = [
            pool.submit(hand_over, server, range(first, first + share)) for first in range(0, CALLS, share)
        ]
        for seen in (CALLS // 6, CALLS // 2):
            eventually(lambda seen=seen: len(notes(tmp_path)) > seen, what="some have run")  # type: ignore[misc]
            running.kill()
            running.start()
        ids = [one for some in handed for one in some.result()]
        eventually(lambda: all(outcome for outcome, _, _ in rows(tmp_path).values()), what="all have ended")
    assert len(ids) == len(set(ids)) == CALLS
    ended, called = rows(tmp_path), Counter(notes(tmp_path))
    assert set(ended) == set(ids)
    assert {outcome for outcome, _, _ in ended.values()} == {"succeeded"}
    assert set(called) == {str(number) for number in range(CALLS)}
    assert sorted(int(result) for _, _, result in ended.values()) == list(range(CALLS))
    attempts = {result: number for _, number, result in ended.values()}
    assert [number for number, times in called.items() if times > attempts[number]] == []
    assert max(attempts.values()) == 2, "some were called twice"


@pytest.mark.parametrize(
    "is_heard", [pytest.param(True, id="and-it-was-told"), pytest.param(False, id="before-it-was-told")]
)
def test_one_cancelled_while_it_runs_is_not_called_again_though_the_daemon_is_killed(
    shop: Any, tmp_path: Path, is_heard: bool
) -> None:
    with daemon(tmp_path, shop_file()) as running:
        run = shop.stubborn.submit()
        eventually(lambda: notes(tmp_path) == ["stubborn"])
        if is_heard:
            run.cancel()
            eventually(lambda: _is_taken(tmp_path), what="the daemon has heard of it")
        running.kill()
        if not is_heard:
            run.cancel()
        running.start()
        standing = run.status()
        assert (standing.outcome, standing.attempts) == ("cancelled", 1)
        assert (
            standing.reason
            == "cancelled: it was asked to stop; tminus was killed while it ran; how far it came is not known"
        )
    assert notes(tmp_path) == ["stubborn"]


def _is_taken(folder: Path) -> bool:
    with dbapi2.connect(folder / "ledger" / "ledger.db") as ledger:
        return bool(ledger.execute("SELECT count(*) FROM requests WHERE taken_by IS NOT NULL").fetchone()[0])


def test_a_reload_while_some_run_and_others_wait_calls_each_once(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, shop_file(app={"background": 2})) as running:
        runs = [shop.stubborn.submit() for _ in range(4)]
        eventually(lambda: len(notes(tmp_path)) == 2)
        running.reload(shop_file(app={"background": 3}))
        (tmp_path / "go").touch()
        eventually(lambda: all(run.status().outcome for run in runs), what="all have ended")
        assert [(run.status().outcome, run.status().attempts) for run in runs] == [("succeeded", 1)] * 4
    assert notes(tmp_path) == ["stubborn"] * 4


def test_stopped_in_order_what_runs_may_end_and_what_waits_starts_the_next_time(
    shop: Any, tmp_path: Path
) -> None:
    with daemon(tmp_path, shop_file(app={"background": 1})) as running:
        first, second = shop.stubborn.submit(), shop.stubborn.submit()
        eventually(lambda: notes(tmp_path) == ["stubborn"])
        running.signal(signal.SIGTERM)
        running.wait_until_said("stopping")
        assert running.said("stopping")[0]["running"] == 1
        (tmp_path / "go").touch()
        assert running.wait() == 0
        assert (first.status().outcome, second.status().state) == ("succeeded", "queued")
        running.start()
        eventually(lambda: second.status().outcome, what="it has ended")
        assert (second.status().outcome, second.status().attempts) == ("succeeded", 1)
    assert notes(tmp_path) == ["stubborn"] * 2


def test_one_that_was_cancelled_and_whose_runner_dies_is_not_called_again(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, shop_file()):
        run = shop.dies_when_told.submit()
        eventually(lambda: notes(tmp_path) == ["dies"])
        run.cancel()
        eventually(lambda: run.status().outcome, what="it has ended")
        assert run.status().outcome == "cancelled"
    assert notes(tmp_path) == ["dies"]


def test_one_to_be_called_again_is_though_the_ledger_does_not_take_it_at_first(
    shop: Any, tmp_path: Path
) -> None:
    with (
        daemon(tmp_path, shop_file()) as running,
        dbapi2.connect(tmp_path / "ledger" / "ledger.db", timeout=PATIENCE_S) as ledger,
    ):
        ledger.execute(
            "CREATE TRIGGER no BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'not now'); END"
        )
        ledger.commit()
        run = shop.dies_once.submit()
        running.wait_until_said("the ledger does not work, background runs wait", 2)
        ledger.execute("DROP TRIGGER no")
        ledger.commit()
        eventually(lambda: run.status().outcome, what="it has ended")
        assert (run.status().outcome, run.status().attempts) == ("succeeded", 2)
    assert notes(tmp_path) == ["dies", "lives"]


def test_an_application_that_does_not_import_is_tried_again_later_and_its_work_waits(
    shop: Any, tmp_path: Path
) -> None:
    with daemon(tmp_path, shop_file()) as running:
        running.stop()
        runs = [shop.work.submit(number) for number in range(3)]
        (tmp_path / "broken").touch()
        running.start()
        first, second = (running.wait_until_said("background runs wait", number) for number in (1, 2))
        assert parse_rfc3339(second["timestamp"]) - parse_rfc3339(first["timestamp"]) > SECOND  # it is 5 s
        (tmp_path / "broken").unlink()
        eventually(lambda: all(run.status().outcome == "succeeded" for run in runs), what="all have ended")
        assert {run.status().attempts for run in runs} == {1}
