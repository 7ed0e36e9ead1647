"""
The plot of a batch as SVG: one mark per start. The x axis is the start offset, the y axis the share that had
started.

It uses attributes and no styles, so that a strict Content-Security-Policy allows it.
"""

from collections.abc import Sequence
from html import escape
from zoneinfo import ZoneInfo

from tminus.model.occurrence import Occurrence
from tminus.model.skew import Skew
from tminus.operations.scale import Scale
from tminus.operations.times import local
from tminus.outcome import Outcome

_WIDTH, _HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 96, 46
_INK, _FAINT = "#6e7781", "#d0d7de"
_ON_TIME, _BAD, _OTHER = "#0072b2", "#d55e00", "#8c959f"


def render_svg(
    found: Skew,
    occurrences: Sequence[Occurrence],
    *,
    zone: ZoneInfo,
    compared: Sequence[int] = (),
    compared_as: str = "",
) -> str:
    """
    Draw a batch.

    Args:
        found: The start offsets.
        occurrences: All occurrences of the batch. Those that did not succeed are crosses.
        zone: The zone in which T is shown.
        compared: Start offsets of the same jobs, started in another way; nanoseconds, ascending.
        compared_as: The label of that way.
    """
    scale = Scale.over([*(offset.offset_ns for offset in found.offsets), *compared])
    bad = {str(one.id) for one in occurrences if one.outcome not in (Outcome.SUCCEEDED, None)}
    title = f"{local(found.planned_at_ns, zone)}: {len(found.offsets)} of {found.jobs} started"
    ranked = [
        (offset.id, offset.offset_ns, (rank + 1) / found.jobs) for rank, offset in enumerate(found.offsets)
    ]
    others = [(at, (rank + 1) / len(compared)) for rank, at in enumerate(compared)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title><desc>{escape(_figures(found))}</desc>",
        _text(_LEFT, 28, title, size=17, weight="600"),
        _text(_LEFT, 52, _figures(found), size=13),
        *_axes(scale),
        *_marks(others, scale, _OTHER, radius=2.0),
        *_marks(
            [(at, share) for identity, at, share in ranked if identity not in bad],
            scale,
            _ON_TIME,
            radius=2.6,
        ),
        *_crosses([(at, share) for identity, at, share in ranked if identity in bad], scale),
        *_legend(
            has_bad=any(identity in bad for identity, _, _ in ranked),
            compared_as=compared_as if compared else "",
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _figures(found: Skew) -> str:
    if not found.offsets:
        return "nothing started"
    named = {
        "first": found.first_ns,
        "p50": found.percentile_ns(0.5),
        "p99": found.percentile_ns(0.99),
        "last": found.last_ns,
        "spread": found.spread_ns,
    }
    return "   ".join(f"{name} {value / 1e6:.3g} ms" for name, value in named.items() if value is not None)


def _axes(scale: Scale) -> list[str]:
    lines = []
    for share, label in scale.ticks():
        x = _x(share)
        lines.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_HEIGHT - _BOTTOM}" stroke="{_FAINT}"/>')
        lines.append(_text(x, _HEIGHT - _BOTTOM + 18, label, anchor="middle"))
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        lines.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="{_FAINT}"/>')
        lines.append(_text(_LEFT - 8, y + 4, f"{share:.0%}", anchor="end"))
    return lines


def _marks(points: Sequence[tuple[int, float]], scale: Scale, color: str, *, radius: float) -> list[str]:
    if not points:
        return []
    # One path for all, because ten thousand circles would make a page slow.
    moves = "".join(f"M{_x(scale.share(at))} {_y(share)}h0" for at, share in points)
    return [
        f'<path d="{moves}" stroke="{color}" stroke-width="{2 * radius}" stroke-linecap="round" fill="none"/>'
    ]


def _crosses(points: Sequence[tuple[int, float]], scale: Scale) -> list[str]:
    if not points:
        return []
    corners = ((_x(scale.share(at)) - 3, _y(share) - 3) for at, share in points)
    moves = "".join(f"M{x:.1f} {y:.1f}l6 6m0-6l-6 6" for x, y in corners)
    return [f'<path d="{moves}" stroke="{_BAD}" stroke-width="1.6" fill="none"/>']


def _legend(*, has_bad: bool, compared_as: str) -> list[str]:
    x, y = _LEFT, 76
    parts = []
    for color, label in ((_ON_TIME, "tminus"), (_BAD, "did not succeed"), (_OTHER, compared_as)):
        if (color == _BAD and not has_bad) or not label:
            continue
        parts += [f'<circle cx="{x + 4}" cy="{y - 4}" r="4" fill="{color}"/>', _text(x + 14, y, label)]
        x += 30 + 7 * len(label)
    return parts


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", weight: str = "400"
) -> str:
    shape = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}" fill="{_INK}" {shape}>{escape(text)}</text>'
