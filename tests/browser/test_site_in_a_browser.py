"""The site as a person meets it: opened from disk in headless Chromium, clicked, typed at, on a phone, in the dark."""

import json
import os
import shutil
from contextlib import contextmanager

import pytest
from sites import SCALE, Page, victim

from ebreplicate.experiments.fig1.runs import retrains
from ebreplicate.specs.spec import key

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
WITHOUT = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its driver (chromium-driver)")
pytestmark = [WITHOUT, pytest.mark.slow]
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
DESK, PHONE = (1280, 900), (360, 740)
RUN = f"runs/retrain/{key(retrains(SCALE, 'cifar10', 'vgg16', 1)[0.5, '20'])}.html"
DRAW = f"runs/draw/{key(victim().ticket)}.html"
HARM = f"runs/retrain/{key(victim())}.html"
KINDS = ["index.html", "comparison.html", "claims.html", "figures.html", "runs.html", "items/tiny/fig1_existence.html"]
KINDS += [RUN, DRAW, HARM, "notes/deviations.html", "notes/paper.html"]
"""One page of every kind."""


@pytest.fixture(scope="module")
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    except WebDriverException as e:
        pytest.skip(f"Chromium does not start here ({e.msg})")
    yield driver
    driver.quit()


class Browser:
    """A browser over one site, in the words of the tests."""

    def __init__(self, driver, root):
        self.driver, self.root = driver, root

    def open(self, page, size=DESK, dark=False):
        self.driver.get("about:blank")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        path, _, view = page.partition("#")
        self.driver.get((self.root / path).as_uri() + (f"#{view}" if view else ""))

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def js(self, expression, *arguments):
        return self.driver.execute_script(f"return {expression}", *arguments)

    def column(self, number, table="#cells"):
        return self.js(
            "[...document.querySelectorAll(`${arguments[0]} tbody tr`)].filter(r => r.offsetParent !== null)"
            ".map(r => r.cells[arguments[1]].dataset.v ?? r.cells[arguments[1]].textContent.trim())",
            table,
            number,
        )

    def told(self):
        return self.one(".filters output").text

    def choose(self, name, value):
        self.one(f'select[name="{name}"] option[value="{value}"]').click()

    def press(self, *keys):
        for each in keys:
            self.driver.switch_to.active_element.send_keys(each)

    @property
    def here(self):
        return self.driver.current_url.removeprefix(self.root.as_uri() + "/")


@pytest.fixture
def browser(chromium, small_site):
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    return Browser(chromium, small_site)


def head(name):
    return f'#cells th[data-sort="{name}"]'


def test_a_click_sorts_by_number_up_down_and_back(browser):
    browser.open("comparison.html#item=fig1_existence&verdict=any")
    written = browser.column(3)
    for direction, sign in (("ascending", 1), ("descending", -1)):
        browser.one(head("measured") + " button").click()
        assert browser.one(head("measured")).get_attribute("aria-sort") == direction
        values = browser.column(3)
        numbers = [float(v) for v in values if v]
        assert numbers == sorted(numbers, key=lambda v: sign * v)
        assert len(set(numbers)) > 10
        assert all(values[: len(numbers)])  # what has not been run comes last both ways
        assert "" in values
    browser.one(head("measured") + " button").click()
    assert browser.one(head("measured")).get_attribute("aria-sort") is None
    assert browser.column(3) == written


def test_filters_narrow_the_table_say_so_and_make_a_link_that_can_be_opened(browser, small_site):
    browser.open("comparison.html")
    rows = Page(small_site / "comparison.html").rows[1:]
    ran = [row for row in rows if row[7]["text"] != "not run"]
    assert browser.told() == f"{len(ran)} of {len(rows)} rows"  # what has not been run is shown when asked for
    browser.open("comparison.html#verdict=any")
    assert browser.told() == f"{len(rows)} of {len(rows)} rows, the first 200 shown"
    browser.choose("item", "fig1_existence")
    browser.choose("verdict", "not run")
    browser.one('input[name="q"]').send_keys("cifar-100 VGG16")
    expected = [r[1]["text"] for r in rows if r[7]["text"] == "not run" and r[0]["text"].startswith("Figure 1")]
    expected = [text for text in expected if "VGG16 CIFAR-100" in text]
    assert 0 < len(expected) < 60
    assert browser.column(1) == expected
    assert browser.told() == f"{len(expected)} of {len(rows)} rows"
    browser.one(head("paper") + " button").click()
    view, shown = browser.here, browser.column(1)
    assert view == "comparison.html#item=fig1_existence&verdict=not+run&q=cifar-100+VGG16&sort=paper"
    browser.open("index.html")
    browser.open(view)
    assert browser.column(1) == shown
    assert browser.one('input[name="q"]').get_attribute("value") == "cifar-100 VGG16"
    assert browser.one(head("paper")).get_attribute("aria-sort") == "ascending"
    browser.one(".filters button[type=reset]").click()
    assert len(browser.column(1)) == len(ran)
    assert browser.one('select[name="item"]').get_attribute("value") == ""
    assert browser.here == "comparison.html#"
    browser.one('input[name="q"]').send_keys("no such thing")
    assert browser.told() == "No row matches."
    assert browser.column(1) == []


