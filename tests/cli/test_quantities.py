"""Counts, sizes and times as people write them."""

import pytest

from embedkit.cli.quantities import in_bytes, in_seconds, read_bytes, read_count, read_seconds
from embedkit.errors import UsageError


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (read_count, "1e9", 10**9),
        (read_count, "1_000_000", 10**6),
        (read_count, "1,000", 1000),
        (read_count, "2.5M", 2_500_000),
        (read_bytes, "2GB", 2 * 10**9),
        (read_bytes, "500mb", 500 * 10**6),
        (read_bytes, "64GiB", 64 * 2**30),
        (read_bytes, "1024", 1024),
        (read_seconds, "5ms", 0.005),
        (read_seconds, "2s", 2),
        (read_seconds, ".5", 0.5),
    ],
)
def test_it_is_read(read, text, value):
    assert read(text, where="--x") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_count, "0"), (read_count, "-3"), (read_count, "1.5"), (read_count, "many"),
        (read_count, "1e99"),
        (read_bytes, "2 XB"), (read_bytes, "GB"), (read_bytes, "0GB"), (read_bytes, "nan"),
        (read_seconds, "5mss"), (read_seconds, ""), (read_seconds, "inf"),
    ],
)  # fmt: skip
def test_what_is_none_is_one_line_that_names_the_option(read, text):
    with pytest.raises(UsageError, match=r"^--x: .* is not a") as caught:
        read(text, where="--x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (in_bytes, 999, "999 B"), (in_bytes, 1540, "1.54 kB"), (in_bytes, 999_999, "1.00 MB"),
        (in_bytes, 64e9, "64.0 GB"), (in_bytes, 1.024e12, "1.02 TB"), (in_seconds, 0.00003, "30 us"),
        (in_seconds, 0.0123, "12.3 ms"), (in_seconds, 59, "59.0 s"), (in_seconds, 90, "1.50 min"),
        (in_seconds, 7200, "2.00 h"), (in_seconds, 864_000, "10.0 d"),
    ],
)  # fmt: skip
def test_it_is_written_with_three_figures(write, value, text):
    assert write(value) == text
