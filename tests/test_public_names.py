"""Every name that `import embedkit` promises is there."""

import pytest

import embedkit


@pytest.mark.parametrize("name", embedkit.__all__)
def test_a_public_name_resolves(name):
    assert getattr(embedkit, name) is not None


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'embedkit' has no attribute 'nothing'$"):
        _ = embedkit.nothing
