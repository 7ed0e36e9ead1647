"""Which system calls a daemon is killed at: how they are counted, drawn, and added up over runs."""

from pathlib import Path
from random import Random

import pytest

from bench.call_coverage import READY, START, Coverage, Target, count_calls, read, write

LOG = """\
100 write(1, "a", 1)                  = 1
101 write(2, "b", 1 <unfinished ...>
100 vfork( <unfinished ...>
102 close(3)                          = 0
102 close(4)                          = 0
102 execve("/bin/true", ["true"], 0x7f <unfinished ...>
101 <... write resumed>)              = 1
101 write(2, "c", 1)                  = 1
100 <... vfork resumed>)              = 102
100 --- SIGCHLD {si_signo=SIGCHLD} ---
101 close(5)                          = 0
101 +++ exited with 0 +++
""".splitlines()


def test_of_each_call_the_thread_that_makes_it_most_often_counts() -> None:
    assert count_calls(LOG)["write"] == 2


def test_calls_of_a_child_before_its_program_are_not_those_of_the_daemon() -> None:
    assert count_calls(LOG) == {"write": 2, "close": 1, "vfork": 1}


def test_the_cells_of_a_call_are_its_numbers_up_to_each_power_of_two() -> None:
    assert Coverage({"start write": 11}).cells() == {
        "start write 1": range(1, 2),
        "start write 2": range(2, 3),
        "start write 3": range(3, 5),
        "start write 5": range(5, 9),
        "start write 9": range(9, 12),
    }


@pytest.mark.parametrize("most", [1, 2, 3, 64, 65, 1000])
def test_each_number_of_a_call_is_in_the_cell_of_its_target(most: int) -> None:
    cells = Coverage({"start read": most}).cells()
    assert [number for numbers in cells.values() for number in numbers] == list(range(1, most + 1))
    assert all(
        Target(START, "read", number).cell == name for name, numbers in cells.items() for number in numbers
    )


def test_a_draw_has_a_target_in_each_cell_before_one_comes_again() -> None:
    coverage = Coverage({"start read": 100, "start write": 3})
    cells = coverage.cells()
    targets = coverage.draw(len(cells), Random(1))
    assert sorted(target.cell for target in targets) == sorted(cells)
    assert len(coverage.draw(len(cells) + 1, Random(1))) == len(cells) + 1


def test_cells_that_were_never_reached_are_drawn_first() -> None:
    reached = {f"start read {first}" for first in (1, 2, 3, 5, 9)}
    coverage = Coverage({"start read": 100}, reached)
    new = coverage.cells().keys() - reached
    assert {target.cell for target in coverage.draw(len(new), Random(1))} == new


def test_a_seed_draws_the_same_targets_again() -> None:
    coverage = Coverage({"start read": 100, "start write": 30})
    assert coverage.draw(5, Random(7)) == coverage.draw(5, Random(7)) != coverage.draw(5, Random(8))


def test_without_a_counted_call_nothing_is_drawn() -> None:
    assert Coverage().draw(3, Random(1)) == []


def test_coverage_adds_up_over_runs(tmp_path: Path) -> None:
    file = tmp_path / "out" / "system-calls.json"
    for phase, most, cell in (
        (START, {"read": 3}, "start read 1"),
        (START, {"read": 2, "write": 1}, "start write 1"),
        (READY, {"read": 1}, "ready read 1"),
    ):
        whole = read(file)
        one = whole.setdefault("sqlite", Coverage())
        one.add_counts(phase, most)
        one.reached.add(cell)
        write(file, whole)
    most_of_all = {"start read": 3, "start write": 1, "ready read": 1}
    assert read(file) == {"sqlite": Coverage(most_of_all, {"start read 1", "start write 1", "ready read 1"})}
    assert str(read(file)["sqlite"]) == "3 of 5"
