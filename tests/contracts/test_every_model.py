"""What every model keeps to, whatever its kind; none needs to be fitted for it."""

import json
from inspect import isabstract
from pathlib import Path

import pytest
from pydantic import ValidationError

from features.errors import ArtefactError
from models.model import Model
from models.registry import MODELS, model_class


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> type[Model]:
    return model_class(request.param)


def test_a_model_is_of_one_kind_and_has_all_that_is_asked_of_it(kind: type[Model]) -> None:
    assert len([base for base in kind.__mro__ if Model in base.__bases__]) == 1
    assert not isabstract(kind)


def test_a_config_refuses_what_it_does_not_know(kind: type[Model]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.Config.model_validate({"no_such_option": 1})


def test_another_models_artefact_is_refused(kind: type[Model], tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"name": "other"}')
    with pytest.raises(ArtefactError, match=rf"expected a {kind.name} model .*found 'other'"):
        kind.load(tmp_path)


def test_an_artefact_of_another_config_is_refused(kind: type[Model], tmp_path: Path) -> None:
    written(tmp_path, kind, {"no_such_option": 1})
    with pytest.raises(ArtefactError, match=rf"{kind.name}: .*no_such_option"):
        kind.load(tmp_path)


def test_an_artefact_without_what_this_code_reads_is_refused(kind: type[Model], tmp_path: Path) -> None:
    written(tmp_path, kind, {})
    with pytest.raises(ArtefactError, match=kind.name):
        kind.load(tmp_path)


def written(folder: Path, kind: type[Model], config: dict[str, int]) -> None:
    card = {"name": kind.name, "config": config, "trained_until": "2024-01-01T00:00:00+00:00"}
    (folder / "model.json").write_text(json.dumps(card))


def test_a_folder_without_a_model_is_refused(kind: type[Model], tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=rf"{kind.name}: no readable model.json"):
        kind.load(tmp_path)
