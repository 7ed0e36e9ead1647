"""
The script that keeps a page up to date, and pages without it, in a real browser and under a strict policy.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.apps import install
from tests.support.daemon import daemon, eventually
from tests.support.web import Gunicorn, chromium, gunicorn

pytestmark = pytest.mark.long


class Site:
    """A site whose runs go on step by step, as the test says."""

    def __init__(self, folder: Path, server: Gunicorn, browser: Browser) -> None:
        self.folder = folder
        self.server = server
        self.browser = browser
        self._names = 0

    def begin(self, result: Any) -> "Work":
        """Submit a run that has this result, or fails if the result is None; return it."""
        self._names += 1
        name = f"work-{self._names}"
        return Work(self, name, self._post("/work", {"name": name, "result": result}))

    def later(self) -> str:
        """Submit a run that does not start; return its URL."""
        return f"/tminus/runs/{self._post('/later', {})}"

    def asked(self, path: str) -> list[int]:
        """Return the status of each response to requests for this path."""
        lines = (self.folder / "asked").read_text().splitlines()
        return [status for asked, status in map(json.loads, lines) if asked == path]

    def url(self, *runs: str) -> str:
        """Return the URL of a page that follows these runs."""
        return f"{self.server.url}/page?{urlencode({'url': runs}, doseq=True)}"

    def _post(self, path: str, body: dict[str, Any]) -> str:
        context = self.browser.new_context()
        found: str = context.request.post(self.server.url + path, data=body).json()["id"]
        context.close()
        return found


class Work:
    """A run that goes on step by step."""

    def __init__(self, site: Site, name: str, identity: str) -> None:
        self.url = f"/tminus/runs/{identity}"
        self._site = site
        self._name = name

    def go(self, *steps: int) -> None:
        """Let the run finish these of its four steps."""
        for step in steps:
            (self._site.folder / f"{self._name}.{step}").touch()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, with its daemon and a browser."""
    folder = tmp_path_factory.mktemp("site")
    install("page", folder)
    jobs = json.dumps({"version": 1, "timezone": "UTC", "apps": {"site": {"app": "site_app:app"}}})
    with (
        chromium() as browser,
        daemon(folder, jobs) as process,
        gunicorn(folder, "site_app:app", workers=2, env={"TMINUS_LEDGER": process.ledger}) as server,
    ):
        yield Site(folder, server, browser)


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """
    A tab; an error in its console fails the test, and so does anything that the policy forbids.
    """
    context = site.browser.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    refused_or_gone = (
        "Failed to load resource: the server responded with a status of",
        "Failed to load resource: net::ERR_",
    )
    assert [line for line in said if not line.startswith(refused_or_gone)] == []


def test_it_shows_queued_processing_with_its_progress_and_the_result(site: Site, page: Page) -> None:
    work, waits = site.begin({"found": ["a", "b"]}), site.later()
    page.goto(site.url(work.url, waits))
    one, other = page.locator("[data-tminus-run]").all()
    expect(one.locator("[data-tminus=state]")).to_have_text("processing")
    expect(one.locator("[data-tminus=progress_text]")).to_have_text("step 1")
    expect(one.locator("progress")).to_have_js_property("value", 0.125)
    work.go(1, 2)
    expect(one.locator("[data-tminus=progress_text]")).to_have_text("step 3")
    work.go(3, 4)
    expect(one.locator("[data-tminus=state]")).to_have_text("completed")
    expect(one.locator("progress")).to_have_js_property("value", 1)
    assert json.loads(one.locator("[data-tminus=result]").inner_text()) == {"found": ["a", "b"]}
    expect(one).to_have_attribute("data-tminus-state", "completed")
    expect(other.locator("[data-tminus=state]")).to_have_text("queued")


def test_what_is_over_is_not_asked_for_again(site: Site, page: Page) -> None:
    work, goes_on = site.begin("done"), site.later()
    page.goto(site.url(work.url, goes_on))
    work.go(1, 2, 3, 4)
    expect(page.locator("[data-tminus-state=completed]")).to_have_count(1)
    times, others = len(site.asked(work.url)), len(site.asked(goes_on))
    eventually(lambda: len(site.asked(goes_on)) >= others + 3)
    assert len(site.asked(work.url)) == times


