"""The jobs of a config version, from its text in the ledger."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.jobsfile.jobs_text import TOP, load_text
from tminus.jobsfile.load import JobsFile
from tminus.jobsfile.stored_jobs import load_stored_jobs
from tminus.model.code_job import CodeJob
from tminus.model.definitions import Definitions
from tminus.model.job import SourceLocation

_FILE = f"""{TOP}
apps: {{shop: {{app: "shop:app"}}}}
notify: {{ops: {{webhook: "http://127.0.0.1:1/"}}}}
calendars: {{shut: {{dates: [2026-12-24]}}}}
defaults: {{timeout: 20s, tags: [all], notify: [ops]}}
templates: {{crm: {{http: {{headers: {{Authorization: "Bearer ${{env:TOKEN}}"}}}}}}}}
jobs:
  sync:
    extends: crm
    params: {{day: today, limit: 5}}
    schedule: {{cron: "30 11 * * *", except: [shut], jitter: 5s}}
    http: {{url: "https://crm.example.com/{{{{ params.day }}}}", body_file: body.json, method: POST}}
    then: [{{callback: {{call: "shop:done", app: shop}}}}, {{both: {{run: tidy}}}}]
  tidy: {{schedule: manual, call: "shop:tidy", app: shop, suspend: true}}
  view: {{schedule: [{{every: 5m}}, {{at: "09:00"}}], flask: {{url: /x, app: shop}}, finish_by: "10:00"}}
"""


def in_force(folder: Path) -> Definitions:
    """The definitions of the file above, and of a job in the code of its application."""
    (folder / "body.json").write_text("{}")
    code = CodeJob(
        app="shop",
        name="tick",
        file="shop.py",
        line=3,
        keys={"schedule": {"every": "1s"}, "call": "shop:tick"},
    )
    load_text(folder, _FILE)
    loaded = JobsFile(folder / "jobs.yaml", environ={"TOKEN": "x"}).load([code])
    assert loaded.definitions, loaded.errors
    return loaded.definitions


def test_it_means_the_same_jobs_although_files_that_it_names_are_gone(tmp_path: Path) -> None:
    definitions = in_force(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    stored = load_stored_jobs(definitions.text, version=definitions.version, folder=str(tmp_path))
    assert stored
    assert stored.definitions
    place = SourceLocation(f"config {definitions.version}", None)
    same = {name: replace(job, place=place, unproven=None) for name, job in definitions.jobs.items()}
    assert stored.definitions.jobs == same
    assert (stored.definitions.zone, stored.definitions.version) == ("Europe/Berlin", definitions.version)


def test_its_values_have_the_version_as_their_origin_and_secrets_as_written(tmp_path: Path) -> None:
    definitions = in_force(tmp_path)
    stored = load_stored_jobs(definitions.text, version="0123456789ab", folder=str(tmp_path))
    assert stored
    values = {one.key: (one.value, one.where) for one in stored.explain("sync")}
    assert values["timezone"] == ("Europe/Berlin", "config 0123456789ab")
    assert values["schedule.cron"] == ("30 11 * * *", "config 0123456789ab")
    assert values["http.headers.Authorization"] == ("Bearer ${env:TOKEN}", "config 0123456789ab")
    assert values["timeout.connect"] == ("3s", "built in")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"timezone": "Mars/Olympus", "jobs": {}}),
        json.dumps({"timezone": "UTC", "jobs": []}),
        json.dumps({"timezone": "UTC", "jobs": {"a": []}}),
        json.dumps({"timezone": "UTC", "jobs": {"a": {"schedule": {"cron": "x"}, "http": {"url": "/"}}}}),
        json.dumps({"timezone": "UTC", "jobs": {"\x1b[2J": {"schedule": {"manual": True}}}}),
        json.dumps({"timezone": "UTC", "jobs": {}, "calendars": {"shut": {"ics": "/dev/null"}}}),
    ],
)
def test_a_malformed_text_is_no_version(tmp_path: Path, text: str) -> None:
    assert load_stored_jobs(text, version="0123456789ab", folder=str(tmp_path)) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_no_text_raises(value: object) -> None:
    for content in (value, {"timezone": "UTC", "jobs": value}, {"timezone": "UTC", "jobs": {"a": value}}):
        load_stored_jobs(json.dumps(content), version="0123456789ab", folder="/")
