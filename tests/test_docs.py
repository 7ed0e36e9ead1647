"""What the documents say, tried."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.support.daemon import tminus
from tminus.jobsfile.load import load
from tminus.outcome import Cause, Outcome
from tools import api_docs

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scheduler" / "tminus"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "bench").glob("*.md"),
        *(ROOT / "examples").glob("*/*.md"),
    ]
)

#: The rule in CONTRIBUTING.md is 25.
_MOST_WORDS = 30


def _blocks(kind: str) -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        blocks = re.findall(rf"^```{kind}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
        found += [(f"{document.name}-{index}", block) for index, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(text, id=name)
        for name, text in _blocks("yaml")
        if not text.startswith("# /")  # tests/process/test_web_application.py has its folders
    ],
)
def test_every_jobs_file_in_the_documents_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(block)
    (tmp_path / "password").touch(0o600)  # at-night.md and deploy.md have it beside their jobs file
    loaded = load(tmp_path / "jobs.yaml", environ={})
    assert [str(error) for error in loaded.errors] == []


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(text, id=name)
        for name, text in _blocks("python")
        if "tminus.flask" in text and not text.startswith("# ")
    ],
)
def test_every_job_in_code_in_the_documents_can_be_defined(block: str) -> None:
    around: dict[str, Any] = {"__name__": "documents", "app": Flask("shop"), "mail_report": _blocks}
    exec(block, around)  # noqa: S102  ours
    assert around["scheduler"].app == "backoffice"


def test_the_glossary_has_every_outcome_and_cause() -> None:
    terms = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert [word.value for word in (*Outcome, *Cause) if word.value not in terms] == []


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def _prose(document: Path) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def _anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)", _prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_in_the_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.read_text())
    assert [link for link, _ in links if not (document.parent / link).exists()] == []
    pages = [(document.parent / link if link else document, anchor) for link, anchor in links if anchor]
    assert [anchor for page, anchor in pages if anchor not in _anchors(page)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_module_that_the_documents_name_exists(document: Path) -> None:
    places = document.parent, ROOT, PACKAGE
    written = set(re.findall(r"^# ([\w.]+\.py)$", document.read_text(), re.MULTILINE))
    named = set(re.findall(r"`(\w[\w./-]*(?:\.py|\.js|\.c|/))`", _prose(document))) - written
    assert [path for path in named if not any((place / path).exists() for place in places)] == []


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_name_of_code_in_the_documents_for_developers_exists(name: str) -> None:
    words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))))
    named = re.findall(r"`([A-Za-z][\w.]*[A-Z_][\w.]*|[A-Z]\w+)(?:\(\))?`", _prose(ROOT / name))
    assert [path for path in named if not {*path.split(".")} <= words] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_no_sentence_in_the_documents_is_long(document: Path) -> None:
    blocks = re.split(r"\n\s*\n|\n(?=\s*[-|#>] ?|\d+\. )| \| ", _prose(document))
    sentences = [sentence for block in blocks for sentence in re.split(r"(?<=[.?!:])\*{0,2}\s", block)]
    assert [sentence for sentence in sentences if len(sentence.split()) > _MOST_WORDS] == []


@pytest.mark.processes
def test_every_command_that_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text()
    code = re.findall(r"^```sh\n.*?^```|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    commands = set(re.findall(r"(?:^|`)tminus ([a-z][a-z-]+)", "\n".join(code), re.MULTILINE))
    assert commands
    help_text = tminus("--help").stdout
    assert [command for command in commands if f"\n  {command} " not in help_text] == []


def test_the_make_targets_that_the_documents_name_exist() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named - made == set()


def test_the_api_page_is_made_from_the_docstrings() -> None:
    assert api_docs.PAGE.read_text() == api_docs.page(), "run: python -m tools.api_docs"
