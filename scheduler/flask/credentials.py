"""What of a request may be a credential: no copy of a request holds it."""

from collections.abc import Iterable

from scheduler.policies.credentials import names_credential

#: The headers that are copied, and how the names of further ones begin. Host and trace headers hold no credential.
_KEPT = frozenset({"host", "user-agent", "content-type", "referer", "x-request-id", "traceparent", "tracestate", "b3"})
_KEPT_BEGINS = ("accept", "x-b3-")
#: Nobody can have these copied.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})


class Keys:
    """
    What an application wants of the copies of its requests.

    Args:
        drop: Keys and headers, in any case, whose values are left out besides those that are built in.
        keep_headers: Headers, in any case, that are copied besides those that are built in.

    Raises:
        ValueError: one of these headers is made for credentials.
    """

    def __init__(self, *, drop: Iterable[str] = (), keep_headers: Iterable[str] = ()) -> None:
        self._drop = frozenset(key.casefold() for key in drop)
        self._keep = frozenset(name.casefold() for name in keep_headers)
        if refused := sorted(self._keep & _CREDENTIALS):
            raise ValueError(f"keep_headers: {', '.join(refused)} holds credentials and is never copied")

    def hide(self, key: str) -> bool:
        """Whether the value of such a key of a query, a form, JSON or the session is left out."""
        return key.casefold() in self._drop or names_credential(key)

    def keep_header(self, name: str) -> bool:
        """Whether such a header is copied."""
        folded = name.casefold()
        return folded not in self._drop and (folded in self._keep | _KEPT or folded.startswith(_KEPT_BEGINS))
