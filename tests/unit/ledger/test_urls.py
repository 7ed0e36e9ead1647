"""URLs of ledgers: which are valid, and that a password in them is never shown."""

import traceback

import pytest

from tests.support.ledgers import an_instance, dues_of
from tminus.errors import LedgerError, UsageError
from tminus.ledger import claims
from tminus.ledger.engine import Ledger, open_ledger
from tminus.ledger.urls import parse_url

SECRET = "geheim"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////var/lib/tminus/ledger.db", "sqlite:////var/lib/tminus/ledger.db"),
        ("sqlite:///ledger.db", "sqlite:///ledger.db"),
        ("sqlite+pysqlite:////srv/ledger.db", "sqlite+pysqlite:////srv/ledger.db"),
        ("postgresql://host/name", "postgresql://host/name"),
        ("postgresql+psycopg://me:geheim@host:5433/name", "postgresql+psycopg://me:***@host:5433/name"),
        (
            "postgresql://me:geh%40eim@host/name?sslmode=require",
            "postgresql://me:***@host/name?sslmode=require",
        ),
    ],
)
def test_a_url_is_shown_as_written_but_for_its_password(url: str, shown: str) -> None:
    assert repr(parse_url(url)) == shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the ledger's URL is not a URL"),
        ("ledger.db", "the ledger's URL is not a URL"),
        ("/var/lib/tminus/ledger.db", "the ledger's URL is not a URL"),
        ("postgresql://me:geheim@host:port/name", "the ledger's URL is not a URL"),
        ("mysql://host/name", "a ledger cannot be in mysql"),
        ("redis://host", "a ledger cannot be in redis"),
        ("postgresql+psycopg2://host/name", "a ledger in postgresql does not use the driver psycopg2"),
        ("postgresql+asyncpg://host/name", "a ledger in postgresql does not use the driver asyncpg"),
        ("sqlite+aiosqlite:////srv/ledger.db", "a ledger in sqlite does not use the driver aiosqlite"),
        ("sqlite://", "a ledger in memory would remember nothing"),
        ("sqlite:///", "a ledger in memory would remember nothing"),
        ("sqlite:///:memory:", "a ledger in memory would remember nothing"),
        ("sqlite://ledger.db", "a ledger in SQLite is named by its path alone"),
        ("sqlite://srv/ledger.db", "a ledger in SQLite is named by its path alone"),
        ("sqlite:///file:ledger.db?uri=true", "a ledger in SQLite is named by its path alone"),
        ("sqlite:////srv/ledger.db?timeout=5", "a ledger in SQLite is named by its path alone"),
        ("sqlite:////srv/led\0ger.db", "a ledger in SQLite is named by its path alone"),
        ("postgresql://me:top@geheim@host/name", "the ledger's URL has more than one @ before its host"),
        (
            "postgresql://host/name?password=geheim",
            "the ledger's URL has a password among its options, where it would be shown",
        ),
        (
            "postgresql://host/name?sslpassword=geheim",
            "the ledger's URL has a password among its options, where it would be shown",
        ),
    ],
)
def test_a_url_that_cannot_be_a_ledgers_is_refused_in_words(url: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_url(url)
    assert refused.value.message == message
    assert refused.value.hint
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:geheim@127.0.0.1:1/name",
        "postgresql://me:geheim@127.0.0.1:1/name",
        "postgresql://me:geheim@127.0.0.1:1/name?nonsense=1",
        "postgresql://me:geheim@host.invalid/name?sslmode=verify-full",
    ],
)
def test_a_server_that_does_not_answer_is_named_without_the_password(url: str) -> None:
    with pytest.raises(LedgerError) as failed:
        open_ledger(url)
    assert failed.value.message.startswith(f"the ledger {url.replace(SECRET, '***')} does not work: ")
    assert SECRET not in "".join(traceback.format_exception(failed.value))


def test_an_open_ledger_shows_no_password(ledger: Ledger) -> None:
    url = ledger.url.set(host="host", username="me", password=SECRET) if ledger.path is None else ledger.url
    masked = Ledger(url, ledger._reader, ledger.path)
    assert SECRET not in f"{masked!r} {masked} {masked.url!r} {masked.url}"
    assert repr(masked).startswith("<Ledger ")


def test_what_a_failed_statement_was_to_write_is_shown_nowhere(ledger: Ledger) -> None:
    due_occurrences = dues_of("pay", params={"token": SECRET}, config_version=None)
    with pytest.raises(LedgerError) as failed:
        claims.claim(ledger, due_occurrences, planned_at_ns=0, instance=an_instance(ledger), token="this")
    assert SECRET not in failed.value.message
    # PostgreSQL's own error repeats the row, one more reason to show the first line only.
    if ledger.path is not None:
        assert SECRET not in "".join(traceback.format_exception(failed.value))
