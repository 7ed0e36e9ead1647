"""A check of a jobs file where its secrets are not, such as in CI."""

from pathlib import Path

from tminus.jobsfile.load import JobsFile, Loaded

FILE = """
version: 1
timezone: UTC
ledger: "postgresql://tminus:${env:PASSWORD}@db/tminus"
apps: {shop: {app: "shop:app", env_file: shop.env}}
notify: {hook: {webhook: "${env:HOOK}"}}
jobs:
  a:
    schedule: manual
    http: {url: https://a.example, headers: {Authorization: "Bearer ${file:token}", X-Key: "${env:KEY}"}}
"""


def read(folder: Path, text: str, *, with_secrets: bool) -> Loaded:
    (folder / "jobs.yaml").write_text(text)
    file = JobsFile(folder / "jobs.yaml", environ={}, with_secrets=with_secrets)
    assert (file.apps.keys() == {"shop"}) is not with_secrets
    return file.load()


def test_a_file_is_valid_without_the_values_of_its_secrets(tmp_path: Path) -> None:
    assert len(read(tmp_path, FILE, with_secrets=True).errors) == 5
    loaded = read(tmp_path, FILE, with_secrets=False)
    assert (loaded.errors, loaded.warnings) == ((), ())
    assert loaded.definitions is not None
    assert loaded.definitions.apps["shop"].env_file is None


def test_references_are_still_checked_without_their_values(tmp_path: Path) -> None:
    text = FILE.replace("${env:KEY}", "${env:MY-KEY}").replace("${env:HOOK}", "${evn:HOOK}")
    errors = read(tmp_path, text, with_secrets=False).errors
    assert [error.message.partition(": ")[2] for error in errors] == [
        "no such source 'evn' in ${evn:HOOK}",
        "'MY-KEY' is not the name of an environment variable",
    ]
