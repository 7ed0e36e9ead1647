"""The URLs of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    Attributes:
        prefix: Beginning of all paths of this run, and of no other run. Late requests count for their own
            run.
        ca: The authority to trust; None for plain HTTP.
        inside: Command prefix that enters the network namespace; empty for the current one.
    """

    host: str
    port: int
    prefix: str
    ca: Path | None = None
    inside: Sequence[str] = ()

    @property
    def url(self) -> str:
        """Return the URL of a job without its number."""
        return f"{'https' if self.ca else 'http'}://{self.host}:{self.port}{self.prefix}"
