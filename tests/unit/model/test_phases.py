"""The phases of an attempt: as offsets, as stored text, as JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND
from tminus.model.phases import Phases
from tminus.outcome import Phase

T = 1_795_174_200 * SECOND

phases = st.dictionaries(st.sampled_from(Phase), st.integers(-(10**15), 10**15)).map(
    lambda found: Phases({phase: found[phase] * 1_000 for phase in Phase if phase in found})
)


@given(phases)
def test_phases_go_to_text_and_back_to_the_microsecond(found: Phases) -> None:
    assert Phases.from_text(found.to_text()) == found


def test_phases_are_offsets_in_their_order_whatever_the_order_of_the_report() -> None:
    instants = {"done": T + 48 * MS, "sent": T + MS, "armed": T - 900 * MS, "first_byte": T + 45 * MS}
    found = Phases.since(T, instants)
    assert list(found.as_json().items()) == [
        ("armed", -900.0),
        ("sent", 1.0),
        ("first_byte", 45.0),
        ("done", 48.0),
    ]


def test_the_text_of_all_phases_is_short() -> None:
    found = Phases(dict.fromkeys(Phase, -10 * SECOND))
    assert len(found.to_text()) < 80
    assert Phases().to_text() == ""


def test_a_text_of_an_older_version_has_fewer_phases() -> None:
    assert Phases.from_text(",,,-7,1") == Phases({Phase.ARMED: -7_000, Phase.SENT: 1_000})


@pytest.mark.parametrize("text", ["x", "1.5", "1,2,{}"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Phases.from_text(text)