def test_a_view_that_makes_no_sense_shows_what_a_plain_one_does(browser, small_site):
    browser.open("comparison.html#item=nothing&sort=-colour&x=%3Cscript%3E")
    rows = Page(small_site / "comparison.html").rows[1:]
    assert len(browser.column(1)) == sum(row[7]["text"] != "not run" for row in rows)
    assert browser.all("[aria-sort]") == []


def test_the_tally_of_the_overview_opens_the_rows_it_counts(browser):
    browser.open("index.html")
    link = browser.one('a[href$="verdict=not%20comparable%20at%20this%20scale"]')
    count = int(link.text.split()[0])
    link.click()
    assert len(browser.column(1)) == min(count, 200)
    assert browser.told().startswith(f"{count} of ")


def test_everything_can_be_shown(browser, small_site):
    browser.open("comparison.html#verdict=any")
    assert len(browser.column(1)) == 200
    browser.one("button.more").click()
    assert len(browser.column(1)) == len(Page(small_site / "comparison.html").rows) - 1
    assert browser.all("button.more") == []


def test_a_number_can_be_followed_to_its_record(browser):
    """A number of one run leads to it; one of several to their list, and each run of the list to its own page."""
    one = key(retrains(SCALE, "cifar100", "vgg16", 0)[0.5, "20"])
    browser.open("comparison.html#q=VGG16+CIFAR-100:+ratio+0.5,+draw+20&item=fig1_existence")
    browser.one("#cells tbody td:nth-child(4) a").click()
    assert browser.here == f"runs/retrain/{one}.html"
    assert one in browser.one("main").text
    assert len(browser.all("svg.chart")) == 3

    browser.open("comparison.html#q=VGG16+CIFAR-10:+ratio+0.5,+draw+20&item=fig1_existence")
    browser.one("#cells tbody td:nth-child(4) a").click()
    assert browser.here == "items/tiny/fig1_existence.html#cell-vgg16-cifar-10-ratio-0.5-draw-20"
    row = browser.one("#cell-vgg16-cifar-10-ratio-0\\.5-draw-20")
    assert browser.js("(b => b.top >= 0 && b.bottom <= innerHeight)(arguments[0].getBoundingClientRect())", row)
    assert browser.js("arguments[0].matches(':target')", row)
    row.find_elements(By.CSS_SELECTOR, "a.run")[1].click()
    assert browser.here == RUN
    browser.one('a[href$="#cell-vgg16-cifar-10-ratio-0.5-draw-20"]').click()
    assert browser.here.endswith("fig1_existence.html#cell-vgg16-cifar-10-ratio-0.5-draw-20")


@pytest.mark.parametrize(("page", "figures"), [("figures.html", 4), ("items/tiny/detector_study.html", 1)])
def test_figures_are_shown(browser, page, figures):
    browser.open(page)
    loaded = """(() => { const images = [...document.images]; images.forEach(i => { i.loading = 'eager'; });
      return Promise.all(images.map(i => i.decode().then(() => i.naturalWidth > 0))); })()"""
    assert browser.js(loaded) == [True] * figures


def test_a_claim_can_be_followed_to_all_of_its_runs(browser):
    browser.open("claims.html#item=detector_study")
    browser.one("#claims tbody tr:not([hidden]) td:nth-child(3) a").click()
    assert browser.here == "items/tiny/detector_study.html#claim-eb-train-costs-less"
    links = browser.all("#claim-eb-train-costs-less .keys a")
    assert len(links) > 10
    assert links[0].is_displayed()  # the list opens for whoever was sent to it
    links[0].click()
    assert browser.here.startswith("runs/")


