"""What good jobs files mean."""

import gc
import json
import os
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.unit.jobsfile.jobs_text import TOP, load_text
from tminus.instants import MS, SECOND, parse_rfc3339
from tminus.jobsfile.jobs import schema
from tminus.jobsfile.load import JobsFile, load
from tminus.jobsfile.types.maps import validate_map
from tminus.model.definitions import DaemonSettings, Definitions, History, KeepBody, Priority, Reload
from tminus.model.job import Cron, Every, HttpTarget, Job, Once, Schedule, SourceLocation, StatusRange, Tls
from tminus.policies.coalesce import Coalesce
from tminus.policies.overlap import Overlap
from tminus.policies.timeouts import Timeouts

EVERYTHING = """\
version: 1
timezone: Europe/Berlin
ledger: sqlite:////tmp/tminus.db
daemon:
  lead: 3s
  lanes: 4
  priority: normal
  max_connections: 500
  shutdown_grace: 1m
  ledger_group: tminus
  reload: sighup
  history: {keep: 30d, body: always, max_body: 1MiB}
defaults:
  timeout: {connect: 2s, first_byte: 250ms}
  misfire_grace_time: 45
templates:
  crm:
    http: {headers: {Accept: application/json}}
    tags: [crm]
jobs:
  sync:
    extends: crm
    description: Pull changed customers
    tags: [crm, tenant-a]
    params: {day: today, limit: 500, deep: {list: [1, null, true]}}
    schedule:
      - {cron: "30 11 * * mon-fri", timezone: America/New_York}
      - {every: 5m}
      - {at: ["09:00", "17:30:15", "2026-12-31T23:59:00", "2026-12-31T23:59:00.5Z"]}
    http:
      url: https://crm.example.com/api/{{ params.day }}
      method: POST
      query: {limit: "{{ params.limit }}", all: true, page: 7}
      headers: {X-Fire-Time: "{{ fire_time }}", X-Token: "Bearer ${env:TOKEN}"}
      json: {since: "{{ planned_at | iso }}", run: "{{ occurrence.id }}", none: null}
      redirects: {follow: 3}
      http_version: "2"
      max_body: 64KiB
      tls: {ca: ca.pem}
    timeout: {total: 2m}
    coalesce: latest
    max_instances: 3
    overlap: allow_all
    expect: {status: [200, 3xx]}
    suspend: true
"""


def only_job(definitions: Definitions | None) -> Job:
    assert definitions is not None
    (job,) = definitions.jobs.values()
    return job


def schedule_of(folder: Path, schedule: str) -> Schedule:
    return only_job(
        load_text(
            folder, f"{TOP}jobs: {{a: {{schedule: {schedule}, http: https://a.example}}}}\n"
        ).definitions
    ).schedule


def test_the_smallest_file(tmp_path: Path) -> None:
    loaded = load_text(
        tmp_path,
        dedent("""\
        version: 1
        jobs:
          inventory:
            schedule: {cron: "30 11 * * *"}
            http: https://shop.example.com/inventory/sync
        """),
    )
    assert loaded.errors == ()
    assert [problem.message for problem in loaded.warnings] == [
        "jobs.inventory: no timezone, so times are UTC (1 job)"
    ]
    assert loaded.definitions is not None
    assert loaded.definitions.paths == ("jobs.yaml",)
    assert loaded.definitions.daemon == DaemonSettings()
    assert only_job(loaded.definitions) == Job(
        name="inventory",
        target=HttpTarget(url="https://shop.example.com/inventory/sync"),
        schedule=(Cron("30 11 * * *", "UTC"),),
        schedule_text="30 11 * * *",
        zone="UTC",
        timeouts=Timeouts(
            connect_ns=3 * SECOND, first_byte_ns=0, total_ns=30 * SECOND, kill_after_ns=10 * SECOND
        ),
        misfire_grace_ns=30 * SECOND,
        coalesce=Coalesce.LATEST,
        max_instances=1,
        overlap=Overlap.SKIP,
        expect_status=(StatusRange(200, 299),),
        params={},
        tags=(),
        description=None,
        suspended=False,
        place=SourceLocation("jobs.yaml", 3),
    )


