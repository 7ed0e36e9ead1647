"""Puts the figures of the last run into README.md and docs/benchmarks.md."""

import json
from pathlib import Path

_BEGIN, _END = "<!-- bench:begin -->\n", "<!-- bench:end -->"
_CONTESTANTS = {
    "(a)": "tminus",
    "(b)": "a thread each, Barrier, PycURL",
    "(c)": "APScheduler, a thread each",
    "(d)": "a C program on open sockets",
}


def publish(out: Path, root: Path) -> None:
    """
    Replace what stands between the marks of both documents.

    Args:
        out: Where latest.md and latest.json are.
        root: Where README.md and docs/ are.
    """
    loopback = next(table for table in json.loads((out / "latest.json").read_text())["tables"] if table["name"] == "loopback")
    _put(root / "README.md", _short(loopback["header"], loopback["rows"]))
    # One heading level down: the document has its own first one.
    _put(root / "docs" / "benchmarks.md", (out / "latest.md").read_text().replace("# tminus bench", "## The machine", 1))


def _short(header: list[str], rows: list[list[str]]) -> str:
    """The last request of each contestant, a line a size; tminus with the best priority that the machine allows."""
    size, last = header.index("N"), header.index("last")
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row[size], {}).setdefault(row[0][:3], "–" if row[last] == "–" else f"{row[last]} ms")
    lines = [f"| requests | {' | '.join(_CONTESTANTS.values())} |", "| --- " * (len(_CONTESTANTS) + 1) + "|"]
    lines += [f"| {n} | {' | '.join(found.get(name, '–') for name in _CONTESTANTS)} |" for n, found in cells.items()]
    return "\n".join(lines) + "\n"


def _put(document: Path, text: str) -> None:
    before, _, rest = document.read_text().partition(_BEGIN)
    document.write_text(f"{before}{_BEGIN}{text}{_END}{rest.partition(_END)[2]}")
