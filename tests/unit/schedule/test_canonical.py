"""The canonical text of a schedule: what the ledger compares, and what it can read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.model.job import Cron, Every, Once
from tminus.schedule.canonical import from_text, to_text

PARTS = st.one_of(
    st.builds(
        Cron, st.sampled_from(["30 11 * * *", "*/5 * * * * *"]), st.sampled_from(["UTC", "Europe/Berlin"])
    ),
    st.builds(Every, st.integers(1, 2**62)),
    st.builds(Once, st.integers(-(2**62), 2**62)),
)


def test_a_canonical_text_names_no_class() -> None:
    schedule = (Once(5), Cron("30 11 * * *", "Europe/Berlin"), Every(60_000_000_000))
    assert (
        to_text(schedule)
        == '[{"at_ns": 5}, {"cron": "30 11 * * *", "zone": "Europe/Berlin"}, {"every_ns": 60000000000}]'
    )


@given(st.lists(PARTS, max_size=5), st.randoms())
def test_the_same_parts_have_the_same_text_in_any_order_and_can_be_read_again(  # type: ignore[no-untyped-def]
    parts: list[Cron | Every | Once], dice
) -> None:
    text = to_text(tuple(parts))
    dice.shuffle(parts)
    assert to_text((*parts, *parts[:1])) == text
    assert set(from_text(text)) == set(parts)


@pytest.mark.parametrize(
    "text", ["", "every 1h", "7", "[7]", '{"a": 1}', '[{"every_ns": 0}]', '[{"cron": "* * * * *"}]', "[[]]"]
)
def test_other_texts_are_not_canonical(text: str) -> None:
    with pytest.raises(ValueError, match="is not the canonical text of a schedule"):
        from_text(text)
