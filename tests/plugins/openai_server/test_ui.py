"""The page at /ui and what it draws. `pytest --optional` opens it in Chromium, if that is installed."""

import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

# As root there is no sandbox; and the browser asks no other machine.
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def served(serving, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("ui"), "--ui") as server:
        yield server


def test_the_page_asks_nobody_else(served):
    found = served.http.get("/ui")

    assert found.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert not re.search(r"(src|href)=|https?://|@import", found.text)


def test_the_state_holds_figures_and_reasons(served):
    served.openai().completions.create(model="tiny", prompt="a" * 40, max_tokens=3)
    (model,) = served.http.get("/ui/state").json()

    assert model["is_ready"]
    assert sum(model["num_blocks"]) > 0
    served.wait_for(lambda: served.http.get("/ui/state").json()[0]["figures"]["num_tokens"] >= 3)
    (letters,) = served.wait_for(lambda: served.http.get("/ui/state").json()[0]["block_maps"])
    assert set(letters) == {".", "c"}  # nothing is in use, and a prompt is kept
    assert {"platforms", "executors"} <= {d["kind"].rpartition(".")[2] for d in model["decisions"]}


@pytest.mark.thorough
def test_a_browser_chats_and_draws(served, tmp_path):
    browser = shutil.which("chromium") or pytest.skip("no chromium: apt-get install chromium")
    served.openai().completions.create(model="tiny", prompt="a", max_tokens=3)
    with sync_playwright() as play:
        page = play.chromium.launch(executable_path=browser, args=BROWSER_ARGS).new_page()
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{served.url}/ui")
        page.get_by_label("message").fill("Hello")
        page.keyboard.press("Enter")
        page.wait_for_selector(".answer")
        page.wait_for_selector("#rate-now:not(:empty)")
        blocks = page.locator("#blocks-now").text_content()
        page.get_by_text("platforms → reference").click()
        why = page.locator("details[open]").text_content()
        cells = page.locator("#legend span").all_text_contents()
        page.screenshot(path=tmp_path / "ui.png")

    assert not errors
    assert all(url.startswith(served.url) for url in requests)
    assert re.fullmatch(r"[\d,]+ of [\d,]+", blocks)
    assert [cell.strip() for cell in cells] == ["free", "free, content kept", "in use", "shared"]
    assert "decided by" in why
    assert "chosen" in why
