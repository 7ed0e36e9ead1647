"""Sets the options of a Curl handle for a request."""

import contextlib

import pycurl

from tminus.executors.http.resolver import host_port
from tminus.executors.http.wire import Request

_HTTP_ONLY = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
#: CURLFOLLOW_OBEYCODE (libcurl 8.13): a 303 turns any method into a GET, a 307 keeps it; plain 1 keeps a
#: custom method always.
_FOLLOW_OBEYCODE = 2
_WITH_BODY = frozenset({"PUT", "PATCH"})


def set_connection(curl: pycurl.Curl, request: Request) -> None:
    """Set the options on which the connection depends."""
    curl.setopt(pycurl.URL, request.url)
    curl.setopt(pycurl.PROTOCOLS, _HTTP_ONLY)
    curl.setopt(pycurl.REDIR_PROTOCOLS, _HTTP_ONLY)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.PROXY, "")  # otherwise libcurl takes one from the environment
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, request.connect_ms)
    if request.http2:
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.PIPEWAIT, 1)
    else:
        # With the default, libcurl opens a second plain connection and the primed one is wasted
        # (tests/integration/executors/test_priming.py).
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    if request.ca:
        curl.setopt(pycurl.CAINFO, request.ca)
    if request.insecure:
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)


def set_request(curl: pycurl.Curl, request: Request) -> None:
    """Set the options of the request itself."""
    curl.setopt(pycurl.TIMEOUT_MS, request.total_ms)
    if request.follow:
        curl.setopt(pycurl.FOLLOWLOCATION, _FOLLOW_OBEYCODE)
        curl.setopt(pycurl.MAXREDIRS, request.follow)
    # The RTSP option has one effect on HTTP: libcurl does not send again by itself when a connection dies
    # (Curl_retry_request in its lib/transfer.c). If it does so nevertheless, PREREQFUNCTION stops it
    # (tests/integration/executors/test_one_arrival.py).
    with contextlib.suppress(pycurl.error):  # a libcurl without RTSP
        curl.setopt(pycurl.OPT_RTSP_REQUEST, pycurl.RTSPREQ_RECEIVE)
    # With an empty Expect, bodies over 1 MiB do not wait for a 100 Continue.
    curl.setopt(pycurl.HTTPHEADER, [*(line.encode() for line in request.headers), b"Expect:"])
    if request.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    elif request.method == "POST":
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, request.body or b"")
    else:
        # RFC 9110, section 8.6: if a method expects content, the request says that there is none. Otherwise
        # some servers answer 411.
        body = b"" if request.body is None and request.method in _WITH_BODY else request.body
        if body is not None:
            curl.setopt(pycurl.POSTFIELDS, body)
        if request.method != "GET" or body is not None:
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)


def last_request(curl: pycurl.Curl, request: Request) -> Request:
    """Return the last request of a transfer. After a redirect it has another URL, maybe of another server."""
    if not curl.getinfo(pycurl.REDIRECT_COUNT):
        return request
    url, method = curl.getinfo_raw(pycurl.EFFECTIVE_URL), curl.getinfo(pycurl.EFFECTIVE_METHOD)
    for encoding in ("utf-8", "ascii"):  # `Location` may contain any bytes
        text = url.decode(encoding, "backslashreplace")
        with contextlib.suppress(ValueError):
            host_port(text)
            return request.redirected(text, method)
    return request  # a redirect to something other than http
