"""Whatever is done to a good file, it is loaded or every problem has a place in it; nothing is raised."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.jobsfile.jobs_text import load_text
from tests.unit.jobsfile.test_good_files import EVERYTHING
from tminus.jobsfile.load import Loaded
from tminus.jobsfile.text.problems import plain

PIECES = [
    "", " ", "\n", "\t", ":", ": ", "{", "}", "[", "]", ",", "'", '"', "|", ">", "&a ", "*a", "!x ", "#", "---\n", "? ", "- ",
    "<<: ", "%", "@", "null", "true", "-1", ".inf", "1e9", "[]", "{}", "[[]]", "{a: b}", "${", "${env:X}", "{{ ", "{{ x }}", "}}",
    "\\", "\0", "\x1b", "\ud7ff", "\u2028", "\x85", "😀", "\ufeff", "9" * 400, "a" * 400, "jobs:", "http:", "extends: sync",
    "include: ['*.yaml']", "schedule: ", "0 0 30 2 *",
]  # fmt: skip
KEYS = ["http", "schedule", "timeout", "params", "expect", "retry", "extends", "tags", "suspend", "overlap"]
INNER_KEYS = st.text(max_size=5) | st.sampled_from(
    ["url", "headers", "json", "cron", "at", "timezone", "total", "status"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(PIECES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_KEYS, inner, max_size=3),
    max_leaves=6,
)


def check(text: bytes, loaded: Loaded) -> None:
    assert (loaded.definitions is None) == bool(loaded.errors)
    lines = text.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    for sign in "\r\x85\u2028\u2029":
        lines = lines.replace(sign, "\n")
    split = lines.split("\n")
    for problem in (*loaded.errors, *loaded.warnings):
        assert problem.hint
        assert "defect of tminus" not in problem.hint, problem
        assert 1 <= problem.line <= len(split), problem
        assert 1 <= problem.column <= len(split[problem.line - 1]) + 1, problem
        assert all(sign.isprintable() or sign == "\n" for sign in plain(problem))
        assert "hunter2" not in plain(problem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzzing")
    (path / "ca.pem").touch()
    return path


def load_and_check(folder: Path, text: bytes) -> None:
    check(text, load_text(folder, text, environ={"TOKEN": "hunter2"}))


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=6))
def test_pieces_put_in_and_cut_out(folder: Path, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    text = EVERYTHING
    for _ in range(changes):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 0, 1, 2, 10, 60]))
        text = text[:start] + chance.choice(PIECES) + text[end:]
    load_and_check(folder, text.encode("utf-8", "surrogatepass"))


@given(st.integers(min_value=0, max_value=len(EVERYTHING)), st.binary(max_size=6))
def test_bytes_put_in(folder: Path, position: int, noise: bytes) -> None:
    text = EVERYTHING.encode()
    load_and_check(folder, text[:position] + noise + text[position:])


@given(st.binary(max_size=200))
def test_any_bytes(folder: Path, text: bytes) -> None:
    load_and_check(folder, text)


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_pieces(folder: Path, pieces: list[str]) -> None:
    load_and_check(folder, "".join(pieces).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(KEYS), VALUES)
def test_any_value_under_any_key(folder: Path, key: str, value: object) -> None:
    job = {"schedule": "manual", "http": "https://a.example", key: value}
    load_and_check(folder, f"version: 1\njobs:\n  a: {json.dumps(job)}\n".encode("utf-8", "surrogatepass"))
