"""From arrivals to figures, from figures to verdicts."""

import json
import math
import struct
from collections import Counter
from pathlib import Path

import pytest

from bench import calls, distance, killed, large, loopback, mixed, submits
from bench.arrivals import Arrival
from bench.contestants import Start
from bench.figures import Figures, figures, percentile_ms
from bench.notes import notes
from bench.publish import publish
from bench.report import ratio
from bench.runs import Run, Summary, summaries
from bench.soak import accounts, is_flat
from bench.table import Table, at_most

T_NS = 1_795_000_000_000_000_000
MS = 1_000_000


def _figures(*paths_and_ms: tuple[str, float], expected: int = 2) -> Figures:
    arrivals = [Arrival(T_NS + round(ms * MS), path) for path, ms in paths_and_ms]
    return figures(arrivals, t_ns=T_NS, expected=expected, prefix="/r0/job/")


def test_figures_of_a_complete_run() -> None:
    found = _figures(("/r0/job/1", 2.5), ("/r0/job/0", 1.0))
    assert (found.first_ms, found.p50_ms, found.p99_ms, found.last_ms) == (1.0, 1.0, 2.5, 2.5)
    assert found.is_complete


@pytest.mark.parametrize(
    ("arrivals", "field", "count"),
    [
        pytest.param([("/r0/job/0", 1.0)], "missing", 1, id="missing"),
        pytest.param(
            [("/r0/job/0", 1.0), ("/r0/job/1", 1.0), ("/r0/job/1", 9.0)], "doubled", 1, id="doubled"
        ),
        pytest.param([("/r0/job/0", -0.001), ("/r0/job/1", 1.0)], "early", 1, id="early"),
        pytest.param(
            [("/r0/job/0", 1.0), ("/r0/job/1", 1.0), ("/r1/job/0", 1.0)], "foreign", 1, id="of another run"
        ),
    ],
)
def test_what_must_not_be_is_counted_and_spoils_the_run(
    arrivals: list[tuple[str, float]], field: str, count: int
) -> None:
    found = _figures(*arrivals)
    assert getattr(found, field) == count
    assert not found.is_complete


def test_a_doubled_job_has_the_time_of_its_first_request() -> None:
    assert _figures(("/r0/job/0", 9.0), ("/r0/job/0", 1.0), ("/r0/job/1", 2.0)).last_ms == 2.0


@pytest.mark.parametrize(("share", "expected"), [(0, 1.0), (0.5, 50.0), (0.99, 99.0), (1, 100.0)])
def test_percentiles_are_by_nearest_rank(share: float, expected: float) -> None:
    assert percentile_ms([value * MS for value in range(1, 101)], share) == expected


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile_ms([], 0.5))


@pytest.mark.parametrize(("value", "ok"), [(2.0, True), (2.01, False), (math.nan, False)])
def test_a_bound_holds_up_to_itself_and_what_was_not_measured_has_not_reached_it(
    value: float, ok: bool
) -> None:
    assert at_most("last", value, 2.0).ok is ok


@pytest.mark.parametrize(("judges_cpu", "ok"), [(True, True), (False, False)])
def test_a_cost_is_judged_by_its_cpu_or_its_wall_time(*, judges_cpu: bool, ok: bool) -> None:
    cost = large.Cost(what="20 jobs: next", cpu_s=3.9, wall_s=4.1, most_s=4, judges_cpu=judges_cpu)
    assert cost.verdict().ok is ok


def _summary(name: str, n: int, *lasts: float, armed: int | None = None) -> Summary:
    def run(last: float) -> Run:
        found = Figures(
            expected=n,
            started=n,
            missing=0,
            doubled=0,
            early=0,
            foreign=0,
            first_ms=0,
            p50_ms=0,
            p99_ms=0,
            last_ms=last,
        )
        start = Start(t_ns=T_NS, armed=n if armed is None else armed, pss_mb=240.0, collected_s=2.0)
        return Run(contestant=name, title=name, n=n, start=start, figures=found)

    return Summary(contestant=name, title=name, n=n, runs=[run(last) for last in lasts])


def test_a_ratio_is_one_of_medians() -> None:
    assert ratio(_summary("tminus", 100, 1.0, 9.0, 3.0), _summary("limit", 100, 2.0, 1.0, 50.0)) == 1.5
    assert math.isnan(ratio(_summary("tminus", 100, 1.0), None))


