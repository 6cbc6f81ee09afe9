"""Pictures: what is drawn is what was measured, in both themes, the same every day."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.decomposition import PCA

from embedkit.data.vectors.vector_set import Batch
from embedkit.evaluation.geometry.spectrum import spectrum_of
from embedkit.evaluation.geometry.survey import survey
from embedkit.evaluation.plots import geometry_plot, sts_plot
from embedkit.evaluation.plots.geometry_plot import POINTS, Drawn, positions
from embedkit.evaluation.plots.theme import COLOURS, INK, PAPER, write_picture
from embedkit.evaluation.sts import Scored, evaluate

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.image import imread  # noqa: E402

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(300, 8)) * np.geomspace(3, 0.1, 8) + 2).astype(np.float32)


def drawn(rows=ROWS, values=None, name="docs.vec"):
    columns = {"id": [str(place) for place in range(len(rows))]}
    columns |= {} if values is None else {"lang": values}
    field = None if values is None else "lang"
    found = survey([Batch(pa.table(columns), np.asarray(rows, dtype=np.float32))], 6000, field=field)
    return Drawn(name, found, spectrum_of(found.moments))


def scored(files=1, systems=2, rows=40):
    return [
        Scored(f"in/{number}.tsv", RNG.uniform(0, 5, size=rows), RNG.uniform(-1, 1, size=(systems, rows)))
        for number in range(files)
    ]


def texts(figure):
    """Return every text of a figure, once it is laid out; no warning is let pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="svg")
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def boxes(figure, kinds):
    """Return where things stand in a figure, in pixels."""
    figure.draw_without_rendering()
    return [item.get_window_extent() for item in kinds if item.get_visible()]


def test_the_scatter_holds_every_pair_and_the_title_its_spearman():
    files = scored(files=2)
    results = evaluate(files, resamples=100)
    figure = sts_plot.draw(files, results, ["one", "two"])
    for system in range(2):
        for file, points in zip(files, figure.axes[system].collections, strict=True):
            np.testing.assert_allclose(points.get_offsets().T, [file.predicted[system], file.gold])
        found = next(each for each in results if (each.name, each.system) == ("all", system))
        assert f"Spearman {100 * found.spearman.value:.2f} (" in figure.axes[system].get_title()
    assert {"0.tsv", "1.tsv", "cosine", "score"} <= {*texts(figure)}


@pytest.mark.parametrize("systems", [1, 2, 4])
def test_each_system_has_a_panel_with_its_axis_named(systems):
    files = scored(systems=systems)
    names = [
        f"system {number} with a name that is long, very long, or longer yet" for number in range(systems)
    ]
    figure = sts_plot.draw(files, evaluate(files, resamples=100), names)
    assert len(figure.axes) == systems
    assert texts(figure).count("cosine") == systems
    titles = boxes(figure, [axes.title for axes in figure.axes])
    assert not any(a.overlaps(b) for place, a in enumerate(titles) for b in titles[:place])


def test_positions_are_those_of_scikit_learns_pca():
    each = drawn()
    places, shares = positions(each)
    model = PCA(2).fit(ROWS.astype(np.float64))
    expected = model.transform(each.found.vectors.astype(np.float64))
    np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(shares, model.explained_variance_ratio_)


@pytest.mark.parametrize(
    ("rows", "shares"),
    [
        (np.ones((20, 4)), [0, 0]),
        (np.outer(np.arange(20), np.ones(4)), [1, 0]),
        (np.arange(20.0)[:, None], [1, 0]),
    ],
)
def test_vectors_without_two_axes_are_drawn_where_they_are(rows, shares):
    each = drawn(rows)
    np.testing.assert_allclose(positions(each)[1], shares)
    assert "Spectrum" in texts(geometry_plot.draw([each], None))


def test_the_spectrum_is_in_shares_of_the_variance():
    each = drawn()
    line = geometry_plot.draw([each], None).axes[0].lines[0]
    variances = np.sort(np.linalg.eigvalsh(np.cov(ROWS.T.astype(np.float64))))[::-1]
    np.testing.assert_allclose(line.get_ydata(), 100 * variances / variances.sum())
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 9))


