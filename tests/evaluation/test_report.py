"""The report: what stands in JSON stands on the page, nothing is fetched, nothing gets out of its place."""

import copy
import json
import re
from contextlib import suppress
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.errors import DataError
from embedkit.evaluation.report.drawing import HEIGHT, LEFT, RIGHT, WIDTH, bars, drawing
from embedkit.evaluation.report.page import render
from embedkit.evaluation.report.section_reading import read_section
from embedkit.evaluation.report.sections import Chart, Curve
from embedkit.evaluation.report.values import Value

EVIL = (
    """<script>alert("x")</script>'"><img src=x onerror=alert(1)> {{ 7 * 7 }} &amp; \x1b[31m</table></svg>"""
)


def figure(value, half=1.0):
    return {"value": value, "low": value - half, "high": value + half}


def gain(value, low, high, p=0.002):
    return {"value": value, "low": low, "high": high, "p": p}


PROTOCOL = {"files": "dev.tsv (60 pairs)", "intervals": "95 %", "seed": 0}
STS = {
    "results": [
        {
            "file": "in/dev.tsv", "system": "minilm", "pairs": 60, "spearman": figure(82.04),
            "pearson": figure(81.5),
        },
        {
            "file": "in/dev.tsv", "system": "hash", "pairs": 60, "spearman": figure(59.81),
            "pearson": figure(60.25), "difference": gain(-22.23, -25.5, -19.0),
        },
    ],
    "protocol": PROTOCOL,
}  # fmt: skip
LABELS = {
    "results": [
        {
            "system": "a", "queries": 1299, "left_out": 3, "top1": figure(95.5), "top5": figure(98.1),
            "map": figure(70),
        },
        {
            "system": "b", "queries": 1299, "left_out": 3, "top1": figure(96.5), "top5": figure(98.1),
            "map": figure(80),
            "difference": {
                "top1": gain(1, -0.5, 2.5, 0.21), "top5": gain(0, 0, 0, 1), "map": gain(10, 9, 11),
            },
        },
    ],
    "protocol": PROTOCOL,
}  # fmt: skip
RETRIEVAL = {
    "results": [
        {"system": "a", "queries": 300, "left_out": 0, "missing": 0, "unjudged": 0, "nDCG@10": figure(64.5)}
    ],
    "protocol": PROTOCOL,
}
GEOMETRY = {
    "results": [
        {
            "system": "docs.vec", "rows": 5000, "dimension": 3, "mean_cosine": figure(0.15, 0.01),
            "uniformity": figure(-2.9, 0.05), "isoscore": 0.08, "rank": 2, "effective_rank": 125.2,
            "participation_ratio": 31.7, "norms": {"mean": 1.0}, "hubness": None, "spectrum": [3.0, 1.0],
        }
    ],
    "agreement": {"overlap": figure(0.5487, 0.01), "jaccard": figure(0.3992, 0.01), "rows": 90, "k": 10},
    "protocol": PROTOCOL,
}  # fmt: skip
POINT = {"method": "pca", "dim": 64, "size": 256, "overlap": 0.71, "error": 0.01, "spearman": None}
ADVICE = {
    "rules": {"rows": 100, "lemma": 5}, "rows": 100, "fitted": 50, "measured": 50, "queries": 50,
    "protocol": {"k": 10, "seed": 0}, "full": {"overlap": 1.0, "spearman": None},
    "curves": [POINT, {**POINT, "dim": 128, "size": 512, "overlap": 0.96}],
    "recommended": {**POINT, "spec": "pca:dim=64", "reason": "the fewest"}, "next": "embedkit reduce",
}  # fmt: skip
ALL = {"sts": STS, "labels": LABELS, "retrieval": RETRIEVAL, "geometry": GEOMETRY, "advise": ADVICE}
VOID = {"meta", "rect", "line", "polyline", "circle", "br"}


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text; every tag is closed where it should be."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open, self.links = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data.split("\n")

    def cells(self):
        """Return all text but that of the style, cleaned."""
        return [part.strip() for part in self.text if part.strip()]


def page_of(*documents, title="T"):
    sections = [
        read_section(f"{number}.json", json.dumps(each).encode()) for number, each in enumerate(documents)
    ]
    return render(sections, title)


