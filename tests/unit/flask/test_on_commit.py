"""`submit_on_commit`: only what is committed is submitted."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from tminus.flask import CollectedRun, background
from tminus.flask.on_commit import on_commit

pytest_plugins = ["tminus.flask.pytest_plugin"]


class Base(DeclarativeBase):
    """The tables."""


class Order(Base):
    """A row."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


@background
def confirm(order: int) -> None:
    """Do something with an order."""


@pytest.fixture
def session() -> Iterator[Session]:
    """A session with a table, and no transaction."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def orders(runs: list[CollectedRun]) -> list[int]:
    """Return the first argument of each run."""
    return [run.args[0] for run in runs]


def test_a_run_is_submitted_when_the_transaction_is_committed(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    session.add(Order(id=1))
    session.flush()
    run_id = confirm.submit_on_commit(session, 1)
    assert tminus_runs == []
    session.commit()
    assert [(run.id, run.args) for run in tminus_runs] == [(run_id, [1])]
    session.commit()
    assert len(tminus_runs) == 1


def test_nothing_is_submitted_after_a_rollback_or_a_close(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    session.add(Order(id=1))
    confirm.submit_on_commit(session, 1)
    session.rollback()
    session.add(Order(id=2))
    session.flush()
    confirm.submit_on_commit(session, 2)
    session.close()
    session.add(Order(id=3))
    session.commit()
    assert tminus_runs == []


def test_a_commit_that_fails_submits_nothing(session: Session, tminus_runs: list[CollectedRun]) -> None:
    session.execute(sa.insert(Order).values(id=1))
    session.add(Order(id=1))
    confirm.submit_on_commit(session, 1)
    with pytest.raises(sa.exc.IntegrityError):
        session.commit()
    session.rollback()
    session.commit()
    assert tminus_runs == []


def test_before_a_transaction_has_begun_the_next_one_counts(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    confirm.submit_on_commit(session, 1)
    session.add(Order(id=1))
    session.commit()
    assert orders(tminus_runs) == [1]


def test_a_rollback_before_the_first_statement_counts(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    confirm.submit_on_commit(session, 1)
    session.rollback()
    confirm.submit_on_commit(session, 2)
    session.close()
    session.add(Order(id=1))
    session.commit()
    assert tminus_runs == []


def test_a_savepoint_takes_its_runs_with_it_if_it_is_rolled_back(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    confirm.submit_on_commit(session, 1)
    with session.begin_nested():
        session.add(Order(id=2))
        confirm.submit_on_commit(session, 2)
    inner = session.begin_nested()
    session.add(Order(id=3))
    confirm.submit_on_commit(session, 3)
    inner.rollback()
    with session.begin_nested(), session.begin_nested():
        confirm.submit_on_commit(session, 4)
    assert tminus_runs == []
    session.commit()
    assert orders(tminus_runs) == [1, 2, 4]


def test_a_transaction_that_is_rolled_back_takes_those_of_its_savepoints_with_it(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    with session.begin_nested():
        confirm.submit_on_commit(session, 1)
    session.rollback()
    session.commit()
    assert tminus_runs == []


def test_scoped_sessions_and_those_of_asyncio_are_taken_too(
    session: Session, tminus_runs: list[CollectedRun]
) -> None:
    scoped = scoped_session(sessionmaker(session.get_bind()))
    confirm.submit_on_commit(scoped, 1)
    scoped.commit()
    scoped.remove()
    later = AsyncSession(sync_session_class=Session)
    confirm.submit_on_commit(later, 2)
    later.sync_session.commit()
    assert orders(tminus_runs) == [1, 2]


def test_what_cannot_be_submitted_is_said_before_the_commit(session: Session) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'order'"):
        confirm.submit_on_commit(session)


def test_an_action_that_fails_keeps_no_other_from_its_turn_and_the_session_usable(session: Session) -> None:
    done: list[str] = []

    def fails() -> None:
        raise OSError("no ledger")

    session.add(Order(id=1))
    on_commit(session, fails)
    on_commit(session, lambda: done.append("second"))
    with pytest.raises(OSError, match="no ledger"):
        session.commit()
    assert done == ["second"]
    assert session.scalars(sa.select(Order.id)).all() == [1]
