"""The statistics of a batch, and its plot."""

import xml.etree.ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from tests.support.ledgers import T, run_batch
from tminus.cli.terminal_plot import axis, draw, strip
from tminus.errors import NotFound
from tminus.instants import MS, SECOND
from tminus.ledger.engine import Ledger
from tminus.model.skew import Offset, Skew
from tminus.operations.batch_plot import render_svg
from tminus.operations.scale import Scale
from tminus.operations.skew import skew_of
from tminus.outcome import Outcome

UTC = ZoneInfo("UTC")


def test_the_figures_of_a_batch_are_those_of_its_jobs(ledger: Ledger) -> None:
    run_batch(ledger, [0.5, 1.0, 1.5, 40.0])
    skew, _ = skew_of(ledger, None)
    shown = {name: value for name, value in skew.as_json().items() if name != "offsets"}
    assert shown == {
        "planned_at": "2025-11-20T11:30:00Z",
        "jobs": 4,
        "started": 4,
        "first_ms": 0.5,
        "p50_ms": 1.0,
        "p99_ms": 40.0,
        "last_ms": 40.0,
        "spread_ms": 39.5,
    }
    assert skew.as_json()["offsets"][0] == {"id": "job_0@2025-11-20T11:30:00Z", "ms": 0.5, "armed": True}


def test_the_last_batch_is_meant_where_none_is_named(ledger: Ledger) -> None:
    run_batch(ledger, [1.0])
    run_batch(ledger, [1.0, 2.0], planned_at_ns=T + 60 * SECOND)
    assert skew_of(ledger, None)[0].jobs == 2
    assert skew_of(ledger, T)[0].jobs == 1


def test_a_batch_that_is_not_there_is_refused(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="no batch yet"):
        skew_of(ledger, None)
    with pytest.raises(NotFound, match="no batch at 2025-11-20T11:30:00Z"):
        skew_of(ledger, T)


def test_the_picture_is_an_svg_with_title_and_figures_and_without_style(ledger: Ledger) -> None:
    run_batch(ledger, [0.5, 1.0], outcome=Outcome.SUCCEEDED)
    drawn = render_svg(
        *skew_of(ledger, None), zone=UTC, compared=[0, 100 * MS], compared_as="one after another"
    )
    root = ET.fromstring(drawn)  # noqa: S314  our own
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == "Thu 2025-11-20 11:30:00 UTC: 2 of 2 started"
    assert root.findtext(f"{space}desc") == "first 0.5 ms   p50 0.5 ms   p99 1 ms   last 1 ms   spread 0.5 ms"
    assert "one after another" in drawn
    assert "style" not in drawn


def test_ten_thousand_marks_are_one_element() -> None:
    offsets = [Offset(id=str(i), offset_ns=i * 1000 + 1, armed=True) for i in range(10_000)]
    drawn = render_svg(Skew(planned_at_ns=T, jobs=10_000, offsets=offsets), [], zone=UTC)
    assert drawn.count("<path") == 1


def test_what_did_not_succeed_is_drawn_as_crosses(ledger: Ledger) -> None:
    run_batch(ledger, [0.5], outcome=Outcome.FAILED)
    skew, occurrences = skew_of(ledger, None)
    assert "did not succeed" in render_svg(skew, occurrences, zone=UTC)
    assert [line.split()[0] for line in draw(skew, occurrences, unicode=True)] == ["time", "no", "+100"]


def test_a_strip_is_higher_where_more_jobs_start() -> None:
    line = strip("started", [MS] * 8 + [10 * MS], Scale.over([MS, 10 * MS]), unicode=True)
    assert line.count("█") == 1
    assert line.count("▁") == 1


def test_a_terminal_without_unicode_gets_letters() -> None:
    scale = Scale.over([100_000, MS])
    assert strip("started", [MS], scale, unicode=False).isascii()
    assert axis(scale, unicode=False).isascii()


def test_the_axis_holds_all_offsets_and_two_decades_at_least() -> None:
    assert Scale.over([MS]) == Scale(6, 8)
    assert [label for _, label in Scale.over([300_000, 2 * SECOND]).ticks()] == [
        "+100 µs",
        "+1 ms",
        "+10 ms",
        "+100 ms",
        "+1 s",
        "+10 s",
    ]
    assert Scale.over([]).share(0) == 0.0
