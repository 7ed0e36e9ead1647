"""The crash points: the table agrees with the code, and without the variable there is nothing to pass."""

import ast
import dis
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tminus import crash_points
from tminus.crash_points import AFTER, BEFORE, POINTS, VARIABLE, from_environment
from tminus.errors import UsageError

PACKAGE = Path(crash_points.__file__).parent


def in_the_code() -> Iterator[str]:
    """The points that the package passes, by its source text."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr == "passed":
                yield from (str(one.value) for one in node.args if isinstance(one, ast.Constant))
            for word in node.keywords:
                if word.arg == "step" and isinstance(word.value, ast.Constant) and word.value.value:
                    yield f"{word.value.value!s}-{BEFORE}"
                    yield f"{word.value.value!s}-{AFTER}"


def test_each_point_of_the_table_is_in_the_code_once_and_no_other_is() -> None:
    assert sorted(in_the_code()) == sorted(POINTS)


def test_without_the_variable_a_point_is_a_call_of_an_empty_function() -> None:
    passed = from_environment({})
    assert passed is crash_points.passed is from_environment({VARIABLE: ""})
    names = {one.opname for one in dis.get_instructions(passed)}
    assert names <= {"RESUME", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "claim-before-comit:1",
            "'claim-before-comit' is no crash point; did you mean 'claim-before-commit'?",
        ),
        ("armed", "'' is not a positive number of passages"),
        ("armed:0", "'0' is not a positive number of passages"),
        ("armed:x", "'x' is not a positive number of passages"),
    ],
)
def test_a_point_that_does_not_exist_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as failed:
        from_environment({VARIABLE: text})
    assert failed.value.message == f"${VARIABLE}: {message}"


@pytest.mark.processes
def test_the_process_is_killed_at_the_passage_that_was_asked_for() -> None:
    code = "from tminus.crash_points import passed\nfor n in range(5):\n  print(n, flush=True)\n  passed('armed')\n"
    environment = os.environ | {VARIABLE: "armed:3", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"])
