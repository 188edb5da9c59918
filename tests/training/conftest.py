from collections.abc import Iterator

import pytest
from worlds import fakes


@pytest.fixture(scope="module")
def fake_models() -> Iterator[None]:
    """Two small models stand in for all of ours."""
    with fakes.in_place_of_ours():
        yield
