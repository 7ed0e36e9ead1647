"""
The reason why a response is incomplete: a cause and a sentence for each of curl's codes. Reads no body.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

import pycurl

from tminus.executors.http.resolver import host_port
from tminus.executors.http.wire import Request
from tminus.http_rules.syntax import SAFE_METHODS
from tminus.instants import MS, format_duration
from tminus.outcome import Cause

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
#: Causes for which libcurl has the same code, by a part of its message.
_CAUSES_BY_MESSAGE = {
    "HTTP/0.9": Cause.PROTOCOL,
    "response header": Cause.PROTOCOL,
    "Invalid status line": Cause.PROTOCOL,
    "Unsupported HTTP": Cause.PROTOCOL,
    "chunk": Cause.PROTOCOL,
    "Resolving timed out": Cause.DNS,
}
_BAD_URL = {pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT}
#: Without a redirect, these causes come before a request is sent.
_NOT_SENT = {Cause.DNS, Cause.CONNECT, Cause.TLS}
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
#: Python's message.
NO_THREAD = "can't start new thread"
_NO_FILES = "this process is at its limit of open files (LimitNOFILE, ulimit -n)"


@dataclass(frozen=True, slots=True)
class TransferFailure:
    """
    The reason why an attempt has no complete response.

    Attributes:
        detail: A sentence for people; it names the host, never the path, the query or a header.
        unknown: The request left, and it is unknown whether the server acted on it.
    """

    cause: Cause
    detail: str
    unknown: bool = False


def classify_failure(
    request: Request, code: int, message: str, *, os_errno: int, sent: bool, answered: bool
) -> TransferFailure:
    """
    Return why libcurl has ended a transfer.

    Args:
        request: The last request of the transfer.
        code: curl's code, not 0.
        message: curl's own message.
        os_errno: The system's last error for this transfer, or 0.
        sent: Whether the request left.
        answered: Whether a status line came back.
    """
    # A name in a certificate, for example, may not be UTF-8.
    message = message.encode(errors="backslashreplace").decode()
    cause = _CAUSES.get(code, Cause.OTHER)
    if os_errno in _NO_DESCRIPTOR and not sent:
        cause = Cause.RESOURCE
    for text, meaning in _CAUSES_BY_MESSAGE.items():
        if text in message:
            cause = meaning
    if cause is Cause.TIMEOUT and not sent:
        cause = Cause.CONNECT
    elif cause in _NOT_SENT and sent and not answered:
        cause = Cause.DIED  # libcurl tried to send again, and got no other connection
    elif cause is Cause.DIED and answered:
        cause = Cause.PARTIAL
    elif cause in {Cause.OTHER, Cause.DEFINITION} and answered and code in _BAD_URL:
        cause = Cause.REDIRECT
    if cause is Cause.DIED:
        return died(request)
    return TransferFailure(
        cause, _sentence(cause, request, message, os_errno, timed_out=code == pycurl.E_OPERATION_TIMEDOUT)
    )


def died(request: Request) -> TransferFailure:
    """Return that the connection died after the request had left and before a response came."""
    if request.method in SAFE_METHODS:
        return TransferFailure(Cause.DIED, f"{_server(request)} closed the connection before an answer")
    sentence = (
        f"{_server(request)} closed the connection before an answer: it may or may not have acted on the "
        f"{request.method}"
    )
    return TransferFailure(Cause.DIED, sentence, unknown=True)


def no_first_byte(request: Request, *, sent: bool) -> TransferFailure:
    """Return that `timeout.first_byte` has passed."""
    limit = _within(request.first_byte_ms, "first_byte")
    if sent:
        return TransferFailure(Cause.TIMEOUT, f"no answer from {_server(request)} {limit}")
    return TransferFailure(Cause.CONNECT, f"no connection to {_server(request)} {limit}")


def too_large(request: Request) -> TransferFailure:
    """Return that the response is longer than may be read."""
    return TransferFailure(
        Cause.TOO_LARGE, f"the answer is longer than {_size(request.max_body)} (http.max_body)"
    )


def blocked(request: Request, peer: str) -> TransferFailure:
    """Return that no job may reach the address of the peer."""
    host, what = _host(request), "an address that no job may reach"
    return TransferFailure(
        Cause.BLOCKED_ADDRESS, f"{host} is {what}" if host == peer else f"{host} is {peer}, {what}"
    )


def preempted(request: Request) -> TransferFailure:
    """Return that a 408 came on a primed TLS connection: perhaps it was sent before the request came."""
    message = (
        "answered 408 on a connection that had been waiting: the server may have given up before the "
        "request came"
    )
    return TransferFailure(Cause.PEER_PREEMPTED, f"{_server(request)} {message}")


def leads_elsewhere(_request: Request, *, names: Sequence[str]) -> TransferFailure:
    """Return that a redirect would take a credential to another server."""
    return TransferFailure(
        Cause.REDIRECT,
        f"a redirect to another server is not followed: it would get the header {', '.join(names)}",
    )


def broke_off(request: Request) -> TransferFailure:
    """Return that the head of the response has no end, which libcurl accepts."""
    return TransferFailure(Cause.PARTIAL, _sentence(Cause.PARTIAL, request, "", 0, timed_out=False))


def broken(error: BaseException, *, os_errno: int, sent: bool) -> TransferFailure:
    """Return that an unforeseen error, or a shortage of descriptors, has ended the request or its lane."""
    if os_errno in _NO_DESCRIPTOR and not sent:
        return TransferFailure(Cause.RESOURCE, _NO_FILES)
    if NO_THREAD in str(error) and not sent:
        return TransferFailure(Cause.RESOURCE, "no thread could be started for it")
    return TransferFailure(
        Cause.EXECUTOR, f"an error in tminus ended this request: {type(error).__name__}", unknown=sent
    )


def not_taken(error: Exception) -> TransferFailure:
    """Return that libcurl refuses an option. Its message is left out, because it may quote a secret."""
    return TransferFailure(Cause.DEFINITION, f"libcurl does not take this request: {type(error).__name__}")


def _sentence(cause: Cause, request: Request, message: str, os_errno: int, *, timed_out: bool) -> str:
    match cause:
        case Cause.DNS:
            return f"{_host(request)} could not be resolved to an address"
        case Cause.CONNECT if timed_out and request.total_ms < request.connect_ms:
            return f"no connection to {_server(request)} {_within(request.total_ms, 'total')}"
        case Cause.CONNECT if timed_out:
            return f"no connection to {_server(request)} {_within(request.connect_ms, 'connect')}"
        case Cause.CONNECT:
            return f"could not connect to {_server(request)}: {_system(os_errno)}"
        case Cause.TLS:
            return f"no TLS session with {_server(request)}: {message}"
        case Cause.RESOURCE:
            return _NO_FILES if os_errno in _NO_DESCRIPTOR else "this machine ran out of memory"
        case Cause.TIMEOUT:
            return f"no complete answer from {_server(request)} {_within(request.total_ms, 'total')}"
        case Cause.PARTIAL:
            return f"{_server(request)} closed the connection in the middle of its answer"
        case Cause.PROTOCOL if "HTTP/0.9" in message or "Invalid status line" in message:
            return f"what {_server(request)} answered is not HTTP"
        case Cause.PROTOCOL if "Too large response headers" in message:
            return f"{_server(request)} answered with more headers than can be read (300 KiB)"
        case Cause.PROTOCOL if not message:
            return f"{_server(request)} answered with a header that is longer than can be read (100 KiB)"
        case Cause.PROTOCOL:
            return f"what {_server(request)} answered cannot be read as HTTP: {message}"
        case Cause.REDIRECT if "redirects" in message:
            return f"more than {request.follow} redirects (http.redirects.follow)"
        case Cause.REDIRECT if "parsed" in message:
            return "a redirect cannot be followed: its target is not a URL"
        case Cause.REDIRECT:
            return "a redirect to something other than http or https is not followed"
        case _:
            return f"libcurl: {message}"


def _host(request: Request) -> str:
    return host_port(request.url)[0]


def _server(request: Request) -> str:
    host, port = host_port(request.url)
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


def _within(duration_ms: int, timeout: str) -> str:
    return f"within {format_duration(duration_ms * MS)} (timeout.{timeout})"


def _size(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"
