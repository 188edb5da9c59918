"""The ranker as request workers run it: ONNX Runtime on one thread, no LightGBM."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from features.errors import ArtefactError
from features.history import Floats
from features.pairs import fingerprint


@dataclass(frozen=True)
class Portable:
    """An ONNX session, and the rate its negatives were sampled at."""

    session: Any
    output: str
    negative_rate: float

    @classmethod
    def of(cls, model: bytes, negative_rate: float) -> Self:
        """Open a model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # it warns about a shape it infers otherwise
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return cls(session, session.get_outputs()[1].name, negative_rate)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``Ranker.save_portable`` wrote; raise ``ArtefactError`` for other features."""
        return cls.of((folder / "ranker.onnx").read_bytes(), read_card(folder)["negative_rate"])

    def chance(self, features: Floats) -> Floats:
        """Return the chance of each row to be bought within the horizon."""
        if not len(features):
            return np.zeros(0, np.float32)
        sampled = self.session.run([self.output], {"features": features})[0][:, 1]
        chance: Floats = sampled * self.negative_rate / (sampled * self.negative_rate + 1 - sampled)
        return chance


def read_card(folder: Path) -> dict[str, Any]:
    """Read ``ranker.json``; raise ``ArtefactError`` where its pair features are not this code's."""
    try:
        card: dict[str, Any] = json.loads((folder / "ranker.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ArtefactError(f"no readable ranker.json in {folder.name}/ ({error})") from error
    if card["pair_features"] != fingerprint():
        raise ArtefactError(
            f"the ranker was trained on pair features {card['pair_features']}, this is {fingerprint()}",
            "retrain, or deploy the matching commit",
        )
    return card
