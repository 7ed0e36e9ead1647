"""
A ledger of an earlier version: what its jobs owe survives the upgrade, also if a schedule's old text is not
understood.
"""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from pysqlite3 import dbapi2

from tests.support.ledgers import T, opened
from tests.support.scheduling import definitions_of
from tests.support.values import a_job
from tminus.daemon.recovery import recover
from tminus.instants import SECOND
from tminus.ledger import history
from tminus.ledger.schedules import accounts
from tminus.model.job import Cron, Every, Once, Schedule
from tminus.schedule.canonical import from_text

#: As version 0.1 wrote them: the `repr` of its classes.
OLD = {
    "pay": "(Every(interval_ns=60000000000),)",
    "pack": "(Cron(text='*/2 * * * *', zone='Europe/Berlin'), Once(instant_ns=1763638230000000000))",
    "ship": "(Lunar(phase='full'),)",
    "gone": "(Every(interval_ns=1000000000),)",
}
NOW: dict[str, Schedule] = {
    "pay": (Every(60 * SECOND),),
    "pack": (Cron("*/2 * * * *", "Europe/Berlin"), Once(T + 30 * SECOND)),
    "ship": (Every(60 * SECOND),),
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """
    Schema 0005, left by a daemon that was last there at T: each job has a row at T, and one of them a mark
    after it.
    """
    path = tmp_path / "ledger.db"
    engine = sa.create_engine(f"sqlite:///{path}", module=dbapi2)
    config = Config()
    config.set_main_option("script_location", "tminus.ledger:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        for job, text in OLD.items():
            marked_ns = T + 60 * SECOND if job == "pay" else T - 3600 * SECOND
            values = {
                "job": job,
                "since": T - 3600 * SECOND,
                "mark": marked_ns,
                "text": text,
                "until": T - 1 if job == "gone" else None,
            }
            connection.execute(
                sa.text(
                    "INSERT INTO schedules (job, since_ns, until_ns, decided_until_ns, schedule) VALUES (:job, :since, :until, :mark, :text)"
                ),
                values,
            )
            connection.execute(
                sa.text(
                    "INSERT INTO occurrences (job, fire_time_ns, run, planned_at_ns, origin, state, params, config_version, count, "
                    "outcome, attempts) VALUES (:job, :at, 0, :at, 'schedule', 'finished', '{}', '0123456789ab', 1, 'succeeded', 1)"
                ),
                {"job": job, "at": T},
            )
    engine.dispose()
    return path


def test_old_texts_become_canonical_and_what_was_decided_stays_so(old: Path) -> None:
    with opened(f"sqlite:///{old}") as ledger:
        found = {one.job: one for one in accounts(ledger)}
        assert all(set(from_text(found[job].schedule)) == set(NOW[job]) for job in ("pay", "pack"))
        assert {job: one.decided_until_ns for job, one in found.items()} == {
            "pay": T + 60 * SECOND,
            "pack": T,
            "ship": T,
        }
        assert found["ship"].schedule == ""


def test_what_was_due_since_is_owed_after_the_upgrade_and_nothing_twice(old: Path) -> None:
    definitions = definitions_of(
        *(a_job(name, schedule=schedule, misfire_grace_ns=SECOND) for name, schedule in NOW.items())
    )
    now_ns = T + 5 * 60 * SECOND + 30 * SECOND
    with opened(f"sqlite:///{old}") as ledger:
        for _ in range(2):
            recover(ledger, definitions, since_ns=now_ns - SECOND, now_ns=now_ns)
            counts = {
                one.id.job: (one.id.fire_time_ns - T, one.count)
                for one in history.find(ledger)
                if one.id.fire_time_ns > T
            }
            assert counts == {
                "pay": (120 * SECOND, 4),
                "pack": (30 * SECOND, 3),
                "ship": (60 * SECOND, 5),
            }
