"""URLs: what is wrong with one, apart from what is put in later."""

import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote

import idna

from scheduler.errors import shorten
from scheduler.jobsfile.faults import Fault, Wrong, wrong_type
from scheduler.jobsfile.values import Kind
from scheduler.templates import blanked

_URL_HINT = "write https://HOST/PATH"
_FILLER = "\ue000"  # stands for what is put in later
_ILLEGAL = re.compile(rf"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%{_FILLER}]|%(?![0-9A-Fa-f{_FILLER}]{{2}})")
_SHAPE = re.compile(r"(?P<scheme>[^:/?#]*)://(?P<authority>[^/?#\\]*)", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NEVER_REACHED = tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")))


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a URL", value, hint="write https://HOST/PATH")
    fault = _fault(value)
    if fault:
        raise Wrong(fault)
    return value


URL = Kind(_parse, {"type": "string", "examples": ["https://shop.example.com/sync"]})


def never_reached(url: str) -> str | None:
    """The address in a URL, where it is one that tminus never connects to: link-local, or a cloud's metadata service."""
    shape = _SHAPE.match(blanked(url, _FILLER))
    address = shape and _address(_host_and_port(shape["authority"])[0])
    if not address:
        return None
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    return str(address) if any(plain in network for network in _NEVER_REACHED if network.version == plain.version) else None


def check_rendered(url: str) -> None:
    """
    Check a URL in which everything is put in: `${` and `{{` have no meaning in it.

    Raises:
        Wrong: it may not be requested.
    """
    if fault := _fault_of(url, url):
        raise Wrong(fault)


@lru_cache(maxsize=16384)
def _fault(url: str) -> Fault | None:
    return _fault_of(url, blanked(url, _FILLER))


def _fault_of(url: str, text: str) -> Fault | None:
    """What is wrong with a URL; in `text` what is put in later is blanked."""
    shape = _SHAPE.match(text)
    found = url.index(_FILLER) if _FILLER in url else _illegal(text, shape)
    if found is not None:
        sign = url[found]
        hint = f"write {quote(sign)}" if sign.isprintable() else "a URL is one line"
        return _url_fault(f"illegal character at {found + 1}", found, hint=hint)
    if text.startswith(_FILLER) or (shape and _FILLER in shape["scheme"]):
        return None
    if shape is None:
        hint = f"write https://{shorten(url)}" if re.match(r"[\w.-]+(:\d|/|$)", url) else _URL_HINT
        return _url_fault("only http, https", 0, len(text), hint=hint)
    if shape["scheme"].lower() not in ("http", "https"):
        return _url_fault("only http, https", 0, len(shape["scheme"]))
    return _authority_fault(shape["authority"], shape.start("authority"))


def _illegal(text: str, shape: re.Match[str] | None) -> int | None:
    """Letters beyond ASCII may stand in a host; they are put into its ASCII form when it is looked up."""
    host = range(*shape.span("authority")) if shape else range(0)
    for found in _ILLEGAL.finditer(text):
        if not (found.start() in host and found[0].isalnum()):
            return found.start()
    return None


def _authority_fault(authority: str, start: int) -> Fault | None:
    if "@" in authority:
        hint = "auth: is not in this version yet; give an Authorization header, with ${env:…} or ${file:…} for the secret"
        return _url_fault("put credentials under auth:", start, authority.rindex("@") + 1, hint=hint)
    host, port = _host_and_port(authority)
    if not host:
        return _url_fault("no host", start)
    if (
        port is not None
        and _FILLER not in port
        and not (port.isascii() and port.isdecimal() and len(port) < 10 and 1 <= int(port) <= 65535)
    ):
        hint = "leave it out for 443, or 80 with http"
        return _url_fault("port must be 1–65535", start + len(host) + 1, len(port), hint=hint)
    if _FILLER not in host and not _is_host(host):
        hint = "names of letters, digits and -, with dots between them, or an address; [::1] for IPv6"
        return _url_fault(f"{shorten(host)} is not a host name", start, len(host), hint=hint)
    return None


def _host_and_port(authority: str) -> tuple[str, str | None]:
    host, colon, port = authority.rpartition(":")
    in_brackets = authority.startswith("[") and not host.endswith("]")
    return (authority, None) if not colon or in_brackets else (host, port)


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return host.endswith("]") and isinstance(_address(host), IPv6Address)
    if len(host) > 1_000:
        return False
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            return False
    name = host.removesuffix(".")
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    if not host.startswith(("[", *"0123456789")):
        return None
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # 0xa9fea9fe, 2852039166 and 0251.0376.1 are addresses too
    except (OSError, ValueError):
        return None


def _url_fault(words: str, offset: int, length: int = 1, *, hint: str = _URL_HINT) -> Fault:
    return Fault(words=f"url: {words}", of_owner=True, offset=offset, length=max(length, 1), hint=hint)
