"""The plot of a fault round as SVG: arrivals per second, with the periods of the faults shaded."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from bench.waiting import SECOND

_WIDTH, _HEIGHT = 960, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 40, 30
_INK, _FAULT, _ARRIVALS = "#6e7781", "#d55e00", "#0072b2"
_TICKS = 6


def render_svg(
    title: str, arrivals_ns: Iterable[int], faults_ns: Sequence[tuple[int, int]], since_ns: int, until_ns: int
) -> str:
    """
    Draw the arrivals of a round.

    Args:
        faults_ns: Beginning and end of each fault, wall clock as the arrivals. Where several happen at once,
            the shade is darker.
        since_ns: The left end of the plot.
        until_ns: Its right end.
    """
    seconds = max((until_ns - since_ns) // SECOND, 1)
    counts = Counter((at_ns - since_ns) // SECOND for at_ns in arrivals_ns)
    most = max(max(counts.values(), default=0), 1)

    def x(second: float) -> float:
        return round(_LEFT + min(max(second / seconds, 0), 1) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(count: float) -> float:
        return round(_HEIGHT - _BOTTOM - count / most * (_HEIGHT - _TOP - _BOTTOM), 1)

    shades = (
        (x((start_ns - since_ns) / SECOND), x((end_ns - since_ns) / SECOND)) for start_ns, end_ns in faults_ns
    )
    points = " ".join(f"{x(second)},{y(counts[second])}" for second in range(seconds))
    ticks = [round(seconds * tick / _TICKS) for tick in range(_TICKS + 1)]
    return (
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
                f'height="{_HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">',
                f"<title>{escape(title)}</title>",
                f'<text x="{_LEFT}" y="20">{escape(title)}</text>',
                *(
                    f'<rect x="{left}" y="{_TOP}" width="{max(right - left, 1):.1f}" '
                    f'height="{_HEIGHT - _TOP - _BOTTOM}" fill="{_FAULT}" fill-opacity="0.2"/>'
                    for left, right in shades
                ),
                f'<polyline points="{points}" fill="none" stroke="{_ARRIVALS}"/>',
                *(
                    f'<text x="{x(tick)}" y="{_HEIGHT - 10}" text-anchor="middle">{tick} s</text>'
                    for tick in ticks
                ),
                *(f'<text x="{_LEFT - 6}" y="{y(n) + 4}" text-anchor="end">{n}</text>' for n in (0, most)),
                "</svg>",
            ]
        )
        + "\n"
    )
