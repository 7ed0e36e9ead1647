"""
`make setup` and `make demo`: when the environment is made, added to, or left alone. Nothing is installed
here.
"""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

_TOOL = Path(__file__).parents[2] / "tools" / "bootstrap.py"
_RUN, _DEVELOP = "requirements.lock", "requirements-dev.lock"


class Setup:
    """The tool in a folder of its own; `actions` has what it would have done."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = importlib.util.spec_from_file_location("bootstrap", _TOOL)
        assert spec
        assert spec.loader
        self.tool: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.tool)
        self.folder = folder
        self.actions: list[str] = []
        self.status = 0
        self._monkeypatch = monkeypatch
        for name in (_RUN, _DEVELOP, "pyproject.toml"):
            (folder / name).write_text(name)
        places = {
            "ROOT": "",
            "VENV": ".venv",
            "STAMP": ".venv/tminus.stamp",
            "LOCK_TO_RUN": _RUN,
            "LOCK_TO_DEVELOP": _DEVELOP,
        }
        for name, place in places.items():
            monkeypatch.setattr(self.tool, name, folder / place)
        monkeypatch.setattr(self.tool, "venv", SimpleNamespace(create=self._create))
        monkeypatch.setattr(self.tool, "subprocess", SimpleNamespace(call=self._call))

    def __call__(self, *options: str) -> tuple[int, list[str]]:
        self._monkeypatch.setattr("sys.argv", ["bootstrap.py", *options])
        self.actions = []
        return self.tool.main(), self.actions

    def _create(self, where: Path, **_: object) -> None:
        where.mkdir(exist_ok=True)
        (where / "tminus.stamp").unlink(missing_ok=True)
        self.actions.append("new")

    def _call(self, command: list[str]) -> int:
        self.actions.append(Path(command[-1]).name if command[-2] == "-r" else "tminus")
        return self.status


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(tmp_path, monkeypatch)


def test_setting_up_again_does_nothing(setup: Setup) -> None:
    assert setup() == (0, ["new", _DEVELOP, "tminus"])
    assert setup() == (0, [])


def test_an_environment_to_run_is_added_to_for_developing(setup: Setup) -> None:
    assert setup("--run") == (0, ["new", _RUN, "tminus"])
    assert setup("--run") == (0, [])
    assert setup() == (0, [_DEVELOP])


def test_an_environment_to_develop_runs_too(setup: Setup) -> None:
    setup()
    assert setup("--run") == (0, [])
    assert setup() == (0, [])


@pytest.mark.parametrize("changed", [_DEVELOP, "pyproject.toml"])
def test_a_change_of_what_it_is_made_from_makes_a_new_one(setup: Setup, changed: str) -> None:
    setup()
    (setup.folder / changed).write_text("changed")
    assert setup() == (0, ["new", _DEVELOP, "tminus"])


def test_an_installation_that_failed_is_done_again(setup: Setup) -> None:
    setup.status = 1
    assert setup() == (2, ["new", _DEVELOP])
    setup.status = 0
    assert setup() == (0, ["new", _DEVELOP, "tminus"])
