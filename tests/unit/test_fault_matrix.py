"""The fault matrix names tests that exist."""

from tests.faults.matrix import MATRIX, PHASES
from tests.support.named_tests import fault


def test_each_cell_of_the_fault_matrix_names_a_test_that_runs() -> None:
    cells = {cell for row in MATRIX.values() for cell in row.values() if isinstance(cell, str)}
    assert [found for found in map(fault, sorted(cells)) if found] == []


def test_the_fault_matrix_has_no_phase_of_its_own() -> None:
    assert {phase for row in MATRIX.values() for phase in row} <= set(PHASES)
