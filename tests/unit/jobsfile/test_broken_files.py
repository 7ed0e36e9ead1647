"""
Broken jobs files, each beside exactly what is said about it.

`broken/NAME.yaml`, or `broken/NAME/jobs.yaml` with the files that it includes, goes with
`broken/NAME.expected`: a line for each problem, `severity file:line:column: message | hint`. The names begin
with the line of the list of bad inputs that they show.
"""

import contextlib
import functools
import os
from pathlib import Path

import pytest

from tminus.instants import parse_rfc3339
from tminus.jobsfile.load import Loaded, load
from tminus.jobsfile.text.problems import plain

BROKEN = Path(__file__).parent / "broken"
NAMES = sorted(expected.stem for expected in BROKEN.glob("*.expected"))
NOW = parse_rfc3339("2026-11-20T11:00:00Z")
ENVIRON = {"TOKEN": "canary-1"}


@functools.cache
def load_broken(name: str) -> Loaded:
    with contextlib.chdir(BROKEN):
        path = f"{name}.yaml" if Path(f"{name}.yaml").exists() else f"{name}/jobs.yaml"
        return load(path, now_ns=NOW, environ=ENVIRON)


@pytest.mark.parametrize("name", NAMES)
def test_says_exactly_what_is_wrong(name: str) -> None:
    loaded = load_broken(name)
    said = [
        f"{problem.severity} {problem} | {problem.hint}" for problem in (*loaded.errors, *loaded.warnings)
    ]
    assert "\n".join(said).replace(str(BROKEN), "$HERE") + "\n" == (BROKEN / f"{name}.expected").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_a_place_in_its_file_and_a_hint(name: str) -> None:
    loaded = load_broken(name)
    assert (loaded.definitions is None) == bool(loaded.errors)
    for problem in (*loaded.errors, *loaded.warnings):
        lines = (BROKEN / problem.path).read_bytes().decode("utf-8", "replace").split("\n")
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.hint
        assert problem.message[0] == problem.message[0].lower() or problem.message.startswith(("JSON", "URL"))
        assert not problem.message.endswith(".")
        assert plain(problem).isprintable() or all(
            sign.isprintable() or sign == "\n" for sign in plain(problem)
        )


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_shown(name: str) -> None:
    loaded = load_broken(name)
    shown = "".join(
        plain(problem) + repr(problem.as_json()) for problem in (*loaded.errors, *loaded.warnings)
    )
    assert "hunter2" not in shown
    assert "canary" not in shown + repr(loaded.definitions)


def test_files_of_the_folder_are_all_used() -> None:
    files = {entry.removesuffix(".yaml").removesuffix(".expected") for entry in os.listdir(BROKEN)}
    assert files == set(NAMES)