def test_a_failure_and_a_result_are_shown_as_text_and_never_as_html(site: Site, page: Page) -> None:
    fails, works = site.begin(None), site.begin("<img src=x onerror=alert(1)>")
    page.goto(site.url(fails.url, works.url))
    fails.go(1, 2, 3, 4)
    works.go(1, 2, 3, 4)
    expect(page.locator("[data-tminus-state=failed] [data-tminus=error]")).to_have_text(
        "exception: ValueError: <b>no</b> result"
    )
    expect(page.locator("[data-tminus-state=completed] [data-tminus=result]")).to_have_text(
        "<img src=x onerror=alert(1)>"
    )
    for run in (fails, works):
        page.goto(site.server.url + run.url)
        expect(page.locator("main")).to_contain_text(
            "<b>no</b> result" if run is fails else "<img src=x onerror=alert(1)>"
        )
        assert page.locator("b, img").count() == 0


def test_the_script_polls_when_retry_after_says_also_after_a_refusal(site: Site, page: Page) -> None:
    run = site.later()
    wanted = {
        "?again=3": 3,
        "?again=date:4": 3,
        "?refused=503&again=3": 3,
        "?refused=429&again=date:4": 3,
        "": 1,
    }
    finished: defaultdict[str, list[Any]] = defaultdict(list)
    page.on("requestfinished", lambda request: finished[request.url].append(request.timing))
    page.clock.set_fixed_time("2040-01-01T00:00:00Z")  # the browser's clock is far off
    page.goto(site.url(*(run + query for query in wanted)))
    eventually(lambda: all(len(site.asked(run + query)) >= 3 for query in wanted))
    page.evaluate("0")  # all events up to now have come
    for query, seconds in wanted.items():
        first, second, *_ = finished[site.server.url + run + query]
        waited_ms = second["startTime"] - first["startTime"] - first["responseEnd"]
        # Half of it: the second of a date may pass while the server builds its response.
        assert waited_ms / 1000 > seconds / 2, query


def test_after_a_lost_connection_the_script_polls_less_often_and_goes_on(site: Site, page: Page) -> None:
    work = site.begin("done")
    page.add_init_script(
        """window.asked = [];
        const real = window.fetch;
        window.fetch = (...all) => { window.asked.push(performance.now()); return real(...all); };"""
    )
    page.goto(site.url(work.url))
    expect(page.locator("[data-tminus=progress_text]")).to_have_text("step 1")
    page.context.set_offline(True)
    for _ in range(2):
        page.wait_for_event("requestfailed")
    first_ms, second_ms = page.evaluate("window.asked.slice(-2)")
    assert second_ms - first_ms > 1800
    site.server.kill()
    work.go(1, 2, 3, 4)
    page.context.set_offline(False)
    site.server.start()
    expect(page.locator("[data-tminus=state]")).to_have_text("completed")


def test_a_screen_reader_hears_of_each_state_once_and_of_no_per_cent_and_no_result(
    site: Site, page: Page
) -> None:
    work = site.begin("a long result")
    page.goto(site.url(work.url))
    expect(page.locator("[data-tminus=progress_text]")).to_have_text("step 1")
    page.evaluate(
        """() => {
          const live = "[role=status], [role=alert], [role=log], [aria-live]";
          window.heard = [];
          new MutationObserver((changes) => changes.forEach(({ target }) => {
            const element = target.nodeType === 1 ? target : target.parentElement;
            if (element.closest(live)) window.heard.push(element.closest(live).textContent);
          })).observe(document, { childList: true, subtree: true, characterData: true });
        }"""
    )
    for step in range(1, 4):
        work.go(step)
        expect(page.locator("[data-tminus=progress_text]")).to_have_text(f"step {step + 1}")
    work.go(4)
    expect(page.locator("[data-tminus=result]")).to_have_text("a long result")
    assert page.evaluate("window.heard") == ["completed"]
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    live = [node for node in tree if any(one["name"] == "live" for one in node.get("properties", ()))]
    assert [node["role"]["value"] for node in live] == ["status", "status"]
    assert page.locator("[data-tminus=state]").aria_snapshot() == "- status: completed"
    expect(page.locator("[data-tminus-run]")).not_to_have_attribute("aria-busy", "true")