def test_an_even_spectrum_looks_even():
    axes = geometry_plot.draw([drawn(RNG.normal(size=(2000, 8)))], None).axes[0]
    low, high = axes.get_ylim()
    shares = axes.lines[0].get_ydata()
    assert low < shares.min() / 50
    assert shares.max() < high


def test_points_have_the_colour_of_their_value():
    values = ["en", "zh", "zh"] * 100
    each = drawn(values=values)
    with matplotlib.rc_context({"axes.prop_cycle": matplotlib.cycler(color=COLOURS["light"])}):
        panel = geometry_plot.draw([each], "lang").axes[1]
        colours = panel.collections[0].get_facecolors()[:, :3]
    order = {"zh": 0, "en": 1}  # the commonest first
    expected = [to_rgb(COLOURS["light"][order[value]]) for value in each.found.values]
    np.testing.assert_allclose(colours, expected)
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["zh (200)", "en (100)"]


def test_many_values_share_a_colour_and_the_legend_stays_beside_the_map():
    names = [f"a value with a long name {number}" for number in range(30)]
    figure = geometry_plot.draw([drawn(values=[names[n % 30 if n < 250 else 0] for n in range(300)])], "lang")
    legend = figure.axes[1].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) == 8
    assert labels[-1].startswith("23 others (")
    figure.draw_without_rendering()
    assert legend.get_window_extent().x0 >= figure.axes[1].get_window_extent().x1 - 1
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_numbers_have_a_scale_unless_they_are_few():
    many = geometry_plot.draw([drawn(values=list(range(300)))], "lang")
    assert len(many.axes) == 3
    assert many.axes[2].get_ylabel() == "lang"
    few = geometry_plot.draw([drawn(values=[n % 3 for n in range(300)])], "lang")
    assert len(few.axes) == 2
    gaps = geometry_plot.draw([drawn(values=[None if n == 5 else n for n in range(300)])], "lang")
    assert len(gaps.axes) == 2


def test_no_more_points_are_drawn_than_can_be_seen():
    each = drawn(RNG.normal(size=(POINTS + 500, 3)), values=["a", "b"] * ((POINTS + 500) // 2))
    panel = geometry_plot.draw([each], "lang").axes[1]
    assert len(panel.collections[0].get_offsets()) == POINTS


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf", "a.html"])
def test_a_theme_is_paper_and_ink_and_the_bytes_are_the_same_again(folder, theme, name):
    contents = []
    for _ in range(2):
        write_picture(Path(name), lambda: geometry_plot.draw([drawn()], None), title="T", theme=theme)
        contents.append(Path(name).read_bytes())
    assert contents[0] == contents[1]
    if name == "a.png":
        np.testing.assert_allclose(imread(name)[0, 0, :3], to_rgb(PAPER[theme]), atol=1 / 255)
    if name in ("a.svg", "a.html"):
        assert INK[theme] in contents[0].decode()
        assert PAPER[theme] in contents[0].decode()


def test_ink_and_colours_stand_out_from_their_paper():
    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    def contrast(one, other):
        low, high = sorted([luminance(one), luminance(other)])
        return (high + 0.05) / (low + 0.05)

    for theme in ("light", "dark"):  # WCAG 2.1: 4.5 for text, 3 for what is drawn
        assert contrast(INK[theme], PAPER[theme]) > 7
        assert min(contrast(colour, PAPER[theme]) for colour in COLOURS[theme]) > 3


def test_names_are_letters_and_no_markup(folder):
    name = "<script>alert(1)</script> $\\frac{$ \x1b[3m & co"
    write_picture(Path("a.html"), lambda: geometry_plot.draw([drawn(name=name)], None), title=name)
    page = Path("a.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in re.search("<title>(.*)</title>", page)[1]
    assert "\x1b" not in re.search(r"<body>.*", page, re.DOTALL)[0]


def test_letters_without_a_font_are_told(folder, caplog):
    def figure():
        one = Figure(figsize=(2, 1))
        one.suptitle("\U000103a0")  # Old Persian
        return one

    write_picture(Path("a.png"), figure, title="T")
    assert caplog.messages == [
        "a.png: no installed font has some letters, which are drawn as boxes; write .svg or .html instead"
    ]
    caplog.clear()
    write_picture(Path("a.svg"), figure, title="T")
    assert caplog.messages == []
    assert "\U000103a0" in Path("a.svg").read_text()
