"""The results of the parts of the soak: one line per run in a file, and those that are published."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.machine import code, commit
from bench.table import Verdict

NAME = "soak.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    One run of one part.

    Attributes:
        words: The arguments of the command, with the seed.
        code: What identifies the code of the package; empty if it was changed and not committed.
    """

    part: str
    seed: int
    words: tuple[str, ...]
    commit: str
    code: str
    when: str
    verdicts: tuple[Verdict, ...]


def result(part: str, *, seed: int, words: Sequence[str], verdicts: Iterable[Verdict]) -> Result:
    """Return the result of a part that has just run."""
    return Result(
        part=part,
        seed=seed,
        words=tuple(words),
        commit=commit(),
        code=code(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        verdicts=tuple(verdicts),
    )


def picture_of(part: str, seed: int) -> str:
    """Return the name of the file with the plot of a fault round."""
    return f"{part}-{seed}.svg"


def keep(folder: Path, one: Result) -> None:
    """Append a result to the file in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(_text(one) + "\n")


def read(file: Path) -> list[Result]:
    """Return the results in a file; none if there is no file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [_parsed(line) for line in lines]


def write(file: Path, found: Iterable[Result]) -> None:
    """Replace the results in a file."""
    file.write_text("".join(f"{_text(one)}\n" for one in found), encoding="utf-8")


def _text(one: Result) -> str:
    return json.dumps(asdict(one), ensure_ascii=False)


def _parsed(line: str) -> Result:
    fields = json.loads(line)
    fields["verdicts"] = tuple(Verdict(**verdict) for verdict in fields["verdicts"])
    fields["words"] = tuple(fields["words"])
    return Result(**fields)
