"""The phases of an attempt: where its time went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tminus.instants import MS
from tminus.outcome import Phase

_US = 1_000


@dataclass(frozen=True, slots=True)
class Phases:
    """
    When the phases of an attempt ended, in their order. Those that it did not reach, or that it did not need,
    are missing.

    Attributes:
        offsets_ns: Nanoseconds from the T of the attempt. A background run has no T; there they count from
            its start.
    """

    offsets_ns: Mapping[Phase, int] = field(default_factory=dict)

    @classmethod
    def since(cls, since_ns: int, instants_ns: Mapping[str, int]) -> Self:
        """
        Return phases as offsets.

        Args:
            since_ns: The instant from which they count, wall clock.
            instants_ns: When each phase ended, wall clock, by the words of `Phase`.
        """
        return cls({phase: instants_ns[phase] - since_ns for phase in Phase if phase in instants_ns})

    def as_json(self) -> dict[str, float]:
        """Return the milliseconds that `tminus logs --json` prints."""
        return {phase.value: round(offset_ns / MS, 3) for phase, offset_ns in self.offsets_ns.items()}

    def to_text(self) -> str:
        """Return the text that the ledger stores: the microseconds of all phases; empty if there are none."""
        offsets = [self.offsets_ns.get(phase) for phase in Phase] if self.offsets_ns else []
        return ",".join("" if offset is None else str(round(offset / _US)) for offset in offsets)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        Parse the text of `to_text`.

        Raises:
            ValueError: it is not such a text.
        """
        fields = zip(Phase, text.split(","), strict=False)  # an older version knew fewer phases
        return cls({phase: int(offset) * _US for phase, offset in fields if offset})
