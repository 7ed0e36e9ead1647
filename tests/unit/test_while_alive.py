"""Callbacks that do not keep their object alive."""

from tminus.while_alive import while_alive


class Ear:
    """Hears what it is told."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def hear(self, words: str) -> None:
        self._heard.append(words)


def test_it_calls_the_method_until_the_object_is_gone() -> None:
    heard: list[str] = []
    ear = Ear(heard)
    call = while_alive(ear.hear)
    call("one")
    del ear
    call("two")
    assert heard == ["one"]
