"""From a job as written to a finished request, or to a sentence that says why not and holds no secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import a_due, a_job
from tminus.daemon.attempts.http_message import build_url
from tminus.daemon.attempts.render import CannotRender, Renderer
from tminus.executors.http.resolver import host_port
from tminus.executors.http.wire import Request
from tminus.executors.python.wire import Work
from tminus.instants import parse_rfc3339
from tminus.model.chain import Function, Link
from tminus.model.code_job import CodeJob
from tminus.model.job import CallTarget, FlaskTarget, HttpTarget, Target
from tminus.model.occurrence import OccurrenceId, RunCause
from tminus.outcome import Outcome
from tminus.secrets.references import References

AT = parse_rfc3339("2026-11-20T11:30:00Z")


def render(folder: Path, target: HttpTarget, **params: Any) -> Any:
    renderer = Renderer(References(str(folder), {"KEY": "hunter2"}), keep_body=100)
    return renderer.render(a_due(a_job(target=target, params=params), fire_time_ns=AT), 7)


def test_templates_and_secrets_are_put_in(tmp_path: Path) -> None:
    request = render(
        tmp_path, HttpTarget(url="http://x/{{ params.day }}", query={"k": "${env:KEY}"}), day="today"
    )
    assert (request.index, request.url) == (7, "http://x/today?k=hunter2")
    assert "X-Tminus-Occurrence: pay@2026-11-20T11:30:00Z" in request.headers
    assert not any(header.startswith("Idempotency-Key") for header in request.headers)


def test_the_session_of_a_view_has_templates_and_secrets_put_in_with_their_types(tmp_path: Path) -> None:
    session = {"user_id": "{{ params.user }}", "key": "${env:KEY}", "runs": ["{{ occurrence.run }}"]}
    job = a_job(target=FlaskTarget(app="shop", url="/x", session=session), params={"user": 7})
    renderer = Renderer(References(str(tmp_path), {"KEY": "hunter2"}), keep_body=100)
    due = a_due(job, fire_time_ns=AT)
    work = renderer.render(due, 7)
    assert isinstance(work, Work)
    assert json.loads(work.request.session) == {"user_id": 7, "key": "hunter2", "runs": [0]}
    assert renderer.secrets(due) == {"hunter2"}


def test_a_run_that_a_chain_has_started_knows_its_cause(tmp_path: Path) -> None:
    names = " ".join(f"{{{{ cause.{name} }}}}" for name in ("job", "id", "outcome", "reason"))
    job = a_job(target=HttpTarget(url="http://x/", headers={"X-Names": names}))
    cause = RunCause(
        id=OccurrenceId(job="pay", fire_time_ns=AT), outcome=Outcome.FAILED, reason="status: 503"
    )
    renderer = Renderer(References(str(tmp_path), {}), keep_body=100)
    request = renderer.render(a_due(job, fire_time_ns=AT + 1, cause=cause), 7)
    assert isinstance(request, Request)
    assert "X-Tminus-Cause: pay@2026-11-20T11:30:00Z" in request.headers
    assert "X-Names: pay pay@2026-11-20T11:30:00Z failed status: 503" in request.headers
    without = renderer.render(a_due(job, fire_time_ns=AT + 1), 7)
    assert isinstance(without, Request)
    assert "X-Names: null null null null" in without.headers
    assert not any("Cause" in line for line in without.headers)


def test_a_method_that_changes_something_carries_the_key_under_which_it_is_known(tmp_path: Path) -> None:
    request = render(tmp_path, HttpTarget(url="http://x/", method="POST"))
    assert "Idempotency-Key: pay@2026-11-20T11:30:00Z" in request.headers


def test_a_jobs_own_headers_win_whatever_their_case(tmp_path: Path) -> None:
    request = render(tmp_path, HttpTarget(url="http://x/", headers={"user-agent": "mine", "X-Empty": ""}))
    assert [header for header in request.headers if header.lower().startswith("user-agent")] == [
        "user-agent: mine"
    ]
    assert "X-Empty;" in request.headers


@pytest.mark.parametrize(
    ("target", "body", "content_type"),
    [
        (
            HttpTarget(url="http://x/", json={"n": "{{ params.n }}"}, has_json=True),
            b'{"n":5}',
            "application/json",
        ),
        (
            HttpTarget(url="http://x/", form={"n": "{{ params.n }}"}),
            b"n=5",
            "application/x-www-form-urlencoded",
        ),
        (HttpTarget(url="http://x/", body="n is {{ params.n }}"), b"n is 5", "text/plain; charset=utf-8"),
    ],
    ids=["json", "form", "text"],
)
def test_a_body_and_its_type(tmp_path: Path, target: HttpTarget, body: bytes, content_type: str) -> None:
    request = render(tmp_path, target, n=5)
    assert (request.body, request.headers[-1]) == (body, f"Content-Type: {content_type}")


HALF = "{{ params.half }}"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param(
            HttpTarget(url="http://x/", body="{{ 1 // params.zero }}"),
            "{{ 1 // params.zero }}: ",
            id="expression",
        ),
        pytest.param(
            HttpTarget(url="http://x/", body="${env:NONE}"), "secret NONE not found", id="no-secret"
        ),
        pytest.param(
            HttpTarget(url="http://x/{{ params.space }}"), "http: url: illegal character at 10", id="url"
        ),
        pytest.param(
            HttpTarget(url="http://x/{{ params.space }}${env:KEY}"),
            "http: it renders to",
            id="url-with-a-secret",
        ),
        pytest.param(
            HttpTarget(url="http://x/", headers={"X": "{{ params.line }}"}), "http: ", id="two-headers-in-one"
        ),
        pytest.param(
            HttpTarget(url="http://x/", body=HALF), "http: it renders to", id="half-a-character-in-the-body"
        ),
        pytest.param(
            HttpTarget(url="http://x/", query={"q": HALF}),
            "http: it renders to",
            id="half-a-character-in-the-query",
        ),
        pytest.param(
            HttpTarget(url="http://x/", headers={"X": HALF}),
            "http: it renders to",
            id="half-a-character-in-a-header",
        ),
        pytest.param(
            HttpTarget(url="http://x/", json={"q": HALF}, has_json=True),
            "http: it renders to",
            id="half-a-character-in-json",
        ),
        pytest.param(
            HttpTarget(url="http://x/", body_file="/nowhere"),
            "http.body_file: cannot read /nowhere",
            id="no-file",
        ),
    ],
)
def test_what_cannot_be_sent_is_said_in_a_sentence_without_secrets(
    tmp_path: Path, target: HttpTarget, message: str
) -> None:
    with pytest.raises(CannotRender) as refused:
        render(tmp_path, target, zero=0, space=" ", line="a\nb", half="\ud800")
    assert refused.value.message.startswith(message)
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize(
    "tenant",
    [
        "a:${x}",
        "${env:KEY}",
        "{{ params.x }}",
        "a b",
        "user@a",
        "user:password@a",
        "a:0",
        "a:65536",
        "a:x",
        "a\n",
        "-",
        "",
        "[::1",
        "a]",
    ],
)
def test_what_is_put_into_the_host_of_a_url_is_checked_like_a_host_in_the_file(
    tmp_path: Path, tenant: str
) -> None:
    with pytest.raises(CannotRender, match=r"^http: "):
        render(tmp_path, HttpTarget(url="http://{{ params.tenant }}/"), tenant=tenant)


@given(
    st.text() | st.from_regex(r"https?://[\[\]@:%${}\w.-]{0,9}(:[0-9]{0,6})?/?[ -~]{0,9}", fullmatch=True),
    st.text(max_size=9),
)
def test_any_url_that_may_be_sent_has_a_host_and_a_port_for_the_lanes(rendered: str, value: str) -> None:
    try:
        url = build_url(rendered, {"q": value})
    except ValueError:
        return
    assert host_port(url)
    assert url.isascii()
    assert not any(sign in url.partition("?")[0] for sign in " {}\\")


def test_a_secret_that_is_no_text_is_said_by_its_name(tmp_path: Path) -> None:
    renderer = Renderer(References(str(tmp_path), {"KEY": "caf\udce9"}), keep_body=100)
    with pytest.raises(CannotRender, match=r"^secret KEY is not UTF-8"):
        renderer.secrets(a_due(a_job(target=HttpTarget(url="http://x/", body="${env:KEY}")), fire_time_ns=AT))


def test_the_secrets_of_a_request_are_known_so_that_no_reason_quotes_them(tmp_path: Path) -> None:
    target = HttpTarget(url="http://${env:KEY}.example.com/", json={"deep": ["${env:KEY}"]}, has_json=True)
    renderer = Renderer(References(str(tmp_path), {"KEY": "hunter2"}), keep_body=100)
    assert renderer.secrets(a_due(a_job(target=target), fire_time_ns=AT)) == {"hunter2"}


@pytest.mark.parametrize(("then", "kept"), [((), 100), ((Link(callback=Function(ref="m:f")),), 1 << 20)])
def test_no_more_of_an_answer_is_sent_back_than_is_kept_or_may_flow(
    tmp_path: Path, then: Any, kept: int
) -> None:
    renderer = Renderer(References(str(tmp_path), {}), keep_body=100)
    for target in (HttpTarget(url="http://x/"), CallTarget(ref="m:f")):
        assert renderer.render(a_due(a_job(target=target, then=then), fire_time_ns=AT), 0).keep_body == kept


def test_a_job_of_the_code_known_from_the_ledger_alone_is_never_a_request(
    tmp_path: Path,
) -> None:
    unproven = CodeJob(
        name="pay", app="shop", file="shop.py", line=1, keys={"call": {"ref": "shop:pay"}}, is_reported=False
    )
    said: list[CodeJob] = []
    renderer = Renderer(References(str(tmp_path), {}), keep_body=100, is_reported=said.__contains__)

    def rendered(target: Target) -> Any:
        return renderer.render(a_due(a_job(target=target, unproven=unproven), fire_time_ns=AT), 7)

    call = CallTarget(ref="shop:pay", app="shop")
    assert rendered(call).defined == '{"call": {"ref": "shop:pay"}}'
    with pytest.raises(
        CannotRender, match="no code defines pay like this: its definition comes from the ledger only"
    ):
        rendered(HttpTarget(url="http://x/"))
    said.append(unproven)
    assert rendered(call).defined is None
