"""The findings of `doctor`."""

from pathlib import Path

from tests.support.new_ledgers import new_ledger
from tminus.operations.doctor import examine


def test_a_ledger_that_breaks_while_it_is_examined_is_a_finding_beside_the_others(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.close()
    (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
    found = {one.check: one for one in examine(lambda: ledger)}
    assert "clock" in found
    assert found["ledger"].status == "fail"
    assert "was removed or replaced" in found["ledger"].message
