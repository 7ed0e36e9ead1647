"""The cases of other libraries name tests that exist, and all tests that were written for them."""

import re

import pytest

from tests.ported_cases import FLASK_APSCHEDULER, FLASK_EXECUTOR
from tests.support.named_tests import TESTS, fault

_CASES = [*FLASK_EXECUTOR.values(), *FLASK_APSCHEDULER.values()]
_NAMED = sorted({test for case in _CASES for test in case.tests})


def test_each_case_has_a_reason_or_names_tests_that_run() -> None:
    assert all(case.tests or case.differs for case in _CASES)
    assert [found for found in map(fault, _NAMED) if found] == []


@pytest.mark.parametrize("module", ["process/test_ported_runs.py", "process/test_ported_jobs.py"])
def test_each_test_that_was_written_for_a_case_is_named(module: str) -> None:
    written = re.findall(r"^def (test_\w+)", (TESTS / module).read_text(), re.MULTILINE)
    assert [test for test in written if f"{module}::{test}" not in _NAMED] == []
