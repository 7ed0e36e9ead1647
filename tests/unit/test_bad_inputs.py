"""Each bad input has a test that runs."""

from tests.bad_inputs import BAD_INPUTS
from tests.support.named_tests import fault


def test_each_bad_input_of_files_commands_and_peers_is_listed() -> None:
    numbers = [int(name[1:3]) for name in BAD_INPUTS]
    assert numbers == [*range(1, 40), *range(55, 73)]


def test_each_bad_input_names_tests_that_run() -> None:
    named = [test for tests in BAD_INPUTS.values() if isinstance(tests, tuple) for test in tests]
    assert [found for found in map(fault, named) if found] == []
    assert all(tests for tests in BAD_INPUTS.values() if isinstance(tests, tuple))


def test_a_name_that_is_wrong_is_found() -> None:
    here = "unit/test_bad_inputs.py"
    assert fault(f"{here}::test_a_name_that_is_wrong_is_found") == ""
    assert fault("unit/nowhere.py::test_a") == "unit/nowhere.py::test_a: no such file"
    assert fault(f"{here}::test_a") == f"{here}::test_a: no such test"
    name = f"{here}::test_a_name_that_is_wrong_is_found[{'x' * 9}]"
    assert fault(name) == f"{name}: no such case"
