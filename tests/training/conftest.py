from collections.abc import Iterator

import pytest

from models.registry import MODELS


@pytest.fixture(scope="module")
def fake_models() -> Iterator[None]:
    """Two small models stand in for all of ours."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(MODELS):
            patch.delitem(MODELS, name)
        patch.setitem(MODELS, "cross_sell", "worlds.fakes:FakeLists")
        patch.setitem(MODELS, "churn", "worlds.fakes:FakeChurn")
        yield
