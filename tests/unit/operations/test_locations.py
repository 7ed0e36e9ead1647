"""Which jobs file and which ledger are used, and why."""

from pathlib import Path

import pytest

from tminus.errors import UsageError
from tminus.operations import locations


def test_the_jobs_file_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert locations.jobs_file("a.yaml", {"TMINUS_CONFIG": "b.yaml"}).value == "a.yaml"
    assert locations.jobs_file(None, {"TMINUS_CONFIG": "b.yaml"}).value == "b.yaml"


def test_the_jobs_file_is_the_one_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.yaml").write_text("")
    assert locations.jobs_file(None, {}).value == "jobs.yaml"


def test_without_a_jobs_file_the_message_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        locations.jobs_file(None, {})
    assert refused.value.message == "no jobs file: neither ./jobs.yaml nor /etc/tminus/jobs.yaml exists"
    assert refused.value.hint == "name one with --config FILE or $TMINUS_CONFIG; `tminus demo` needs none"


HOME = {"HOME": "/home/anna"}


@pytest.mark.parametrize(
    ("option", "named", "config", "environ", "expected", "why"),
    [
        pytest.param("sqlite:////a.db", "sqlite:////b.db", None, {"TMINUS_LEDGER": "sqlite:////c.db"}, "sqlite:////a.db", "--ledger", id="option"),
        pytest.param(None, "sqlite:////b.db", None, {"TMINUS_LEDGER": "sqlite:////c.db"}, "sqlite:////c.db", "$TMINUS_LEDGER", id="environment"),
        pytest.param(None, "sqlite:////b.db", "jobs.yaml", {"STATE_DIRECTORY": "/s"}, "sqlite:////b.db", "ledger: in jobs.yaml", id="file"),
        pytest.param(None, None, "/etc/tminus/jobs.yaml", {"STATE_DIRECTORY": "/s:/t"}, "sqlite:////s/ledger.db", "$STATE_DIRECTORY", id="systemd"),
        pytest.param(None, None, "/etc/tminus/jobs.yaml", {}, "sqlite:////var/lib/tminus/ledger.db", "the jobs file is under /etc/tminus/", id="system"),
        pytest.param(None, None, "jobs.yaml", {"XDG_STATE_HOME": "/x"}, "sqlite:////x/tminus/ledger.db", "$XDG_STATE_HOME or ~/.local/state", id="xdg"),
    ],
)  # fmt: skip
def test_the_ledger_lies_in_the_first_of_its_places(
    option: str | None,
    named: str | None,
    config: str | None,
    environ: dict[str, str],
    expected: str,
    why: str,
) -> None:
    place = locations.ledger(option, named, config, environ)
    assert (place.value, place.why) == (expected, why)


def test_the_ledger_of_somebody_lies_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert (
        locations.ledger(None, None, None, {}).value == "sqlite:////home/anna/.local/state/tminus/ledger.db"
    )


def test_the_ledgers_password_comes_from_the_environment() -> None:
    place = locations.ledger(
        None, "postgresql+psycopg://t:${env:PASSWORD}@db/t", "jobs.yaml", {"PASSWORD": "hunter2"}
    )
    assert place.value == "postgresql+psycopg://t:hunter2@db/t"
