"""A wall clock that can be set, and what is judged with it: a judge that sees nothing would prove nothing."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.clock import after_an_hour, steps
from bench.clock.policies import MINUTE, Decision, Policies, decide, fire_times
from bench.clock.wall import Wall, build

HOUR_NS = 60 * MINUTE
NOON = 12 * 60
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="the clock is compiled with gcc")


@needs_gcc
def test_a_process_and_what_it_starts_have_the_clock_that_was_set(tmp_path: Path) -> None:
    wall = Wall(build(tmp_path), tmp_path / "clock")
    wall.step(-HOUR_NS)
    print_time = "import time; print(time.time_ns())"
    # Its child has an environment without the clock.
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {print_time!r}], env={{}})"
    before_ns = wall.now_ns()
    for program in (print_time, code):
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=os.environ | wall.environment, capture_output=True, check=True)
        assert before_ns <= int(done.stdout) <= wall.now_ns()


@pytest.mark.parametrize(
    ("coalesce", "runs", "skipped", "missed"),
    [
        pytest.param("latest", {NOON}, {NOON - 5, NOON - 10}, {NOON - 15}, id="latest"),
        pytest.param("earliest", {NOON - 10}, {NOON - 5, NOON}, {NOON - 15}, id="earliest"),
        pytest.param("all", {NOON - 5, NOON}, set(), {NOON - 15, NOON - 10}, id="all"),
    ],
)
def test_the_oracle_decides_by_coalesce(
    coalesce: str, runs: set[int], skipped: set[int], missed: set[int]
) -> None:
    job = Policies(coalesce=coalesce, window=600, most=2)
    due = list(fire_times(job, NOON - 15, NOON))
    planned = {minute: minute * MINUTE for minute in due}
    found = decide(job, due, planned_ns=planned, now_ns=NOON * MINUTE)
    assert found == Decision(frozenset(runs), frozenset(skipped), frozenset(missed))


SEEN = steps.Seen(
    outcomes=["succeeded"], offset_s=0.0, doubled=0, early=0, rows=1, counted=1, due=1, wrong=[]
)


@pytest.mark.parametrize(
    "different", [{}, {"doubled": 1}, {"early": 1}, {"rows": 99}, {"counted": 2}, {"wrong": ["missed"]}]
)
def test_each_violation_of_a_cell_is_seen(different: dict[str, object]) -> None:
    cell = steps.Cell("hold", "-1 h")
    verdicts = steps.judge({cell: replace(SEEN, **different)})  # type: ignore[arg-type]
    assert sum(not verdict.ok for verdict in verdicts) == len(different)


@needs_gcc
@pytest.mark.parametrize("cell", [steps.Cell("hold", "-1 year"), steps.Cell("arm", "-10 s")], ids=str)
def test_a_daemon_whose_clock_is_set_back_starts_each_job_once_at_t(tmp_path: Path, cell: steps.Cell) -> None:
    seen = steps.run(cell, build(tmp_path), seed=7)
    assert [str(verdict) for verdict in steps.judge({cell: seen}) if not verdict.ok] == []


@needs_gcc
def test_after_an_hour_each_fire_time_ends_as_its_policies_say() -> None:
    evidence, _ = after_an_hour.run(seed=7, count=20)
    assert [str(verdict) for verdict in after_an_hour.judge(evidence) if not verdict.ok] == []
    assert evidence.arrivals
