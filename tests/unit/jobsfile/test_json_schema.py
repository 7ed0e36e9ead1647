"""The JSON Schema for editors."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.unit.jobsfile.test_good_files import EVERYTHING
from tminus.jobsfile.jobs.schema import json_schema
from tminus.jobsfile.text.document import Document

BROKEN = Path(__file__).parent / "broken"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def read(text: str) -> Any:
    return Document("jobs.yaml", text.encode()).value


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


GOOD = {
    "everything": EVERYTHING,
    "short-forms": "jobs: {a: {schedule: manual, http: https://a.example, timeout: 30s, expect: {status: 200}}}",
    "nulls": "jobs: {a: {schedule: [manual, {every: 5}], timeout: 1.5, suspend: null, tags: null}}",
    "one-template": "jobs: {a: {extends: crm, http: {redirects: {follow: 3}, http_version: 2}}}",
}
BAD = [
    "c13-misspelt-key",
    "c13-at-the-top",
    "c13-in-a-template",
    "c21-other-types",
    "unknown-in-a-job",
    "expect-statuses",
]


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_the_schema_accepts_valid_files(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read(text))] == []


@pytest.mark.parametrize("name", BAD)
def test_the_schema_refuses_invalid_files(name: str) -> None:
    assert list(VALIDATOR.iter_errors(read((BROKEN / f"{name}.yaml").read_text())))


def test_every_key_is_described() -> None:
    for model in [json_schema(), *json_schema()["$defs"].values()]:
        for name, field in model["properties"].items():
            assert field.get("description"), name


def test_the_schema_fits_into_yaml() -> None:
    assert yaml.safe_load(yaml.safe_dump(json_schema())) == json_schema()
