"""Why an attempt has no complete answer: translates curl's codes into causes and sentences. Reads no body."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

import pycurl

from scheduler.executors.http.names import origin_of
from scheduler.executors.http.wire import Request
from scheduler.model.job import SAFE_METHODS
from scheduler.outcome import Cause

_HTTP2_STREAM = 92  # CURLE_HTTP2_STREAM; PycURL has no name for it
_TOO_LARGE = 100  # CURLE_TOO_LARGE: a line of a head; as above

_CAUSES = {
    pycurl.E_COULDNT_RESOLVE_HOST: Cause.DNS,
    pycurl.E_COULDNT_CONNECT: Cause.CONNECT,
    pycurl.E_SSL_CONNECT_ERROR: Cause.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Cause.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Cause.TLS,
    pycurl.E_SSL_CIPHER: Cause.TLS,
    pycurl.E_SSL_CERTPROBLEM: Cause.TLS,
    pycurl.E_OUT_OF_MEMORY: Cause.RESOURCE,
    _TOO_LARGE: Cause.PROTOCOL,
    pycurl.E_URL_MALFORMAT: Cause.DEFINITION,
    pycurl.E_PARTIAL_FILE: Cause.PARTIAL,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Cause.PROTOCOL,
    pycurl.E_BAD_CONTENT_ENCODING: Cause.PROTOCOL,
    pycurl.E_TOO_MANY_REDIRECTS: Cause.REDIRECT,
    pycurl.E_OPERATION_TIMEDOUT: Cause.TIMEOUT,
    pycurl.E_GOT_NOTHING: Cause.DIED,
    pycurl.E_SEND_ERROR: Cause.DIED,
    pycurl.E_RECV_ERROR: Cause.DIED,
    pycurl.E_HTTP2: Cause.DIED,
    _HTTP2_STREAM: Cause.DIED,
}
#: libcurl has one code for several things; its words tell them apart.
_WORDS = {
    "HTTP/0.9": Cause.PROTOCOL,
    "response header": Cause.PROTOCOL,
    "Invalid status line": Cause.PROTOCOL,
    "Unsupported HTTP": Cause.PROTOCOL,
    "chunk": Cause.PROTOCOL,
    "Resolving timed out": Cause.DNS,
}
_BAD_URL = {pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT}
#: Without a redirect these come before a request is sent.
_NOT_SENT = {Cause.DNS, Cause.CONNECT, Cause.TLS}
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
#: As Python says it.
NO_THREAD = "can't start new thread"
_NO_FILES = "this process is at its limit of open files (LimitNOFILE, ulimit -n)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Why an attempt has no complete answer.

    Attributes:
        detail: A sentence for people; it names the host, never the path, the query or a header.
        unknown: The request left, and it is unknown whether the server acted on it.
    """

    cause: Cause
    detail: str
    unknown: bool = False


def verdict(request: Request, code: int, words: str, *, os_errno: int, sent: bool, answered: bool) -> Verdict:
    """
    Return why libcurl has ended a transfer.

    Args:
        request: The last request of the transfer.
        code: curl's code, not 0.
        words: curl's own words.
        os_errno: The system's last error for this transfer, or 0.
        sent: Whether the request left.
        answered: Whether a status line came back.
    """
    words = words.encode(errors="backslashreplace").decode()  # a certificate, say, may name what is no UTF-8
    cause = _CAUSES.get(code, Cause.OTHER)
    if os_errno in _NO_DESCRIPTOR and not sent:
        cause = Cause.RESOURCE
    for said, meant in _WORDS.items():
        if said in words:
            cause = meant
    if cause is Cause.TIMEOUT and not sent:
        cause = Cause.CONNECT
    elif cause in _NOT_SENT and sent and not answered:
        cause = Cause.DIED  # libcurl tried to send once more, on another connection, and did not get one
    elif cause is Cause.DIED and answered:
        cause = Cause.PARTIAL
    elif cause in {Cause.OTHER, Cause.DEFINITION} and answered and code in _BAD_URL:
        cause = Cause.REDIRECT
    if cause is Cause.DIED:
        return died(request)
    return Verdict(cause, _sentence(cause, request, words, os_errno, timed_out=code == pycurl.E_OPERATION_TIMEDOUT))


def died(request: Request) -> Verdict:
    """The connection died after the request had left and before an answer came."""
    if request.method in SAFE_METHODS:
        return Verdict(Cause.DIED, f"{_server(request)} closed the connection before an answer")
    sentence = f"{_server(request)} closed the connection before an answer: it may or may not have acted on the {request.method}"
    return Verdict(Cause.DIED, sentence, unknown=True)


def no_first_byte(request: Request, *, sent: bool) -> Verdict:
    """`timeout.first_byte` has passed."""
    limit = f"within {_seconds(request.first_byte_ms)} (timeout.first_byte)"
    if sent:
        return Verdict(Cause.TIMEOUT, f"no answer from {_server(request)} {limit}")
    return Verdict(Cause.CONNECT, f"no connection to {_server(request)} {limit}")


