"""The explorer's page in a real browser: type, mask, switch a head off, compare, share, in two languages, by keyboard.

Needs chromium (`apt-get install chromium`); without it these tests are skipped, and say so.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_server import app_of, served

from minibert.explorer.insight import Explorer
from minibert.explorer.loading import open_model
from minibert.explorer.source import STATIONS
from minibert.explorer.view import View

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NO BROWSER: the explorer's page is not tested; install chromium"
)

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
TEXT = "The file is opened for reading."
START = "#text=The+file+is+opened+for+reading.&masked=%5B6%5D"  # of which minibert-tiny knows something
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
NUMBERS = "**/explorer/api"  # where the page asks for them
PATIENCE = 30_000  # ms; a page is ready within one, on a machine that is not busy


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(app_of("minibert-tiny")) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


class Visit:
    """A visitor's page, which must not complain, nor ask anything of any other server."""

    def __init__(self, browser, address: str, fragment: str = START, *, first=False, held=False, **options) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, "locale": "en-US", **options})
        self.page, self.complaints, self.address = self.context.new_page(), [], address
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._ask(request.url))
        if not first:
            self.page.add_init_script("localStorage.setItem('minibert-tour-seen', 'yes')")
        if held:
            self.page.route(NUMBERS, lambda route: setattr(self, "waiting", route))
            with self.page.expect_request(NUMBERS):
                self.page.goto(address + "/" + fragment)
        else:
            self.page.goto(address + "/" + fragment)
            self.page.wait_for_selector("body[data-ready]")

    def let_go(self) -> None:
        """The numbers that were asked for first may come."""
        self.waiting.continue_()
        self.page.unroute(NUMBERS)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _ask(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"asks elsewhere: {url}")

    def do(self, action) -> None:
        """Something that changes the picture; waits until the new one is there."""
        before = self.page.evaluate("document.body.dataset.ready")
        action()
        self.page.wait_for_function("ready => document.body.dataset.ready !== ready", arg=before)

    def click(self, selector: str, **options) -> None:
        self.do(lambda: self.page.click(selector, **options))

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)


@pytest.fixture
def visit(browser, address):
    visits = []

    def open_page(*arguments, **options) -> Visit:
        visits.append(Visit(browser, address, *arguments, **options))
        return visits[-1]

    yield open_page
    complaints = [complaint for visit in visits for complaint in visit.complaints]
    for one in visits:
        one.context.close()
    assert not complaints


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer(*open_model("minibert-tiny"), "minibert-tiny")


def percent(p: float) -> str:
    return f"{100 * p:.0f} %" if p >= 0.0995 else f"{100 * p:.1f} %" if p >= 0.001 else "< 0.1 %"


def expected_answers(found: dict) -> list[str]:
    rows = []
    for row in found["candidates"]:
        rows += [row["piece"] + " ✓" * row["is_original"], percent(row["now"])]
        rows += [] if row["before"] is None else [percent(row["before"])]
    return rows


def texts(visit: Visit, selector: str) -> list[str]:
    return visit.page.eval_on_selector_all(selector, "nodes => nodes.map(node => node.textContent)")


def test_it_opens_with_a_masked_word(visit, explorer):
    page, before, door = visit(""), *map(explorer.tokenizer.tokenize, ("She opened the", "door"))
    masked = [1 + len(before) + number for number in range(len(door))]
    found = explorer.look(View("She opened the door and went in.", masked=masked))
    assert page.page.input_value("#sentence") == "She opened the door and went in."
    assert texts(page, "#answer .body svg text") == expected_answers(found)


def test_the_model_s_answer(visit, explorer):
    page = visit()
    found = explorer.look(View(TEXT, masked=[6]))
    assert page.page.input_value("#sentence") == TEXT
    assert texts(page, "#words .chip") == ["[CLS]", "the", "file", "is", "opened", "for", "reading", ".", "[SEP]"]
    assert texts(page, "#answer .body svg text") == expected_answers(found)
    assert page.page.locator(".map").count() == 8 and page.page.locator(".station").count() == 7
    stages = texts(page, "#stream .body svg text")
    assert percent(found["lens"]["stages"][-1]["answer"]) in stages


def test_typing_a_sentence_takes_the_mask_along(visit, explorer):
    page = visit()
    page.do(lambda: page.page.fill("#sentence", "Now the old file is opened for reading."))
    page.page.wait_for_function("() => document.querySelectorAll('#words .chip').length === 11")
    assert texts(page, "#words [aria-pressed=true]") == ["reading"]
    found = explorer.look(View("Now the old file is opened for reading.", masked=[8]))
    assert texts(page, "#answer .body svg text") == expected_answers(found)


def test_masking_by_a_click(visit, explorer):
    page = visit()
    page.click("#words .chip:has-text('opened')")
    assert texts(page, "#words [aria-pressed=true]") == ["opened", "reading"]
    found = explorer.look(View(TEXT, masked=[4, 6], position=4))
    assert texts(page, "#answer .body svg text") == expected_answers(found)
    for word in ("opened", "reading"):
        page.click(f"#words .chip:has-text('{word}')")
    assert "Nothing is masked" in page.text("#answer") and page.page.locator("#answer .body svg").count() == 0


