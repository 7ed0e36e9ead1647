"""The wire: what is written is read again, and what was cut short by a death is dropped."""

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.executors import protocol
from tminus.executors.http import wire
from tminus.executors.http.wire import Request
from tminus.outcome import Phase

NUMBERS = st.integers(0, 2**63 - 1)
TEXTS = st.text()
REQUESTS = st.builds(
    Request,
    index=NUMBERS,
    method=TEXTS,
    url=TEXTS,
    headers=st.lists(TEXTS),
    body=st.none() | st.binary(),
    connect_ms=NUMBERS,
    first_byte_ms=NUMBERS,
    total_ms=NUMBERS,
    latest_ns=NUMBERS,
    max_body=NUMBERS,
    keep_body=NUMBERS,
    follow=NUMBERS,
    http2=st.booleans(),
    ca=st.none() | TEXTS,
    insecure=st.booleans(),
)
COMMANDS = st.one_of(
    st.builds(
        protocol.Arm,
        shard=NUMBERS,
        release_at_ns=NUMBERS,
        deadline_ns=NUMBERS,
        give_up_ns=NUMBERS,
        lanes=st.none() | NUMBERS,
        max_connections=st.none() | NUMBERS,
        realtime=st.booleans(),
        works=st.lists(REQUESTS, max_size=3),
    ),
    st.builds(protocol.Release, shard=NUMBERS, withdrawn=st.lists(NUMBERS)),
    st.builds(protocol.Withdraw, shard=NUMBERS),
)
FINISHED = st.builds(
    protocol.AttemptResult,
    index=NUMBERS,
    started_ns=NUMBERS,
    finished_ns=NUMBERS,
    duration_ns=NUMBERS,
    armed=st.booleans(),
    status=NUMBERS,
    cause=st.none() | TEXTS,
    detail=TEXTS,
    unknown=st.booleans(),
    late=st.booleans(),
    headers=st.lists(TEXTS),
    body=st.binary(),
    body_size=NUMBERS,
    raised=st.lists(TEXTS),
    phases=st.dictionaries(st.sampled_from(Phase).map(str), NUMBERS),
)
REPORTS = st.one_of(
    st.builds(protocol.Hello, version=NUMBERS, pid=NUMBERS, realtime=st.booleans(), jobs=st.just([])),
    st.builds(protocol.Armed, shard=NUMBERS, armed=NUMBERS, took_ns=NUMBERS),
    st.builds(protocol.AttemptResults, shard=NUMBERS, finished=st.lists(FINISHED, max_size=3)),
    st.builds(protocol.ShardEnded, shard=NUMBERS, released=st.booleans()),
)


def written(*messages: wire.Command | protocol.HttpReport) -> bytes:
    stream = io.BytesIO()
    for message in messages:
        wire.write(stream, message)
    return stream.getvalue()


@given(st.lists(COMMANDS, max_size=4))
def test_commands_are_read_as_they_were_written(commands: list[wire.Command]) -> None:
    assert list(wire.read_commands(io.BytesIO(written(*commands)))) == commands


@given(st.lists(REPORTS, max_size=4))
def test_reports_are_read_as_they_were_written(reports: list[protocol.HttpReport]) -> None:
    assert list(wire.read_reports(io.BytesIO(written(*reports)))) == reports


@given(st.lists(REPORTS, min_size=1, max_size=3), st.data())
def test_a_frame_that_is_cut_short_is_dropped_and_those_before_it_are_read(
    reports: list[protocol.HttpReport], data: st.DataObject
) -> None:
    whole, before = written(*reports), len(written(*reports[:-1]))
    cut = data.draw(st.integers(before, len(whole) - 1))
    assert list(wire.read_reports(io.BytesIO(whole[:cut]))) == reports[:-1]


@given(st.binary(max_size=40))
def test_a_frame_of_something_else_is_refused(payload: bytes) -> None:
    stream = io.BytesIO(len(payload).to_bytes(4, "big") + payload)
    with pytest.raises(msgspec.DecodeError):
        list(wire.read_commands(stream))


def test_a_report_is_no_command() -> None:
    with pytest.raises(msgspec.ValidationError):
        list(wire.read_commands(io.BytesIO(written(protocol.ShardEnded(shard=1, released=True)))))


@given(REQUESTS)
def test_the_text_of_a_request_tells_nothing_but_its_index(request: Request) -> None:
    assert repr(request) == f"<Request {request.index}>"


@given(REQUESTS, TEXTS, TEXTS)
def test_a_redirect_changes_where_and_how_and_nothing_else(request: Request, url: str, method: str) -> None:
    redirected = request.redirected(url, method)
    assert (redirected.url, redirected.method) == (url, method)
    assert redirected.redirected(request.url, request.method) == request


@pytest.mark.parametrize("started_ns", [0, 1])
def test_a_result_that_cannot_be_encoded_is_unknown_if_sent_and_the_others_cross(
    started_ns: int,
) -> None:
    finished = [
        protocol.AttemptResult(
            index=index,
            started_ns=started_ns,
            finished_ns=3,
            duration_ns=2,
            armed=True,
            detail="\udcff" * (index == 1),
            headers=[],
            raised=[],
        )
        for index in range(3)
    ]
    stream = io.BytesIO()
    wire.write(stream, protocol.AttemptResults(shard=7, finished=finished))
    stream.seek(0)
    (report,) = wire.read_reports(stream)
    assert isinstance(report, protocol.AttemptResults)
    assert (report.finished[0], report.finished[2]) == (finished[0], finished[2])
    one = report.finished[1]
    assert (one.index, one.unknown, one.cause) == (1, bool(started_ns), "executor")
