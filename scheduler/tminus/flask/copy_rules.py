"""Rules for the copy of a request. It contains no credentials."""

from collections.abc import Iterable

from tminus.model import payload
from tminus.policies.credentials import names_credential

#: Headers that are copied. They contain no credentials.
_COPIED = frozenset(
    {"host", "user-agent", "content-type", "referer", "x-request-id", "traceparent", "tracestate", "b3"}
)
_COPIED_PREFIXES = ("accept", "x-b3-")
#: Never copied.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})


class CopyRules:
    """
    The built-in rules, and what an application adds to them. Immutable.

    Args:
        drop: Keys whose values are masked, and headers that are left out. Case does not matter.
        keep_headers: Headers that are copied. Case does not matter.
        max_bytes: The largest copy, in bytes of JSON.

    Raises:
        ValueError: one of `keep_headers` always contains credentials.
    """

    def __init__(
        self,
        *,
        drop: Iterable[str] = (),
        keep_headers: Iterable[str] = (),
        max_bytes: int = payload.MOST_BYTES,
    ) -> None:
        self.max_bytes = max_bytes
        self._drop = frozenset(key.casefold() for key in drop)
        self._keep = frozenset(name.casefold() for name in keep_headers)
        if refused := sorted(self._keep & _CREDENTIALS):
            raise ValueError(f"keep_headers: {', '.join(refused)} contains credentials and is never copied")

    def masks(self, key: str) -> bool:
        """Return whether the value of this key of a query, form, JSON or session is masked."""
        return key.casefold() in self._drop or names_credential(key)

    def copies_header(self, name: str) -> bool:
        """Return whether this header is copied."""
        folded = name.casefold()
        is_listed = folded in self._keep | _COPIED or folded.startswith(_COPIED_PREFIXES)
        return is_listed and folded not in self._drop
