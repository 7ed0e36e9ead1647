"""docs/reliability.md: each promise with its figure, from the results of the soak."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import publish, results
from bench.machine import ROOT
from bench.promises import PROMISES, ByTest, Judged, figure
from bench.results import Result
from bench.soak import PARTS
from bench.table import Verdict, at_most, none_of
from bench.torture.timeline import render_svg
from bench.waiting import SECOND
from tests.support.named_tests import fault

_BENCH, _DOCS = ROOT / "bench", ROOT / "docs"
_LOST = Judged("jobs", "lost")


def _result(*verdicts: Verdict, part: str = "jobs", seed: int = 7, code: str = "abc") -> Result:
    return Result(
        part=part,
        seed=seed,
        words=("--minutes", "1"),
        commit="1234567",
        code=code,
        when=f"2026-11-29T21:16:{seed:02}+00:00",
        verdicts=verdicts,
    )


def test_the_page_is_what_the_stored_results_say() -> None:
    stored = results.read(_DOCS / publish.RESULTS)
    assert len({one.code for one in stored}) <= 1
    page = publish.reliability(stored, PARTS, publish.pictures_in(_DOCS))
    assert publish.generated(_DOCS / "reliability.md", mark="soak") == page


def test_each_promise_that_concerns_one_machine_is_there_and_has_a_source() -> None:
    numbers = [promise.number for promise in PROMISES if promise.number]
    assert numbers == [f"P{number}" for number in (*range(1, 8), *range(10, 19), 20)]
    assert [promise.words for promise in PROMISES if not promise.sources] == []


def test_the_tests_that_the_promises_name_run() -> None:
    sources = [source for promise in PROMISES for source in promise.sources if isinstance(source, ByTest)]
    assert [found for found in (fault(source.test) for source in sources) if found] == []


def test_the_verdicts_that_the_promises_name_are_made_by_the_soak() -> None:
    made = {
        node.value
        for file in _BENCH.rglob("*.py")
        if file.name != "promises.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    judged = [source for promise in PROMISES for source in promise.sources if isinstance(source, Judged)]
    assert [one for one in judged if not any(one.what in text for text in made)] == []
    assert {one.part for one in judged} <= {*PARTS, "torture-*"}


def test_violations_and_cases_of_several_runs_add_up() -> None:
    runs = [_result(none_of("lost", [], 1_000)), _result(none_of("lost", [], 500), seed=8)]
    assert figure(_LOST, runs) == "0 of 1,500"
    assert figure(_LOST, [*runs, _result(none_of("lost", ["a"], 2))]) == "**1 of 1,502**"


def test_of_several_values_the_worst_is_the_figure() -> None:
    runs = [_result(at_most("lost", value, 5.0, unit=" s")) for value in (1.0, 4.0, 2.0)]
    assert figure(_LOST, runs) == "4 s, target: at most 5 s"


@pytest.mark.parametrize("verdicts", [[], [Verdict(True, "sqlite: left out: no nginx")]])
def test_what_has_no_verdict_was_not_run(verdicts: list[Verdict]) -> None:
    assert figure(_LOST, [_result(*verdicts)]) == "not run"


def test_results_of_other_code_are_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "code", lambda: "abc")
    (tmp_path / "docs").mkdir()
    page, lost = (
        tmp_path / "docs" / "reliability.md",
        none_of("violations after kills at crash points", [], 9),
    )
    page.write_text("before\n<!-- soak:begin -->\nold\n<!-- soak:end -->\nafter\n")
    results.write(tmp_path / "docs" / publish.RESULTS, [_result(lost, part="crash-points", code="old")])
    for seed, code in ((7, "abc"), (8, ""), (9, "abc")):
        results.keep(tmp_path, _result(lost, part="crash-points", seed=seed, code=code))
    for _ in range(2):  # the second time they are stored already
        assert publish.publish(tmp_path, tmp_path, ["jobs", "crash-points"]) == ["docs/reliability.md"]
        text = page.read_text()
        assert "violations after kills at crash points | 0 of 18 | crash-points 7, crash-points 9 |" in text
        assert "| jobs | not run |" in text
        assert "| crash-points | 2026-11-29 21:16 | 1234567 | 9 | 1 of 1 | " in text
        assert "`python -m bench.soak --only crash-points --minutes 1 --seed 9`" in text
        assert (text.startswith("before\n"), text.endswith("after\n"), "\nold\n" in text) == (
            True,
            True,
            False,
        )


def test_nothing_is_published_of_code_that_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "code", lambda: "")
    results.keep(tmp_path, _result(code=""))
    with pytest.raises(SystemExit, match="not committed"):
        publish.publish(tmp_path, tmp_path, PARTS)


def test_the_plot_of_the_last_fault_round_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "code", lambda: "abc")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "torture-postgresql.svg").write_text("of other code")
    (docs / "reliability.md").write_text("<!-- soak:begin -->\n<!-- soak:end -->\n")
    for seed in (7, 8):
        results.keep(tmp_path, _result(part="torture-sqlite", seed=seed))
        (tmp_path / results.picture_of("torture-sqlite", seed)).write_text(f"of {seed}")
    publish.publish(tmp_path, tmp_path, PARTS)
    assert publish.pictures_in(docs) == ["torture-sqlite.svg"]
    assert (docs / "torture-sqlite.svg").read_text() == "of 8"
    assert "(torture-sqlite.svg)\n" in (docs / "reliability.md").read_text()


def test_the_plot_has_the_arrivals_and_shades_the_faults() -> None:
    arrivals = [second * SECOND for second in (0, 1, 1, 3)]
    svg = render_svg(
        "sqlite & more", arrivals, [(SECOND, 2 * SECOND), (3 * SECOND, 90 * SECOND)], 0, 4 * SECOND
    )
    root = ElementTree.fromstring(svg)  # noqa: S314  it is ours
    shades = [node for node in root if node.tag.endswith("rect")]
    (line,) = (node for node in root if node.tag.endswith("polyline"))
    heights = [float(point.partition(",")[2]) for point in (line.get("points") or "").split()]
    assert len(shades) == 2
    assert (heights[1], heights[0] == heights[3], heights[2]) == (min(heights), True, max(heights))
    assert max(float(one.get("x") or 0) + float(one.get("width") or 0) for one in shades) <= 960
