"""
Texts with `{{ … }}` and `${…}`: what is checked, what is put in, and that neither can smuggle in the other.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import SECOND, parse_rfc3339
from tminus.model.job import HttpTarget, Job, SourceLocation
from tminus.model.occurrence import OccurrenceId
from tminus.policies.coalesce import Coalesce
from tminus.policies.overlap import Overlap
from tminus.policies.timeouts import Timeouts
from tminus.templates import Reference, RenderError, blanked, check, context, has_parts, references, render


def days(*ranges: tuple[str, str]) -> tuple[tuple[int, int], ...]:
    """Return ranges of days in Berlin in winter, each a first day and an excluded end."""
    first, last = (
        [parse_rfc3339(f"{day}T00:00:00+01:00") // SECOND for day in side]
        for side in zip(*ranges, strict=True)
    )
    return tuple(zip(first, last, strict=True))


JOB = Job(
    name="sync",
    target=HttpTarget(url="https://a.example"),
    schedule=(),
    schedule_text="manual",
    zone="Europe/Berlin",
    timeouts=Timeouts(connect_ns=SECOND, first_byte_ns=SECOND, total_ns=SECOND, kill_after_ns=10 * SECOND),
    misfire_grace_ns=0,
    coalesce=Coalesce.LATEST,
    max_instances=1,
    overlap=Overlap.SKIP,
    expect_status=(),
    params={},
    calendars={"holidays": days(("2026-11-20", "2026-11-21"), ("2026-12-24", "2026-12-27"))},
    tags=(),
    description=None,
    suspended=False,
    place=SourceLocation("jobs.yaml", 1),
)
FIRE_TIME = parse_rfc3339("2026-11-20T23:30:00Z")
PARAMS = {
    "day": "today", "limit": 500, "share": 0.5, "flag": True, "nothing": None, "list": [1, "b", None], "map": {"a": 1},
    "items": "mine",
    "evil": "${env:HOME} {{ 1 + 1 }} $${x}",
}  # fmt: skip
NAMES = context(
    JOB,
    OccurrenceId(job="sync", fire_time_ns=FIRE_TIME, run=2),
    planned_at_ns=FIRE_TIME + SECOND // 2,
    params=PARAMS,
    attempt=3,
)


def value_of(reference: Reference) -> str:
    return {"TOKEN": "hunter2", "EVIL": "{{ params.day }}${env:TOKEN}"}[reference.name]


def put_in(text: Any) -> Any:
    return render(text, NAMES, value_of)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("{{ params.day }}!", "today!"),
        ("a{{params.day}}b{{ params.limit }}c", "atodayb500c"),
        ("{{ fire_time }}", "2026-11-21T00:30:00+01:00"),
        ("{{ planned_at }}", "2026-11-21T00:30:00.5+01:00"),
        ("{{ fire_time | iso }}", "2026-11-21T00:30:00+01:00"),
        ("day={{ fire_time | date }}", "day=2026-11-21"),
        ("{{ occurrence.id }}", "sync@2026-11-20T23:30:00Z~2"),
        ("{{ occurrence.run }} {{ job.name }}", "2 sync"),
        ("attempt {{ occurrence.attempt }}", "attempt 3"),
        ("{{ params.day | b64encode }} {{ 'ä' | b64encode }}", "dG9kYXk= w6Q="),
        ("{{ fire_time | strftime('%Y%m%d %H:%M %a %V %%') }}", "20261121 00:30 Sat 47 %"),
        ("{{ planned_at | shift('-1d') }}", "2026-11-20T00:30:00.5+01:00"),
        ("{{ fire_time | shift('-90m') | date }}", "2026-11-20"),
        ("{{ fire_time | shift('+1d') | iso }}", "2026-11-22T00:30:00+01:00"),
        ("{{ fire_time | first_day_of_month | date }}", "2026-11-01"),
        ("{{ fire_time | last_day_of_month }}", "2026-11-30T00:30:00+01:00"),
        ("{{ fire_time | first_day_of_month | shift('-1d') | strftime('%Y-%m') }}", "2026-10"),
        ("{{ fire_time | workday(-1) | date }}", "2026-11-20"),
        ("{{ fire_time | workday(-1, 'holidays') | date }}", "2026-11-19"),
        ("{{ fire_time | workday(0, 'holidays') | date }}", "2026-11-23"),
        ("{{ fire_time | workday(1) | date }}", "2026-11-23"),
        ("{{ params.day | upper | lower | trim }}", "today"),
        ("{{ params.list | join('-') }}", "1-b-null"),
        ("{{ params.map | tojson }}", '{"a": 1}'),
        ("x{{ params.map }}{{ params.flag }}{{ params.nothing }}{{ params.share }}", 'x{"a": 1}truenull0.5'),
        ("{{ 'yes' if params.flag else 'no' }}", "yes"),
        ("{{ params.nothing or 'none' }}", "none"),
        ("{{ params['day'] ~ params.list[1] }}", "todayb"),
        ("{{ params.items }}", "mine"),
        ("{{ 7 // 2 }}{{ 7 % 4 }}{{ 2 * 3 - 1 }}", "335"),
        ("{{ params.day | urlencode }}/{{ 'a b/ä' | urlencode }}", "today/a%20b/%C3%A4"),
        ("{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}", "}}1"),
        ("{% raw %}{# not a comment #}", "{% raw %}{# not a comment #}"),
        ("} }} ] '", "} }} ] '"),
        ("$${env:TOKEN} costs $5", "${env:TOKEN} costs $5"),
        ("Bearer ${env:TOKEN}", "Bearer hunter2"),
        ("${env:TOKEN}{{ params.day }}${env:TOKEN}", "hunter2todayhunter2"),
    ],
)
def test_rendered_texts(text: str, rendered: str) -> None:
    assert check(text, PARAMS, JOB.calendars) == []
    assert put_in(text) == rendered


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ params.limit }}", 500),
        ("{{ params.flag }}", True),
        ("{{ params.nothing }}", None),
        ("{{ params.list }}", [1, "b", None]),
        ("{{ params.map }}", {"a": 1}),
        ("{{ params.limit + 1 }}", 501),
        ("{{ params.share }}", 0.5),
        ("{{ params.list | length }}", 3),
        ("{{ [fire_time] }}", ["2026-11-21T00:30:00+01:00"]),
        (" {{ params.limit }}", " 500"),
    ],
)
def test_a_text_that_is_one_expression_keeps_its_type(text: str, value: object) -> None:
    assert put_in(text) == value
    assert type(put_in(text)) is type(value)


@pytest.mark.parametrize(
    ("at", "expression", "expected"),
    [
        pytest.param("2026-03-28T02:30:00+01:00", "shift('1d')", "2026-03-29T03:30:00+02:00", id="in-the-gap"),
        pytest.param("2026-03-30T02:30:00+02:00", "shift('-2d')", "2026-03-28T02:30:00+01:00", id="whole-days"),
        pytest.param("2026-03-30T02:30:00+02:00", "shift('-48h')", "2026-03-28T01:30:00+01:00", id="elapsed"),
        pytest.param("2026-10-25T02:30:00+01:00", "shift('0d')", "2026-10-25T02:30:00+01:00", id="repeated"),
        pytest.param("2026-12-31T12:00:00+01:00", "last_day_of_month", "2026-12-31T12:00:00+01:00", id="december"),
        pytest.param("2028-01-31T12:00:00+01:00", "last_day_of_month", "2028-01-31T12:00:00+01:00", id="january"),
        pytest.param("2028-02-01T12:00:00+01:00", "last_day_of_month", "2028-02-29T12:00:00+01:00", id="leap-year"),
        pytest.param("2026-12-23T12:00:00+01:00", "workday(1, 'holidays')", "2026-12-28T12:00:00+01:00", id="christmas"),
        pytest.param("2026-11-27T12:00:00+01:00", "workday(0)", "2026-11-27T12:00:00+01:00", id="itself"),
        pytest.param("2026-11-27T12:00:00+01:00", "workday(-5)", "2026-11-20T12:00:00+01:00", id="a-week"),
    ],
)  # fmt: skip
def test_other_days_of_a_fire_time(at: str, expression: str, expected: str) -> None:
    occurrence = OccurrenceId(job="sync", fire_time_ns=parse_rfc3339(at), run=0)
    names = context(JOB, occurrence, planned_at_ns=occurrence.fire_time_ns, params={})
    assert render(f"{{{{ fire_time | {expression} }}}}", names, value_of) == expected


def test_a_calendar_without_working_days_ends_the_search() -> None:
    job = replace(JOB, calendars={"closed": days(("2020-01-01", "2060-01-01"))})
    names = context(job, OccurrenceId(job="sync", fire_time_ns=FIRE_TIME), planned_at_ns=FIRE_TIME, params={})
    with pytest.raises(RenderError, match="no such working day"):
        render("{{ fire_time | workday(1, 'closed') }}", names, value_of)


def test_lists_and_maps_are_rendered_throughout_and_keys_stay() -> None:
    value = {"{{ key }}": ["{{ params.limit }}", {"b": "${env:TOKEN}"}, 5, None], "c": True}
    assert put_in(value) == {"{{ key }}": [500, {"b": "hunter2"}, 5, None], "c": True}


def test_rendered_values_are_never_parsed_again() -> None:
    assert put_in("{{ params.evil }}") == PARAMS["evil"]
    assert put_in("x {{ params.evil }}") == f"x {PARAMS['evil']}"
    assert put_in("${env:EVIL}") == "{{ params.day }}${env:TOKEN}"
    assert put_in("{{ '${env:TOKEN}' }}") == "${env:TOKEN}"
    assert put_in({"a": "${env:EVIL}{{ params.evil }}"}) == {
        "a": "{{ params.day }}${env:TOKEN}" + str(PARAMS["evil"])
    }


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        ("{{ params.dya }}", 10, "no 'dya' under the job's params", "did you mean params.day?"),
        (
            "x{{ params.foobar }}",
            11,
            "no 'foobar' under the job's params",
            "give it a value under the job's params:",
        ),
        ("{{ param.day }}", 3, "no such name 'param'", "did you mean params?"),
        (
            "{{ xyz }}",
            3,
            "no such name 'xyz'",
            "there are: params, fire_time, planned_at, occurrence, job, cause",
        ),
        (
            "{{ occurrence.job }}",
            14,
            "occurrence has no 'job'",
            "there are: occurrence.attempt, occurrence.id, occurrence.run",
        ),
        ("{{ fire_time.year }}", 13, "fire_time has no 'year'", "write {{ fire_time }}"),
        ("{{ params.day is foo }}", 17, "no test 'foo'", None),
        ("{{ params.day | dat }}", 16, "no filter 'dat'; did you mean 'date'?", None),
        ("{{ params.day | replace('a', 'b') }}", 16, "no filter 'replace'", None),
        ("{{ fire_time | shift }}", 15, "shift needs a duration", None),
        ("{{ fire_time | shift('-1') }}", 15, "shift needs a duration", None),
        ("{{ fire_time | shift('1d', 2) }}", 15, "shift needs a duration", None),
        ("{{ fire_time | strftime('%Y%Q') }}", 15, "strftime has no '%Q'", None),
        ("{{ fire_time | strftime('%Y%') }}", 15, "strftime has no '%'", None),
        ("{{ fire_time | workday }}", 15, "workday needs a number from -1000 to 1000", None),
        ("{{ fire_time | workday(1001) }}", 15, "workday needs a number from -1000 to 1000", None),
        (
            "{{ fire_time | workday(1, params.day) }}",
            15,
            "workday needs the names of calendars as texts in quotes",
            None,
        ),
        ("{{ fire_time | workday(-1, 'holiday') }}", 28, "no calendar 'holiday'", "did you mean holidays?"),
        ("{{ params.day.upper() }}", 3, "calls are not allowed in templates", None),
        ("{{ range(9) }}", 3, "calls are not allowed in templates", None),
        ("{{ 2 ** 9 }}", 3, "** is not allowed in templates", None),
        ("{{ a b }}", 3, "not an expression: unexpected 'b'", "such as {{ params.day }}"),
        ("{{ }}", 2, "not an expression: unexpected 'end of template'", "such as {{ params.day }}"),
        (
            "{{- params.day }}",
            2,
            "whitespace control ({{- and -}}) is not part of these templates",
            "write {{ and }}",
        ),
        ("ab {{ params.day", 3, "a {{ that is not closed", 'write {{ "{{" }} for the two braces themselves'),
        ("{{ 'a }}", 0, "a {{ that is not closed", 'write {{ "{{" }} for the two braces themselves'),
        ("{{ last_success.fire_time }}", 3, "no such name 'last_success'", None),
        ("{{ jobs.a.saved.b }}", 3, "no such name 'jobs'", "did you mean job?"),
        (
            "a ${TOKEN}",
            2,
            "${TOKEN} does not say where from",
            "write ${env:TOKEN} for an environment variable, $${ for a literal ${",
        ),
        ("${evn:TOKEN}", 0, "no such source 'evn' in ${evn:TOKEN}", "did you mean env?"),
        ("${env:}", 0, "${env:} has no name", "write ${env:NAME} or ${file:PATH}"),
        ("${env:TOKEN", 0, "a ${ that is not closed", "write $${ for a literal ${"),
    ],
)
def test_faults_of_texts_and_their_places(text: str, offset: int, message: str, hint: str | None) -> None:
    (fault,) = check(text, PARAMS, JOB.calendars)
    assert (fault.offset, fault.message) == (offset, message)
    assert fault.hint == hint or (hint is None and fault.hint)
    with pytest.raises(RenderError):
        put_in(text)


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(check("{{ a }} ${b} {{ params.c + d() }} {{ params.e ~ params.f }}", {})) == 6


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10 }}", "{{ '%999999999d' % 1 }}", "{{ [0] * 10 }}", "{{ params.day * params.limit }}", "{{ 1 / 0 }}",
        "{{ 1 % 0 }}", "{{ params.day + 1 }}", "{{ params.map.b }}", "{{ params.list[9] }}", "{{ params.list.append }}",
        "{{ params.day.__class__ }}", "{{ params.nothing.x }}", "{{ [params.map.b] }}", "{{ params.day | iso }}",
        "{{ params.limit | date }}", "{{ params.limit | join }}", "{{ {}[params.list] }}", "{{ params.list | abs }}",
        "{{ params.day | shift('1d') }}", "{{ fire_time | shift(params.day) }}", "{{ fire_time | shift('-99999d') }}",
        "{{ fire_time | strftime(params.day ~ '%') }}", "{{ fire_time | workday(params.day) }}",
        "{{ fire_time | workday(1, *params.list) }}", "{{ params.day | first_day_of_month(1) }}",
    ],
)  # fmt: skip
def test_expressions_that_fail_only_when_rendered(text: str) -> None:
    assert check(text, PARAMS) == []
    with pytest.raises(RenderError) as raised:
        put_in(f"{text} ${{env:TOKEN}}")
    assert "hunter2" not in f"{raised.value!r}{raised.value.hint}"
    assert text[2:-2].strip() in raised.value.message


def test_no_text_grows_without_bound() -> None:
    names = {"params": {"big": "x" * (1 << 20)}}
    with pytest.raises(RenderError, match="16 MiB"):
        render("{{ params.big }}" * 17, names, value_of)
    with pytest.raises(RenderError, match="16 MiB"):
        render("{{ [params.big, params.big] | join(params.big * 1 if false else params.big ~ params.big) }}" + "x", {
            "params": {"big": "x" * (6 << 20)}
        }, value_of)  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5_000,
        "(" * 500 + ")" * 500,
        "-" * 500 + "1",
        "not " * 500 + "1",
        "1" + " + 1" * 500,
        "[" * 100 + "]" * 100,
        "a." * 500 + "b",
    ],
)
def test_deep_expressions_are_refused(expression: str) -> None:
    assert check(f"{{{{ {expression} }}}}", PARAMS)


def test_thousands_of_expressions_are_looked_at() -> None:
    assert len(check("{{ params.day }}" * 5_000 + "{{ ( {{ ' " * 5_000, PARAMS)) == 1


def test_references_in_their_order() -> None:
    value = ["${env:A}", {"k": "x${file:b/c.txt}y${env:D}"}, 5, "$${env:no}", "{{ '${env:neither}' }}"]
    assert [str(reference) for reference in references(value)] == [
        "${env:A}",
        "${file:b/c.txt}",
        "${env:D}",
    ]


def test_an_exception_of_a_reference_is_passed_on() -> None:
    with pytest.raises(KeyError):
        put_in("${env:NOBODY}")


def test_a_blanked_text_has_the_same_length() -> None:
    assert blanked("a{{ b }}c${env:D}e", "_") == "a_______c________e"
    assert blanked("plain", "_") == "plain"


TEXTS = st.lists(
    st.sampled_from(
        [
            "{{",
            "}}",
            "${",
            "}",
            "$${",
            "params",
            ".day",
            "env:",
            "TOKEN",
            "'",
            '"',
            "(",
            ")",
            "|",
            " ",
            "x",
            "[",
            "]",
            "1",
            "~",
        ]
    )
).map("".join)


@given(TEXTS | st.text())
def test_any_text_that_passes_the_check_renders_or_raises_render_error(text: str) -> None:
    faults = check(text, PARAMS)
    assert all(0 <= fault.offset <= len(text) and fault.message and fault.hint for fault in faults)
    assert len(blanked(text, "_")) == len(text)
    try:
        rendered = put_in(text)
    except (RenderError, KeyError):
        return
    assert not faults
    if not has_parts(text):
        assert rendered == text


@given(st.text())
def test_a_value_of_a_reference_is_put_in_as_it_is(secret: str) -> None:
    assert render("a${env:X}b", NAMES, lambda reference: secret) == f"a{secret}b"


@given(st.text())
def test_a_parameter_is_put_in_as_it_is(value: str) -> None:
    names = {**NAMES, "params": {"x": value}}
    assert render("{{ params.x }}", names, value_of) == value
    assert render("a{{ params.x }}b", names, value_of) == f"a{value}b"