def too_large(request: Request) -> Verdict:
    """The answer is longer than may be read."""
    return Verdict(Cause.TOO_LARGE, f"the answer is longer than {_size(request.max_body)} (http.max_body)")


def blocked(request: Request, peer: str) -> Verdict:
    """The guard refused the peer."""
    host, what = _host(request), "an address that no job may reach"
    return Verdict(Cause.BLOCKED_ADDRESS, f"{host} is {what}" if host == peer else f"{host} is {peer}, {what}")


def preempted(request: Request) -> Verdict:
    """A 408 on a TLS connection that had been waiting: whether it was on its way before the request cannot be seen there."""
    words = "answered 408 on a connection that had been waiting: it may have given up before the request came"
    return Verdict(Cause.PEER_PREEMPTED, f"{_server(request)} {words}")


def leads_elsewhere(_request: Request, *, names: Sequence[str]) -> Verdict:
    """A redirect to another server would take a credential there."""
    return Verdict(Cause.REDIRECT, f"a redirect to another server is not followed: it would get the header {', '.join(names)}")


def broke_off(request: Request) -> Verdict:
    """The answer's head has no end, which libcurl accepts."""
    return Verdict(Cause.PARTIAL, _sentence(Cause.PARTIAL, request, "", 0, timed_out=False))


def broken(error: BaseException, *, os_errno: int, sent: bool) -> Verdict:
    """An error that no code expects, or a shortage of descriptors, ended the request or its lane."""
    if os_errno in _NO_DESCRIPTOR and not sent:
        return Verdict(Cause.RESOURCE, _NO_FILES)
    if NO_THREAD in str(error) and not sent:
        return Verdict(Cause.RESOURCE, "no thread could be started for it")
    return Verdict(Cause.EXECUTOR, f"an error in tminus ended this request: {type(error).__name__}", unknown=sent)


def not_taken(error: Exception) -> Verdict:
    """Libcurl refuses an option; its words are left out, because they may quote a secret."""
    return Verdict(Cause.DEFINITION, f"libcurl does not take this request: {type(error).__name__}")


def _sentence(cause: Cause, request: Request, words: str, os_errno: int, *, timed_out: bool) -> str:
    match cause:
        case Cause.DNS:
            return f"{_host(request)} could not be resolved to an address"
        case Cause.CONNECT if timed_out and request.total_ms < request.connect_ms:
            return f"no connection to {_server(request)} within {_seconds(request.total_ms)} (timeout.total)"
        case Cause.CONNECT if timed_out:
            return f"no connection to {_server(request)} within {_seconds(request.connect_ms)} (timeout.connect)"
        case Cause.CONNECT:
            return f"could not connect to {_server(request)}: {_system(os_errno)}"
        case Cause.TLS:
            return f"no TLS session with {_server(request)}: {words}"
        case Cause.RESOURCE:
            return _NO_FILES if os_errno in _NO_DESCRIPTOR else "this machine ran out of memory"
        case Cause.TIMEOUT:
            return f"no complete answer from {_server(request)} within {_seconds(request.total_ms)} (timeout.total)"
        case Cause.PARTIAL:
            return f"{_server(request)} closed the connection in the middle of its answer"
        case Cause.PROTOCOL if "HTTP/0.9" in words or "Invalid status line" in words:
            return f"what {_server(request)} answered is not HTTP"
        case Cause.PROTOCOL if "Too large response headers" in words:
            return f"{_server(request)} answered with more headers than can be read (300 KiB)"
        case Cause.PROTOCOL if not words:
            return f"{_server(request)} answered with a header that is longer than can be read (100 KiB)"
        case Cause.PROTOCOL:
            return f"what {_server(request)} answered cannot be read as HTTP: {words}"
        case Cause.REDIRECT if "redirects" in words:
            return f"more than {request.follow} redirects (http.redirects.follow)"
        case Cause.REDIRECT if "parsed" in words:
            return "a redirect to what is no URL cannot be followed"
        case Cause.REDIRECT:
            return "a redirect to something other than http or https is not followed"
        case _:
            return f"libcurl: {words}"


def _host(request: Request) -> str:
    return origin_of(request.url)[0]


def _server(request: Request) -> str:
    host, port = origin_of(request.url)
    return f"{host} port {port}"


def _system(os_errno: int) -> str:
    match os_errno:
        case errno.ECONNREFUSED:
            return "connection refused"
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            return "no route to it"
        case errno.EADDRNOTAVAIL:
            return "no local port is left"
        case 0:
            return "no connection"
        case _:
            return errno.errorcode.get(os_errno, str(os_errno))


def _seconds(duration_ms: int) -> str:
    return f"{duration_ms / 1000:g} s"


def _size(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"
