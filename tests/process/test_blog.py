"""
An application of the usual size and extensions, `tests/apps/blog`, as a site: below a prefix behind a TLS proxy, with
several web workers. Nothing that it submits is lost, doubled or stored with a password, and its links are right.
"""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.blog import EDITOR, BlogSite, Member, address_of, at_once, blog_site, log_in
from tests.support.canary import CANARY, found, needles
from tests.support.daemon import eventually

_EXPORT = "blog.tasks.export_posts"


@pytest.fixture(scope="module")
def _site_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlogSite]:
    with blog_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(_site_of_the_module: BlogSite) -> Iterator[BlogSite]:
    """A site that the tests share. Each has users of its own, and leaves the daemon running."""
    running = _site_of_the_module
    if running.daemon.has_ended():  # the test before has failed
        running.daemon.start()
    yield running
    running.mails.release()


def links(mail: str) -> list[str]:
    """Return the links of a mail."""
    return re.findall(r"https?://\S+", mail)


def test_a_welcome_has_links_below_the_prefix_that_the_visitor_used(site: BlogSite) -> None:
    visitor = site.register("ada")
    mail = site.mails.wait_for(address_of("ada"), "Welcome to the blog").get_content()
    confirm, profile = links(mail)
    assert confirm.startswith(f"{site.proxy.url('localhost')}/auth/confirm?token=")
    assert profile == f"{site.proxy.url('localhost')}/users/ada"
    assert ", confirmed" not in visitor.get(profile).text
    assert "ada@blog.example is confirmed" in visitor.get(confirm).text
    assert ", confirmed" in visitor.get(profile).text


def test_a_registration_without_a_daemon_leaves_no_password_in_the_ledger(site: BlogSite) -> None:
    assert site.daemon.stop() == 0
    site.register("grace", password=CANARY)
    stored = site.stored_bytes()
    assert b"name=grace" in stored, "the copy of the request is looked for where it is"
    assert found(stored, needles()) == []
    site.daemon.start()
    site.mails.wait_for(address_of("grace"), "Welcome to the blog")
    site.daemon.wait_for(job="blog.tasks.send_welcome", outcome="succeeded")
    assert found(site.stored_bytes(), needles()) == []


def test_a_forgotten_password_is_replaced_and_nothing_secret_is_in_the_ledger(site: BlogSite) -> None:
    visitor = site.register("joan")
    visitor.fill_in("/auth/forgotten", email=address_of("joan"))
    (link,) = links(site.mails.wait_for(address_of("joan"), "Your new password").get_content())
    assert site.daemon.stop() == 0
    page = visitor.fill_in(link, password=CANARY, password2=CANARY)
    assert "Your password is changed" in page.text
    stored = site.stored_bytes()
    token = link.partition("token=")[2].encode()
    assert b"/auth/reset?token=" in stored, "the copy of the request is looked for where it is"
    assert found(stored, [token, *needles()]) == []
    site.daemon.start()
    notice = site.mails.wait_for(address_of("joan"), "Your password was changed").get_content()
    assert links(notice) == [f"{site.proxy.url()}/auth/forgotten"]
    assert visitor.get(link).status == 404, "a link is used once"
    log_in(visitor, "joan", CANARY)


def test_an_export_shows_how_far_it_is_and_arrives_with_all_posts(site: BlogSite) -> None:
    site.mails.hold()  # which is the last of five steps
    author = site.member("mary", posts=4)
    id = author.ask_for_export()
    eventually(lambda: author.run(id)["progress"] == 0.8, what="all but the mail is done")
    assert author.run(id) | {"state": "processing", "progress_text": "4 of 4 posts"} == author.run(id)
    assert author.export(id) == {"total": 4, "exported": 4, "is_sent": False}
    refused = author.visitor.fill_in("/exports/")
    assert "Your last export is not sent yet" in refused.text
    site.mails.release()
    eventually(lambda: author.run(id)["state"] == "completed", what="the export has ended")
    assert author.run(id) | {"progress": 1, "result": {"posts": 4}, "attempts": 1} == author.run(id)
    assert author.export(id) == {"total": 4, "exported": 4, "is_sent": True}
    mail = site.mails.wait_for(address_of("mary"), "Your posts")
    text, file = mail.iter_parts()
    assert links(text.get_content()) == [f"{site.proxy.url()}/exports/{id}"]
    assert [post["text"] for post in json.loads(file.get_content())] == [
        f"post {number} of mary" for number in range(4)
    ]
    assert "4 of 4 posts, sent" in author.visitor.get(f"/exports/{id}").text


def test_an_export_that_is_cancelled_before_the_daemon_starts_sends_nothing(site: BlogSite) -> None:
    author = site.member("rosa", posts=1)
    assert site.daemon.stop() == 0
    id = author.ask_for_export()
    page = author.visitor.fill_in(f"/exports/{id}", "cancel")
    assert "It is cancelled: cancelled before it began" in page.text
    site.daemon.start()
    later = author.ask_for_export()
    eventually(lambda: author.run(later)["state"] == "completed", what="the later one has ended")
    assert [mail["X-Run"] for mail in site.mails.to(address_of("rosa"), "Your posts")] == [later]


def test_the_nightly_job_is_signed_in_and_its_links_follow_the_configuration(tmp_path: Path) -> None:
    with blog_site(tmp_path, knows_its_url=True) as site:
        member, editor = site.member("emmy", posts=1), site.member("editor", email=EDITOR)
        (done,) = site.daemon.json("run-now", "nightly_report")
        assert (done["outcome"], done["http_status"]) == ("succeeded", 200), done
        mail = site.mails.wait_for(EDITOR, "The last day").get_content()
        assert "For editor: 1 posts, 2 new users." in mail
        own = site.proxy.url("127.0.0.1")
        assert links(mail) == [f"{own}/posts/1", f"{own}/users/emmy", f"{own}/users/editor"]
        assert site.visitor().get("/reports/last-day").url.startswith(f"{site.proxy.url()}/auth/log-in")
        assert member.visitor.get("/reports/last-day").status == 403
        assert "For editor:" in editor.visitor.get("/reports/last-day").text