def test_a_file_with_everything(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    loaded = load_text(tmp_path, EVERYTHING, environ={"TOKEN": "hunter2"})
    assert (loaded.errors, loaded.warnings) == ((), ())
    assert loaded.definitions is not None
    assert loaded.definitions.ledger == "sqlite:////tmp/tminus.db"
    assert loaded.definitions.daemon == DaemonSettings(
        lead_ns=3 * SECOND,
        lanes=4,
        priority=Priority.NORMAL,
        max_connections=500,
        shutdown_grace_ns=60 * SECOND,
        ledger_group="tminus",
        reload=Reload.SIGHUP,
        history=History(keep_ns=30 * 86_400 * SECOND, body=KeepBody.ALWAYS, max_body=1 << 20),
    )
    assert only_job(loaded.definitions) == Job(
        name="sync",
        target=HttpTarget(
            url="https://crm.example.com/api/{{ params.day }}",
            method="POST",
            query={"limit": "{{ params.limit }}", "all": "true", "page": "7"},
            headers={
                "Accept": "application/json",
                "X-Fire-Time": "{{ fire_time }}",
                "X-Token": "Bearer ${env:TOKEN}",
            },
            json={"since": "{{ planned_at | iso }}", "run": "{{ occurrence.id }}", "none": None},
            has_json=True,
            follow=3,
            http_version="2",
            max_body=64 << 10,
            tls=Tls(ca=str(tmp_path / "ca.pem")),
        ),
        schedule=(
            Cron("30 11 * * mon-fri", "America/New_York"),
            Every(300 * SECOND),
            Cron("0 0 9 * * *", "Europe/Berlin"),
            Cron("15 30 17 * * *", "Europe/Berlin"),
            Once(parse_rfc3339("2026-12-31T22:59:00Z")),
            Once(parse_rfc3339("2026-12-31T23:59:00.5Z")),
        ),
        schedule_text="30 11 * * mon-fri or every 5m or at 09:00, 17:30:15, 2026-12-31T23:59:00 and 1 more",
        zone="Europe/Berlin",
        timeouts=Timeouts(
            connect_ns=2 * SECOND, first_byte_ns=250 * MS, total_ns=120 * SECOND, kill_after_ns=10 * SECOND
        ),
        misfire_grace_ns=45 * SECOND,
        coalesce=Coalesce.LATEST,
        max_instances=3,
        overlap=Overlap.ALLOW_ALL,
        expect_status=(StatusRange(200, 200), StatusRange(300, 399)),
        params={"day": "today", "limit": 500, "deep": {"list": [1, None, True]}},
        tags=("crm", "tenant-a"),
        description="Pull changed customers",
        suspended=True,
        place=SourceLocation("jobs.yaml", 21),
    )


def test_values_that_are_built_in_may_be_written_and_mean_the_same(tmp_path: Path) -> None:
    plain = load_text(tmp_path, TOP + "jobs: {a: {schedule: manual, http: https://a.example}}\n").definitions
    written = load_text(
        tmp_path,
        TOP
        + dedent("""\
        include: []
        apps: {}
        daemon:
          lead: auto
          lanes: auto
          priority: auto
          max_connections: auto
          shutdown_grace: 30s
          history: {keep: 90d, body: on_failure, max_body: 64KiB}
          reload: watch
        defaults:
          timeout: {connect: 3s, total: 30s}
          misfire_grace_time: 30s
          coalesce: latest
          max_instances: 1
          overlap: skip
          expect: {status: 2xx}
          suspend: false
        jobs:
          a:
            schedule: manual
            http:
              {url: https://a.example, method: GET, redirects: {follow: 0}, http_version: 1.1, max_body: 16MiB,
               tls: {insecure: false}}
            then: null
        """),
    )
    assert written.errors == ()
    assert written.definitions is not None
    assert plain is not None
    assert written.definitions.daemon == plain.daemon
    assert replace(only_job(written.definitions), place=only_job(plain).place) == only_job(plain)


def test_the_table_of_built_in_values_is_that_of_the_model() -> None:
    built_in: Any = validate_map(schema.JobSpec, schema.BUILT_IN).model
    target = HttpTarget(url="")
    assert built_in.http.method == target.method
    assert built_in.http.redirects.follow == target.follow
    assert built_in.http.http_version == target.http_version
    assert built_in.http.max_body == target.max_body
    assert built_in.http.tls.insecure == target.tls.insecure


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param("'@daily'", (Cron("0 0 * * *", "Europe/Berlin"),), id="nickname"),
        pytest.param("{cron: '@Weekly'}", (Cron("0 0 * * 0", "Europe/Berlin"),), id="nickname-in-a-map"),
        pytest.param("manual", (), id="manual"),
        pytest.param("{manual: true}", (), id="manual-as-a-map"),
        pytest.param("[manual]", (), id="manual-in-a-list"),
        pytest.param("30 11 * * *", (Cron("30 11 * * *", "Europe/Berlin"),), id="bare-cron"),
        pytest.param("0 30 11 * * *", (Cron("0 30 11 * * *", "Europe/Berlin"),), id="six-fields"),
        pytest.param(
            '["30 11 * * *", {every: 90}]',
            (Cron("30 11 * * *", "Europe/Berlin"), Every(90 * SECOND)),
            id="any-of",
        ),
        pytest.param("{at: 11:30}", (Cron("0 30 11 * * *", "Europe/Berlin"),), id="unquoted-time-of-day"),
        pytest.param(
            "{at: 2026-12-31T23:59:00}",
            (Once(parse_rfc3339("2026-12-31T22:59:00Z")),),
            id="unquoted-date-time",
        ),
        pytest.param(
            "{at: 2026-12-31 23:59}", (Once(parse_rfc3339("2026-12-31T22:59:00Z")),), id="a-space-for-the-T"
        ),
        pytest.param(
            "{at: 2026-12-31T23:59:00-05:00}", (Once(parse_rfc3339("2027-01-01T04:59:00Z")),), id="offset"
        ),
        pytest.param(
            "{at: 2027-03-28T02:30}",
            (Once(parse_rfc3339("2027-03-28T01:00:00Z")),),
            id="first-instant-after-a-gap",
        ),
        pytest.param(
            "{at: 2027-10-31T02:30}", (Once(parse_rfc3339("2027-10-31T00:30:00Z")),), id="first-of-two"
        ),
        pytest.param(
            "{at: 12:00, timezone: Asia/Tokyo}", (Cron("0 0 12 * * *", "Asia/Tokyo"),), id="own-zone"
        ),
        pytest.param("{every: 0.5h}", (Every(1800 * SECOND),), id="half-an-hour"),
    ],
)
def test_schedules(tmp_path: Path, schedule: str, expected: Schedule) -> None:
    assert schedule_of(tmp_path, schedule) == expected


