"""`python -m bench`: measures all tables and judges each target. Exits with 1 if a target is missed."""

import argparse
import compileall
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import calls, distance, large, loopback, mixed, overlap, publish, soak, submits
from bench.installed import install_in_ci
from bench.interrupt import leave_in_order
from bench.machine import OUT, ROOT, describe, heading, most_files
from bench.runs import Witness, why_not_capture
from bench.server import Server
from bench.table import Table

_ENOUGH = 3
_BATCHES = 20
#: A hundred threads that start in turn vary more than a lane.
_ENOUGH_OF_PYTHON = 9


def main(words: Sequence[str]) -> int:
    """Run the bench. Return the exit status."""
    options = _options(words)
    if options.publish:
        published = publish.publish(options.out, ROOT, soak.PARTS)
        print("\n".join(published) or f"nothing to publish in {options.out}")
        return 0 if published else 1
    leave_in_order()
    install_in_ci()
    compileall.compile_dir(ROOT / "scheduler" / "tminus", quiet=1)  # like an installed package
    most_files()
    machine = describe()
    print(heading("tminus bench", machine), flush=True)
    tables = []
    for name, measure in TABLES.items():
        if not options.only or name in options.only:
            print(f"{name} …", flush=True)
            with tempfile.TemporaryDirectory(prefix="tminus-bench-") as folder:
                tables.append(measure(Path(folder), options))
            print(f"\n{tables[-1].text()}", flush=True)
    return _conclude(machine, tables, options)


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--n", type=_sizes, help="sizes of a batch [100,1000,10000]; at a distance those up to 1000"
    )
    parser.add_argument("--repeat", type=int, help=f"repetitions; the tables have medians [{_ENOUGH}]")
    parser.add_argument("--only", action="append", choices=sorted(TABLES), help="only this table; repeatable")
    parser.add_argument(
        "--quick", action="store_true", help="N=100, once: whether it works, not how fast it is"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=OUT,
        help=f"folder for latest.md and latest.json [{OUT.relative_to(ROOT)}]",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="measure nothing: put the last results into README.md, docs/benchmarks.md, docs/reliability.md",
    )
    options = parser.parse_args(words)
    options.n = options.n or ([100] if options.quick else [100, 1000, 10_000])
    options.repeat = options.repeat or (1 if options.quick else _ENOUGH)
    return options


def _sizes(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _loopback(folder: Path, options: argparse.Namespace) -> Table:
    with _witnessed(folder) as (server, witness):
        return loopback.measure(server, witness, folder, sizes=options.n, repeat=options.repeat)


def _distance(folder: Path, options: argparse.Namespace) -> Table:
    return distance.measure(folder, sizes=options.n, repeat=options.repeat)


def _overlap(folder: Path, options: argparse.Namespace) -> Table:
    with _witnessed(folder) as (server, witness):
        return overlap.measure(
            server, witness, batches=3 if options.quick else _BATCHES, repeat=options.repeat
        )


def _calls(_: Path, options: argparse.Namespace) -> Table:
    return calls.measure(repeat=_repeat_python(options))


def _mixed(folder: Path, options: argparse.Namespace) -> Table:
    with _witnessed(folder) as (server, witness):
        return mixed.measure(server, witness, sizes=options.n, repeat=_repeat_python(options))


def _submits(folder: Path, options: argparse.Namespace) -> Table:
    with _witnessed(folder) as (server, witness):
        return submits.measure(server, witness, sizes=options.n, repeat=_repeat_python(options))


def _large(_: Path, options: argparse.Namespace) -> Table:
    return large.measure(large.QUICK if options.quick else large.FULL, repeat=options.repeat)


def _repeat_python(options: argparse.Namespace) -> int:
    return 1 if options.quick else max(_ENOUGH_OF_PYTHON, options.repeat)


@contextlib.contextmanager
def _witnessed(folder: Path) -> Iterator[tuple[Server, Witness]]:
    """Return a server on loopback. It writes a log only if packets cannot be captured."""
    why_not = why_not_capture(folder)
    with Server(folder / "server", log=bool(why_not)) as server:
        yield server, Witness(server, why_not=why_not)


TABLES: dict[str, Callable[[Path, argparse.Namespace], Table]] = {
    "loopback": _loopback,
    "distance": _distance,
    "overlap": _overlap,
    "calls": _calls,
    "mixed": _mixed,
    "submits": _submits,
    "large": _large,
}


def _conclude(machine: dict[str, str], tables: Sequence[Table], options: argparse.Namespace) -> int:
    verdicts = [verdict for table in tables for verdict in table.verdicts]
    missed = [verdict for verdict in verdicts if not verdict.ok]
    lines = [f"{len(verdicts) - len(missed)} of {len(verdicts)} targets reached", *map(str, missed)]
    lines += [f"left out: {table.title}: {table.left_out}" for table in tables if table.left_out]
    if options.repeat < _ENOUGH:
        lines.append(f"{options.repeat} repetitions are too few: these figures prove nothing, good or bad")
    print("\n".join(lines))
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(
        [
            heading("tminus bench", machine),
            *(table.text() for table in tables),
            *(f"{line}  " for line in lines),
        ]
    )
    (options.out / "latest.md").write_text(text + "\n")
    whole = {
        "machine": machine,
        "repeat": options.repeat,
        "sizes": options.n,
        "tables": [table.as_json() for table in tables],
    }
    (options.out / "latest.json").write_text(json.dumps(whole, indent=1) + "\n")
    print(f"written: {options.out}/latest.md and latest.json")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