@pytest.mark.parametrize(
    ("n", "contestant", "last", "missed"),
    [
        pytest.param(100, "tminus-normal", 4.0, [], id="within"),
        pytest.param(100, "tminus-normal", 4.1, ["times the limit"], id="too far from the limit"),
        pytest.param(1000, "tminus-normal", 2.2, ["times (b)"], id="too near a thread a job"),
        pytest.param(10_000, "tminus-normal", 2.5, [], id="ten thousand"),
    ],
)
def test_the_loopback_targets(n: int, contestant: str, last: float, missed: list[str]) -> None:
    found = [_summary(contestant, n, last), _summary("limit", n, 1.0), _summary("barrier", n, 21.0)]
    verdicts = loopback._judge(found[0], found)
    failed = [verdict.words for verdict in verdicts if not verdict.ok]
    assert len(failed) == len(missed)
    assert all(words in sentence for words, sentence in zip(missed, failed, strict=True))


def test_the_targets_of_ten_thousand_name_memory_arming_and_collecting() -> None:
    found = [_summary("tminus", 10_000, 1.0), _summary("limit", 10_000, 1.0)]
    words = " ".join(verdict.words for verdict in loopback._judge(found[0], found))
    assert "PSS" in words
    assert "armed" in words
    assert "collecting" in words


def test_the_targets_at_a_distance() -> None:
    found = [
        _summary("tminus", 1000, 12.0, armed=999),
        _summary("loopback", 1000, 8.0),
        _summary("barrier", 1000, 900.0),
    ]
    verdicts = distance._judge(found[0], found)
    assert [verdict.words for verdict in verdicts if not verdict.ok] == [
        "N=1000, tminus, at a distance: at least 999 of 1000 attempts armed, target: all"
    ]


def test_functions_are_to_be_ahead_of_a_plain_barrier_at_the_median_and_at_the_last() -> None:
    found = [_summary("tminus", 100, 9.1), _summary("flask-barrier", 100, 9.0)]
    failed = [verdict.words for verdict in calls._judge(*found) if not verdict.ok]
    assert [
        any(words in sentence for sentence in failed) for words in ("p50", "last 1.01 times (e)", "armed")
    ] == [
        True,  # 0 of 0: not measured
        True,
        False,
    ]


@pytest.mark.parametrize(("last_ms", "ok"), [(100.0, True), (100.1, False)])
def test_the_last_of_a_hundred_processes_starts_within_100_ms(last_ms: float, ok: bool) -> None:
    verdicts = calls._judge(_summary("tminus-isolated", 100, last_ms), None)
    assert verdicts[-1].ok is ok


@pytest.mark.parametrize(
    ("real_time", "last", "ok"),
    [(True, 1.2, True), (True, 1.21, False), (False, 1.6, True), (False, 1.61, False)],
)
def test_requests_beside_functions_may_be_so_much_later(*, real_time: bool, last: float, ok: bool) -> None:
    alone, beside = [_figures(("/r0/job/0", 1.0), ("/r0/job/1", each)) for each in (1.0, last)]
    batches = mixed.Batches(
        title="", n=100, real_time=real_time, alone=[alone], beside=[beside], functions=[alone]
    )
    assert [verdict.ok for verdict in mixed.judge(batches)] == [True, ok]


@pytest.mark.parametrize(
    ("last_ms", "took_ms", "ran", "failed"),
    [
        (1.2, 9.9, 100, []),
        (1.3, 9.9, 100, ["last request"]),
        (1.0, 10.1, 100, ["a submit, p99"]),
        (1.0, 1.0, 99, ["99 of 100 calls"]),
    ],
)
def test_submits_may_not_delay_a_batch_nor_take_long_nor_be_lost(
    last_ms: float, took_ms: float, ran: int, failed: list[str]
) -> None:
    alone, beside = (_figures(("/r0/job/0", 0.5), ("/r0/job/1", ms)) for ms in (1.0, last_ms))
    batches = submits.Batches(
        n=100, alone=[alone], beside=[beside], took=[round(took_ms * MS)] * 100, ran=ran
    )
    said = [str(verdict).partition("submits: ")[2] for verdict in submits.judge(batches) if not verdict.ok]
    assert len(said) == len(failed)
    assert all(words.startswith(begins) for words, begins in zip(said, failed, strict=True))


def test_notes_tell_what_was_not_entered_and_what_was_entered_twice() -> None:
    with notes(3) as noted:
        (file,) = noted.environment.values()
        Path(file).write_bytes(struct.pack("=6q", T_NS, 1, 0, 0, T_NS, 2))
        found = figures(noted.arrivals(), t_ns=T_NS - MS, expected=3)
    assert (found.started, found.missing, found.doubled, found.last_ms) == (2, 1, 1, 1.0)


def test_a_contestant_that_could_not_run_is_left_out_and_says_why() -> None:
    (summary,) = summaries([Run(contestant="barrier", title="(b)", n=100, left_out="needs 100 threads")])
    assert summary.left_out == "needs 100 threads"
    assert summary.notes == ["N=100, (b): left out: needs 100 threads"]


