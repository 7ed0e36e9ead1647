"""What a runner has of the daemon's environment."""

import os
import shutil
from pathlib import Path

import pytest

from scheduler.executors.python.launch import environment_of
from scheduler.model.definitions import App


@pytest.fixture(autouse=True)
def daemon_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a daemon under systemd."""
    for name in ("TMINUS_LEDGER", "NOTIFY_SOCKET", "INVOCATION_ID", "LISTEN_FDNAMES", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("SHOP_TOKEN", "for the shop")
    monkeypatch.setenv("CRM_TOKEN", "for the crm")


def test_it_has_all_but_what_is_the_daemons_alone() -> None:
    found = environment_of(App(name="shop", app="shop:app", directory="/srv"), "/etc")
    assert (found["SHOP_TOKEN"], found["CRM_TOKEN"], found["TMINUS_APP"]) == ("for the shop", "for the crm", "shop")
    assert "canary" not in found.values()


def test_a_list_of_names_restricts_it(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("OWN=1\n")
    app = App(name="shop", app="shop:app", directory="/srv", env=frozenset({"SHOP_TOKEN"}), env_file=f"{tmp_path}/env")
    found = environment_of(app, "/etc")
    assert (found["SHOP_TOKEN"], found["OWN"], "PATH" in found) == ("for the shop", "1", True)
    assert "CRM_TOKEN" not in found


def test_an_empty_list_leaves_what_every_process_needs() -> None:
    found = environment_of(App(name="shop", app="shop:app", directory="/srv", env=frozenset()), "/etc")
    assert set(found) <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONSAFEPATH", "TMINUS_APP"}


def test_the_folder_with_our_package_is_in_the_state_directory_and_is_made_again_if_it_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "service"))
    for _ in range(2):
        folder = Path(environment_of(None, "/")["PYTHONPATH"].split(os.pathsep)[0])
        assert folder.parent == tmp_path / "service"
        assert [one.name for one in folder.iterdir()] == ["scheduler"]
        assert (folder / "scheduler" / "__init__.py").exists()
        shutil.rmtree(folder)


def test_without_a_state_directory_that_can_be_written_to_runners_find_our_package_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/proc/nowhere")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    for _ in range(2):
        folder = Path(environment_of(None, "/")["PYTHONPATH"].split(os.pathsep)[0])
        assert (folder / "scheduler" / "__init__.py").exists()
        shutil.rmtree(folder)
