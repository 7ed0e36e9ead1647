"""
The realistic table: a server with a round trip of 20 ms and TLS 1.3. A connection that is not open at T costs
three round trips.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import trustme

from bench import contestants
from bench.contestants import Contestant
from bench.link import DEVICE, FAR, Link, NoLink
from bench.report import all_armed, complete, header, interleaved, other, ratio, row
from bench.runs import Summary, Witness, summaries, why_not_capture
from bench.server import LOOPBACK, NoServer, Server, courses
from bench.table import Table, Verdict, at_most

_DELAY_MS = 10
_PORT = 8443
#: More requests would test the delay line.
_MOST_N = 1000
#: Targets for the last request: milliseconds after T; ratio to loopback without TLS; ratio to one thread per
#: job.
LAST_MS = {100: 5.0, 1000: 30.0}
LOOPBACK_TIMES = 1.5
BARRIER_SHARE = {1000: 1 / 10}


def measure(folder: Path, *, sizes: Sequence[int], repeat: int) -> Table:
    """Measure on a link of its own. Without a link, or without a capture on it, the table is left out."""
    table = Table(
        name="distance",
        title=f"N requests at one T, {2 * _DELAY_MS} ms round trip, TLS 1.3",
        explained=[f"Milliseconds after T; medians of {repeat}, runs interleaved."],
        header=header("last / loopback", "last / (b)"),
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = folder / "server.pem", folder / "server.key"
    issued = authority.issue_cert(FAR)
    issued.cert_chain_pems[0].write_to_path(certificate[0])
    issued.private_key_pem.write_to_path(certificate[1])
    try:
        with (
            Link(folder, delay_ms=_DELAY_MS) as link,
            Server(
                folder / "far", hosts=[FAR], port=_PORT, log=True, certificate=certificate, inside=link.far
            ) as far,
            Server(folder / "near", hosts=LOOPBACK) as near,
        ):
            if why_not := why_not_capture(folder):
                table.left_out = f"packets cannot be captured here ({why_not})"
            else:
                _fill(
                    table,
                    link,
                    far,
                    near,
                    folder / "ca.pem",
                    sizes=[n for n in sizes if n <= _MOST_N],
                    repeat=repeat,
                )
    except (NoLink, NoServer) as reason:
        table.left_out = str(reason)
    return table


def _fill(
    table: Table, link: Link, far: Server, near: Server, ca: Path, *, sizes: Sequence[int], repeat: int
) -> None:
    ways = courses(far, "d", ca=ca, inside=link.near)
    on_link = Witness(far, why_not="", interface=DEVICE)
    on_loopback = Witness(near, why_not="")
    tminus = contestants.tminus("auto")
    at_home = Contestant("loopback", "(a) tminus, loopback, no TLS, for comparison", tminus.run)
    barrier = contestants.barrier()
    entries = [(tminus, ways, on_link), (barrier, ways, on_link), (at_home, courses(near, "h"), on_loopback)]
    runs = interleaved(entries, sizes=sizes, repeat=repeat)
    found = summaries(runs)
    table.explained = [
        *table.explained,
        f"Target: {far}, with a link that delays every packet {_DELAY_MS} ms; the loopback line has the "
        "same without either.",
        f"Witness: {on_link}: each connection's first TLS record of application data after its handshake.",
        "Missing and doubled: by the paths in the server's log.",
    ]
    table.raw = [one.as_json() for one in runs]
    for summary in found:
        table.rows.append(
            row(summary, *(ratio(summary, other(found, summary, name)) for name in ("loopback", "barrier")))
        )
        table.notes += summary.notes
        if summary.contestant == "tminus":
            table.verdicts += _judge(summary, found)


def _judge(summary: Summary, found: Sequence[Summary]) -> list[Verdict]:
    loopback, barrier = (ratio(summary, other(found, summary, name)) for name in ("loopback", "barrier"))
    summary = replace(summary, title=f"{summary.title}, at a distance")
    verdicts = [complete(summary), all_armed(summary)]
    if most_ms := LAST_MS.get(summary.n):
        verdicts.append(
            at_most(f"{summary}: last", loopback, LOOPBACK_TIMES, of=" times its own on loopback without TLS")
        )
        verdicts.append(at_most(f"{summary}: last", summary.last_ms, most_ms, unit=" ms"))
    if share := BARRIER_SHARE.get(summary.n):
        verdicts.append(at_most(f"{summary}: last", barrier, share, of=" times (b)"))
    return verdicts