def test_words_are_read_as_in_yaml_1_2(tmp_path: Path) -> None:
    job = only_job(
        load_text(
            tmp_path,
            TOP
            + dedent("""\
            jobs:
              on:
                schedule: {at: 11:30}
                http: https://a.example
                tags: [no, yes, off, 1_000]
                params: {a: 010, b: 0x1F, c: 0o17, d: 23:00, e: 11:30:00, f: 2026-11-20, g: ~, h: True, i: 1e3, j: +7, on: y}
            """),
        ).definitions
    )
    assert job.name == "on"
    assert job.tags == ("no", "yes", "off", "1_000")
    numbers = {"a": 10, "b": 31, "c": 15, "i": 1000.0, "j": 7}
    texts = {"d": "23:00", "e": "11:30:00", "f": "2026-11-20", "on": "y"}
    assert job.params == {**numbers, **texts, "g": None, "h": True}


def test_merge_order(tmp_path: Path) -> None:
    loaded = load_text(
        tmp_path,
        TOP
        + dedent("""\
        defaults: {timeout: {connect: 1s, total: 10s}, tags: [default], max_instances: 5, params: {a: 1, b: 1, c: 1, d: 1}}
        templates:
          one: {timeout: {total: 20s}, tags: [one], params: {b: 2, c: 2, d: 2}, http: {headers: {X: one, Y: one}}}
          two: {params: {c: 3, d: 3}, http: {headers: {X: two}, method: PUT}}
        jobs:
          a: {extends: [one, two], schedule: manual, http: https://a.example, params: {d: 4}}
          b: {extends: [two, one], schedule: manual, http: https://a.example, timeout: 5s, params: {b: null}, tags: null}
          c: {schedule: manual, http: {url: https://a.example, method: null}, timeout: {total: null}, max_instances: null}
        """),
    )
    assert loaded.definitions is not None
    a, b, c = loaded.definitions.jobs.values()
    assert a.params == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert (a.tags, a.max_instances) == (("one",), 5)
    assert isinstance(a.target, HttpTarget)
    assert isinstance(b.target, HttpTarget)
    assert isinstance(c.target, HttpTarget)
    assert (a.target.headers, a.target.method) == ({"X": "two", "Y": "one"}, "PUT")
    assert (a.timeouts.connect_ns, a.timeouts.total_ns) == (1 * SECOND, 20 * SECOND)
    assert b.params == {"a": 1, "c": 2, "d": 2}
    assert b.target.headers == {"X": "one", "Y": "one"}
    assert (b.timeouts.connect_ns, b.timeouts.total_ns, b.tags) == (1 * SECOND, 5 * SECOND, ())
    assert (c.timeouts.connect_ns, c.timeouts.total_ns, c.max_instances) == (1 * SECOND, 30 * SECOND, 1)
    assert c.target.method == "GET"