def with_hostile_names(value):
    """Return JSON with every name in it, and every name of a protocol, made hostile."""
    value = copy.deepcopy(value)
    for each in value.get("results", []):
        each["system"] = EVIL
        if "file" in each:
            each["file"] = EVIL
        each[f"{EVIL}@10"] = figure(3.0)
    for each in value.get("curves", []):
        each["method"] = EVIL
    if "recommended" in value:
        value["recommended"]["reason"] = EVIL
    value["protocol"][EVIL] = EVIL
    return value


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sts", ["Spearman", "82.04", "81.04 to 83.04", "dev.tsv", "-22.23", "-25.50 to -19.00", "0.002"]),
        ("labels", ["top-1", "MAP", "+10.00", "-0.50 to +2.50", "0.210", "1,299 queries"]),
        ("retrieval", ["nDCG@10", "64.50", "300 queries"]),
        (
            "geometry",
            ["mean cosine", "0.1500", "0.1400 to 0.1600", "125.20", "overlap@10", "0.5487", "Spectrum"],
        ),
        (
            "advise",
            ["Recommended: pca to 64 dimensions, the fewest.", "96.00", "94.00 to 98.00", "bytes per vector"],
        ),
    ],
)
def test_what_is_in_the_json_is_on_the_page(name, wanted):
    cells = Page(page_of(ALL[name])).cells()
    assert [each for each in wanted if each not in cells] == []


def test_a_difference_stands_with_its_figure_and_its_system():
    section = read_section("a.json", json.dumps(STS).encode())
    spearman, pearson = section.groups
    assert [row.gain for row in spearman.rows] == [None, Value(-22.23, -25.5, -19.0, 0.002)]
    assert [row.gain for row in pearson.rows] == [None, None]
    by_name = {group.name: group for group in read_section("b.json", json.dumps(LABELS).encode()).groups}
    assert [row.gain and row.gain.value for row in by_name["MAP"].rows] == [None, 10]


def test_only_a_difference_that_leaves_out_zero_is_coloured():
    found = [
        attributes["class"]
        for tag, attributes in Page(page_of(LABELS)).tags
        if tag == "td" and "class" in attributes
    ]
    assert (found.count("number up"), found.count("number down")) == (1, 0)
    assert "number down" in page_of(STS)


def test_files_of_one_name_keep_their_paths():
    facts = copy.deepcopy(STS)
    facts["results"][1]["file"] = "out/dev.tsv"
    cells = Page(page_of(facts)).cells()
    assert {"in/dev.tsv", "out/dev.tsv"} <= {*cells}


def test_the_page_refers_to_nothing_outside_itself():
    html = page_of(*ALL.values())
    assert re.findall(r"https?:|//|url\(|@import|srcset|<link|<script|<iframe|<object|<embed", html) == []
    for tag, attributes in Page(html).tags:
        assert not {"src", "data", "action", "xlink:href", "style"} & {*attributes}
        if "href" in attributes:
            assert (tag, attributes["href"][0]) == ("a", "#")
        assert not [name for name in attributes if name.startswith("on")]


def test_every_link_leads_somewhere():
    tags = Page(page_of(*ALL.values())).tags
    targets = [attributes["id"] for _, attributes in tags if "id" in attributes]
    links = [attributes["href"][1:] for _, attributes in tags if "href" in attributes]
    assert len(targets) == len(set(targets)) == 5
    assert links == targets


@pytest.mark.parametrize("name", ALL)
def test_hostile_names_are_letters(name):
    honest, hostile = Page(page_of(ALL[name])), page_of(with_hostile_names(ALL[name]), title=EVIL)
    page = Page(hostile)  # every tag is still closed where it was
    allowed = {tag for tag, _ in honest.tags}
    assert {tag for tag, _ in page.tags} <= allowed
    assert not {"img", "script"} & allowed
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    cleaned = EVIL.replace("\x1b", " ")
    assert any(cleaned in text for text in page.cells())
    assert "\x1b" not in hostile.partition("</h1>")[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.json: is not JSON: "),
        (b"{", "a.json: is not JSON: "),
        (b"[]", "a.json: is not the JSON of an evaluation; write one with --json of embedkit eval sts"),
        (b"7", "a.json: is not the JSON of an evaluation"),
        (b'{"results": []}', "a.json: is not the JSON of an evaluation"),
        (b'{"results": [1], "protocol": {}}', "a.json: is not the JSON of an evaluation"),
        (json.dumps({"output": "a.vec", "rows": 3}).encode(), "a.json: is not the JSON of an evaluation"),
        (json.dumps(STS).replace("82.04", "NaN").encode(), "a.json: is not JSON: "),
        (json.dumps(STS).replace("82.04", '"x"').encode(), "a.json: is damaged: "),
        (json.dumps(STS).replace("82.04", "true").encode(), "a.json: is damaged: "),
        (json.dumps(GEOMETRY).replace('"norms"', '"forms"').encode(), "a.json: is damaged: "),
        (json.dumps({**STS, "protocol": None}).encode(), "a.json: is damaged: "),
        (json.dumps({**ADVICE, "curves": [{}]}).encode(), "a.json: is damaged: "),
        (b'{"a": "\xff"}', "a.json: is not JSON: "),
    ],
)
def test_what_is_no_evaluation_is_refused_in_a_line(content, message):
    with pytest.raises(DataError) as error:
        read_section("a.json", content)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.just([]), st.just({}), st.just([{}]), st.just({"value": 1}),
    st.just({"value": 1, "low": 0, "high": 2}),
)  # fmt: skip


