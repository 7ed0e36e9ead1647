"""What an executor reports, against what the job expects."""

from typing import Any

import pytest

from tests.support.values import a_due, a_job
from tminus.daemon.attempts import evaluation
from tminus.executors.protocol import AttemptResult
from tminus.instants import SECOND
from tminus.model.chain import Failure, Function, Link, TargetResponse
from tminus.model.definitions import History, KeepBody
from tminus.model.job import CallTarget, HttpTarget, StatusRange, Target
from tminus.model.phases import Phases
from tminus.outcome import Outcome, Phase
from tminus.secrets.redaction import Redaction

AT = 1_763_638_200_000_000_000
HTTP, CALL = HttpTarget(url="http://x/"), CallTarget(ref="shop:look")


def ended(*, history: History | None = None, secrets: tuple[str, ...] = (), **said: Any) -> Any:
    values: dict[str, Any] = {
        "index": 0,
        "started_ns": AT + 5,
        "finished_ns": AT + 9,
        "duration_ns": 4,
        "armed": True,
    }
    job = a_job(
        expect_status=(StatusRange(200, 299), StatusRange(404, 404)), target=HttpTarget(url="http://x/")
    )
    finished = AttemptResult(**{**values, **said})
    return evaluation.evaluate_attempt(
        a_due(job, fire_time_ns=AT),
        finished,
        executor="http-1@here",
        history=history or History(),
        redaction=Redaction(secrets),
    )


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        pytest.param({"status": 204}, Outcome.SUCCEEDED, None, id="a-class"),
        pytest.param({"status": 404}, Outcome.SUCCEEDED, None, id="a-single-one"),
        pytest.param({"status": 500}, Outcome.FAILED, "status: 500 instead of 2xx, 404", id="another"),
        pytest.param(
            {"status": 302},
            Outcome.FAILED,
            "status: 302 instead of 2xx, 404; redirects are not followed (http.redirects.follow)",
            id="a-redirect",
        ),
        pytest.param(
            {"cause": "timeout", "detail": "no answer"},
            Outcome.TIMED_OUT,
            "timeout: no answer",
            id="too-slow",
        ),
        pytest.param(
            {"cause": "connect", "detail": "refused", "started_ns": 0},
            Outcome.FAILED,
            "connect, not sent: refused",
            id="not-sent",
        ),
        pytest.param(
            {"cause": "died", "detail": "cut", "unknown": True},
            Outcome.UNKNOWN,
            "died: cut",
            id="nobody-knows",
        ),
        pytest.param({"late": True}, Outcome.MISSED, "released later than its misfire_grace_time", id="late"),
    ],
)
def test_how_it_ended_and_why(said: dict[str, Any], outcome: Outcome, reason: str | None) -> None:
    found = ended(**said)
    assert (found.outcome, found.reason) == (outcome, reason)


@pytest.mark.parametrize(("target", "start"), [(HTTP, Phase.SENT), (CALL, Phase.ENTERED)])
def test_the_phases_of_an_attempt_count_from_its_t(target: Target, start: Phase) -> None:
    due = a_due(a_job(target=target), fire_time_ns=AT - SECOND, retry_at_ns=AT)
    phases = {"armed": AT - 9, "first_byte": AT + 8}
    finished = AttemptResult(
        index=0, started_ns=AT + 5, finished_ns=AT + 99, duration_ns=4, phases=phases, status=200
    )
    found = evaluation.evaluate_attempt(
        due, finished, executor="x", history=History(), redaction=Redaction(())
    )
    expected = {Phase.ARMED: -9, start: 5, Phase.FIRST_BYTE: 8, Phase.DONE: 9}
    assert found.attempts[0].phases == Phases(expected)


def test_an_attempt_that_was_not_sent_has_no_phase_of_its_start() -> None:
    found = ended(started_ns=0, cause="connect", detail="refused", phases={"resolved": AT + 1})
    assert found.attempts[0].phases == Phases({Phase.RESOLVED: 1, Phase.DONE: 9})


def test_what_was_let_go_too_late_has_made_no_attempt() -> None:
    assert ended(late=True).attempts == ()


@pytest.mark.parametrize(
    ("body", "status", "kept"),
    [
        (KeepBody.ON_FAILURE, 200, b""),
        (KeepBody.ON_FAILURE, 500, b"answ"),
        (KeepBody.ALWAYS, 200, b"answ"),
        (KeepBody.NEVER, 500, b""),
    ],
)
def test_as_much_of_the_answer_is_kept_as_was_asked_for(body: KeepBody, status: int, kept: bytes) -> None:
    (attempt,) = ended(status=status, body=b"answer", history=History(body=body, max_body=4)).attempts
    assert attempt.body == kept


