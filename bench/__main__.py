"""`python -m bench`: all tables, each target judged; exit 1 where one is not reached."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import loopback
from bench.installed import install_in_ci
from bench.machine import ROOT, describe, most_files
from bench.runs import Witness, why_not_capture
from bench.server import Server
from bench.table import Table

_OUT = ROOT / "bench" / "run"
_ENOUGH = 3


def main(words: Sequence[str]) -> int:
    """Returns the exit status."""
    options = _options(words)
    # Asked to stop, leave no server, daemon or network namespace behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    install_in_ci()
    most_files()
    machine = describe()
    print(_heading(machine), flush=True)
    tables = []
    for name, measure in TABLES.items():
        if not options.only or name in options.only:
            print(f"{name} …", flush=True)
            tables.append(measure(options))
            print(f"\n{tables[-1].text()}", flush=True)
    return _conclude(machine, tables, options)


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--n", type=_sizes, help="sizes of a batch [100,1000,10000]; at a distance those up to 1000")
    parser.add_argument("--repeat", type=int, help=f"repetitions, of which the median is taken [{_ENOUGH}]")
    parser.add_argument("--only", action="append", choices=sorted(TABLES), help="only this table; may be given again")
    parser.add_argument("--quick", action="store_true", help="N=100, once: whether it works, not how fast it is")
    options = parser.parse_args(words)
    options.n = options.n or ([100] if options.quick else [100, 1000, 10_000])
    options.repeat = options.repeat or (1 if options.quick else _ENOUGH)
    return options


def _sizes(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _loopback(options: argparse.Namespace) -> Table:
    with tempfile.TemporaryDirectory(prefix="tminus-bench-") as name:
        folder = Path(name)
        with Server(folder / "try", hosts=loopback.hosts()) as tried:
            why_not = why_not_capture(folder, tried.port)
        with Server(folder / "server", hosts=loopback.hosts(), log=bool(why_not)) as server:
            witness = Witness(server, why_not=why_not)
            return loopback.measure(server, witness, folder, sizes=options.n, repeat=options.repeat)


TABLES: dict[str, Callable[[argparse.Namespace], Table]] = {"loopback": _loopback}


def _heading(machine: dict[str, str]) -> str:
    return "\n".join(["# tminus bench", "", *(f"- {name}: {value or 'none'}" for name, value in machine.items()), ""])


def _conclude(machine: dict[str, str], tables: Sequence[Table], options: argparse.Namespace) -> int:
    verdicts = [verdict for table in tables for verdict in table.verdicts]
    missed = [verdict for verdict in verdicts if not verdict.ok]
    lines = [f"{len(verdicts) - len(missed)} of {len(verdicts)} targets reached", *map(str, missed)]
    lines += [f"left out: {table.title}: {table.left_out}" for table in tables if table.left_out]
    if options.repeat < _ENOUGH:
        lines.append(f"{options.repeat} repetitions are too few: no figure here proves anything, good or bad")
    print("\n".join(lines))
    _OUT.mkdir(exist_ok=True)
    text = "\n".join([_heading(machine), *(table.text() for table in tables), *(f"{line}  " for line in lines)])
    (_OUT / "latest.md").write_text(text + "\n")
    whole = {"machine": machine, "repeat": options.repeat, "sizes": options.n, "tables": [table.as_json() for table in tables]}
    (_OUT / "latest.json").write_text(json.dumps(whole, indent=1) + "\n")
    print(f"written: {_OUT.relative_to(ROOT)}/latest.md and latest.json")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
