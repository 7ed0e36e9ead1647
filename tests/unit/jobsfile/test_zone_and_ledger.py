"""
Zone, ledger and group of a file: what commands ask that need no job. They do not look at the rest of it.
"""

from pathlib import Path

import pytest

from tminus.jobsfile.load import JobsFile

_WELL = "timezone: Europe/Berlin\nledger: sqlite:////srv/ledger.db\ndaemon: {ledger_group: staff}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(
            f"version: 1\n{_WELL}jobs: {{}}\n",
            ("Europe/Berlin", "sqlite:////srv/ledger.db", "staff"),
            id="valid",
        ),
        pytest.param(
            f"{_WELL}jobs: [{{}}]\n",
            ("Europe/Berlin", "sqlite:////srv/ledger.db", "staff"),
            id="faulty elsewhere",
        ),
        pytest.param(
            "timezone: Mars/Base\nledger: oracle://x\ndaemon: {ledger_group: '?'}\n",
            ("UTC", None, None),
            id="faulty",
        ),
        pytest.param("timezone: [1]\nledger: {}\ndaemon: staff\n", ("UTC", None, None), id="of other types"),
        pytest.param("include: [more.yaml]\n", ("Asia/Tokyo", None, "www"), id="included"),
        pytest.param(
            "timezone: Mars/Base\ninclude: [more.yaml]\n",
            ("UTC", None, "www"),
            id="faulty in the first file that has it",
        ),
        pytest.param("- a list\n", ("UTC", None, None), id="a list"),
        pytest.param("a: b: c\n", ("UTC", None, None), id="no YAML"),
    ],
)
def test_they_are_known_whatever_else_is_wrong(
    tmp_path: Path, text: str, found: tuple[str, str | None, str | None]
) -> None:
    (tmp_path / "more.yaml").write_text("timezone: Asia/Tokyo\ndaemon: {ledger_group: www}\n")
    (tmp_path / "jobs.yaml").write_text(text)
    file = JobsFile(tmp_path / "jobs.yaml", environ={})
    assert (file.zone, file.ledger, file.ledger_group) == found
    assert (file.zone, file.ledger) == (file._checked[0].timezone or "UTC", file._checked[0].ledger)
