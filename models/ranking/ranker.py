"""The ranker of pairs: LightGBM to learn and to score all, the same trees in ONNX for one request."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.errors import ArtefactError
from features.hardware import threads_for
from features.history import Floats
from features.pairs import PAIR_FEATURES, fingerprint
from models.model import Config

TOLERANCE = 1e-5
"""The ONNX ranker may differ by so much in any chance."""


class RankerConfig(Config):
    """Sampling and trees; found on earlier windows, the same for every shop."""

    negative_rate: float = Field(default=0.15, gt=0, le=1)
    """Share of the pairs not bought that are learnt from; chances are corrected for it."""
    n_trees: int = Field(default=250, ge=1)
    """Trees of the ranker."""
    n_leaves: int = Field(default=31, ge=2)
    """Leaves a tree."""
    learning_rate: float = Field(default=0.05, gt=0)
    """Shrinkage of each tree."""
    min_data_in_leaf: int = Field(default=100, ge=1)
    """Rows a leaf holds at least; a twentieth of the rows where there are few."""


@dataclass(frozen=True)
class Rows:
    """Training rows: pair features and whether the product was bought within the horizon."""

    features: Floats
    bought: NDArray[np.bool_]


@dataclass(frozen=True)
class Ranker:
    """A LightGBM booster, the rate its negatives were sampled at, and some rows to check it by."""

    booster: Any
    negative_rate: float
    probe: Floats

    @classmethod
    def train(cls, parts: Sequence[Rows], config: RankerConfig) -> Self:
        """Learn chances by binary loss: no class weights, which would destroy them."""
        import lightgbm

        features = np.concatenate([rows.features for rows in parts])
        bought = np.concatenate([rows.bought for rows in parts])
        options = {
            "objective": "binary",
            "learning_rate": config.learning_rate,
            "num_leaves": config.n_leaves,
            "min_data_in_leaf": int(np.clip(len(bought) // 20, 1, config.min_data_in_leaf)),
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "max_bin": 127,
            "num_threads": threads_for(features.size),
            "seed": config.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        data = lightgbm.Dataset(features, bought, feature_name=list(PAIR_FEATURES))
        booster = _in_single_precision(lightgbm.train(options, data, config.n_trees))
        some = np.random.default_rng(config.seed).permutation(len(bought))[:500]
        return cls(booster, config.negative_rate, features[np.sort(some)])

    def chance(self, features: Floats) -> Floats:
        """Return the chance of each row to be bought within the horizon."""
        return corrected(
            self.booster.predict(features, num_threads=threads_for(features.size)), self.negative_rate
        )

    def importance(self) -> dict[str, float]:
        """Return the share of all gain that splits on each feature brought."""
        gain = self.booster.feature_importance("gain")
        return dict(zip(PAIR_FEATURES, (gain / max(gain.sum(), 1e-9)).tolist(), strict=True))

    @cached_property
    def onnx(self) -> bytes:
        """The same trees in ONNX; raises ``ArtefactError`` unless they say the same on the probe."""
        model = _converted(self.booster)
        from models.ranking.portable import Portable

        theirs = Portable.of(model, self.negative_rate).chance(self.probe)
        worst = float(np.abs(theirs - self.chance(self.probe)).max(initial=0))
        if worst > TOLERANCE:
            raise ArtefactError(f"the ONNX ranker differs from LightGBM by {worst:.1e} in a chance")
        return model

    def save(self, folder: Path) -> None:
        """Write ``ranker.txt`` (LightGBM), ``ranker.onnx`` and the rows it is checked by."""
        self.booster.save_model(folder / "ranker.txt")
        np.save(folder / "ranker.probe.npy", self.probe)
        self.save_portable(folder)

    def save_portable(self, folder: Path) -> None:
        """Write what request workers need: ``ranker.onnx`` and ``ranker.json``."""
        (folder / "ranker.onnx").write_bytes(self.onnx)
        card = {"negative_rate": self.negative_rate, "pair_features": fingerprint()}
        (folder / "ranker.json").write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` where the pair features are not those it was trained on."""
        import lightgbm

        from models.ranking.portable import read_card

        card = read_card(folder)
        booster = lightgbm.Booster(model_file=folder / "ranker.txt")
        return cls(booster, card["negative_rate"], np.load(folder / "ranker.probe.npy", allow_pickle=False))


def corrected(chance: Any, negative_rate: float) -> Floats:
    """Undo the sampling of negatives: odds among the sample are too high by 1 / rate."""
    chance = np.asarray(chance, np.float32)
    found: Floats = chance * negative_rate / (chance * negative_rate + 1 - chance)
    return found


def _in_single_precision(booster: Any) -> Any:
    """Round thresholds down to float32: features are, so no decision changes, and ONNX keeps them exactly."""
    import lightgbm

    lines = booster.model_to_string().split("\n")
    for number, line in enumerate(lines):
        if line.startswith("threshold="):
            exact = np.array(line.removeprefix("threshold=").split(" "), np.float64)
            near = exact.astype(np.float32)
            down = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
            lines[number] = "threshold=" + " ".join(map(repr, down.astype(float).tolist()))
    # the sizes of the trees' texts have changed, and are only there to read them in parallel
    text = "\n".join(line for line in lines if not line.startswith("tree_sizes="))
    return lightgbm.Booster(model_str=text)


def _converted(booster: Any) -> bytes:
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    inputs = [("features", FloatTensorType([None, booster.num_feature()]))]
    model = convert_lightgbm(booster, initial_types=inputs, zipmap=False)
    return bytes(model.SerializeToString())
