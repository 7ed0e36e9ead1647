"""URLs of requests: http or https, with a host, without credentials (RFC 3986)."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote

import idna

from tminus.errors import shorten
from tminus.http_rules.syntax import InvalidSyntax
from tminus.policies.addresses import may_connect

#: Replaces each character of a template or a reference, whose value is not known yet.
BLANK = "\ue000"
HINT = "write https://HOST/PATH"

_ILLEGAL = re.compile(rf"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%{BLANK}]|%(?![0-9A-Fa-f{BLANK}]{{2}})")
_SHAPE = re.compile(r"(?P<scheme>[^:/?#]*)://(?P<authority>[^/?#\\]*)", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def check_url(url: str, blanked: str | None = None) -> None:
    """
    Check a URL.

    Args:
        url: The URL as written.
        blanked: The same text with BLANK in place of each character of a template or a reference. None for a
            rendered URL, in which `${` and `{{` have no meaning.

    Raises:
        InvalidSyntax: the URL may not be requested.
    """
    text = url if blanked is None else blanked
    shape = _SHAPE.match(text)
    found = url.index(BLANK) if BLANK in url else _illegal_offset(text, shape)
    if found is not None:
        sign = url[found]
        hint = f"write {quote(sign)}" if sign.isprintable() else "a URL is one line"
        raise _invalid(f"illegal character at {found + 1}", found, hint=hint)
    if text.startswith(BLANK) or (shape and BLANK in shape["scheme"]):
        return
    if shape is None:
        hint = f"write https://{shorten(url)}" if re.match(r"[\w.-]+(:\d|/|$)", url) else HINT
        raise _invalid("only http, https", 0, len(text), hint=hint)
    if shape["scheme"].lower() not in ("http", "https"):
        raise _invalid("only http, https", 0, len(shape["scheme"]))
    _check_authority(shape["authority"], shape.start("authority"))


def forbidden_address(blanked: str) -> str | None:
    """
    Return the address in a URL if no request may go there; None if the host is a name or another address.

    Args:
        blanked: As for `check_url`.
    """
    shape = _SHAPE.match(blanked)
    address = shape and _address(_host_and_port(shape["authority"])[0])
    if not address or may_connect(str(address)):
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _illegal_offset(text: str, shape: re.Match[str] | None) -> int | None:
    """
    Return the place of the first illegal character; None if there is none. A host may have letters beyond
    ASCII: they are encoded when the name is resolved.
    """
    host = range(*shape.span("authority")) if shape else range(0)
    for found in _ILLEGAL.finditer(text):
        if not (found.start() in host and found[0].isalnum()):
            return found.start()
    return None


def _check_authority(authority: str, start: int) -> None:
    if "@" in authority:
        hint = "give an Authorization header, with ${env:…} or ${file:…} for the secret"
        raise _invalid("put credentials under headers:", start, authority.rindex("@") + 1, hint=hint)
    host, port = _host_and_port(authority)
    if not host:
        raise _invalid("no host", start)
    if port is not None and BLANK not in port and not _is_port(port):
        hint = "leave it out for 443, or 80 with http"
        raise _invalid("port must be 1–65535", start + len(host) + 1, len(port), hint=hint)
    if BLANK not in host and not _is_host(host):
        hint = "names of letters, digits and -, with dots between them, or an address; [::1] for IPv6"
        raise _invalid(f"{shorten(host)} is not a host name", start, len(host), hint=hint)


def _host_and_port(authority: str) -> tuple[str, str | None]:
    host, colon, port = authority.rpartition(":")
    in_brackets = authority.startswith("[") and not host.endswith("]")
    return (authority, None) if not colon or in_brackets else (host, port)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= 65535


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


def _invalid(message: str, offset: int, length: int = 1, *, hint: str = HINT) -> InvalidSyntax:
    return InvalidSyntax(f"url: {message}", hint=hint, offset=offset, length=max(length, 1))
