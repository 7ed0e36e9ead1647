"""The journal file: what was appended is read again, and nothing else is."""

import os
import stat
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.support.values import a_due, a_job, an_attempt, an_ending
from tminus.ledger import journal
from tminus.ledger.engine import open_ledger
from tminus.ledger.journal import Journal, JournalPlace, NotAJournal, read, set_aside
from tminus.ledger.journal_records import Recordable, from_record, to_record
from tminus.ledger.urls import parse_url
from tminus.model.batch import ChainStart, OccurrenceResult, RetryRecord, UnstartedResult
from tminus.model.chain import Failure, ReturnValue, TargetResponse
from tminus.model.occurrence import Attempt
from tminus.model.phases import Phases
from tminus.model.sent_request import SentRequest
from tminus.outcome import Outcome, Phase

AT = 1_763_638_200_000_000_000
DUE = a_due(a_job(), fire_time_ns=AT)
ONE, TWO = {"job": "a", "n": 1}, {"job": "b", "text": "línea\n\0\ud800"}


@pytest.fixture
def place(tmp_path: Path) -> JournalPlace:
    return JournalPlace(tmp_path, "ledger.db.outcomes-")


@pytest.fixture
def written(place: JournalPlace) -> Iterator[Journal]:
    """A journal with a record."""
    one = Journal(place, "me")
    one.append([ONE])
    yield one
    one.close()


def test_records_are_read_in_their_order(written: Journal) -> None:
    written.append([TWO, ONE])
    content = read(written.file)
    assert (content.instance, content.records, content.damaged) == ("me", [ONE, TWO, ONE], 0)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_record_that_was_cut_off_is_left_out(written: Journal, cut: int) -> None:
    written.append([TWO])
    text = written.file.read_bytes().rstrip(b"\0")
    written.file.write_bytes(text[: len(text) - cut])
    content = read(written.file)
    assert content.records == ([ONE, TWO] if cut == 1 else [ONE])
    assert content.damaged == (0 if cut == 1 else 1)


def test_a_record_that_was_changed_is_left_out(written: Journal) -> None:
    written.append([TWO])
    written.file.write_bytes(written.file.read_bytes().replace(b'"n":1', b'"n":2'))
    assert (read(written.file).records, read(written.file).damaged) == ([TWO], 1)


def test_a_write_that_failed_is_overwritten_by_the_next_one(
    written: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            written.append([TWO])
    assert read(written.file).records == [ONE]
    written.append([TWO])
    assert read(written.file).records == [ONE, TWO]


def test_a_cleared_journal_has_no_record_and_takes_new_ones(written: Journal) -> None:
    written.clear()
    assert (written.is_empty, read(written.file).records) == (True, [])
    written.append([TWO])
    assert (written.is_empty, read(written.file).records) == (False, [TWO])


def test_it_has_its_reserve_from_the_start_and_a_mode_of_0600(place: JournalPlace) -> None:
    one = Journal(place, "me")
    one.open()
    status = one.file.stat()
    assert status.st_size == journal.RESERVE_BYTES
    assert status.st_blocks * 512 >= journal.RESERVE_BYTES
    assert stat.S_IMODE(status.st_mode) == 0o600
    one.remove()
    assert place.find() == []


def test_beside_a_shared_ledger_it_has_the_mode_of_the_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    open_ledger(f"sqlite:///{ledger}").close()
    ledger.chmod(0o660)
    one = Journal(JournalPlace.of(parse_url(f"sqlite:///{ledger}"), ledger, {}), "me")
    one.open()
    assert stat.S_IMODE(one.file.stat().st_mode) == 0o660
    one.remove()


def test_one_that_was_removed_is_created_again(written: Journal) -> None:
    written.file.unlink()
    written.append([TWO])
    assert read(written.file).records == [TWO]


def test_it_never_becomes_longer_than_its_limit(written: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_BYTES", 1_000)
    with pytest.raises(OSError, match="more than"):
        written.append([ONE] * 100)
    monkeypatch.undo()
    assert read(written.file).records == [ONE]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        pytest.param({"STATE_DIRECTORY": "/var/lib/tminus:/b"}, "/var/lib/tminus", id="of-the-service"),
        pytest.param({"XDG_STATE_HOME": "/home/me/state"}, "/home/me/state/tminus", id="of-the-user"),
    ],
)
def test_the_journal_for_postgresql_is_in_the_folder_for_state(environ: dict[str, str], folder: str) -> None:
    place = JournalPlace.of(parse_url("postgresql+psycopg://me@db/one"), None, environ)
    assert str(place.file("me")) == f"{folder}/postgresql.outcomes-me"


