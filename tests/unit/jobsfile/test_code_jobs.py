"""Jobs that code defines, beside those of the file: one language, one version, each with its place."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from tests.unit.jobsfile.jobs_text import NOW, messages
from tminus.jobsfile.jobs.code_jobs import stored_code_jobs
from tminus.jobsfile.load import JobsFile, Loaded
from tminus.model.code_job import CodeJob, merge_code_jobs, parse_code_jobs
from tminus.model.job import CallTarget

FILE = """\
version: 1
timezone: Europe/Berlin
apps: {shop: {app: "shop:app"}}
defaults: {timeout: 7s}
jobs:
  ping: {schedule: manual, http: https://a.example}
"""


def code_job(name: str = "sync", *, app: str = "shop", error: str = "", **keys: Any) -> CodeJob:
    """As a runner says it."""
    said = {"schedule": {"cron": "30 11 * * *"}, "call": {"ref": "shop:sync", "app": app}} | keys
    return CodeJob(name=name, app=app, file="tasks.py", line=31, keys=said, error=error)


def load_with(folder: Path, *code: CodeJob, text: str = FILE) -> Loaded:
    """That file and that code."""
    (folder / "jobs.yaml").write_text(text)
    with chdir(folder):
        return JobsFile("jobs.yaml", environ={}).load(code, now_ns=NOW)


def test_the_defaults_of_the_file_are_merged_into_a_job_of_the_code(tmp_path: Path) -> None:
    loaded = load_with(tmp_path, code_job())
    assert loaded.definitions
    job = loaded.definitions.jobs["sync"]
    assert job.target == CallTarget(ref="shop:sync", app="shop")
    assert (job.timeouts.total_ns, job.zone) == (7_000_000_000, "Europe/Berlin")
    assert [str(job.place) for job in loaded.definitions.jobs.values()] == [
        "jobs.yaml:6",
        "tasks.py:31 (app shop)",
    ]


def test_the_origin_of_each_value_of_a_job_in_code(tmp_path: Path) -> None:
    where = {one.key: (one.value, one.where) for one in load_with(tmp_path, code_job()).explain("sync")}
    assert where["schedule.cron"] == ("30 11 * * *", "tasks.py:31 (app shop)")
    assert where["timeout.total"] == ("7s", "defaults, jobs.yaml:4")
    assert where["overlap"] == ("skip", "built in")


def test_a_name_that_the_file_has_too_names_both_places(tmp_path: Path) -> None:
    loaded = load_with(tmp_path, code_job("ping"))
    assert messages(loaded) == [
        "tasks.py:31:1: jobs: job 'ping' defined in jobs.yaml:6 and tasks.py:31 (app shop)"
    ]
    assert loaded.definitions is None


def test_an_entry_that_overrides_a_job_in_code_has_this_one_error(tmp_path: Path) -> None:
    (error,) = load_with(tmp_path, code_job(), text=f"{FILE}  sync: {{suspend: true}}\n").errors
    assert error.message.startswith("jobs: job 'sync' defined in jobs.yaml:")
    assert error.hint == "a job in code is changed in the code"


def test_a_name_that_two_applications_define_names_both(tmp_path: Path) -> None:
    text = FILE.replace('{shop: {app: "shop:app"}}', '{shop: {app: "shop:app"}, crm: {app: "crm:app"}}')
    assert messages(load_with(tmp_path, code_job(), code_job(app="crm"), text=text)) == [
        "tasks.py:31:1: jobs: job 'sync' defined in tasks.py:31 (app shop) and tasks.py:31 (app crm)"
    ]


def test_a_fault_of_a_job_in_code_has_the_place_in_the_code(tmp_path: Path) -> None:
    bad = code_job(schedule={"cron": "99 * * * *"}, timeout="5 parsecs", max_instance=2)
    assert messages(load_with(tmp_path, bad)) == [
        "tasks.py:31:1: jobs.sync.schedule.cron: '99' is not a minute 0–59",
        'tasks.py:31:1: jobs.sync.timeout must be 0.1s–24h, e.g. 30s; got "5 parsecs"',
        "tasks.py:31:1: jobs.sync: unknown key 'max_instance'",
    ]


def test_a_job_in_code_that_cannot_be_one_is_reported_at_its_place(tmp_path: Path) -> None:
    loaded = load_with(tmp_path, code_job(error="f.<locals>.sync is no view"))
    assert messages(loaded) == ["tasks.py:31:1: jobs.sync: f.<locals>.sync is no view"]


def test_file_and_code_name_each_other_s_jobs(tmp_path: Path) -> None:
    text = FILE.replace("https://a.example}", "https://a.example, then: {callback: {run: sync}}}")
    assert (
        messages(
            load_with(tmp_path, code_job(then=[{"errback": {"run": "other"}}]), code_job("other"), text=text)
        )
        == []
    )
    ring = load_with(tmp_path, code_job(then=[{"callback": {"run": "ping"}}]), text=text)
    assert [problem.message for problem in ring.errors] == [
        "jobs.sync.then[0]: a cycle: ping → sync → ping; it would never end"
    ]


def test_the_code_of_an_application_that_is_not_in_the_file_is_left_out(tmp_path: Path) -> None:
    loaded = load_with(tmp_path, code_job(app="gone"))
    assert loaded.definitions
    assert (list(loaded.definitions.jobs), loaded.definitions.code) == (["ping"], ())


def test_a_file_with_applications_needs_no_jobs_of_its_own(tmp_path: Path) -> None:
    text = 'version: 1\ntimezone: UTC\napps: {shop: {app: "shop:app"}}\n'
    assert messages(load_with(tmp_path, text=text)) == []
    assert messages(load_with(tmp_path, text="version: 1\n")) == [
        "jobs.yaml:1:1: no jobs defined (add a 'jobs:' mapping)"
    ]


def test_the_ledger_s_text_gives_back_what_the_code_said(tmp_path: Path) -> None:
    code = (code_job(), code_job("other", then=[{"callback": "shop:done"}]))
    definitions = load_with(tmp_path, *code).definitions
    assert definitions
    assert stored_code_jobs(definitions.text) == definitions.code == code


def test_a_version_is_another_one_where_the_code_is(tmp_path: Path) -> None:
    alone, same, code, moved = (
        load_with(tmp_path, *some).definitions
        for some in ((), (code_job(app="gone"),), (code_job(),), (code_job(timeout="8s"),))
    )
    assert alone
    assert same
    assert code
    assert moved
    assert '"code"' not in alone.text
    assert alone.version == same.version
    assert len({alone.version, code.version, moved.version}) == 3


def test_places_are_relative_to_the_application(tmp_path: Path) -> None:
    reported = [
        {"name": "sync", "file": str(file), "line": 3, "keys": {}, "error": ""}
        for file in (tmp_path / "a/b.py", "/x/y.py")
    ]
    assert [job.file for job in parse_code_jobs(reported, app="shop", directory=str(tmp_path))] == [
        "a/b.py",
        "/x/y.py",
    ]


def test_new_jobs_of_an_application_replace_its_earlier_ones() -> None:
    known = [code_job("old"), code_job("kept", app="crm")]
    assert [job.name for job in merge_code_jobs(known, {"shop": [code_job("b"), code_job("a")]})] == [
        "kept",
        "b",
        "a",
    ]
    assert [job.name for job in merge_code_jobs(known, {"shop": []})] == ["kept"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "5",
        "[" * 100_000,
        '{"code": 5}',
        '{"code": {"a": 1}}',
        '{"code": [5, [], {}, {"name": "pay"}]}',
    ],
    ids=[
        "empty",
        "text",
        "list",
        "number",
        "deep",
        "code is a number",
        "code is a map",
        "jobs without their parts",
    ],
)
def test_a_version_in_the_ledger_that_makes_no_sense_defines_no_jobs(text: str) -> None:
    assert stored_code_jobs(text) == ()


@pytest.mark.parametrize(
    "odd", [{"colour": "red"}, {"name": 5}, {"line": "one"}, {"keys": "every: 1s"}, {"app": None}]
)
def test_a_job_in_the_ledger_that_makes_no_sense_costs_itself_alone(odd: dict[str, object]) -> None:
    even = {"name": "pay", "app": "shop", "file": "shop.py", "line": 1, "keys": {}}
    assert [
        job.name for job in stored_code_jobs(json.dumps({"code": [{**even, "name": "odd"} | odd, even]}))
    ] == ["pay"]


def test_a_job_in_code_names_channels_of_the_file(tmp_path: Path) -> None:
    text = FILE + "notify: {ops: {webhook: https://alerts.example.com/}}\n"
    loaded = load_with(tmp_path, code_job(notify="ops"), text=text)
    assert loaded.definitions, messages(loaded)
    assert loaded.definitions.jobs["sync"].notify == ("ops",)
    loaded = load_with(tmp_path, code_job(notify=["opps"]), text=text)
    assert messages(loaded) == ["tasks.py:31:1: jobs.sync.notify[0]: no channel 'opps'"]
