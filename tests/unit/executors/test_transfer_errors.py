"""
Transfer errors: curl's codes and messages to one cause and one sentence, without a path, a query or a header in it.
"""

import errno

import pycurl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.executor import a_request
from tminus.executors.http import transfer_errors
from tminus.executors.http.transfer_errors import TransferFailure, classify_failure
from tminus.http_rules.syntax import SAFE_METHODS
from tminus.outcome import Cause

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CODES = [value for name, value in vars(pycurl).items() if name.startswith("E_") and value > 0]
A_SECRET = "hunter2"


def judge(
    code: int,
    words: str = "",
    *,
    os_errno: int = 0,
    sent: bool = False,
    answered: bool = False,
    method: str = "GET",
) -> TransferFailure:
    request = a_request(
        f"https://shop.example.com/{A_SECRET}?{A_SECRET}",
        method=method,
        headers=[f"X: {A_SECRET}"],
        follow=2,
        connect_ms=3_000,
        total_ms=20_000,
    )
    return classify_failure(request, code, words, os_errno=os_errno, sent=sent, answered=answered)


@pytest.mark.parametrize(
    ("found", "cause", "detail"),
    [
        pytest.param(judge(pycurl.E_COULDNT_RESOLVE_HOST), Cause.DNS, "shop.example.com could not be resolved to an address", id="no-such-name"),
        pytest.param(judge(pycurl.E_OPERATION_TIMEDOUT, "Resolving timed out after 3000 milliseconds"), Cause.DNS, "shop.example.com could not be resolved to an address", id="dead-name-server"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, os_errno=errno.ECONNREFUSED), Cause.CONNECT, "could not connect to shop.example.com port 443: connection refused", id="refused"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, os_errno=errno.ENETUNREACH), Cause.CONNECT, "could not connect to shop.example.com port 443: no route to it", id="no-route"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, os_errno=errno.EADDRNOTAVAIL), Cause.CONNECT, "could not connect to shop.example.com port 443: no local port is left", id="no-local-port"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, os_errno=errno.EPERM), Cause.CONNECT, "could not connect to shop.example.com port 443: EPERM", id="another-error"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, os_errno=errno.EMFILE), Cause.RESOURCE, "this process is at its limit of open files (LimitNOFILE, ulimit -n)", id="no-descriptor"),
        pytest.param(judge(pycurl.E_OUT_OF_MEMORY), Cause.RESOURCE, "this machine ran out of memory", id="no-memory"),
        pytest.param(judge(pycurl.E_OPERATION_TIMEDOUT), Cause.CONNECT, "no connection to shop.example.com port 443 within 3 s (timeout.connect)", id="no-connection-in-time"),
        pytest.param(judge(pycurl.E_OPERATION_TIMEDOUT, sent=True), Cause.TIMEOUT, "no complete answer from shop.example.com port 443 within 20 s (timeout.total)", id="no-answer-in-time"),
        pytest.param(judge(pycurl.E_TOO_MANY_REDIRECTS, "Maximum (2) redirects followed", sent=True, answered=True), Cause.REDIRECT, "more than 2 redirects (http.redirects.follow)", id="redirects"),
        pytest.param(judge(pycurl.E_GOT_NOTHING, sent=True), Cause.DIED, "shop.example.com port 443 closed the connection before an answer", id="died"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, sent=True, os_errno=errno.ECONNREFUSED), Cause.DIED, "shop.example.com port 443 closed the connection before an answer", id="died-and-not-there-again"),
        pytest.param(judge(pycurl.E_COULDNT_CONNECT, sent=True, answered=True, os_errno=errno.ECONNREFUSED), Cause.CONNECT, "could not connect to shop.example.com port 443: connection refused", id="redirected-to-nobody"),
        pytest.param(judge(pycurl.E_RECV_ERROR, sent=True, answered=True), Cause.PARTIAL, "shop.example.com port 443 closed the connection in the middle of its answer", id="broke-off"),
        pytest.param(judge(pycurl.E_URL_MALFORMAT, "No host part"), Cause.DEFINITION, "libcurl: No host part", id="a-bad-url-of-ours"),
        pytest.param(judge(pycurl.E_FAILED_INIT, "strange"), Cause.OTHER, "libcurl: strange", id="another-code"),
    ],
)  # fmt: skip
def test_what_a_person_reads(found: TransferFailure, cause: Cause, detail: str) -> None:
    assert (found.cause, found.detail) == (cause, detail)