def test_of_keys_that_exclude_each_other_the_nearest_counts(tmp_path: Path) -> None:
    loaded = load_text(
        tmp_path,
        TOP
        + dedent("""\
        templates:
          nightly:
            schedule: {cron: "0 3 * * *", timezone: Asia/Tokyo}
            http: {url: https://a.example, method: POST, json: {a: 1}}
        jobs:
          a: {extends: nightly, schedule: {every: 5m}}
          b: {extends: nightly, schedule: manual, http: {body: text}}
          c: {extends: nightly, schedule: "0 4 * * *", http: {json: {b: 2}}}
        """),
    )
    assert loaded.errors == ()
    assert loaded.definitions is not None
    a, b, c = loaded.definitions.jobs.values()
    assert (a.schedule, b.schedule, c.schedule) == (
        (Every(300 * SECOND),),
        (),
        (Cron("0 4 * * *", "Asia/Tokyo"),),
    )
    assert isinstance(b.target, HttpTarget)
    assert isinstance(c.target, HttpTarget)
    assert (b.target.body, b.target.has_json, c.target.json) == ("text", False, {"a": 1, "b": 2})


def test_files_are_included_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "jobs.d" / "more").mkdir(parents=True)
    (tmp_path / "jobs.d" / "b.yaml").write_text("jobs: {b: {extends: t, schedule: manual}}\n")
    (tmp_path / "jobs.d" / "a.yaml").write_text(
        "include: [more/x.yaml]\njobs: {a: {extends: t, schedule: manual}}\n"
    )
    (tmp_path / "jobs.d" / "more" / "x.yaml").write_text("templates: {t: {http: https://a.example}}\n")
    (tmp_path / "jobs.d" / "ignored.yml").write_text("nonsense")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    loaded = load_text(
        tmp_path, TOP + "include: ['jobs.d/*.yaml', jobs.d/more/x.yaml, empty.yaml, 'none/*.yaml']\n"
    )
    assert loaded.errors == ()
    assert loaded.definitions is not None
    assert loaded.definitions.paths == (
        "jobs.yaml",
        "jobs.d/a.yaml",
        "jobs.d/more/x.yaml",
        "jobs.d/b.yaml",
        "empty.yaml",
    )
    assert [job.place for job in loaded.definitions.jobs.values()] == [
        SourceLocation("jobs.d/a.yaml", 2),
        SourceLocation("jobs.d/b.yaml", 1),
    ]


def test_a_file_knows_the_patterns_of_its_includes_even_if_nothing_matches(tmp_path: Path) -> None:
    folder = tmp_path / "jobs[1]"
    folder.mkdir()
    (folder / "jobs.yaml").write_text(TOP + "include: ['jobs.d/*.yaml', more.yaml, ../outside.yaml]\n")
    escaped = f"{tmp_path}/jobs[[]1]"
    assert JobsFile(folder / "jobs.yaml").patterns == [
        f"{escaped}/{name}" for name in ("jobs.yaml", "jobs.d/*.yaml", "more.yaml")
    ]


def test_a_pattern_matches_in_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "jobs[1]"
    (folder / "jobs.d").mkdir(parents=True)
    (folder / "jobs.yaml").write_text(TOP + "include: ['jobs.d/*.yaml']\n")
    (folder / "jobs.d" / "a.yaml").write_text("jobs: {a: {schedule: manual, http: https://a.example}}\n")
    loaded = load(folder / "jobs.yaml")
    assert loaded.definitions is not None
    assert list(loaded.definitions.jobs) == ["a"]


