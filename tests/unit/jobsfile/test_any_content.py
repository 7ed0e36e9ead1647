"""
Whatever a jobs file holds: problems with a place and a hint, in time that grows with the file and no faster.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.jobsfile.jobs_text import load_text, messages
from tminus.jobsfile.load import Loaded, load
from tminus.jobsfile.text.masking import mask_line
from tminus.jobsfile.text.problems import plain

# --- keys that are no texts ---


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            '{version: 1, jobs: {a: {schedule: manual,\n http: "http://x.example.com/"}},\n? explicit : 1,\n? }\n',
            id="flow-map",
        ),
        pytest.param("version: 1\n? {a: b}\n: c\n", id="map"),
        pytest.param("version: 1\n? [a]\n: c\n", id="list"),
        pytest.param("version: 1\njobs: {a: {? [x]\n : y}}\n", id="in-a-job"),
        pytest.param("{version: 1, version: 1,\n? [a] : 1}\n", id="beside-a-duplicate"),
        pytest.param('version: 1\n? "a\n b" : 1\n', id="over-two-lines"),
        pytest.param("version: 1\njobs:\n  ? |\n    a\n  : {http: x}\n", id="block-text"),
        pytest.param("&a version: 1\n? *a\n: 1\n", id="alias"),
        pytest.param("version: 1\n? &k !!str key\n: 1\n? *k : 2\n", id="anchor-and-tag"),
    ],
)
def test_a_key_that_is_no_plain_text_is_an_error_with_a_place(tmp_path: Path, text: str) -> None:
    loaded = load_text(tmp_path, text)
    assert loaded.definitions is None
    for error in loaded.errors:
        assert 1 <= error.line <= len(text.split("\n"))
        assert error.hint
        assert "defect of tminus" not in error.hint


def test_a_number_of_thousands_of_digits_in_an_expression(tmp_path: Path) -> None:
    loaded = load_text(
        tmp_path,
        job(http={"url": "https://a.example/", "body": "{{ %s }}" % ("9" * 5_000), "method": "POST"}),
    )
    assert [error.message for error in loaded.errors] == [
        "jobs.a.http.body: not an expression: a number that is too long"
    ]


# --- exceptions that nobody foresaw ---


class _Broken(dict[str, str]):
    """An environment that raises what nobody expects."""

    def get(self, key: Any, default: Any = None) -> Any:
        raise RuntimeError("with hunter2 in it")


@pytest.mark.parametrize("place", ["in the settings", "in a job"])
def test_an_unforeseen_exception_is_one_problem_of_the_file(tmp_path: Path, place: str) -> None:
    text = (
        job(ledger="sqlite:///${env:X}/l.db")
        if place == "in the settings"
        else job(description="x", http="https://a.example/${env:X}")
    )
    (tmp_path / "jobs.yaml").write_text(text)
    loaded = load(tmp_path / "jobs.yaml", environ=_Broken())
    assert loaded.definitions is None
    (error,) = loaded.errors
    assert error.message.startswith("the file could not be read: RuntimeError in ")
    assert error.hint.startswith("this is a defect of tminus")
    assert "hunter2" not in plain(error)


def job(name: str = "a", *, ledger: Any = None, **keys: Any) -> str:
    settings = {"ledger": ledger} if ledger else {}
    return json.dumps(
        {
            "version": 1,
            **settings,
            "jobs": {name: {"schedule": "manual", "http": "https://a.example/", **keys}},
        }
    )


@pytest.mark.parametrize(
    ("userinfo", "warns"),
    [("tminus@", False), ("tminus:hunter2@", True), ("tminus:${env:X}@", False), ("", False)],
)
def test_only_a_password_in_the_ledgers_url_is_a_secret_in_plain_text(
    tmp_path: Path, userinfo: str, warns: bool
) -> None:
    loaded = load_text(
        tmp_path, job(ledger=f"postgresql+psycopg://{userinfo}db/tminus"), environ={"X": "canary"}
    )
    assert [problem.message for problem in loaded.warnings] == (
        ["ledger: a secret in plain text"] if warns else []
    )


# --- time ---


def _faulty(fault: Callable[[int], Mapping[str, Any]]) -> Callable[[int], str]:
    def text(size: int) -> str:
        jobs = {
            f"job_{number}": {"schedule": "manual", "http": "https://a.example/", **fault(number)}
            for number in range(size)
        }
        return json.dumps({"version": 1, "jobs": jobs})

    return text


def _lines(line: Callable[[int], str]) -> Callable[[int], str]:
    return lambda size: "version: 1\njobs:\n" + "".join(line(number) for number in range(size))


def _one_job(keys: Callable[[int], Mapping[str, Any]]) -> Callable[[int], str]:
    return lambda size: job(**keys(size))


#: Files of which every job, or every part of one, is wrong; each with how many there are at first.
SHAPES: Mapping[str, tuple[Callable[[int], str], int]] = {
    "sound jobs": (_faulty(lambda number: {"schedule": f"{number % 60} {number // 60 % 24} * * *"}), 150),
    "unknown keys on one line": (_faulty(lambda number: {f"metod{number}": 1}), 100),
    "secrets on one line": (_faulty(lambda number: {"params": {"password": "hunter2", "token": [1]}}), 100),
    "unknown jobs in chains": (_faulty(lambda number: {"then": [{"callback": {"run": f"jop_{number}"}}]}), 60),
    "unknown templates": (_faulty(lambda number: {"extends": f"tamplate_{number}"}), 100),
    "wrong time zones": (_faulty(lambda number: {"schedule": {"cron": "0 1 * * *", "timezone": f"Europe/Berln{number}"}}), 100),
    "wrong names in expressions": (_faulty(lambda number: {"description": "x", "http": f"https://a.example/{{{{ parms.x{number} }}}}"}), 100),
    "jobs of a chain": (_faulty(lambda number: {"then": [{"callback": {"run": f"job_{number + 1}"}}]}), 150),
    "tags on lines": (_lines(lambda number: f"  a{number}: !!python/object {{http: x}}\n"), 150),
    "duplicate keys": (_lines(lambda number: "  a: {http: x, http: y}\n"), 400),
    "wrong header names": (_one_job(lambda size: {"http": {"url": "https://a.example/", "headers": {f"a b{number}": "x" for number in range(size)}}}), 400),
    "references to nothing": (_one_job(lambda size: {"http": "https://a.example/" + "".join(f"${{env:X{number}}}" for number in range(size))}), 400),
    "expressions": (_one_job(lambda size: {"http": "https://a.example/" + "".join(f"{{{{ x{number} }}}}" for number in range(size))}), 400),
}  # fmt: skip


#: The others are tested with the long tests.
IN_BRIEF = ["sound jobs", "unknown keys on one line", "duplicate keys", "expressions"]


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=[] if shape in IN_BRIEF else pytest.mark.long) for shape in SHAPES]
)
def test_twice_the_faults_take_about_twice_the_time(tmp_path: Path, shape: str) -> None:
    text, size = SHAPES[shape]

    def cpu_s(factor: int) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            loaded = load_text(tmp_path, text(factor * size))
            best = min(best, time.process_time() - began)
            assert loaded.errors or "secrets" in shape or "sound" in shape
        return best

    # Four times the size: linear is 4, quadratic is 16. Caches and the constant part make it less exact than
    # that.
    assert cpu_s(4) / cpu_s(1) < 8


def test_masking_a_line_takes_as_long_as_the_line_is_long() -> None:
    def cpu_s(size: int) -> float:
        line = '{"password": "hunter2", "token": x, "secret": ["${env:X}"], "pwd": *x, ' * size
        began = time.process_time()
        assert "hunter2" not in mask_line(line)
        return time.process_time() - began

    assert min(cpu_s(2_000) for _ in range(3)) / min(cpu_s(500) for _ in range(3)) < 8


# --- length ---

LONG = "x" * 1_000_000


def _long_values() -> Iterator[tuple[str, str]]:
    yield "template", job(extends=LONG)
    yield "app", job(http=None, call={"ref": "a:b", "app": LONG})
    yield "reference", job(http="https://a.example/${file:" + LONG + "}")
    yield "variable", job(http="https://a.example/${env:" + LONG + "}")
    yield "source", job(http="https://a.example/${" + LONG + ":x}")
    yield "body file", job(http={"url": "https://a.example/", "method": "POST", "body_file": LONG})
    yield "authority", job(http={"url": "https://a.example/", "tls": {"ca": LONG}})
    yield "name", job(LONG)
    yield "key", job("a", **{LONG: 1})
    yield "header", job(http={"url": "https://a.example/", "headers": {LONG + " ": "x"}})
    yield "cron", job(schedule="0 0 " + LONG)
    yield "zone", job(schedule={"cron": "0 0 * * *", "timezone": "Europe/" + LONG})
    yield "time", job(schedule={"at": LONG})
    yield "host", job(http=f"https://{LONG}/")
    yield "no scheme", job(http=LONG)
    yield "expression", job(http="https://a.example/{{ " + LONG + " }}")
    yield "filter", job(http="https://a.example/{{ params | " + LONG + " }}")
    yield "broken expression", job(http="https://a.example/{{ '" + LONG + "' ' }}")
    yield "job of a chain", job(then=[{"callback": {"run": LONG}}])
    yield (
        "app of the file",
        "version: 1\napps: {a: {app: 'a:b', directory: "
        + LONG
        + ", python: "
        + LONG
        + ", env_file: "
        + LONG
        + "}}\n",
    )
    yield "include", f"version: 1\ninclude: [{LONG}, ../{LONG}]\n"
    yield "ledger", f"version: 1\nledger: {LONG}\n"
    yield "alias", f"version: 1\njobs: *{LONG}\n"
    yield "tag", f"version: 1\njobs: !{LONG} x\n"
    yield "duplicate", f"version: 1\n{LONG}: 1\n{LONG}: 1\n"
    yield "scalar", f"version: {LONG}\n"


@pytest.mark.parametrize(
    ("kind", "text"), [pytest.param(kind, text, id=kind) for kind, text in _long_values()]
)
def test_no_message_holds_a_whole_value(tmp_path: Path, kind: str, text: str) -> None:
    loaded = load_text(tmp_path, text)
    assert loaded.errors
    _all_short(loaded)
    assert all("defect of tminus" not in error.hint for error in loaded.errors)


def _all_short(loaded: Loaded) -> None:
    for problem in (*loaded.errors, *loaded.warnings):
        assert len(problem.message) < 600, problem.message
        assert len(plain(problem)) < 1_500
    assert messages(loaded)
