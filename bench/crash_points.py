"""
The sweep over crash points: `kill -9` of a daemon at each point and passage, on each database. Each start
recovers from the kill before it. At the end the ledger is compared with the server's arrivals.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from bench.installed import NotInstalled
from bench.machine import ROOT
from bench.table import Verdict, none_of
from bench.torture.server import PrivateServer, server_for
from tests.support.crash_sweep import GROUPS, ONCE, NotPassed, Sweep
from tests.support.target import TargetServer

PASSAGES = 3
#: A point that is not passed so often within this time is counted as not reached.
_PATIENCE_S = 45


def measure(database: str, seed: int) -> list[Verdict]:
    """
    Kill at all points and passages on this database, in an order that the seed selects, and judge.

    Args:
        database: `sqlite` or `postgresql`.
        seed: Selects the order of the passages of each group.
    """
    print(f"crash points on {database}, seed {seed}", flush=True)
    random, killed, planned = Random(seed), 0, 0
    not_reached: list[str] = []
    violations: list[str] = []
    os.chdir(ROOT)  # where the daemons find the package
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(server_for(database))
        except NotInstalled as error:
            return [Verdict(True, f"{database}: left out: {error}")]
        for group, points in GROUPS.items():
            for passage in random.sample(range(1, PASSAGES + 1), PASSAGES):
                wanted = [point for point in points if passage == 1 or point not in ONCE]
                if not wanted:
                    continue
                planned += len(wanted)
                with _sweep(server) as sweep:
                    for point in wanted:
                        try:
                            sweep.kill_at(point, passage, patience_s=_PATIENCE_S)
                            killed += 1
                        except NotPassed as error:
                            not_reached.append(str(error))
                    violations += [f"{group} at passage {passage}: {one}" for one in sweep.finish()]
                print(f"  {group}, passage {passage}: killed {killed} of {planned}", flush=True)
    return [
        none_of(f"kills at crash points not reached on {database}", not_reached, planned),
        none_of(f"violations after kills at crash points on {database}", violations, killed),
    ]


@contextlib.contextmanager
def _sweep(server: PrivateServer | None) -> Iterator[Sweep]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tminus-crash-"))
        target = stack.enter_context(TargetServer())
        url = stack.enter_context(server.schema(Path(folder).name)) if server else None
        sweep = Sweep(Path(folder), target, ledger=url)
        stack.callback(sweep.close)
        yield sweep