def test_a_run_is_shown_to_its_user_alone(site: BlogSite) -> None:
    author, other = site.member("lise", posts=1), site.member("otto")
    id = author.ask_for_export()
    assert author.run(id)["id"] == id
    for visitor in (other.visitor, site.visitor()):
        assert visitor.get(f"/tminus/runs/{id}").status == 404


def kill_the_daemon_before_the_mails(site: BlogSite, members: Sequence[Member]) -> list[str]:
    site.mails.hold()
    ids = at_once(members)
    begun = "SELECT id FROM exports WHERE exported > 0 AND sent_at IS NULL"
    eventually(lambda: site.rows(begun), what="an export has begun")
    site.daemon.kill()
    site.mails.release()
    site.daemon.start()
    return ids


def kill_the_daemon_while_mails_are_sent(
    site: BlogSite, members: Sequence[Member], *, accepted: int, held: int
) -> list[str]:
    site.mails.hold(after=accepted)
    ids = at_once(members)
    eventually(lambda: site.mails.held >= held, what="these mails have arrived")
    site.daemon.kill()
    site.mails.release()
    site.daemon.start()
    return ids


def kill_the_runner(site: BlogSite, members: Sequence[Member]) -> list[str]:
    site.mails.hold(after=_ACCEPTED)
    ids = at_once(members)
    eventually(lambda: site.mails.held >= _HELD, what="some mails have arrived")
    os.kill(site.runner(), signal.SIGKILL)
    site.mails.release()
    return ids


def kill_a_web_worker(site: BlogSite, members: Sequence[Member]) -> list[str]:
    """Kill it between the commit of a row and the submit of its run, which waits because the ledger is locked."""
    broken = site.proxy.broken
    with ThreadPoolExecutor(1) as pool:
        with site.locked_ledger():
            asked = pool.submit(at_once, members)
            pids = eventually(lambda: _workers_that_have_committed(site), what="a row is committed")
            os.kill(pids[-1], signal.SIGKILL)
            eventually(lambda: site.proxy.broken > broken, what="a visitor gets no response")
        return asked.result()


def _workers_that_have_committed(site: BlogSite) -> list[int]:
    committed = {id for (id,) in site.rows("SELECT id FROM exports WHERE sent_at IS NULL")}
    return [pid for id, pid in site.asked_workers() if id in committed]


def terminate_the_daemon(site: BlogSite, members: Sequence[Member]) -> list[str]:
    site.mails.hold()
    ids, said = at_once(members), len(site.daemon.said("stopping"))
    eventually(lambda: site.mails.held >= _HELD, what="some mails have arrived")
    site.daemon.signal(signal.SIGTERM)
    site.daemon.wait_until_said("stopping", said + 1)
    site.mails.release()
    assert site.daemon.wait() == 0
    site.daemon.start()
    return ids


def reload_the_daemon(site: BlogSite, members: Sequence[Member]) -> list[str]:
    site.mails.hold()
    ids = at_once(members)
    eventually(lambda: site.mails.held >= _HELD, what="some mails have arrived")
    site.reload()
    site.mails.release()
    return ids


_MEMBERS, _ACCEPTED, _HELD = 8, 2, 2
_ROUNDS = (
    kill_the_daemon_before_the_mails,
    partial(kill_the_daemon_while_mails_are_sent, accepted=0, held=_MEMBERS),
    partial(kill_the_daemon_while_mails_are_sent, accepted=_ACCEPTED, held=_HELD),
    kill_the_runner,
    kill_a_web_worker,
    terminate_the_daemon,
    reload_the_daemon,
)
#: Their senders were killed after the mail had arrived, so it is sent again.
_REPEATED_AT_LEAST = _MEMBERS + 2 * _HELD


@pytest.mark.long
def test_no_kill_loses_an_export_and_no_attempt_sends_two_mails(tmp_path: Path) -> None:
    with blog_site(tmp_path) as site:
        members = [site.member(f"writer{number}", posts=5) for number in range(_MEMBERS)]
        runs = []
        for round_ in _ROUNDS:
            runs += [(member, id) for member, id in zip(members, round_(site, members), strict=True)]
            site.daemon.wait_for(rows=len(runs), job=_EXPORT, outcome="succeeded")
            _assert_all_are_complete(site, runs)
        assert len({id for _, id in runs}) == len(site.daemon.occurrences(_EXPORT)) == 7 * _MEMBERS
        mails = Counter(mail["X-Run"] for mail in site.mails.mails if mail["Subject"] == "Your posts")
        attempts = {id: member.run(id)["attempts"] for member, id in runs}
        print(f"{len(runs)} runs, {mails.total()} mails, {Counter(attempts.values())} attempts")
        assert set(mails) == set(attempts), "each run has sent a mail"
        assert {id: number for id, number in mails.items() if number > attempts[id]} == {}
        assert mails.total() >= len(runs) + _REPEATED_AT_LEAST


def _assert_all_are_complete(site: BlogSite, runs: Sequence[tuple[Member, str]]) -> None:
    rows = site.rows("SELECT id FROM exports WHERE exported = 5 AND total = 5 AND sent_at IS NOT NULL")
    assert {id for (id,) in rows} == {id for _, id in runs}
    assert site.rows("SELECT count(*) FROM exports") == [(len(runs),)]