def test_added_elements_are_followed_and_removed_ones_are_not(site: Site, page: Page) -> None:
    first, second = site.later(), site.later()
    page.goto(site.url(first))
    eventually(lambda: site.asked(first))
    page.evaluate(
        """(url) => {
          const element = document.querySelector("[data-tminus-run]");
          const other = element.cloneNode(true);
          other.dataset.tminusRun = url;
          element.replaceWith(other);
        }""",
        second,
    )
    eventually(lambda: len(site.asked(second)) >= 2)
    times = len(site.asked(first))
    eventually(lambda: len(site.asked(second)) >= 5)
    assert len(site.asked(first)) == times


def test_a_hidden_tab_asks_nothing_and_at_once_when_it_is_shown(site: Site, page: Page) -> None:
    hidden, beside = site.later(), site.later()
    page.goto(site.url(hidden))
    eventually(lambda: site.asked(hidden))
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    other = page.context.new_page()
    other.goto(site.url(beside))
    eventually(lambda: len(site.asked(beside)) >= 2)
    times = len(site.asked(hidden))
    eventually(lambda: len(site.asked(beside)) >= 5)
    assert len(site.asked(hidden)) == times
    page.evaluate(hide, False)
    eventually(lambda: len(site.asked(hidden)) > times)


def test_the_pages_own_script_hears_of_changes_only(site: Site, page: Page) -> None:
    waits, beside = site.later(), site.later()
    page.add_init_script(
        """window.heard = [];
        addEventListener("tminus:change", (event) => window.heard.push(event.detail.state + event.target.dataset.tminusRun));"""
    )
    page.goto(site.url(waits, beside))
    eventually(lambda: min(len(site.asked(waits)), len(site.asked(beside))) >= 3)
    assert sorted(page.evaluate("window.heard")) == sorted([f"queued{waits}", f"queued{beside}"])


def test_what_nobody_knows_is_said_to_be_unknown_and_asked_for_once(site: Site, page: Page) -> None:
    nobody, beside = f"/tminus/runs/{'0' * 32}", site.later()
    page.goto(site.url(nobody, beside))
    expect(page.locator("[data-tminus=state]").first).to_have_text("unknown")
    eventually(lambda: len(site.asked(beside)) >= 3)
    assert len(site.asked(nobody)) == 1


def test_an_event_source_has_every_state_and_stops_by_itself(site: Site, page: Page) -> None:
    work = site.begin("done")
    page.goto(site.url())
    page.evaluate(
        """(url) => {
          window.source = new EventSource(url);
          window.heard = [];
          window.source.onmessage = (event) => window.heard.push(JSON.parse(event.data));
        }""",
        f"{work.url}/events",
    )
    eventually(lambda: page.evaluate("window.heard.some((run) => run.progress_text === 'step 1')"))
    work.go(1, 2, 3, 4)
    eventually(lambda: page.evaluate("window.source.readyState === EventSource.CLOSED"))
    heard = page.evaluate("window.heard")
    assert (heard[-1]["state"], heard[-1]["result"]) == ("completed", "done")
    assert heard[0]["state"] in ("queued", "processing")
    assert len(site.asked(f"{work.url}/events")) == 2  # the stream, and the answer that there is no more


def test_without_javascript_a_link_leads_to_a_page_that_refreshes_itself(site: Site) -> None:
    work = site.begin({"found": "<b>"})
    context = site.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.url(work.url))
    page.get_by_role("link", name="Follow it").click()
    expect(page.get_by_role("heading", name="processing")).to_be_visible()
    expect(page.locator("main")).to_contain_text("12 %: step 1")
    work.go(1, 2, 3, 4)
    expect(page.get_by_role("heading", name="completed")).to_be_visible()
    assert json.loads(page.locator("pre").inner_text()) == {"found": "<b>"}
    times = len(site.asked(work.url))
    page.wait_for_load_state()
    assert page.locator("meta[http-equiv=refresh]").count() == 0
    assert len(site.asked(work.url)) == times
    context.close()
