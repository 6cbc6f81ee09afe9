"""Specs: text <-> settings, and kinds read from a folder."""

import sys
from dataclasses import dataclass
from typing import Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit import spec
from embedkit.errors import UnknownNameError, UsageError


@dataclass(frozen=True)
class Sample:
    """Every type of value that a spec can hold."""

    dim: int
    rate: float = 0.5
    whiten: bool = True
    metric: Literal["cosine", "inner-product"] = "cosine"
    bits: Literal[4, 8] = 8
    limit: int | None = None
    scale: Optional[float] = 1.0  # noqa: UP045 (both spellings are read)
    name: str = "plain"

    def __post_init__(self):
        if self.dim == 0:
            raise ValueError("dim must not be 0")


def read(text):
    return spec.parse_settings(Sample, text, where="sample:...")


def refusal(text):
    with pytest.raises(UsageError) as caught:
        read(text)
    return str(caught.value)


words = st.from_regex(r"[a-z][a-z0-9./ _=-]{0,8}[a-z0-9]", fullmatch=True)
samples = st.builds(
    Sample,
    dim=st.integers().filter(bool),
    rate=st.floats(allow_nan=False),
    whiten=st.booleans(),
    metric=st.sampled_from(["cosine", "inner-product"]),
    bits=st.sampled_from([4, 8]),
    limit=st.none() | st.integers(),
    scale=st.none() | st.floats(allow_nan=False),
    name=words,
)


@given(samples)
def test_render_then_parse_gives_the_same_settings(settings):
    _, _, rendered = spec.render(settings).partition(":")
    assert read(rendered) == settings


def test_render_leaves_out_defaults():
    assert spec.render(Sample(dim=3, whiten=False)).partition(":")[2] == "dim=3,whiten=false"


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("dim=2, rate = 1e-3", "rate", 0.001),
        ("dim=2,whiten=No", "whiten", False),
        ("dim=2,whiten=1", "whiten", True),
        ("dim=2,limit=none", "limit", None),
        ("dim=2,limit=7", "limit", 7),
        ("dim=2,scale=None", "scale", None),
        ("dim=2,bits=4", "bits", 4),
        ("dim=2,name=a=b", "name", "a=b"),
        ("dim=2,", "dim", 2),
    ],
)
def test_values_are_read_by_the_type_of_the_field(text, field, value):
    assert getattr(read(text), field) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dmi=2", "sample:...: unknown setting 'dmi'; did you mean dim?"),
        ("dim", "sample:...: dim has no value; write dim=VALUE"),
        ("", "sample:...: needs dim; write dim=VALUE"),
        ("dim=2.5", "sample:...: dim=2.5 is not a whole number"),
        ("dim=", "sample:...: dim= is not a whole number"),
        ("dim=2,rate=fast", "sample:...: rate=fast is not a number"),
        ("dim=2,whiten=maybe", "sample:...: whiten=maybe is not true or false"),
        ("dim=2,metric=cosin", "sample:...: unknown metric 'cosin'; did you mean cosine?"),
        ("dim=2,bits=5", "sample:...: unknown bits '5'; known: 4, 8"),
        ("dim=2,dim=3", "sample:...: dim is given twice"),
        ("dim=0", "sample:...: dim must not be 0"),
    ],
)
def test_a_wrong_setting_is_named(text, message):
    assert refusal(text) == message


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A family of two kinds in a package made for one test."""
    package = tmp_path / "sample_kinds"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "broken.py").write_text("raise AssertionError('imported')")
    (package / "top_rows.py").write_text(
        "from dataclasses import dataclass, field\n"
        "@dataclass(frozen=True)\n"
        "class TopRows:\n"
        "    max_rows: int = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(spec, "FAMILIES", {"sample": "sample_kinds"})
    spec.kinds.cache_clear()
    yield "sample"
    spec.kinds.cache_clear()
    for name in [name for name in sys.modules if name.startswith("sample_kinds")]:
        del sys.modules[name]


def test_kinds_are_the_files_of_the_folder_and_none_is_imported(family):
    assert spec.kinds(family) == ("broken", "top-rows")
    assert "sample_kinds.broken" not in sys.modules


@pytest.mark.parametrize("text", ["top-rows:max_rows=5", "top_rows:max-rows=5", " top-rows : max_rows = 5"])
def test_hyphens_and_underscores_are_one(family, text):
    settings = spec.parse(family, text)
    assert settings.max_rows == 5
    assert spec.render(settings) == "top-rows:max_rows=5"


def test_a_kind_at_its_defaults_is_its_name_alone(family):
    assert spec.render(spec.parse(family, "top-rows")) == "top-rows"


@pytest.mark.parametrize("name", ["missing", "__init__", "", "a.b"])
def test_what_is_not_a_kind_is_refused(family, name):
    with pytest.raises(UnknownNameError, match=r"^unknown sample kind .*known: broken, top-rows$"):
        spec.parse(family, name)


def test_the_nearest_kind_is_proposed(family):
    with pytest.raises(UnknownNameError, match="did you mean top-rows"):
        spec.parse(family, "toprow")
