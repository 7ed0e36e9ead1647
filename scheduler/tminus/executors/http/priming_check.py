"""Check that priming works with the installed libcurl, because libcurl does not document it."""

import socket
import threading
from contextlib import closing, suppress

import pycurl

from tminus.executors.http.primer import ENDED_WELL, make_primer, unmake_primer

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_PATIENCE_MS = 3_000


def priming_works() -> bool:
    """
    Prime a connection to a server in this process, and send a request. Return whether the request used that
    connection.

    Raises:
        OSError: no socket can be created.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_serve, args=(server,), name="priming check", daemon=True).start()
        curl, multi = pycurl.Curl(), pycurl.CurlMulti()
        curl.setopt(pycurl.URL, f"http://127.0.0.1:{server.getsockname()[1]}/")
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.TIMEOUT_MS, _PATIENCE_MS)
        curl.setopt(pycurl.WRITEFUNCTION, len)
        make_primer(curl)
        primed = _perform(multi, curl)
        unmake_primer(curl)
        sent = _perform(multi, curl)
        reused = curl.getinfo(pycurl.NUM_CONNECTS) == 0
        curl.close()
        multi.close()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # ends the accept
        return primed == ENDED_WELL and sent == 0 and reused


def _perform(multi: pycurl.CurlMulti, curl: pycurl.Curl) -> int:
    multi.add_handle(curl)
    while multi.perform()[1]:
        multi.select(0.1)
    _, succeeded, failed = multi.info_read()
    multi.remove_handle(curl)
    return 0 if succeeded else int(failed[0][1])


def _serve(server: socket.socket) -> None:
    try:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(_PATIENCE_MS / 1000)
                if connection.recv(65536):
                    connection.sendall(_RESPONSE)
    except OSError:
        return  # the check is over
