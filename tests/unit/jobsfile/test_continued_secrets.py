"""Secrets of several lines: no excerpt of a file shows a part of them, even if the file is not YAML."""

import time
import timeit
from pathlib import Path

import pytest

from tests.unit.jobsfile.jobs_text import TOP, load_text
from tminus.jobsfile.text.masking import find_continued
from tminus.jobsfile.text.problems import plain

#: A value of `headers`, with a problem in the line that has the end of a secret.
PROBLEMS = {
    "control-character": "\n        password: |\n          first\n          hunter2 \x01\n",
    "not-utf-8": "\n        password: |\n          hunter2 \0\n",
    "indented-less": "\n        password: |\n          first\n       hunter2 x\n        X-A: b\n",
    "not-indented": "\n        password: first\n      hunter2\n",
    "tab": "\n        password: >\n\t\thunter2\n",
    "unknown-escape": '\n        password: "first\n          hunter2 \\q"\n',
    "unexpected-colon": "\n        password: first\n          hunter2: x\n",
    "tag": "\n        password:\n          !!str hunter2\n",
    "bracket": " {password: [a,\n  hunter2, \x01], X-A: b}\n",
    "valid-yaml": ' {password: "first\n          hunter2", Bad Name: x}\n',
}


@pytest.mark.parametrize("value", PROBLEMS.values(), ids=PROBLEMS)
def test_no_excerpt_shows_a_later_line_of_a_secret(tmp_path: Path, value: str) -> None:
    http = f"    http:\n      url: https://a.example\n      headers:{value}"
    loaded = load_text(tmp_path, f"{TOP}jobs:\n  a:\n    schedule: manual\n{http}")
    (problem,) = loaded.errors
    assert "hunter2" in http.split("\n")[problem.line - 6]
    assert "*******" in plain(problem)
    assert "hunter2" not in plain(problem)


@pytest.mark.parametrize(
    ("text", "continued"),
    [
        ("a:\n  password: |\n    x\n\n    y: z\n  b: c", [2, 3, 4]),
        ("a:\n- password: x\n  b: c", []),
        ("a:\n  b:\n    tokens:\n    - x\n    - y\n    c: d", [3, 4]),
        ("a:\n  b:\n    credentials:\n      user: x\n    c: d", [3]),
        ("a:\n  password: # why\n    x\n  b: c", [2]),
        ("a:\n  password: ${env:X}\n    x", []),
        ("a: {password: 'it''s\nx: y', b: c}\nd: 'e'", [1]),
        ('a: {password: "\\"\nx: y", b: c}\nd: "e"', [1]),
        ("a: {password: x\ny, b: c}\nd: e", [1]),
        ("a: {password: {b: ']}',\nc: d # }\n}, e: f}\ng: h", [1, 2]),
        ("a: {password: [x\nb: c\nd: e", [1, 2]),
        ('a: {password: "x\nb: c\nd: e', [1, 2]),
        # Not secrets: what lies below the name of a job, and a comment.
        ("jobs:\n  token_refresh:\n    schedule: manual\n  b: c", []),
        ("jobs:\n  token_refresh: {schedule: manual,\n    http: x}", []),
        ("a:\n# token: it is old\n  b: c", []),
    ],
)
def test_the_lines_that_continue_a_secret(text: str, continued: list[int]) -> None:
    assert sorted(find_continued(text.split("\n"))) == continued


@pytest.mark.parametrize("line", ['password: "x', "password: [x", "  password:", "{token: ${env:X}, "])
def test_they_are_found_in_time_proportional_to_the_text(line: str) -> None:
    assert cpu_s([line] * 40_000) / cpu_s([line] * 10_000) < 8


def cpu_s(lines: list[str]) -> float:
    """The processor time that the search takes."""
    return min(timeit.repeat(lambda: find_continued(lines), timer=time.process_time, number=1, repeat=3))
