"""The example `long_processing`, behind a web server whose workers may take two seconds, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.daemon import daemon
from tests.support.web import Gunicorn, chromium, example, gunicorn

_SECONDS = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gunicorn]:
    """The example, with a daemon, behind workers of one thread each that are killed where they take longer than that."""
    folder = example("long_processing", tmp_path)
    with (
        daemon(folder, (folder / "jobs.yaml").read_text()) as process,
        gunicorn(
            folder, "long_processing:app", "--timeout", "2", workers=2, threads=1, env={"TMINUS_LEDGER": process.ledger}
        ) as server,
    ):
        yield server


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser."""
    with chromium() as browser:
        yield browser


def begin(page: Page, server: Gunicorn, subject: str = "maps") -> None:
    """Fill in the form and send it."""
    page.goto(server.url)
    page.get_by_label("What to look for").fill(subject)
    page.get_by_label("How long that takes").fill(str(_SECONDS))
    page.get_by_role("button", name="Look for it").click()


def test_the_page_shows_the_states_and_the_result_of_work_that_takes_longer_than_a_worker_may(
    server: Gunicorn, browser: Browser
) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    states: list[str] = []
    page.expose_function("changed", lambda state: states.append(state))
    page.add_init_script("addEventListener('tminus:change', (event) => changed(event.detail.state))")
    begin(page, server, "<i>maps</i>")
    state = page.get_by_role("status")
    expect(state).to_have_text("Your request is processing.")
    expect(page.get_by_text("shelf")).to_be_visible()
    expect(state).to_have_text("Your request is completed.", timeout=20_000)
    expect(page.get_by_label("Result")).to_have_text(
        f"20 shelves looked through in {_SECONDS} s; nothing about <i>maps</i> is missing."
    )
    assert list(dict.fromkeys(states)) in (["queued", "processing", "completed"], ["processing", "completed"])
    assert said == []
    assert "WORKER TIMEOUT" not in server.log_file.read_text()


def test_a_web_server_that_is_killed_and_started_again_in_the_middle_loses_nothing(server: Gunicorn, browser: Browser) -> None:
    page = browser.new_page()
    begin(page, server)
    expect(page.get_by_role("status")).to_have_text("Your request is processing.")
    server.kill()
    server.start()
    expect(page.get_by_role("status")).to_have_text("Your request is completed.", timeout=40_000)
    expect(page.get_by_label("Result")).to_contain_text("nothing about maps is missing")


def test_without_javascript_the_page_loads_itself_anew_until_the_result_is_there(server: Gunicorn, browser: Browser) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    begin(page, server)
    expect(page.get_by_role("status")).to_contain_text("processing")
    expect(page.get_by_role("status")).to_have_text("Your request is completed.", timeout=30_000)
    expect(page.get_by_label("Result")).to_contain_text("nothing about maps is missing")


def test_a_form_that_is_filled_in_wrong_is_shown_again_with_what_would_be_right(server: Gunicorn, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(server.url)
    page.get_by_label("What to look for").fill("maps")
    page.locator("form").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_label("How long that takes").fill("0")
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_have_text("Say what to look for, and for how long: 1 to 600 seconds.")
    expect(page.get_by_label("What to look for")).to_have_value("maps")
