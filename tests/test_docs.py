"""What the documents say, tried."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from scheduler.jobsfile.load import load
from tests.support.daemon import tminus

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md"), *(ROOT / "examples").glob("*/*.md")]
)


def _blocks(kind: str) -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        blocks = re.findall(rf"^```{kind}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
        found += [(f"{document.name}-{index}", block) for index, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize("block", [pytest.param(text, id=name) for name, text in _blocks("yaml")])
def test_every_jobs_file_in_the_documents_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(block)
    loaded = load(tmp_path / "jobs.yaml", environ={"PGPASSWORD": "hunter2"})
    assert [str(error) for error in loaded.errors] == []


@pytest.mark.parametrize(
    "block",
    [pytest.param(text, id=name) for name, text in _blocks("python") if "scheduler.flask" in text and not text.startswith("# ")],
)
def test_every_job_in_code_in_the_documents_can_be_defined(block: str) -> None:
    around: dict[str, Any] = {"__name__": "documents", "app": Flask("shop"), "mail_report": _blocks}
    exec(block, around)  # noqa: S102  ours
    assert around["scheduler"].app == "backoffice"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_in_the_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_command_that_the_readme_names_exists() -> None:
    commands = set(re.findall(r"(?:^|`)tminus ([a-z][a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert commands
    help_text = tminus("--help").stdout
    assert [command for command in commands if f"\n  {command} " not in help_text] == []


def test_the_make_targets_that_the_documents_name_exist() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named - made == set()
