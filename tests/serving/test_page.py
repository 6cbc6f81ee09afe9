"""The web page in a real browser: typing, filters, keys, themes, narrow screens, texts that stay texts."""

import shutil
import time

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from embedkit import build_index, describe, encode_batches, load  # noqa: E402
from embedkit.data.text.record import Record  # noqa: E402
from tests.serving.conftest import TEXTS, make_index, running  # noqa: E402


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    folder = tmp_path_factory.mktemp("browser")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, client):
    """The page, freshly opened; at the end, nothing may have been refused or have failed in it."""
    size(browser, 1200, 800)
    browser.get(f"http://127.0.0.1:{client.port}/")
    until(lambda: text(browser, "start").startswith("Search 6 documents"))
    browser.get_log("browser")
    yield browser
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def size(browser, width, height):
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def until(holds, seconds=15):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def text(browser, id):
    return browser.find_element(By.ID, id).text


def every(browser, selector):
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, selector)]


def ask(browser, query, mode=None):
    box = browser.find_element(By.ID, "query")
    box.clear()
    box.send_keys(query)
    if mode:
        browser.find_element(By.XPATH, f"//label[span='{mode}']").click()
    until(lambda: browser.title.startswith(query) and "ms" in text(browser, "status"))


def test_hits_appear_as_one_types_with_the_words_marked(page):
    ask(page, "folders", "Words")
    until(lambda: text(page, "status").startswith("3 hits"))
    assert set(every(page, "#hits mark")) == {"folder"}
    page.find_element(By.ID, "query").send_keys(" letters")
    until(lambda: text(page, "status").startswith("4 hits"))
    assert {"folder", "letter", "letters"} == set(every(page, "#hits mark"))
    page.find_element(By.XPATH, "//label[span='Meaning']").click()
    until(lambda: text(page, "status").startswith("6 hits"))


def test_the_text_of_a_document_is_never_markup(page):
    ask(page, "script", "Words")
    assert TEXTS[4] in every(page, "#hits .text")
    assert page.execute_script("return document.querySelectorAll('#hits script').length") == 0
    ask(page, "<img src=x onerror=alert(1)>")
    page.find_element(By.CSS_SELECTOR, ".hit").click()
    until(lambda: every(page, ".details dd"))
    assert page.execute_script("return document.querySelectorAll('#hits img, #start img').length") == 0


def test_characters_beyond_16_bits_are_marked_whole(page):
    ask(page, "letters", "Words")
    until(lambda: "𝟙 letters in a folder" in " ".join(every(page, "#hits .text")))
    assert set(every(page, "#hits mark")) <= {"letter", "letters"}


def test_filters_narrow_the_hits_and_are_removed(page):
    ask(page, "folder", "Meaning")
    page.find_element(By.XPATH, "//aside//label[span='zh']/input").click()
    until(lambda: text(page, "status").startswith("1 hit "))
    assert every(page, "#chips button") == ["lang: zh"]
    assert "复制整个目录树" in every(page, "#hits .text")
    page.find_element(By.CSS_SELECTOR, "#chips button").click()
    until(lambda: text(page, "status").startswith("6 hits"))
    ask(page, "folder", "Words")
    page.find_element(By.XPATH, "//aside//label[span='zh']/input").click()
    until(lambda: text(page, "start").startswith("No hits for"))
    page.find_element(By.XPATH, "//button[.='Remove the filters']").click()
    until(lambda: text(page, "status").startswith("3 hits"))


def test_keys_move_open_and_return(page):
    ask(page, "folder")
    page.find_element(By.ID, "query").send_keys(Keys.ARROW_DOWN)
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    hits = page.find_elements(By.CSS_SELECTOR, ".hit .opener")
    assert page.switch_to.active_element == hits[1]
    page.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: hits[1].get_attribute("aria-expanded") == "true" and every(page, ".details dd"))
    page.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: not every(page, ".details dd"))
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert page.switch_to.active_element.get_attribute("id") == "query"
    page.find_element(By.ID, "query").send_keys(Keys.ARROW_DOWN)
    page.switch_to.active_element.send_keys("/")
    assert page.switch_to.active_element.get_attribute("id") == "query"