@settings(max_examples=400)
@given(st.sampled_from(sorted(ALL)), st.integers(0, 10**6), JUNK)
def test_whatever_stands_in_a_value_there_is_a_page_or_a_line(name, place, junk):
    facts = copy.deepcopy(ALL[name])
    places = []

    def visit(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    visit(facts)
    node, key = places[place % len(places)]
    node[key] = junk
    with suppress(DataError):
        Page(page_of(facts))


def test_bars_start_at_zero_on_one_scale():
    one, other = bars([Value(50, 40, 60), Value(100)], 100.0)
    assert (one.start, one.length, one.low, one.high, one.zero) == (0, 50, 40, 60, 0)
    assert (other.length, other.low) == (100, None)
    down, up = bars([Value(-3, -4, -2), Value(1)])
    assert (down.start, down.length, down.low, down.zero) == (20, 60, 0, 80)
    assert (up.start, up.length) == (80, 20)
    assert bars([Value(0.0)])[0].length == 0


def test_whatever_is_drawn_stays_within_its_frame():
    for document in (GEOMETRY, ADVICE):
        for chart in read_section("a.json", json.dumps(document).encode()).charts:
            for _, _, points in drawing(chart).lines:
                assert all(LEFT <= x <= WIDTH - RIGHT and 0 <= y <= HEIGHT for x, y in points)


def test_points_and_ticks_stand_on_one_scale():
    even = Chart("", "x", "y", [Curve("a", [(0.0, 0.0), (5.0, 50.0), (10.0, 100.0)])], None, None)
    found = drawing(even)
    (x0, y0), (x1, y1), (x2, y2) = found.lines[0][2]
    assert (x1, y1) == ((x0 + x2) / 2, (y0 + y2) / 2)
    assert (x0 < x2, y0 > y2) == (True, True)  # up is up
    assert [tick.label for tick in found.x_ticks] == ["0", "2", "4", "6", "8", "10"]
    assert found.x_ticks[0].at == x0
    logarithmic = Chart("", "x", "y", [Curve("a", [(1.0, 0.001), (10.0, 1.0), (100.0, 1000.0)])], 10, 10)
    found = drawing(logarithmic)
    (x0, y0), (x1, y1), (x2, y2) = found.lines[0][2]
    assert x1 == pytest.approx((x0 + x2) / 2)
    assert [tick.label for tick in found.x_ticks] == ["1", "10", "100"]
    assert [tick.label for tick in found.y_ticks] == ["0.001", "0.01", "0.1", "1", "10", "100", "1,000"]
    narrow = Chart("", "x", "y", [Curve("a", [(0.3, 1.0), (12.0, 2.0)])], 10, None)
    assert [tick.label for tick in drawing(narrow).x_ticks] == ["0.5", "1", "2", "5", "10"]


def test_what_is_even_looks_even():
    found = drawing(Chart("", "x", "y", [Curve("a", [(1.0, 0.5), (100.0, 0.6)])], 10, 10))
    (_, y0), (_, y1) = found.lines[0][2]
    assert 0 < y0 - y1 < 0.05 * HEIGHT


def test_a_chart_without_points_is_left_out_and_one_point_is_drawn():
    nothing = copy.deepcopy(GEOMETRY)
    nothing["results"][0]["spectrum"] = []  # vectors that are all the same
    assert "<polyline" not in page_of(nothing)
    nothing["results"][0]["spectrum"] = [2.0]
    assert page_of(nothing).count("<circle") == 1


def test_both_themes_and_print_settle_every_colour():
    style = page_of(STS).partition("<style>")[2].partition("</style>")[0]
    blocks = [
        set(re.findall(r"(--[\w]+):", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    used = set(re.findall(r"var\((--\w+)\)", style))
    assert len(blocks) == 3
    assert all(block == blocks[0] >= used for block in blocks)
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
