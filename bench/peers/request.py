"""The request of the PycURL peers, and their arguments."""

import argparse

import pycurl

_PATIENCE_S = 60


def words() -> argparse.Namespace:
    """Parse `--at NS --n N --url URL [--ca FILE]`. Job i requests URL<i>."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int, required=True)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca")
    return parser.parse_args()


def make(url: str, ca: str | None) -> pycurl.Curl:
    """Return a handle that is ready to perform."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.TIMEOUT, _PATIENCE_S)
    curl.setopt(pycurl.WRITEFUNCTION, len)
    if ca:
        curl.setopt(pycurl.CAINFO, ca)
    return curl


def perform(curl: pycurl.Curl) -> bool:
    """Send the request. Return whether the response was 200."""
    try:
        curl.perform()
    except pycurl.error:
        return False
    else:
        return bool(curl.getinfo(pycurl.RESPONSE_CODE) == 200)
    finally:
        curl.close()