def test_a_head_is_switched_off_and_the_answer_compared(visit, explorer):
    page = visit()
    page.click("[data-key=map-1-2]")
    page.click(".switch")
    found = explorer.look(View(TEXT, masked=[6], heads_off=[(1, 2)]))
    assert texts(page, "#answer .body svg text") == expected_answers(found)
    assert "with everything switched on" in page.text("#answer .legend")
    assert page.page.locator(".map.off").count() == 1
    page.click("[data-key=layer-0]")
    assert page.page.locator(".map.off").count() == 5
    found = explorer.look(View(TEXT, masked=[6], heads_off=[(1, 2)], layers_off=[0]))
    assert texts(page, "#answer .body svg text") == expected_answers(found)
    page.click("[data-key=all-on]")
    assert page.page.locator(".map.off").count() == 0 and page.page.locator("#answer .legend").count() == 0


def test_one_head_s_numbers(visit, explorer):
    page = visit()
    page.click("[data-key=map-0-3]")
    near = explorer.head(View(TEXT, masked=[6]), 0, 3)
    rows = page.page.locator("#head tbody tr")
    for key in range(9):
        score, weight, taken = rows.nth(key).locator(".number-in-cell").all_inner_texts()
        assert float(score.replace("−", "-")) == pytest.approx(near["scores"][6][key], abs=0.0051)
        assert weight == percent(near["weights"][6][key])
        assert float(taken) == pytest.approx(near["taken"][6][key], abs=0.0051)
    page.click("[data-key=looks-1]")
    assert "What “the” looks at" in page.text("#head caption")


def test_what_was_kept_is_compared_with_another_sentence(visit, explorer):
    page = visit()
    page.click("[data-key=keep]")
    page.do(lambda: page.page.fill("#sentence", "The file is opened by reading."))
    page.page.wait_for_function("() => document.querySelector('#words').textContent.includes('by')")
    page.page.wait_for_selector("#answer .legend")
    found = explorer.look(View("The file is opened by reading.", masked=[6]), View(TEXT, masked=[6]))
    assert texts(page, "#answer .body svg text") == expected_answers(found)
    assert TEXT in page.text("#answer") and "what you kept" in page.text("#answer .legend")


def test_a_pair_of_sentences(visit, explorer):
    page = visit()
    page.click("#pair-toggle")
    pair = page.page.input_value("#second-sentence")
    page.page.wait_for_selector("#pair .body svg")
    p = explorer.look(View(TEXT, pair, masked=[6]))["next_sentence"]
    assert texts(page, "#pair .body svg text") == ["follows", percent(p), "random", percent(1 - p)]
    page.click("[data-key=segment-1]")
    flipped = explorer.look(View(TEXT, pair, masked=[6], flipped=[1]))["next_sentence"]
    assert texts(page, "#pair .body svg text")[1] == percent(flipped) or flipped == p


def test_the_language_changes_and_is_remembered(visit):
    page = visit()
    page.do(lambda: page.page.click("#language"))
    assert page.text("h1") == "看 BERT 怎样处理一句话" and page.page.get_attribute("html", "lang") == "zh-CN"
    assert page.text("#answer h2") == "答案"
    page.page.reload()
    page.page.wait_for_selector("body[data-ready]")
    assert page.text("#answer h2") == "答案"
    page.do(lambda: page.page.click("#language"))
    assert page.text("#answer h2") == "The answer"


def test_a_browser_in_chinese_gets_chinese(visit):
    assert visit(locale="zh-CN").text("#answer h2") == "答案"


def test_a_link_shows_the_same_to_others(visit):
    page = visit()
    page.click("[data-key=keep]")
    page.click("[data-key=map-1-1]")
    page.click(".switch")
    page.click("#words .chip:has-text('file')")
    page.click("[data-key=looks-3]")
    link = page.page.url
    other = visit(link.split("/")[-1])
    for selector in ("#answer .body svg text", "#stream .body svg text", "#head td", "#words [aria-pressed=true]"):
        assert texts(other, selector) == texts(page, selector) != []
    assert other.text("#head h3") == "Layer 1, head 1" and other.page.locator(".map.off").count() == 1


BROKEN = (
    "&masked=[1&layer=x&piece=-4&nonsense=1&toString=1&__proto__=1",
    "&heads_off=1&layers_off=null&masked=%22x%22&flipped={}&position=[]&before=1",
    '&heads_off=[1]&layers_off=["a"]&masked=[-1]&head=1.5&before={"text":1}',
    '&heads_off=[[1]]&before={"pair":"a"}',
)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_link_does_no_harm(visit, broken):
    page = visit("#text=The+file." + broken)
    assert texts(page, "#words .chip") == ["[CLS]", "the", "file", ".", "[SEP]"]