def test_the_version_is_that_of_the_merged_jobs(tmp_path: Path) -> None:
    def version(jobs: str, top: str = TOP) -> str:
        definitions = load_text(tmp_path, f"{top}{jobs}", environ={"TOKEN": "hunter2"}).definitions
        assert definitions is not None
        assert "hunter2" not in definitions.text
        return definitions.version

    one = version(
        "jobs:\n  a: {schedule: manual, http: 'https://a.example/${env:TOKEN}'}\n  b: {schedule: manual, http: https://b.example}\n"
    )
    assert len(one) == 12
    assert int(one, 16) >= 0
    same = version(
        "templates: {t: {schedule: manual}}\njobs:\n  b: {http: {url: https://b.example}, schedule: manual}\n"
        "  # moved\n  a: {schedule: manual, http: 'https://a.example/${env:TOKEN}'}\n"
    )
    assert same == one
    assert version("jobs: {a: {schedule: manual, http: https://a.example}}") != one
    assert version("jobs: {a: {schedule: manual, http: https://a.example}}") != version(
        "jobs: {a: {schedule: manual, http: https://a.example}}", "version: 1\ntimezone: UTC\n"
    )


def test_the_text_of_a_version_is_a_jobs_file_itself(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    first = load_text(tmp_path, EVERYTHING, environ={"TOKEN": "x"}).definitions
    assert first is not None
    assert json.loads(first.text)["version"] == 1
    second = load_text(tmp_path, first.text, environ={"TOKEN": "x"}).definitions
    assert second is not None
    assert replace(only_job(second), place=only_job(first).place) == only_job(first)


def test_a_byte_order_mark_and_other_line_ends_are_accepted(tmp_path: Path) -> None:
    text = (TOP + "jobs:\n  a: {schedule: manual, http: https://a.example}\n").replace("\n", "\r\n")
    assert only_job(load_text(tmp_path, b"\xef\xbb\xbf" + text.encode()).definitions).place.line == 4


@pytest.mark.long
def test_ten_thousand_jobs_are_loaded(tmp_path: Path) -> None:
    jobs = "".join(
        f'  job_{number}:\n    extends: t\n    schedule: {{cron: "{number % 60} {number // 60 % 24} * * mon-fri"}}\n'
        f"    http: {{url: https://shop{number % 50}.example.com/tenants/{number}/sync, query: {{tenant: t{number}}}}}\n"
        for number in range(10_000)
    )
    template = "templates: {t: {timeout: 5s, http: {headers: {Accept: application/json}}}}\n"
    loaded = load_text(tmp_path, f"{TOP}{template}jobs:\n{jobs}")
    assert loaded.errors == ()
    assert loaded.definitions is not None
    assert len(loaded.definitions.jobs) == 10_000


def test_garbage_is_collected_again_afterwards(tmp_path: Path) -> None:
    load_text(tmp_path, TOP)
    assert gc.isenabled()
    gc.disable()
    try:
        load_text(tmp_path, TOP)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_aliases_stand_for_what_they_name(tmp_path: Path) -> None:
    loaded = load_text(
        tmp_path,
        TOP
        + "jobs:\n  a: &a {schedule: manual, http: &url https://a.example}\n  b: {schedule: manual, http: *url}\n  c: *a\n",
    )
    assert loaded.definitions is not None
    assert {str(job.target) for job in loaded.definitions.jobs.values()} == {"GET https://a.example"}
    assert len(loaded.definitions.jobs) == 3


def test_a_body_from_a_file_is_named_by_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    job = "{schedule: manual, http: {url: https://a.example, method: PUT, body_file: a.json}}"
    loaded = load_text(tmp_path, f"{TOP}jobs: {{a: {job}}}")
    target = only_job(loaded.definitions).target
    assert isinstance(target, HttpTarget)
    assert target.body_file == str(tmp_path / "a.json")


def test_load_takes_the_present_and_the_environment_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMINUS_TEST_HOST", "a.example")
    path = tmp_path / "jobs.yaml"
    path.write_text(
        TOP + "jobs: {a: {schedule: {at: 2020-01-01T00:00}, http: 'https://${env:TMINUS_TEST_HOST}/'}}\n"
    )
    loaded = load(path)
    assert loaded.errors == ()
    assert ["never fire" in problem.message for problem in loaded.warnings] == [True]
    assert loaded.warnings[0].path == os.fspath(path)