@given(
    code=st.sampled_from(CODES),
    words=st.text(),
    os_errno=st.sampled_from([0, *errno.errorcode]),
    method=st.sampled_from(METHODS),
    sent=st.booleans(),
    answered=st.booleans(),
)
def test_every_code_gets_a_cause_and_a_sentence_that_tells_no_secret(
    code: int, words: str, os_errno: int, method: str, sent: bool, answered: bool
) -> None:
    found = judge(
        code, words.replace(A_SECRET, ""), os_errno=os_errno, sent=sent, answered=answered, method=method
    )
    assert found.cause in Cause
    assert found.detail
    assert A_SECRET not in found.detail


@given(
    code=st.sampled_from(CODES), method=st.sampled_from(METHODS), sent=st.booleans(), answered=st.booleans()
)
def test_unknown_is_only_what_was_sent_unsafely_and_not_answered(
    code: int, method: str, sent: bool, answered: bool
) -> None:
    found = judge(code, method=method, sent=sent, answered=answered)
    assert found.unknown is (found.cause is Cause.DIED and method not in SAFE_METHODS)
    if found.unknown:
        assert not answered


@given(code=st.sampled_from(CODES), method=st.sampled_from(METHODS))
def test_timed_out_is_only_what_was_sent(code: int, method: str) -> None:
    assert judge(code, method=method, sent=False).cause is not Cause.TIMEOUT


def test_a_lane_that_broke_leaves_unknown_what_may_have_left() -> None:
    assert transfer_errors.broken(RuntimeError("secret"), os_errno=0, sent=True) == TransferFailure(
        Cause.EXECUTOR, "an error in tminus ended this request: RuntimeError", True
    )
    assert transfer_errors.broken(RuntimeError("secret"), os_errno=0, sent=False) == TransferFailure(
        Cause.EXECUTOR, "an error in tminus ended this request: RuntimeError"
    )


def test_a_lane_that_had_no_descriptor_says_so() -> None:
    assert (
        transfer_errors.broken(OSError(errno.EMFILE, ""), os_errno=errno.EMFILE, sent=False).cause
        is Cause.RESOURCE
    )


@pytest.mark.parametrize(
    ("size", "words"),
    [(16 << 20, "16 MiB"), (3 << 30, "3 GiB"), (1 << 10, "1 KiB"), (1500, "1500 bytes"), (1, "1 bytes")],
)
def test_a_size_is_told_as_it_was_written(size: int, words: str) -> None:
    found = transfer_errors.too_large(a_request("http://localhost/", max_body=size))
    assert found == TransferFailure(Cause.TOO_LARGE, f"the answer is longer than {words} (http.max_body)")


@pytest.mark.parametrize(
    ("milliseconds", "words"), [(250, "250 ms"), (1_000, "1 s"), (90_000, "1 min 30 s"), (86_400_000, "1 d")]
)
def test_a_timeout_is_a_duration_for_people(milliseconds: int, words: str) -> None:
    found = transfer_errors.no_first_byte(
        a_request("http://[::1]:8080/", first_byte_ms=milliseconds), sent=True
    )
    assert found == TransferFailure(
        Cause.TIMEOUT, f"no answer from ::1 port 8080 within {words} (timeout.first_byte)"
    )


def test_a_blocked_address_is_told_by_name_and_address() -> None:
    found = transfer_errors.blocked(a_request("http://metadata.example.com/"), "169.254.169.254")
    words = "metadata.example.com is 169.254.169.254, an address that no job may reach"
    assert found == TransferFailure(Cause.BLOCKED_ADDRESS, words)
