"""The axis of start offsets. It is logarithmic, so that one late job in a thousand is visible."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Smaller offsets are drawn here: 10 µs.
_NEAREST_NS = 10_000
_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of powers of ten, in nanoseconds: 10**low to 10**high."""

    low: int
    high: int

    @classmethod
    def over(cls, offsets_ns: Iterable[int]) -> "Scale":
        """Return the whole decades that contain all of these, at least two."""
        shown = [max(offset, _NEAREST_NS) for offset in offsets_ns] or [_NEAREST_NS]
        low = math.floor(math.log10(min(shown)))
        return cls(low, max(math.ceil(math.log10(max(shown) + 1)), low + 2))

    def share(self, offset_ns: int) -> float:
        """Return the position of an offset on the axis, from 0 to 1."""
        exponent = math.log10(max(offset_ns, _NEAREST_NS))
        return min(max((exponent - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the position and the label of each power of ten."""
        return [
            (self.share(10**exponent), label(10**exponent)) for exponent in range(self.low, self.high + 1)
        ]


def label(offset_ns: int) -> str:
    """Return an offset for people: `+100 µs`, `+1 ms`, `+10 s`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if offset_ns >= size), _UNITS[-1])
    return f"+{offset_ns // size} {unit}"