def test_the_keyboard_is_enough(browser):
    browser.open("comparison.html")
    browser.press(Keys.TAB)
    assert browser.js("document.activeElement.className") == "skip"
    assert browser.js("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press(Keys.ENTER)
    assert browser.js("document.activeElement.id") == "main"
    browser.press(Keys.TAB)
    assert browser.js("document.activeElement.name") == "scale"
    reached = []
    for _ in range(16):
        browser.press(Keys.TAB)
        reached.append(browser.js("document.activeElement.closest('th')?.dataset.sort ?? document.activeElement.name"))
        style = browser.js(
            "(s => [s.outlineStyle, parseFloat(s.outlineWidth)])(getComputedStyle(document.activeElement))"
        )
        assert style[0] != "none", reached
        assert style[1] >= 1, reached
        if reached[-1] == "paper":
            break
    assert {"item", "verdict", "q", "quantity", "paper"} <= set(reached)
    browser.press(Keys.ENTER)
    assert browser.one(head("paper")).get_attribute("aria-sort") == "ascending"
    browser.press(Keys.SPACE)
    assert browser.one(head("paper")).get_attribute("aria-sort") == "descending"
    for _ in range(12):  # on to the first row's links, and into one
        browser.press(Keys.TAB)
        if browser.js("document.activeElement.closest('tbody') !== null"):
            break
    browser.press(Keys.ENTER)
    assert browser.here.startswith("items/tiny/")


def test_controls_have_names(browser):
    for page in (*KINDS[:6], RUN):  # a page of every kind that has controls
        browser.open(page)
        browser.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        for element in browser.all("button, select, input, summary, main [tabindex='0'], nav, svg[role=img]"):
            assert element.accessible_name, f"{page}: {element.get_attribute('outerHTML')[:80]}"


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_background(browser, dark):
    contrast = """(() => {
      const luminance = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const rgb = text => text.match(/[\\d.]+/g).map(Number);
      const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } return null; };
      return [...document.querySelectorAll('main *, header *, footer *')]
        .filter(e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
          const [a, b] = [rgb(getComputedStyle(e).color).slice(0, 3), behind(e)].map(luminance).sort((x, y) => y - x);
          return [(a + .05) / (b + .05), e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40)]; })
        .sort((x, y) => x[0] - y[0])[0]; })()"""
    for page in ("index.html", "comparison.html", "figures.html", RUN, "notes/cost.html"):
        browser.open(page, dark=dark)
        ratio, element = browser.js(contrast)
        assert ratio >= 4.5, f"{page}: {element}"
    light = sum(browser.js("getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"))
    assert (light < 200) == dark


@pytest.mark.parametrize("page", KINDS)
def test_a_phone_needs_no_sideways_scrolling(browser, page):
    browser.open(page, size=PHONE)
    browser.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.js("[innerWidth, document.documentElement.scrollWidth]") == [PHONE[0], PHONE[0]]
    wide = """[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
      && !e.closest('.scroll, .sheet, pre, .sprite, .hidden, svg')).map(e => e.outerHTML.slice(0, 90))"""
    assert browser.js(wide) == []


def test_nothing_is_said_on_the_console_and_nothing_is_asked_of_a_network(browser, small_site):
    for page in KINDS:
        browser.open(page)
    assert [e["message"] for e in browser.driver.get_log("browser")] == []
    messages = [json.loads(e["message"])["message"] for e in browser.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    asked = [url for url in asked if url != "about:blank"]
    assert len(asked) > 2 * len(KINDS)
    assert [url for url in asked if not url.startswith(small_site.as_uri())] == []
    failed = [m["params"] for m in messages if m["method"] == "Network.loadingFailed"]
    assert failed == []


def test_markup_in_a_record_is_read_not_run(browser):
    browser.open(HARM)
    assert "<script>window.struck = 1</script>" in browser.one("main").text
    for page in (HARM, "index.html", "runs.html", "items/tiny/fig1_existence.html"):
        browser.open(page)
        assert browser.js("window.struck ?? null") is None
        assert browser.all("main script, main img[src=x]") == []


def test_the_policy_holds_even_if_markup_got_through(browser, small_site, tmp_path):
    """The second line of defence: a page with an injected inline script, under the same policy, does not run it."""
    path = tmp_path / "index.html"
    text = (small_site / "index.html").read_text().replace("</main>", "<script>window.struck = 1</script></main>")
    path.write_text(text)
    Browser(browser.driver, tmp_path).open("index.html")
    assert browser.js("document.querySelectorAll('main script').length") == 1
    assert browser.js("window.struck ?? null") is None


@contextmanager
def no_scripts(driver):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_without_scripts_every_row_is_there(browser, small_site):
    with no_scripts(browser.driver):
        browser.open("comparison.html")
        assert browser.all("thead button") == []
        assert not browser.one(".filters").is_displayed()
        rows = browser.all("#cells tbody tr")
        assert len(rows) == len(Page(small_site / "comparison.html").rows) - 1
        assert rows[-1].is_displayed()
        rows[0].find_element(By.CSS_SELECTOR, "td:nth-child(5) a").click()
        assert browser.here.startswith("runs/")
