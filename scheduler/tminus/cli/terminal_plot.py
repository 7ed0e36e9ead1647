"""
The plot of a batch in a terminal: a strip of blocks. Start offsets run to the right; a higher block is more
jobs.
"""

from collections.abc import Iterable, Iterator, Sequence

from tminus.model.occurrence import Occurrence
from tminus.model.skew import Skew
from tminus.operations.scale import Scale
from tminus.outcome import Outcome

_WIDTH = 64
_BLOCKS, _LETTERS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
_LABEL = 10
#: The line above the strips.
CAPTION = "time after T, logarithmic; a higher block is more jobs"


def draw(found: Skew, occurrences: Sequence[Occurrence], *, unicode: bool) -> Iterator[str]:
    """Yield the lines of the plot: the caption, the jobs without a failure, the failed ones, and the axis."""
    failed = {str(one.id) for one in occurrences if one.outcome not in (Outcome.SUCCEEDED, None)}
    scale = Scale.over(offset.offset_ns for offset in found.offsets)
    good = [offset.offset_ns for offset in found.offsets if offset.id not in failed]
    bad = [offset.offset_ns for offset in found.offsets if offset.id in failed]
    yield CAPTION
    for name, offsets in (("started", good), ("no success", bad)):
        if offsets:
            yield strip(name, offsets, scale, unicode=unicode)
    yield axis(scale, unicode=unicode)


def strip(name: str, offsets_ns: Iterable[int], scale: Scale, *, unicode: bool) -> str:
    """Return one line: how many jobs started at each place of the axis."""
    counts = [0] * _WIDTH
    for offset_ns in offsets_ns:
        counts[min(int(scale.share(offset_ns) * _WIDTH), _WIDTH - 1)] += 1
    signs, most = _BLOCKS if unicode else _LETTERS, max(counts)
    # Rounded up, so that a single job is visible.
    bars = "".join(signs[-(-count * (len(signs) - 1) // most)] if most else " " for count in counts)
    return f"{name:>{_LABEL}} {bars.rstrip()}"


def axis(scale: Scale, *, unicode: bool) -> str:
    """Return the labels below the strips."""
    line = [" "] * (_WIDTH + 8)
    for share, label in scale.ticks():
        text = label if unicode else label.replace("µ", "u")
        at = min(int(share * _WIDTH), _WIDTH - 1)
        line[at : at + len(text)] = list(text)
    return " " * (_LABEL + 1) + "".join(line).rstrip()