def test_what_is_typed_while_the_first_numbers_are_awaited_stays(visit):
    page = visit(held=True)
    page.page.fill("#sentence", "A word.")
    page.let_go()
    page.page.wait_for_function("() => document.querySelectorAll('#words .chip').length === 5")
    assert page.page.input_value("#sentence") == "A word."


def test_a_sentence_that_is_too_long_is_refused_in_words(visit):
    page = visit()
    page.page.fill("#sentence", "word " * 80)
    page.page.wait_for_selector("#problem:not([hidden])")
    assert "at most 64 word pieces" in page.text("#problem")
    page.complaints.clear()  # the browser lists every refusal as an error
    page.do(lambda: page.page.fill("#sentence", "A word."))
    assert page.page.is_hidden("#problem")


def test_the_tour_of_a_first_visit(visit):
    page = visit("", first=True)
    assert page.page.is_visible("#tour")
    for step in range(1, 11):
        assert page.text("#tour p.quiet") == f"{step} of 10" and page.page.locator(".lit").count() == 1
        page.page.keyboard.press("Enter")  # the button "next" has the focus
    assert page.page.is_hidden("#tour")
    page.page.reload()
    page.page.wait_for_selector("body[data-ready]")
    assert page.page.is_hidden("#tour")
    page.page.click("#tour-open")
    page.page.keyboard.press("Escape")
    assert page.page.is_hidden("#tour")


def test_by_keyboard_alone(visit, explorer):
    page = visit()
    page.page.focus("[data-key=map-0-0]")
    page.do(lambda: page.page.keyboard.press("ArrowRight"))
    page.do(lambda: page.page.keyboard.press("ArrowDown"))
    assert page.text("#head h3") == "Layer 1, head 1"
    page.do(lambda: page.page.keyboard.press("x"))
    found = explorer.look(View(TEXT, masked=[6], heads_off=[(1, 1)]))
    assert texts(page, "#answer .body svg text") == expected_answers(found)
    page.page.focus("[data-key=looks-6]")
    page.do(lambda: page.page.keyboard.press("ArrowLeft"))
    assert "What “for” looks at" in page.text("#head caption")


@pytest.mark.parametrize("station", ["embeddings", "attention", "head", "stream", "answer"])
def test_a_picture_is_saved(visit, station, tmp_path):
    page = visit()
    for kind in ("SVG", "PNG"):
        with page.page.expect_download() as download:
            page.page.click(f"section#{station} .save button:has-text('{kind}')")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.name == f"minibert-{station}.{kind.lower()}" and path.stat().st_size > 2000
        assert path.read_bytes().startswith(b"<svg" if kind == "SVG" else b"\x89PNG")


def test_the_source_and_the_equation_of_every_station(visit):
    page = visit()
    shown = len(STATIONS) - 1  # this checkpoint has no classes
    assert page.page.locator("details.behind").count() == shown
    assert page.page.locator("details.behind .equations").count() == shown
    page.page.click("#attention + #head details.behind summary >> nth=0")
    code = page.text("#head details[open] pre >> nth=0")
    assert "scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5" in code
    assert page.page.locator("#head details[open] math").count() == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_sticks_out_at_any_size(visit, size, scheme):
    page = visit(viewport=size, color_scheme=scheme)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert lightness(background) < 60 if scheme == "dark" else lightness(background) > 200
    page.do(lambda: page.page.click("#theme"))
    other = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (lightness(other) < 60) != (lightness(background) < 60)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_label_is_cut_off(visit, size):
    page = visit(START.replace("6", "5"), viewport=size)  # "Layer 1 feed-forward" moves this one most, and is bold
    assert "feed-forward moved" in page.text("#stream .finding")
    cut = """texts => texts.filter(text => {
        const [own, all] = [text, text.ownerSVGElement].map(node => node.getBoundingClientRect());
        return own.left < all.left - 1 || own.right > all.right + 1;
    }).map(text => text.textContent)"""
    assert page.page.eval_on_selector_all(".body svg text", cut) == []


def test_small_grey_text_can_be_read():
    style = (Path(__file__).parent.parent / "minibert/explorer/page/style.css").read_text(encoding="utf-8")
    colors = {
        name: re.findall(rf"--{name}: (#\w{{6}});", style) for name in ("ink-3", "page", "surface", "well", "highlight")
    }
    for ink, *grounds in zip(*colors.values(), strict=True):  # light, and dark twice
        assert all(contrast(ink, ground) >= 4.5 for ground in grounds)  # WCAG 2.2, level AA


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        shares = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
        red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lightness(color: str) -> float:
    red, green, blue = map(int, re.findall(r"\d+", color)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_order_of_shares_stays_in_grey():
    style = (Path(__file__).parent.parent / "minibert/explorer/page/style.css").read_text(encoding="utf-8")
    stops = [[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in re.findall(r"--ramp-\d: #(\w{6})", style)]
    ramps = [[lightness(f"{stop}") for stop in stops[start : start + 6]] for start in range(0, len(stops), 6)]
    assert len(ramps) == 3
    assert ramps[0] == sorted(ramps[0], reverse=True) and ramps[1] == ramps[2] == sorted(ramps[1])