def test_a_reason_quotes_no_secret_whatever_its_case() -> None:
    found = ended(
        cause="dns", detail="Hunter2.example.com could not be resolved", secrets=("hunter2", "hunter")
    )
    assert found.reason == "dns: ***.example.com could not be resolved"
    assert found.attempts[0].reason == found.reason


def test_the_values_of_cookies_are_kept_nowhere() -> None:
    headers = [
        "HTTP/1.1 200 OK",
        "Set-Cookie: session=canary; Path=/; HttpOnly",
        "set-cookie:  id = canary=1",
        "SET-COOKIE2: canary",
        "Set-Cookie: long=",
        " canary",
        "X-Set-Cookie: as it is",
    ]
    link = Link(callback=Function(ref="m:f"), errback=None)
    job = a_job(expect_status=(StatusRange(200, 299),), target=HttpTarget(url="http://x/"), then=(link,))
    finished = AttemptResult(
        index=0, started_ns=AT, finished_ns=AT, duration_ns=0, armed=True, status=200, headers=headers
    )
    found = evaluation.evaluate_attempt(
        a_due(job, fire_time_ns=AT),
        finished,
        executor="http-1@here",
        history=History(),
        redaction=Redaction(()),
    )
    masked = (
        "Set-Cookie: session=***; Path=/; HttpOnly",
        "set-cookie:  id =***",
        "SET-COOKIE2: ***",
        "Set-Cookie: long=***",
        " ***",
    )
    assert found.attempts[0].headers == ("HTTP/1.1 200 OK", *masked, "X-Set-Cookie: as it is")
    assert found.chain is not None
    assert "canary" not in repr(found)
    assert isinstance(found.chain.value, TargetResponse)
    assert found.chain.value.headers[0] == "Set-Cookie: session=***; Path=/; HttpOnly"


@pytest.mark.parametrize(
    ("target", "size", "body", "flows"),
    [
        (
            HTTP,
            1 << 20,
            b"x" * (1 << 20),
            "the response cannot be handed on: it is longer than 1 MiB as JSON",
        ),
        (
            HTTP,
            (1 << 20) + 1,
            b"x" * (1 << 20),
            "the response cannot be handed on: it is longer than 1 MiB as JSON",
        ),
        (
            HTTP,
            400_000,
            b"\xff" * 400_000,
            "the response cannot be handed on: it is longer than 1 MiB as JSON",
        ),
        (HTTP, 1_000_000, b"x" * 1_000_000, None),
        (
            CALL,
            1 << 20,
            b'"%s"' % (b"x" * ((1 << 20) - 2)),
            "its result cannot be handed on: it is longer than 1 MiB as JSON",
        ),
        (CALL, 2 << 20, b"cut", "its result cannot be handed on: it is longer than 1 MiB as JSON"),
        (CALL, 1_000_002, b'"%s"' % (b"x" * 1_000_000), None),
    ],
)
def test_a_long_answer_succeeds_and_does_not_flow_down_the_chain(
    target: Target, size: int, body: bytes, flows: str | None
) -> None:
    link = Link(callback=Function(ref="m:f"), errback=None)
    said: dict[str, Any] = {
        "index": 0,
        "started_ns": AT + 5,
        "finished_ns": AT + 9,
        "duration_ns": 4,
        "armed": True,
    }
    finished = AttemptResult(**said, status=200, body=body, body_size=size)
    due = a_due(a_job(target=target, then=(link,)), fire_time_ns=AT)
    found = evaluation.evaluate_attempt(
        due, finished, executor="here", history=History(), redaction=Redaction()
    )
    assert found.outcome is Outcome.SUCCEEDED
    assert found.chain
    value = found.chain.value
    if flows is None:
        assert not isinstance(value, Failure)
    else:
        assert value == Failure(outcome="failed", kind="too_large", message=flows)


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("latin-1", "ä b\x80"),
        ("zlib_codec", "\ufffd b\ufffd"),
        ("rot13", "\ufffd b\ufffd"),
        ("hex", "\ufffd b\ufffd"),
        ("idna", "\ufffd b\ufffd"),
    ],
)
def test_an_answer_is_read_by_its_charset_unless_that_names_no_encoding_of_text(
    charset: str, text: str
) -> None:
    said: dict[str, Any] = {
        "index": 0,
        "started_ns": AT + 5,
        "finished_ns": AT + 9,
        "duration_ns": 4,
        "armed": True,
    }
    headers = ["HTTP/1.1 200 OK", f"Content-Type: text/html; charset={charset}"]
    finished = AttemptResult(**said, status=200, headers=headers, body=b"\xe4 b\x80")
    due = a_due(a_job(target=HTTP, then=(Link(callback=Function(ref="m:f"), errback=None),)), fire_time_ns=AT)
    found = evaluation.evaluate_attempt(
        due, finished, executor="here", history=History(), redaction=Redaction()
    )
    assert found.chain
    assert isinstance(found.chain.value, TargetResponse)
    assert found.chain.value.text == text
