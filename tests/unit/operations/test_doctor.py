"""The findings of `doctor`."""

import resource
import subprocess
from pathlib import Path

import pytest

from tests.support.new_ledgers import new_ledger
from tminus.operations.doctor import examine
from tminus.release import priority


def test_a_ledger_that_breaks_while_it_is_examined_is_a_finding_beside_the_others(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.close()
    (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
    found = {one.check: one for one in examine(lambda: ledger)}
    assert "clock" in found
    assert found["ledger"].status == "fail"
    assert "was removed or replaced" in found["ledger"].message


@pytest.mark.parametrize(
    ("limit", "of_unit", "hint"),
    [
        (resource.RLIM_INFINITY, "", "the limit is set: check RestrictRealtime="),
        (2, "", "the limit is set: check RestrictRealtime="),
        (0, "infinity", "the unit has LimitRTPRIO=, but this process does not"),
        (0, "2", "the unit has LimitRTPRIO=, but this process does not"),
        (1, "1", "LimitRTPRIO=2 in the unit"),
        (0, "", "LimitRTPRIO=2 in the unit"),
    ],
)
def test_the_hint_for_a_real_time_priority_does_not_ask_for_a_limit_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, of_unit: str, hint: str
) -> None:
    monkeypatch.setattr(priority, "is_allowed", lambda _level: False)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (limit, limit))
    monkeypatch.setattr(
        subprocess, "run", lambda *given, **_more: subprocess.CompletedProcess(given, 0, f"{of_unit}\n")
    )
    (found,) = (one for one in examine(lambda: new_ledger(tmp_path)) if one.check == "priority")
    assert (found.status, (found.hint or "")[: len(hint)]) == ("warn", hint)
