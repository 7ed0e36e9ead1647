"""What an executor writes to its stderr."""

import os
import threading
from collections.abc import Callable

from tests.support.daemon import eventually
from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tminus.daemon.log.executor_stderr import logged
from tminus.daemon.log.log_writer import Item, LogWriter
from tminus.instants import SECOND


def write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def lines_of(items: list[Item]) -> list[str]:
    return [str(item["output"]) for item in items if "output" in item]


def dropped_in(items: list[Item]) -> int:
    return sum(int(str(item["event"]).split()[0]) for item in items if "event" in item)


def test_each_line_is_logged_and_a_last_one_without_an_end_too() -> None:
    items: list[Item] = []
    with logged("python-shop@here", items.append) as stderr:
        write(stderr, b"one\ntwo\xff\nthree")
    eventually(lambda: len(items) == 3, what="all is read")
    assert lines_of(items) == ["one", "two\\xff", "three"]


def test_who_writes_too_much_loses_lines_that_are_counted_and_logs_again_later() -> None:
    clock, items = FakeClock(0), list[Item]()
    with logged("python-shop@here", items.append, clock) as stderr:
        write(stderr, b"x" * 1023 + b"\n" + (b"y" * 1023 + b"\n") * 999)
        eventually(lambda: dropped_in(items) == 1000 - 256, what="what was dropped is counted")
        clock.pass_by(2 * SECOND)
        write(stderr, b"again\n")
        eventually(lambda: "again" in lines_of(items), what="the next second has come")
    assert len(lines_of(items)) == 257


def test_it_is_read_though_nobody_reads_the_log() -> None:
    read_end, write_end = os.pipe()
    writer = LogWriter(lambda event: str(event.get("output", "")), write_end)
    writes: Callable[[], None] = lambda: write(stderr, (b"y" * 1000 + b"\n") * 500)  # noqa: E731
    with logged("http-1@here", writer.put) as stderr:
        thread = threading.Thread(target=writes, name="writes", daemon=True)
        thread.start()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    os.close(read_end)