def test_a_link_a_second_name_and_text_are_not_read(written: Journal, tmp_path: Path) -> None:
    link, text, other = tmp_path / "link", tmp_path / "text", tmp_path / "other"
    link.symlink_to(written.file)
    with pytest.raises(OSError, match="symbolic links"):
        read(link)
    text.write_text("these are my notes\n")
    with pytest.raises(NotAJournal, match="no valid first line"):
        read(text)
    os.link(written.file, other)
    with pytest.raises(NotAJournal, match="several hard links"):
        read(written.file)


def test_a_journal_of_a_newer_version_is_refused_by_name(
    written: Journal, monkeypatch: pytest.MonkeyPatch, place: JournalPlace
) -> None:
    monkeypatch.setattr(journal, "_VERSION", 2)
    newer = Journal(place, "newer")
    newer.open()
    newer.close()
    monkeypatch.undo()
    with pytest.raises(NotAJournal, match="its version is 2, and this tminus reads 1"):
        read(newer.file)


def test_a_journal_that_was_set_aside_is_not_found_again(written: Journal, place: JournalPlace) -> None:
    assert place.find() == [written.file]
    assert set_aside(written.file).name == "ledger.db.outcomes-me.unreadable"
    assert place.find() == []


_REQUEST = SentRequest(method="GET", url="http://127.0.0.1/", headers=("A: b",))
_FULL = an_attempt(
    at_ns=AT,
    headers=("A: b", "C: d"),
    body=b"\0\xff",
    output=b"out",
    body_size=2,
    request=_REQUEST,
    reason="a reason",
    phases=Phases(dict.fromkeys(Phase, 5_000)),
)


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        (Attempt, RetryRecord(id=DUE.id, attempt=_FULL, due_ns=AT, executor=None)),
        (OccurrenceResult, an_ending(DUE)),
        (UnstartedResult, DUE.ends(Outcome.MISSED, "late")),
    ],
)
def test_a_record_has_each_field_of_what_it_stands_for(kind: Any, item: Recordable) -> None:
    record = to_record(item)
    own = {"kind", "job", "fire_time_ns", "run"}
    found = set(record["attempt"]) if kind is Attempt else set(record) - own | {"id"}
    assert found == {field.name for field in fields(kind)}


def test_no_field_of_the_attempt_of_these_tests_has_its_default() -> None:
    assert [field.name for field in fields(Attempt) if getattr(_FULL, field.name) == field.default] == []


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(an_ending(DUE, attempts=(_FULL,), reason="half: \ud800"), id="ended"),
        pytest.param(an_ending(DUE, is_background=True, result='{"n": 1}', attempts=()), id="background"),
        pytest.param(
            an_ending(DUE, chain=ChainStart(links=("callback a:b",), value=ReturnValue(text="1"))),
            id="with-a-chain",
        ),
        pytest.param(
            an_ending(
                DUE,
                chain=ChainStart(links=("x",), value=TargetResponse(status=200, headers=("A: b",), text="é")),
            ),
            id="with-a-response",
        ),
        pytest.param(DUE.ends(Outcome.MISSED, "late", count=3, covers_until_ns=AT + 9), id="missed"),
        pytest.param(
            RetryRecord(id=DUE.id, attempt=_FULL, due_ns=AT + 1, executor="http-1@here"), id="retry"
        ),
    ],
)
def test_a_record_becomes_the_outcome_again(item: Recordable, written: Journal) -> None:
    written.append([to_record(item)])
    assert from_record(read(written.file).records[-1]) == item


def test_the_failure_that_flows_into_a_chain_is_kept(written: Journal) -> None:
    failure = Failure(outcome=Outcome.FAILED, kind="status", message="503")
    item = an_ending(DUE, Outcome.FAILED, chain=ChainStart(links=("errback a:b",), value=failure))
    written.append([to_record(item)])
    assert from_record(read(written.file).records[-1]) == item
