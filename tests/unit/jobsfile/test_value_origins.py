"""Where each value of a job comes from."""

from pathlib import Path

import pytest

from tests.unit.jobsfile.jobs_text import load_text

FILE = """\
version: 1
timezone: Europe/Berlin
defaults:
  timeout: {connect: 2s, total: 30s}
  max_instances: 4
templates:
  crm:
    http: {headers: {Accept: application/json, Authorization: "Bearer ${env:TOKEN}"}}
    max_instances: 3
jobs:
  sync:
    extends: crm
    schedule: 30 11 * * *
    http: {url: https://crm.example.com/, query: {api_key: hunter2}}
    timeout: 1m
    max_instances: null
    tags: [a, b]
"""


def test_each_value_and_its_place(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, FILE, environ={"TOKEN": "canary"})
    assert [(origin.key, origin.value, origin.where) for origin in loaded.explain("sync")] == [
        ("timezone", "Europe/Berlin", "jobs.yaml:2"),
        ("tags", '["a", "b"]', "jobs.yaml:17"),
        ("schedule.cron", "30 11 * * *", "jobs.yaml:13"),
        ("http.headers.Accept", "application/json", "template crm, jobs.yaml:8"),
        ("http.headers.Authorization", "Bearer ${env:TOKEN}", "template crm, jobs.yaml:8"),
        ("http.url", "https://crm.example.com/", "jobs.yaml:14"),
        ("http.query.api_key", "***", "jobs.yaml:14"),
        ("http.method", "GET", "built in"),
        ("http.redirects.follow", "0", "built in"),
        ("http.http_version", "1.1", "built in"),
        ("http.max_body", "16MiB", "built in"),
        ("http.tls.insecure", "false", "built in"),
        ("timeout.connect", "2s", "defaults, jobs.yaml:4"),
        ("timeout.total", "1m", "jobs.yaml:15"),
        ("misfire_grace_time", "30s", "built in"),
        ("coalesce", "latest", "built in"),
        ("catchup_window", "0s", "built in"),
        ("max_catchup", "100", "built in"),
        ("max_instances", "1", "built in"),
        ("overlap", "skip", "built in"),
        ("on_unknown", "alert", "built in"),
        ("retry.max_attempts", "1", "built in"),
        ("retry.initial_interval", "2s", "built in"),
        ("retry.backoff_coefficient", "2", "built in"),
        ("retry.max_interval", "1m", "built in"),
        ("retry.jitter", "full", "built in"),
        ("retry.retry_on", '["connect", "timeout", 408, 425, 429, "5xx", "exception"]', "built in"),
        ("retry.respect_retry_after", "true", "built in"),
        ("expect.status", '["2xx"]', "built in"),
        ("dst.gap", "run_after", "built in"),
        ("dst.overlap", "first", "built in"),
        ("suspend", "false", "built in"),
    ]


def test_secrets_are_masked_at_all_levels(tmp_path: Path) -> None:
    loaded = load_text(
        tmp_path,
        """\
version: 1
jobs:
  sync:
    schedule: manual
    http:
      url: https://crm.example.com/
      method: POST
      json: {users: [{name: bob, password: hunter2}], credentials: {user: bob}, pwd: 4711, token: "${env:T}"}
    app: "crm:app"
    then: {callback: {call: "crm:done", kwargs: {api_key: hunter3}}}
""",
        environ={"T": "canary"},
    )
    shown = {origin.key: origin.value for origin in loaded.explain("sync")}
    assert shown["http.json.users"] == '[{"name": "bob", "password": "***"}]'
    assert shown["http.json.credentials.user"] == "***"
    assert shown["http.json.pwd"] == "***"
    assert shown["http.json.token"] == "${env:T}"
    assert shown["then.callback.kwargs.api_key"] == "***"


def test_a_job_of_an_included_file_without_a_zone(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("jobs: {a: {schedule: manual, http: https://a.example}}\n")
    where = {
        origin.key: origin.where
        for origin in load_text(tmp_path, "version: 1\ninclude: [more.yaml]\n").explain("a")
    }
    assert where["http.url"] == "more.yaml:1"
    assert where["timezone"] == "built in"


def test_a_job_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        load_text(tmp_path, FILE).explain("nobody")