DUE = ["a@1", "b@1"]
WELL: dict[str, str | None] = {"a@1": "succeeded", "b@1": "succeeded", "a@2": None}


@pytest.mark.parametrize(
    ("arrived", "outcomes", "failed"),
    [
        pytest.param(["a@1", "b@1"], WELL, [], id="well"),
        pytest.param(["a@1"], WELL, ["due but not in the server's log", "but not both"], id="not sent"),
        pytest.param(["a@1", "b@1", "b@1"], WELL, ["more than once"], id="doubled"),
        pytest.param(["a@1", "b@1", "c@1"], WELL, ["but not both"], id="not written down"),
        pytest.param(
            ["a@1"], {**WELL, "b@1": "missed"}, ["not in the server's log", "b@1 missed"], id="missed"
        ),
        pytest.param(["a@1", "b@1"], {**WELL, "a@0": "missed"}, [], id="missed before the time watched"),
    ],
)
def test_the_soak_holds_the_ledger_against_the_log(
    arrived: list[str], outcomes: dict[str, str | None], failed: list[str]
) -> None:
    verdicts = accounts(DUE, Counter(arrived), outcomes)
    sentences = [verdict.words for verdict in verdicts if not verdict.ok]
    assert len(sentences) == len(failed)
    assert all(words in sentence for words, sentence in zip(failed, sentences, strict=True))


OURS: dict[str, killed.Row] = {"a": ("succeeded", 1, "1"), "b": ("succeeded", 2, "2")}


@pytest.mark.parametrize(
    ("called", "rows", "failed"),
    [
        pytest.param([1, 2, 2], OURS, [], id="well"),
        pytest.param([1, 2], OURS, [], id="killed before it was called"),
        pytest.param([1, 2, 2, 2], {**OURS, "b": ("unknown", 3, None)}, [], id="unknown after three"),
        pytest.param(
            [1, 2, 2], {**OURS, "b": ("unknown", 2, None)}, ["but neither succeeded"], id="given up too early"
        ),
        pytest.param([1], OURS, ["never called"], id="not called"),
        pytest.param([1, 2], {"a": OURS["a"]}, ["but neither succeeded"], id="lost"),
        pytest.param(
            [1, 2], {**OURS, "b": ("succeeded", 1, "1")}, ["but neither succeeded"], id="another's result"
        ),
        pytest.param([1, 1, 2], OURS, ["more often"], id="twice, and does not say so"),
        pytest.param([1, 2], {**OURS, "c": ("succeeded", 1, "3")}, ["never accepted"], id="from nowhere"),
        pytest.param([1, 2, 3], OURS, ["never accepted"], id="called from nowhere"),
    ],
)
def test_the_soak_holds_what_was_answered_against_the_calls_and_the_ledger(
    called: list[int], rows: dict[str, killed.Row], failed: list[str]
) -> None:
    verdicts = killed.accounts({"a": 1, "b": 2}, Counter(called), rows)
    sentences = [verdict.words for verdict in verdicts if not verdict.ok]
    assert len(sentences) == len(failed)
    assert all(words in sentence for words, sentence in zip(failed, sentences, strict=True))


@pytest.mark.parametrize(("last", "ok"), [(104.9, True), (105.1, False), (94.0, False)])
def test_memory_is_flat_if_its_end_is_within_five_per_cent_of_its_middle(last: float, ok: bool) -> None:
    assert is_flat([50.0] * 240 + [100.0] * 60 + [120.0] * 120 + [last] * 60).ok is ok


def test_a_short_soak_does_not_judge_memory() -> None:
    assert "not judged" in is_flat([50.0] * 479).words


def test_publishing_replaces_what_stands_between_the_marks(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for document in (tmp_path / "README.md", tmp_path / "docs" / "benchmarks.md"):
        document.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    table = Table(name="loopback", title="", header=["", "N", "last"])
    table.rows = [
        ["(a) tminus, real-time", "100", "1.10"],
        ["(b) thread", "100", "–"],
        ["(a) tminus, normal", "100", "9.90"],
    ]
    (tmp_path / "latest.json").write_text(json.dumps({"tables": [table.as_json()]}))
    (tmp_path / "latest.md").write_text("# tminus bench\n\nfigures\n")
    assert publish(tmp_path, tmp_path, []) == ["README.md and docs/benchmarks.md"]
    assert (tmp_path / "README.md").read_text().splitlines() == [
        "before",
        "<!-- bench:begin -->",
        "| requests | tminus | a thread per job, Barrier, PycURL | APScheduler, a thread per job | a C program on open sockets |",
        "| --- | --- | --- | --- | --- |",
        "| 100 | 1.10 ms | – | – | – |",
        "<!-- bench:end -->",
        "after",
    ]
    assert "## The machine\n\nfigures\n" in (tmp_path / "docs" / "benchmarks.md").read_text()
