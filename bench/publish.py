"""Puts the figures of the last runs into README.md, docs/benchmarks.md and docs/reliability.md."""

import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bench import results
from bench.machine import code
from bench.promises import NOT_RUN, PROMISES, ByTest, Judged, Measured, Source, figure, parts_of
from bench.results import Result

#: The published results of the soak, in docs/.
RESULTS = "reliability.jsonl"
#: Characters of a target that was not reached: it names the first cases.
_SHOWN = 300
_CONTESTANTS = {
    "(a)": "tminus",
    "(b)": "a thread per job, Barrier, PycURL",
    "(c)": "APScheduler, a thread per job",
    "(d)": "a C program on open sockets",
}


def publish(out: Path, root: Path, parts: Collection[str]) -> list[str]:
    """
    Replace the text between the marks in the documents. Return what was published.

    Args:
        out: Folder of latest.md and latest.json of the bench, and of the results of the soak.
        root: Folder of README.md and docs/.
        parts: The parts of the soak.
    """
    published = []
    if (out / "latest.json").exists():
        _publish_bench(out, root)
        published.append("README.md and docs/benchmarks.md")
    if (out / results.NAME).exists():
        _publish_soak(out, root, parts)
        published.append("docs/reliability.md")
    return published


def _publish_soak(out: Path, root: Path, parts: Collection[str]) -> None:
    stored, present = root / "docs" / RESULTS, code()
    if not present:
        raise SystemExit("scheduler/tminus has changes that are not committed: its results prove nothing")
    known = {(one.part, one.when): one for one in [*results.read(stored), *results.read(out / results.NAME)]}
    # Results of other code prove nothing about this one.
    kept = [one for _, one in sorted(known.items()) if one.code == present]
    results.write(stored, kept)
    pictures = _publish_pictures(out, root / "docs", kept)
    _put(root / "docs" / "reliability.md", reliability(kept, parts, pictures), mark="soak")


def _publish_pictures(out: Path, docs: Path, kept: Sequence[Result]) -> list[str]:
    """Take the plot of the last round on each database, and remove those of other code."""
    last = {one.part: results.picture_of(one.part, one.seed) for one in kept}
    for part, name in last.items():
        if (out / name).exists():
            shutil.copyfile(out / name, docs / f"{part}.svg")
    for picture in pictures_in(docs):
        if picture.removesuffix(".svg") not in last:
            (docs / picture).unlink()
    return pictures_in(docs)


def pictures_in(docs: Path) -> list[str]:
    """Return the names of the published plots of fault rounds."""
    return sorted(file.name for file in docs.glob("torture-*.svg"))


def reliability(found: Sequence[Result], parts: Collection[str], pictures: Sequence[str]) -> str:
    """Format the promises with their figures, the runs that these are from, and the plots of fault rounds."""
    lines = [
        "| promise | shown by | violations, or value | runs with the seed |",
        "| --- | --- | --- | --- |",
    ]
    for promise in PROMISES:
        words = promise.words
        for source in promise.sources:
            seeds = ", ".join(f"{one.part} {one.seed}" for one in parts_of(source, found)) or "–"
            lines.append(f"| {words} | {_shown_by(source)} | {figure(source, found)} | {seeds} |")
            words = ""
    plots = (f"\n![Arrivals per second in a fault round, faults shaded: {name}]({name})" for name in pictures)
    return "\n".join([*lines, "", *_runs(found, parts), *plots]) + "\n"


def _shown_by(source: Source) -> str:
    match source:
        case Judged(part, what):
            return f"{part.removesuffix('-*')}: {what}"
        case ByTest(test):
            file, _, name = test.partition("::")
            return f"[{name.removeprefix('test_').replace('_', ' ')}](../tests/{file})"
        case Measured(page):
            return f"[{page}]({page})"


def _runs(found: Sequence[Result], parts: Collection[str]) -> Iterator[str]:
    yield "| part | run | commit | seed | targets | repeat it |"
    yield "| --- | --- | --- | ---: | ---: | --- |"
    for part in parts:
        runs = [one for one in found if one.part == part]
        for one in runs:
            reached = f"{sum(verdict.ok for verdict in one.verdicts)} of {len(one.verdicts)}"
            when = one.when[:16].replace("T", " ")
            again = f"`python -m bench.soak {' '.join(_words(one))}`"
            yield f"| {part} | {when} | {one.commit} | {one.seed} | {reached} | {again} |"
        if not runs:
            yield f"| {part} | {NOT_RUN} | | | | |"
    missed = [(one, verdict) for one in found for verdict in one.verdicts if not verdict.ok]
    if missed:
        yield from ("", "Not reached:", "")
        for one, verdict in missed:
            what, *cases = [" ".join(line.split()) for line in verdict.words.splitlines()]
            named = f"{what}: {'; '.join(cases)}" if cases else what
            yield f"- {one.part} {one.seed}: {named[:_SHOWN]}"


def _words(one: Result) -> list[str]:
    """Return the arguments that repeat this part alone."""
    words = iter(one.words)
    kept: list[str] = []
    for word in words:
        if word in ("--only", "--seed", "--out"):
            next(words, None)
        else:
            kept.append(word)
    return ["--only", one.part, *kept, "--seed", str(one.seed)]


def _publish_bench(out: Path, root: Path) -> None:
    loopback = next(
        table
        for table in json.loads((out / "latest.json").read_text())["tables"]
        if table["name"] == "loopback"
    )
    _put(root / "README.md", _short(loopback["header"], loopback["rows"]))
    # The document has a heading of its own, so headings move down one level.
    _put(
        root / "docs" / "benchmarks.md",
        (out / "latest.md").read_text().replace("# tminus bench", "## The machine", 1),
    )


def _short(header: list[str], rows: list[list[str]]) -> str:
    """
    Return a table of the last request, one line per size. For tminus, the best priority that the machine
    allows.
    """
    size, last = header.index("N"), header.index("last")
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row[size], {}).setdefault(row[0][:3], "–" if row[last] == "–" else f"{row[last]} ms")
    lines = [f"| requests | {' | '.join(_CONTESTANTS.values())} |", "| --- " * (len(_CONTESTANTS) + 1) + "|"]
    lines += [
        f"| {n} | {' | '.join(found.get(name, '–') for name in _CONTESTANTS)} |" for n, found in cells.items()
    ]
    return "\n".join(lines) + "\n"


def generated(document: Path, *, mark: str) -> str:
    """Return the text between the marks of a document."""
    return document.read_text().partition(_begin(mark))[2].partition(_end(mark))[0]


def _put(document: Path, text: str, *, mark: str = "bench") -> None:
    before, _, rest = document.read_text().partition(_begin(mark))
    document.write_text(f"{before}{_begin(mark)}{text}{_end(mark)}{rest.partition(_end(mark))[2]}")


def _begin(mark: str) -> str:
    return f"<!-- {mark}:begin -->\n"


def _end(mark: str) -> str:
    return f"<!-- {mark}:end -->"
