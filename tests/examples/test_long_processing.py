"""The example `long_processing`, behind a real web server, in a real browser."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.support.daemon import daemon, eventually
from tests.support.moments import stretched
from tests.support.web import Gunicorn, chromium, example, gunicorn

pytestmark = pytest.mark.long


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Gunicorn]:
    """
    The example, with a daemon; with one thread a worker that takes longer than two seconds for a request is
    killed.
    """
    folder = example("long_processing", tmp_path)
    threads = getattr(request, "param", 4)
    with (
        daemon(folder, (folder / "jobs.yaml").read_text()) as process,
        gunicorn(
            folder,
            "long_processing:app",
            "--timeout",
            "2",
            workers=2,
            threads=threads,
            env={"TMINUS_LEDGER": process.ledger},
        ) as server,
    ):
        yield server


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser."""
    with chromium() as browser:
        yield browser


def begin(page: Page, server: Gunicorn, subject: str = "maps") -> int:
    """
    Fill in the form and send it; again if a busy machine has not even begun a worker within its two seconds.
    Return how many seconds the work takes: the page is seen meanwhile.
    """
    seconds = stretched(4)

    def is_begun() -> bool:
        with contextlib.suppress(Error):
            page.goto(server.url)
            page.get_by_label("What to look for").fill(subject)
            page.get_by_label("How long that takes").fill(str(seconds))
            page.get_by_role("button", name="Look for it").click()
            page.wait_for_load_state()
        return page.get_by_role("status").count() == 1

    eventually(is_begun, what="the work is handed over")
    return seconds


@pytest.mark.parametrize("server", [1], indirect=True, ids=["killed"])
def test_the_page_shows_a_run_that_takes_longer_than_a_worker_may(server: Gunicorn, browser: Browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    states: list[str] = []
    page.expose_function("changed", lambda state: states.append(state))
    page.add_init_script("addEventListener('tminus:change', (event) => changed(event.detail.state))")
    seconds = begin(page, server, "<i>maps</i>")
    state = page.get_by_role("status")
    expect(state).to_have_text("Your request is processing.")
    expect(page.get_by_text("shelf")).to_be_visible()
    expect(state).to_have_text("Your request is completed.")
    expect(page.get_by_label("Result")).to_have_text(
        f"20 shelves looked through in {seconds} s; nothing about <i>maps</i> is missing."
    )
    assert list(dict.fromkeys(states)) in (["queued", "processing", "completed"], ["processing", "completed"])
    assert [line for line in said if not line.startswith("Failed to load resource")] == []


def test_a_web_server_that_is_killed_and_started_again_in_the_middle_loses_nothing(
    server: Gunicorn, browser: Browser
) -> None:
    page = browser.new_page()
    begin(page, server)
    expect(page.get_by_role("status")).to_have_text("Your request is processing.")
    server.kill()
    server.start()
    expect(page.get_by_role("status")).to_have_text("Your request is completed.")
    expect(page.get_by_label("Result")).to_contain_text("nothing about maps is missing")


def test_without_javascript_the_page_loads_itself_anew_until_the_result_is_there(
    server: Gunicorn, browser: Browser
) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    begin(page, server)
    expect(page.get_by_role("status")).to_contain_text("processing")
    expect(page.get_by_role("status")).to_have_text("Your request is completed.")
    expect(page.get_by_label("Result")).to_contain_text("nothing about maps is missing")


def test_a_form_that_is_filled_in_wrong_is_shown_again_with_what_would_be_right(
    server: Gunicorn, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(server.url)
    page.get_by_label("What to look for").fill("maps")
    page.locator("form").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_label("How long that takes").fill("0")
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_have_text(
        "Say what to look for, and for how long: 1 to 600 seconds."
    )
    expect(page.get_by_label("What to look for")).to_have_value("maps")
