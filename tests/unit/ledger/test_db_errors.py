"""What becomes of the database's errors."""

import pytest
import sqlalchemy as sa

from tminus.errors import LedgerError
from tminus.ledger.db_errors import translate_db_errors

URL = sa.make_url("postgresql://127.0.0.1/ledger")


@translate_db_errors(URL)
def ping(meanwhile: type[BaseException]) -> None:
    """What SQLAlchemy does before it uses a connection, if something comes in the way."""
    try:
        try:
            raise meanwhile
        finally:
            raise ValueError("can't change 'autocommit' now")
    except ValueError as error:
        raise sa.exc.ProgrammingError("", {}, error) from error


@pytest.mark.parametrize(
    ("meanwhile", "raised"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError, LedgerError)]
)
def test_an_interrupt_stays_one_though_the_driver_raises_while_it_cleans_up(
    meanwhile: type[BaseException], raised: type[BaseException]
) -> None:
    with pytest.raises(raised):
        ping(meanwhile)
