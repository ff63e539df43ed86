"""The report in a real browser: nothing fails or overflows, it can be filtered and sorted, axe finds nothing serious.

Screenshots go to the directory that ICM_SCREENSHOTS names, if it does, to be looked at.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from icm.commands.run import run
from icm.config import Config, load_command
from icm.show.labelled import read_run
from icm.show.report import write_report
from tests.worlds import elicitation, write_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SCREENS = {"desktop": (1200, 900, "light"), "phone": (390, 844, "light"), "dark": (1200, 900, "dark")}
RUNS = ("rejected", "without_gold", "large")
SMALL = (
    "model=fake",
    "task.num_claims=16",
    "task.num_held_out=8",
    "evaluate.shots=[0,4]",
    "evaluate.num_resamples=100",
)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a rejected run with golden labels, of one without any, and of ten thousand claims."""
    directory = tmp_path_factory.mktemp("reports")
    places, config = load_command(Config, "run", *SMALL, f"out_dir={directory / 'rejected'}")
    run(places, config, Console(quiet=True))
    found = {"rejected": directory / "rejected" / "report.html"}
    for name, groups in (("without_gold", 12), ("large", 2500)):
        write_run(elicitation(num_groups=groups), directory / name)
        (directory / name / "prepare" / "gold.jsonl").unlink()
        found[name] = write_report(read_run(directory / name))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any, reports: dict[str, Path]) -> Iterator[Open]:
    contexts, problems = [], []

    def open_report(name: str, screen: str = "desktop") -> Any:
        width, height, scheme = SCREENS[screen]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url),
        )
        page.goto(reports[name].as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert not problems


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", RUNS[:2])
def test_the_page_fits_the_screen_and_axe_finds_nothing_serious(
    opened: Open, name: str, screen: str, tmp_path: Path
) -> None:
    page = opened(name, screen)
    assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0]
    # Tables are wider than a phone; each scrolls by itself.
    if screen == "phone":
        assert page.evaluate("[...document.querySelectorAll('.wide')].some((e) => e.scrollWidth > e.clientWidth)")
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    directory = Path(os.environ.get("ICM_SCREENSHOTS") or tmp_path)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}_{screen}.png"
    page.screenshot(path=path, full_page=True)
    assert path.stat().st_size > 20_000


def test_the_verdict_comes_first_and_in_its_colour(opened: Open) -> None:
    page = opened("rejected")
    verdict = page.locator("main > header > :first-child")
    assert verdict.inner_text().startswith("Reject")
    red, green, blue = (
        int(part)
        for part in page.evaluate(
            "getComputedStyle(document.querySelector('.verdict')).color.match(/\\d+/g).slice(0, 3)"
        )
    )
    assert red > 2 * max(green, blue)
    assert opened("without_gold").locator(".verdict").inner_text().startswith("Not diagnosed")


def test_pages_and_figures_have_dark_variants(opened: Open) -> None:
    backgrounds, sources = {}, {}
    for screen in ("desktop", "dark"):
        page = opened("rejected", screen)
        backgrounds[screen] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        sources[screen] = page.evaluate("[...document.images].map((each) => each.currentSrc)")
        assert page.evaluate("[...document.images].every((each) => each.complete && each.naturalWidth > 100)")
    assert backgrounds == {"desktop": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
    assert all(light != dark for light, dark in zip(sources["desktop"], sources["dark"], strict=True))


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"#claims-body tr td:nth-child({number})").all_inner_texts()


def test_claims_can_be_filtered_and_sorted(opened: Open) -> None:
    page = opened("rejected")
    said = page.locator("#claims-said")
    assert said.inner_text() == "1–16 of 16"
    page.get_by_role("button", name="probability").click()
    rising = [float(text.split()[0]) for text in column(page, 4)]
    assert rising == sorted(rising)
    page.get_by_role("button", name="probability").click()
    assert [float(text.split()[0]) for text in column(page, 4)] == rising[::-1]
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("probability")
    page.get_by_label("Label").select_option("True")
    page.wait_for_function("document.querySelectorAll('#claims-body tr').length < 16")
    assert set(column(page, 3)) == {"True"}
    page.get_by_label("Find").fill("no such words")
    page.wait_for_function("document.querySelectorAll('#claims-body tr').length === 0")
    assert said.inner_text() == "0–0 of 0, 16 in all"


def test_ten_thousand_rows_stay_usable(opened: Open) -> None:
    began = time.perf_counter()
    page = opened("large")
    assert page.locator("#claims-said").inner_text() == "1–50 of 10000"
    page.get_by_label("Find").fill("number 2499?")
    page.wait_for_function("document.querySelectorAll('#claims-body tr').length === 4")
    page.get_by_role("button", name="margin").click()
    page.get_by_label("Find").fill("")
    page.wait_for_function("document.querySelectorAll('#claims-body tr').length === 50")
    page.get_by_role("button", name="on", exact=True).click()
    assert page.locator("#claims-said").inner_text() == "51–100 of 10000"
    # Generous, since the machine may be busy; on an idle one it is below two.
    assert time.perf_counter() - began < 30
