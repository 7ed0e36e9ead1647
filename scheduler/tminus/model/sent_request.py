"""The request of an attempt as it was sent, without its secrets, for people."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """
    A request as it was sent, cut to a bounded size, with its secrets masked.

    Attributes:
        url: The URL; for a view its path, or its endpoint.
        headers: The headers, one line each. What libcurl adds itself is not among them.
        body: The stored part of the body.
        body_size: The number of bytes that were sent.
    """

    method: str
    url: str
    headers: tuple[str, ...] = ()
    body: str = ""
    body_size: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that `tminus logs --json` prints."""
        return {**asdict(self), "headers": list(self.headers)}

    def to_text(self) -> str:
        """Return the text that the ledger stores."""
        return json.dumps(self.as_json())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        Parse the text of `to_text`.

        Raises:
            ValueError: it is not such a text.
        """
        match json.loads(text):
            case {
                "method": str(method),
                "url": str(url),
                "headers": list(headers),
                "body": str(body),
                "body_size": int(size),
            }:
                lines = tuple(str(line) for line in headers)
                return cls(method=method, url=url, headers=lines, body=body, body_size=size)
            case _:
                raise ValueError("not a request")
