"""
The inventory example: a hundred processes that begin together, twenty calls each, and a row for each of them.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest
from pysqlite3 import dbapi2

from tests.support.daemon import daemon, tminus_json
from tests.support.web import example

pytestmark = pytest.mark.long

#: Those that the service cannot count.
_BAD = {*range(7, 101, 10), 100}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example."""
    return example("inventory", tmp_path)


@pytest.fixture
def service(folder: Path) -> Iterator[str]:
    """The URL of the example's own service, on a port that nobody else has."""
    with subprocess.Popen(
        [sys.executable, "service.py", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.kill()


def test_a_hundred_jobs_are_due_at_half_past_eleven(folder: Path) -> None:
    due = tminus_json("next", "-n", "100", cwd=folder)
    assert {one["job"] for one in due} == {f"stock_{item:03}" for item in range(1, 101)}
    ((local_time, zone),) = {(one["local_time"], one["zone"]) for one in due}
    assert ("T11:30:00" in local_time, zone) == (True, "Europe/Berlin")


def test_all_begin_together_make_their_calls_in_one_context_and_have_one_row_each(
    folder: Path, service: str
) -> None:
    with daemon(folder, (folder / "jobs.yaml").read_text(), env={"INVENTORY_SERVICE": service}) as running:
        done = running.json("run-now", "tag:stock", "--at", "+8s", "--yes")
        skew = running.json("skew")

    assert len(done) == len({one["id"] for one in done}) == 100
    assert {int(one["job"][-3:]) for one in done if one["outcome"] == "failed"} == _BAD
    assert {one["outcome"] for one in done} == {"succeeded", "failed"}
    assert all(one["executor"].startswith("python-inventory-isolated@") for one in done)  # a process each
    assert all(link["state"] == "succeeded" for one in done for link in one["chain"])

    with urlopen(f"{service}/calls") as answer:  # noqa: S310  ours
        calls = json.load(answer)
    by_item: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for item, *call in calls:
        by_item[item].append(tuple(call))
    for one in done:
        warehouses, occurrences, connections = zip(*by_item.pop(int(one["job"][-3:])), strict=True)
        assert warehouses == tuple(range(1, 21))
        assert set(occurrences) == {one["id"]}
        assert len(set(connections)) == 1  # that of the context's g
    assert by_item == {}

    with closing(dbapi2.connect(folder / "inventory.db")) as database:
        rows = database.execute("SELECT occurrence, item, state, words FROM inventory").fetchall()
    assert {row[0] for row in rows} == {one["id"] for one in done}
    assert Counter(state for _, _, state, _ in rows) == {"stocked": 100 - len(_BAD), "failed": len(_BAD)}
    words = {item: said for _, item, _, said in rows}
    assert words[2] == "420 pieces in 20 warehouses"
    assert words[7] == "RuntimeError: warehouse 13: 503 Service Unavailable"
    assert words[100].startswith("RuntimeError: warehouse 1: Expecting value")

    # One after another the last one would start when all others have ended.
    assert skew["started"] == 100
    assert skew["last_ms"] < sum(one["duration_ms"] for one in done) / 4
