"""Opening a ledger: it is created, migrated or refused, by one process at a time."""

import contextlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pysqlite3 import dbapi2

from tests.support.ledgers import T, full_url, make_older, open_it, opened, run_batch
from tests.support.other_process import another_process
from tests.support.postgres import a_schema_of_its_own
from tminus.errors import LedgerError
from tminus.ledger import history
from tminus.ledger.engine import Ledger, bring_up_to_date, check_schema, open_ledger
from tminus.ledger.tables import SCHEMA, metadata


def refusal(url: str, **options: bool) -> LedgerError:
    with pytest.raises(LedgerError) as refused:
        open_ledger(url, **options)  # type: ignore[arg-type]
    return refused.value


def schema_of(ledger: Ledger) -> str:
    with ledger.read() as connection:
        return str(connection.exec_driver_sql("SELECT version_num FROM tminus_schema").scalar_one())


def declare(ledger: Ledger, schema: str) -> None:
    with ledger.write() as connection:
        connection.execute(sa.text("UPDATE tminus_schema SET version_num = :schema"), {"schema": schema})


def test_the_migrations_make_what_the_tables_say(ledger: Ledger) -> None:
    with ledger.read() as connection:
        options = {"version_table": "tminus_schema", "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    assert schema_of(ledger) == SCHEMA


def test_the_migrations_make_each_condition_that_the_tables_say(ledger: Ledger) -> None:
    with ledger.read() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            made = {index["name"]: index for index in inspector.get_indexes(table.name)}
            wanted = {index.name for index in table.indexes}
            assert wanted <= made.keys()
            said = {tuple(key["constrained_columns"]): key for key in inspector.get_foreign_keys(table.name)}
            for key in table.foreign_key_constraints:
                there = said[tuple(key.column_keys)]
                assert there["referred_table"] == key.referred_table.name
                assert there["options"].get("ondelete") == key.ondelete


def test_what_must_be_unique_is_so_by_the_database(ledger: Ledger) -> None:
    with ledger.read() as connection:
        (unique,) = sa.inspect(connection).get_unique_constraints("occurrences")
    assert (unique["name"], unique["column_names"]) == (
        "one_owner_per_occurrence",
        ["job", "fire_time_ns", "run"],
    )


def test_numbers_of_rows_do_not_run_out(ledger: Ledger) -> None:
    with ledger.read() as connection:
        kinds = {
            column["name"]: column["type"] for column in sa.inspect(connection).get_columns("occurrences")
        }
    assert isinstance(kinds["id"], sa.BigInteger if ledger.path is None else sa.Integer)


def test_what_is_in_a_ledger_is_there_when_it_is_opened_again(ledger: Ledger) -> None:
    ids = run_batch(ledger, [0.5, 0.7])
    with opened(full_url(ledger.url)) as again:
        assert {one.id for one in history.find(again)} == set(ids)


def undo_accounts(connection: sa.Connection) -> None:
    """Take back what migration 0006 has brought."""
    for index in ("releases_by_token", "occurrences_with_count"):
        connection.exec_driver_sql(f"DROP INDEX {index}")
    for table, column in (
        ("releases", "token"),
        ("occurrences", "covers_until_ns"),
        ("instances", "decided_until_ns"),
        ("configs", "last_seen_ns"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")


def undo_attention(connection: sa.Connection) -> None:
    """Take back what migration 0009 has brought."""
    for table in ("overdue", "failure_counts"):
        connection.exec_driver_sql(f"DROP TABLE {table}")


def undo_policies(connection: sa.Connection) -> None:
    """Take back what migration 0007 has brought."""
    for table in ("pauses", "skips", "notices", "alerts", "notifications"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    for table, column in (
        ("occurrences", "buffered_ns"),
        ("occurrences", "next_attempt_ns"),
        ("occurrences", "cause"),
        ("occurrences", "resolved"),
        ("occurrences", "resolved_by"),
        ("occurrences", "resolved_ns"),
        ("attempts", "request"),
        ("requests", "by"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")


def undo_phases(connection: sa.Connection) -> None:
    """Take back what migration 0008 has brought."""
    connection.exec_driver_sql("ALTER TABLE attempts DROP COLUMN phases")


def undo_chain_failure(connection: sa.Connection) -> None:
    """Take back what migration 0010 has brought."""
    connection.exec_driver_sql("ALTER TABLE occurrences DROP COLUMN chain_failure")


def undo_upkeep(connection: sa.Connection) -> None:
    """Take back what migration 0011 has brought."""
    connection.exec_driver_sql("ALTER TABLE schedules DROP COLUMN deleted_until_ns")
    connection.exec_driver_sql("DROP INDEX occurrences_by_job")
    connection.exec_driver_sql("DROP INDEX occurrences_not_succeeded")


def undo_arming_costs(connection: sa.Connection) -> None:
    """Take back what migration 0012 has brought."""
    connection.exec_driver_sql("ALTER TABLE instances DROP COLUMN arming_costs")


def test_an_older_ledger_is_migrated_and_keeps_what_it_has(ledger: Ledger) -> None:
    before = run_batch(ledger, [1.0, 2.0])
    with ledger.write() as connection:
        undo_arming_costs(connection)
        undo_upkeep(connection)
        undo_chain_failure(connection)
        undo_attention(connection)
        undo_phases(connection)
        undo_policies(connection)
        connection.exec_driver_sql("ALTER TABLE attempts DROP COLUMN output")  # what 0002 has brought
        for table in ("chains", "links", "runs", "apps", "state"):  # and 0003 to 0005
            connection.exec_driver_sql(f"DROP TABLE {table}")
        undo_accounts(connection)
    declare(ledger, "0001")
    with opened(full_url(ledger.url)) as migrated:
        assert schema_of(migrated) == SCHEMA
        with migrated.read() as connection:
            assert (
                compare_metadata(
                    MigrationContext.configure(connection, opts={"version_table": "tminus_schema"}), metadata
                )
                == []
            )
        assert [one.id for one in history.find_by_ids(migrated, before)]
        assert {
            attempt.output for identity in before for attempt in history.find_attempts(migrated, identity)
        } == {b""}


def test_a_ledger_whose_file_has_gone_takes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger:
        run_batch(ledger, [1.0])
        path.rename(tmp_path / "elsewhere.db")
        with pytest.raises(LedgerError, match="was removed or replaced"):
            run_batch(ledger, [1.0])
        (tmp_path / "elsewhere.db").rename(path)
        run_batch(ledger, [1.0], planned_at_ns=T + 1)


def test_a_connection_to_another_file_of_its_name_is_none_to_the_ledger(tmp_path: Path) -> None:
    path, url = tmp_path / "ledger.db", f"sqlite:///{tmp_path}/ledger.db"
    with opened(url) as ledger:
        run_batch(ledger, [1.0])
        path.rename(tmp_path / "elsewhere.db")
        open_ledger(url).close()
        with ledger.read(), contextlib.suppress(LedgerError), ledger.read():
            pass
        (tmp_path / "elsewhere.db").rename(path)
        for later in range(1, 4):
            run_batch(ledger, [1.0], planned_at_ns=T + later)
    with opened(url) as found:
        assert len(history.find(found)) == 4


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_ledger_is_migrated_only_by_who_has_its_lock(tmp_path: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        url = (
            f"sqlite:///{tmp_path}/ledger.db"
            if kind == "sqlite"
            else stack.enter_context(a_schema_of_its_own())
        )
        make_older(url, "0002")
        error = refusal(url, upgrade=False)
        assert error.message.endswith(f"has schema 0002, and this tminus needs {SCHEMA}")
        assert error.exit_code == 3
        later = open_ledger(url, upgrade=False, upgrade_later=True)
        stack.callback(later.close)
        assert schema_of(later) == "0002"
        with pytest.raises(LedgerError, match="has schema 0002"):
            check_schema(later)
        for _ in range(2):
            bring_up_to_date(later)
            check_schema(later)
        assert schema_of(later) == SCHEMA


def test_a_newer_ledger_is_refused_and_left_alone(ledger: Ledger) -> None:
    run_batch(ledger, [0.5])
    declare(ledger, "9999")
    error = refusal(full_url(ledger.url))
    assert error.message == f"the ledger {ledger.url!r} has schema 9999, newer than this program's {SCHEMA}"
    assert error.hint == "install the tminus that wrote it, or a newer one; nothing was changed"
    assert schema_of(ledger) == "9999"


def test_a_database_without_tables_becomes_a_ledger(ledger: Ledger) -> None:
    url = full_url(ledger.url)
    with ledger.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE tminus_schema")
    with opened(url) as migrated:
        assert schema_of(migrated) == SCHEMA
        run_batch(migrated, [0.5])


def test_half_of_a_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with opened(url) as ledger, ledger.write() as connection:
        metadata.drop_all(connection, tables=[metadata.tables["attempts"]])
        connection.exec_driver_sql("DROP TABLE tminus_schema")
    before = tables(tmp_path / "ledger.db")
    assert refusal(url).message == f"sqlite:///{tmp_path}/ledger.db is not a tminus ledger"
    assert tables(tmp_path / "ledger.db") == before


def tables(path: Path) -> set[str]:
    connection = dbapi2.connect(str(path))
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    finally:
        connection.close()


def test_a_database_of_another_program_is_refused(ledger: Ledger) -> None:
    with ledger.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE tminus_schema")
        connection.exec_driver_sql("CREATE TABLE customers (name TEXT)")
    error = refusal(full_url(ledger.url))
    assert (error.message, error.hint) == (
        f"{ledger.url!r} is not a tminus ledger",
        "it holds other tables; name another database",
    )


def test_a_file_of_another_program_is_not_changed_by_looking_at_it(tmp_path: Path) -> None:
    path = tmp_path / "customers.db"
    connection = dbapi2.connect(str(path))
    connection.execute("CREATE TABLE customers (name TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert "is not a tminus ledger" in refusal(f"sqlite:///{path}").message
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["customers.db"]


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_many_that_open_a_new_ledger_at_the_same_moment_all_succeed(tmp_path: Path, kind: str) -> None:
    if kind == "sqlite":
        _open_together([f"sqlite:///{tmp_path}/{number}/ledger.db" for number in range(3)])
        return
    with a_schema_of_its_own() as one, a_schema_of_its_own() as another:
        _open_together([one, another])


def _open_together(urls: list[str]) -> None:
    for url in urls:
        with (
            another_process(open_it, url) as one,
            another_process(open_it, url) as two,
            another_process(open_it, url) as three,
        ):
            openers = [one, two, three]
            assert [opener.hears() for opener in openers] == ["ready"] * 3
            for opener in openers:
                opener.tell("go")
            assert {opener.hears() for opener in openers} <= {"opened", "opened, and found it locked"}
        with opened(url) as ledger:
            assert schema_of(ledger) == SCHEMA


@pytest.mark.processes
def test_a_migration_in_postgresql_may_take_longer_than_other_statements() -> None:
    slow = """
        CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3.2); RETURN NEW; END';
        CREATE TRIGGER slowly BEFORE UPDATE ON schedules FOR EACH STATEMENT EXECUTE FUNCTION slowly()
    """
    with a_schema_of_its_own() as url:
        make_older(url, "0005")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(slow)
        engine.dispose()
        impatient = sa.make_url(url)
        options = f"{impatient.query['options']} -c statement_timeout=3s"
        with opened(full_url(impatient.set(query={"options": options}))) as ledger:
            assert schema_of(ledger) == SCHEMA
            with ledger.read() as connection:
                assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "3s"
