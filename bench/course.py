"""Where the requests of one run go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    Attributes:
        prefix: What every path of this run begins with, and of no other: whatever comes late counts for its own run.
        ca: The authority to trust; None for plain HTTP.
        inside: The command that puts another into the right network namespace; empty for this one.
    """

    host: str
    port: int
    prefix: str
    ca: Path | None = None
    inside: Sequence[str] = ()

    @property
    def url(self) -> str:
        """Of a job, but for its number."""
        return f"{'https' if self.ca else 'http'}://{self.host}:{self.port}{self.prefix}"
