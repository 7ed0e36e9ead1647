"""One POST that ends within its timeout, even if a name does not resolve or a server sends byte by byte."""

import ssl
from collections.abc import Mapping

import pycurl

from tminus import __version__
from tminus.policies.addresses import may_connect

_CONNECT_MS = 5_000
_TOTAL_MS = 15_000


class PostFailed(Exception):
    """There was no response with a status from 200 to 299. The message has no path, which may be a secret."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """
    Send a request by POST. Redirects are not followed.

    Raises:
        PostFailed: there was no response with a status from 200 to 299.
    """
    curl, blocked = pycurl.Curl(), list[str]()

    def guard(peer: str, *_: object) -> int:
        if may_connect(peer):
            return pycurl.PREREQFUNC_OK
        blocked.append(peer)
        return pycurl.PREREQFUNC_ABORT

    try:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")  # as for jobs, no proxy from the environment
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, _CONNECT_MS)
        curl.setopt(pycurl.TIMEOUT_MS, _TOTAL_MS)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        if authorities := ssl.get_default_verify_paths().cafile:
            curl.setopt(pycurl.CAINFO, authorities)
        curl.setopt(pycurl.USERAGENT, f"tminus/{__version__}")
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()] + ["Expect:"])
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.WRITEFUNCTION, len)  # the response is not read
        curl.setopt(pycurl.PREREQFUNCTION, guard)
        curl.perform()
        status = curl.getinfo(pycurl.RESPONSE_CODE)
    except pycurl.error as error:
        raise PostFailed(f"{blocked[0]} may not be called" if blocked else _sentence(error)) from None
    except UnicodeError:
        raise PostFailed("the URL is not ASCII") from None
    finally:
        curl.close()
    if not 200 <= status < 300:
        raise PostFailed(f"the server answered {status}")


def _sentence(error: pycurl.error) -> str:
    code, message = [*error.args, ""][:2]
    return str(message) or f"libcurl error {code}"