def test_chinese_that_is_being_composed_is_not_searched_before_it_is_chosen(page, client):
    def searches():
        return page.execute_script(
            "return performance.getEntriesByType('resource').filter(e => e.name.includes('search?')).length"
        )

    page.find_element(By.ID, "query").click()
    before = searches()
    for part in ("m", "mu", "mul", "mulu"):
        page.execute_cdp_cmd(
            "Input.imeSetComposition", {"text": part, "selectionStart": 0, "selectionEnd": len(part)}
        )
        time.sleep(0.15)
    assert searches() == before
    page.execute_cdp_cmd("Input.insertText", {"text": "目录"})
    until(lambda: set(every(page, "#hits mark")) == {"目录"})
    assert searches() == before + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_follow_the_system_and_the_button(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    dark = "return getComputedStyle(document.body).backgroundColor === 'rgb(18, 21, 27)'"
    assert page.execute_script(dark) is (scheme == "dark")
    button = page.find_element(By.ID, "theme")
    button.click()
    assert page.execute_script(dark) is False
    button.click()
    assert page.execute_script(dark) is True
    assert button.get_attribute("aria-label") == "Colours: dark"
    button.click()
    assert page.execute_script(dark) is (scheme == "dark")


def test_a_filter_that_fails_can_be_removed(page):
    ask(page, "folder", "Words")
    page.execute_script("return import('/scripts/filters.js').then((it) => it.setFilter('lang', {least: 1}))")
    until(lambda: text(page, "error").startswith("where: "))
    page.find_element(By.XPATH, "//div[@id='error']//button[.='Remove the filters']").click()
    until(lambda: text(page, "status").startswith("3 hits"))
    page.get_log("browser")  # the refusal


def test_the_page_of_the_api_fits_a_narrow_screen_without_breaking_words(page):
    size(page, 320, 800)
    page.get(page.current_url + "docs")
    assert page.execute_script("return document.documentElement.scrollWidth") <= 320
    types = page.find_elements(By.CSS_SELECTOR, ".api td:nth-child(2)")
    assert types
    assert max(each.size["height"] for each in types) < 40


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_a_narrow_screen(page, width):
    size(page, width, 800)
    ask(page, "folder")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_query_is_in_the_address(page, client):
    ask(page, "folder", "Words")
    assert page.current_url.endswith("/?q=folder&mode=words")
    page.get(page.current_url)
    until(lambda: text(page, "status").startswith("3 hits"))


def test_the_token_is_asked_for_and_an_error_is_shown(browser, tmp_path):
    index = make_index(tmp_path / "docs.idx")
    with running([index.path], token="secret-token") as server:
        browser.get(f"http://127.0.0.1:{server.port}/")
        until(lambda: browser.find_element(By.ID, "login").is_displayed())
        for token in ("wrong-token", "secret-token"):
            until(lambda: browser.find_element(By.ID, "token").is_displayed())
            browser.find_element(By.ID, "token").send_keys(token + Keys.ENTER)
            time.sleep(0.5)
        until(lambda: text(browser, "start").startswith("Search 6 documents"))
        browser.get(f"http://127.0.0.1:{server.port}/?q=folder#token=secret-token")
        until(lambda: "ms" in text(browser, "status"))
        assert "token" not in browser.current_url
    browser.find_element(By.ID, "query").send_keys("s")
    until(lambda: text(browser, "error").startswith("The server does not answer."))
    browser.get_log("browser")


def test_fields_of_a_document_that_no_file_holds_are_shown_whatever_their_names(browser, tmp_path):
    encoder = load("hash:dim=64")
    verses = [Record(f"verse{line}", "a folder\nin a poem", {"line": line, "path": "ode"}) for line in (7, 8)]
    path = tmp_path / "poem.idx"
    build_index(path, describe(encoder), encode_batches(encoder, verses))
    with running([path]) as server:
        browser.get(f"http://127.0.0.1:{server.port}/?q=folder")
        until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".hit")) == 2)
        assert set(every(browser, ".hit .opener")) == {"ode"}
        assert "line" in every(browser, "aside legend")
        browser.find_element(By.CSS_SELECTOR, ".hit .opener").click()
        until(lambda: every(browser, ".details dd"))
        shown = dict(zip(every(browser, ".details dt"), every(browser, ".details dd"), strict=True))
        assert shown["line"] in ("7", "8")
        assert shown["path"] == "ode"
        assert every(browser, ".text.whole") == ["a folder\nin a poem"]
        chips = [each for hit in every(browser, ".hit .fields") for each in hit.splitlines()]
        assert {"line: 7", "line: 8"} <= set(chips)
    browser.get_log("browser")
