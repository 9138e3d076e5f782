"""The dashboard in a real browser, on the deployed stack: what an operator does on a bad night."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hybrid_sync.runs.holds import release
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts
from tests.browser.plugin import NARROW, WIDE, OpenPage, Visit
from tests.stack.world import fill

DESK = 1_920
ENTITY = "products"


@pytest.fixture(scope="module")
def address(deployed: Stack) -> Iterator[str]:
    fill(deployed)
    yield f"{deployed.api_url}/dashboard"
    with psycopg.connect(deployed.target_dsn) as target:  # other modules find what they expect
        held = target.execute("select entity from hybrid_sync.entity_state where held").fetchall()
        release(target, [row[0] for row in held])


@pytest.fixture(scope="module")
def operator() -> tuple[str, str]:
    """Somebody's e-mail and password."""
    user = Accounts(home.directory()).users["operator@example.test"]
    return user.email, user.password


def sign_in(visit: Visit, operator: tuple[str, str]) -> None:
    visit.page.get_by_label("E-mail").fill(operator[0])
    visit.page.get_by_label("Password").fill(operator[1])
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.locator("#live").wait_for()


def follow(visit: Visit, word: str) -> None:
    """Wait until the open page says so by itself: it asks every few seconds."""
    visit.page.locator(".verdict", has_text=word).wait_for()


def sync_again(visit: Visit, address: str, entity: str) -> str:
    """Start a run by the entity's button; the id of the run, whose page is shown."""
    visit.page.goto(f"{address}/entities/{entity}")
    visit.page.get_by_role("link", name="Sync again").click()
    visit.page.get_by_role("button", name="Sync it").click()
    visit.page.wait_for_url(re.compile("/runs/on_demand-"))
    return visit.page.url.rpartition("/")[2].partition("?")[0]


def sound(visit: Visit) -> None:
    """Nothing in the console, nobody kept out."""
    assert (visit.complaints, visit.barriers()) == ([], [])


def test_a_bad_night(deployed: Stack, address: str, operator: tuple[str, str], open_page: OpenPage) -> None:
    visit = open_page(address)
    sound(visit)
    sign_in(visit, operator)
    cookies = {cookie["name"]: cookie for cookie in visit.page.context.cookies()}
    assert all(one["httpOnly"] and one["secure"] and one["sameSite"] == "Strict" for one in cookies.values())
    assert visit.js("document.cookie") == ""
    sound(visit)

    # A run is watched to its end.
    run = sync_again(visit, address, ENTITY)
    follow(visit, "succeeded")
    sound(visit)

    # Another one waits for a lock, and says who holds it.
    with psycopg.connect(deployed.target_dsn, application_name="a migration by hand") as holder:
        holder.execute("lock table public.case_states in share row exclusive mode")
        sync_again(visit, address, "case_states")
        visit.page.locator(".waits", has_text="a migration by hand").wait_for()
        sound(visit)
    follow(visit, "ed")
    visit.page.locator(".verdict", has_text=re.compile("succeeded|degraded")).wait_for()

    # What failed is tried again, by its cause.
    visit.page.goto(f"{address}/entities/case_states")
    visit.page.get_by_role("link", name="Retry these").first.click()
    visit.page.get_by_role("button", name="Retry them").click()
    visit.page.get_by_text("They are on their way.").wait_for()
    sound(visit)

    # The first run is rolled back, after a look at what that does.
    visit.page.goto(f"{address}/runs/{run}")
    visit.page.get_by_role("link", name="Roll back").click()
    visit.page.get_by_text(
        re.compile(r"In all \d+ rows back as they were, [1-9]\d* deleted, 0 left alone; 1 entity held")
    ).wait_for()
    sound(visit)
    visit.page.get_by_role("button", name="Roll back").click()
    visit.page.get_by_text("It is rolled back; its entities are held.").wait_for()

    # Its entity is held, which the overview says; it is released there.
    visit.page.goto(address)
    need = visit.page.locator(".need", has_text=f"{ENTITY} is held")
    need.get_by_role("link", name="Release").click()
    visit.page.get_by_role("button", name="Release it").click()
    visit.page.get_by_text("It is released.").wait_for()

    # All of it stands in the audit trail.
    visit.page.get_by_role("link", name="Audit").click()
    acts = visit.page.locator("tbody tr").all_inner_texts()
    for act in ("release", "rollback", "redrive", "sync"):
        assert any(act in line and "done" in line and "user:" in line for line in acts), act
    sound(visit)
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.get_by_label("Password").wait_for()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_fits_every_screen(
    address: str, operator: tuple[str, str], open_page: OpenPage, dark: bool, tmp_path: Path
) -> None:
    visit = open_page(address, width=NARROW, dark=dark)
    sign_in(visit, operator)
    looks = (
        "",
        "/entities",
        f"/entities/{ENTITY}",
        "/records?ref=products:1",
        "/audit",
        "/usage",
        "/levels",
        "/performance",
        "/performance/advice",
    )
    for path in (*looks, f"/act/hold?of={ENTITY}"):
        visit.page.goto(f"{address}{path}")
        for width in (NARROW, WIDE, DESK):
            visit.page.set_viewport_size({"width": width, "height": 900})
            assert visit.js("document.documentElement.scrollWidth") <= width, (path, width)
        assert visit.barriers() == [], path
    assert visit.complaints == []


def test_it_is_used_by_keyboard_alone(address: str, operator: tuple[str, str], open_page: OpenPage) -> None:
    visit = open_page(address)
    sign_in(visit, operator)
    visit.page.keyboard.press("Tab")
    assert visit.js("document.activeElement.className") == "skip"
    visit.page.keyboard.press("Enter")
    assert visit.js("document.activeElement.id") == "main"
    seen = set()
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        seen.add(visit.js("document.activeElement.closest('a, button, [tabindex]')?.tagName"))
    assert {"A", "BUTTON"} <= seen


def test_it_works_without_script(deployed: Stack, address: str, operator: tuple[str, str], open_page: OpenPage) -> None:
    browser = open_page("about:blank").page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{address}/entities/{ENTITY}")
        page.get_by_label("E-mail").fill(operator[0])
        page.get_by_label("Password").fill(operator[1])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Hold").click()
        page.get_by_label("Why").fill("A test without script.")
        page.get_by_role("button", name="Hold it").click()
        assert page.get_by_text("It is held.").first.is_visible()
        page.get_by_role("link", name="Release").click()
        page.get_by_role("button", name="Release it").click()
        assert page.get_by_text("It is released.").is_visible()
    finally:
        context.close()


def test_a_link_from_elsewhere_leads_there_although_the_cookie_is_strict(
    address: str, operator: tuple[str, str], open_page: OpenPage, tmp_path: Path
) -> None:
    visit = open_page(address)
    sign_in(visit, operator)
    mail = tmp_path / "mail.html"
    mail.write_text(f'<!doctype html><a href="{address}/entities">see</a>', encoding="utf-8")
    visit.page.goto(mail.as_uri())
    visit.page.get_by_role("link", name="see").click()
    visit.page.get_by_role("heading", name="Entities").wait_for()
