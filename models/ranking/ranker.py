"""The ranker of pairs: boosted trees and a small network, for all customers and for one request alike.

The loss is binary, so that scores are chances, on which amounts of money are based. Two bags of trees and a
network (``models.ranking.net``) are averaged in log odds, so that results depend little on a seed; if
purchases are few, with a plain regression too (``models.ranking.plain``). For alternatives that were tried
see ``tests/benchmarks/MEASUREMENTS.md``.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field

from features.arrays.dtypes import Bools, Doubles, Floats, Ints
from features.arrays.pairs import PAIR_FEATURES, fingerprint
from features.errors import ArtefactError
from features.hardware import side_by_side, threads_for
from models.config import Config
from models.ranking.net import Net
from models.ranking.net_learning import NetConfig, learn
from models.ranking.plain import Plain
from models.ranking.trees import MAX_LEAVES, FlatTrees


class RankerConfig(Config):
    """Sampling and trees; chosen on earlier windows, the same for every shop."""

    negative_rate: float = Field(default=0.15, gt=0, le=1)
    """Share of the pairs not bought that are learnt from; chances are corrected for it."""
    n_bags: int = Field(default=2, ge=1)
    """Rankers with different subsets of rows and columns, averaged in log odds: a single one varies by .002
    of NDCG with its seed. Twice as many if there is no network."""
    n_trees: int = Field(default=120, ge=1)
    """Trees per bag."""
    n_leaves: int = Field(default=31, ge=2, le=MAX_LEAVES)
    """Leaves per tree."""
    learning_rate: float = Field(default=0.06, gt=0)
    """Shrinkage of each tree."""
    min_data_in_leaf: int = Field(default=100, ge=1)
    """Minimum number of rows in a leaf; a twentieth of the rows if there are few."""
    column_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the features that each tree may use."""
    row_share: float = Field(default=0.7, gt=0, le=1)
    """Share of the rows that each tree is learnt from."""
    ridge: float = Field(default=5.0, ge=0)
    """L2 penalty on leaves (LightGBM's lambda_l2)."""
    net_share: float = Field(default=0.4, ge=0, le=1)
    """Weight of the network's log odds in the average with the trees'; 0: trees alone."""
    net_from: int = Field(default=200, ge=1)
    """Minimum number of purchases for a network to be trained."""
    n_nets: int = Field(default=4, ge=1)
    """Networks with different initial weights, averaged in log odds."""
    n_hidden: int = Field(default=16, ge=1)
    """Hidden units of each network."""
    n_passes: int = Field(default=8, ge=2)
    """Number of passes over the rows."""
    plain_share: float = Field(default=0.4, ge=0, le=1)
    """Weight of a plain regression's log odds if there is next to nothing to learn from; it falls linearly
    with the number of purchases. Without a network it has the network's weight as well."""
    plain_until: int = Field(default=15_000, ge=1)
    """Number of purchases from which on its weight is 0."""


@dataclass(frozen=True)
class Rows:
    """Training rows: pair features and whether the product was bought within the horizon."""

    features: Floats
    bought: Bools

    @classmethod
    def gathered(cls, parts: Iterable["Rows"]) -> Self:
        """Return parts as one that grows in place: gigabytes in a large shop, which are never held twice."""
        gathered_rows = cls(np.zeros((0, len(PAIR_FEATURES)), np.float32), np.zeros(0, bool))
        for part in parts:
            end = len(gathered_rows.bought) + len(part.bought)
            for whole, piece in (
                (gathered_rows.features, part.features),
                (gathered_rows.bought, part.bought),
            ):
                whole.resize((end, *whole.shape[1:]), refcheck=False)
                whole[end - len(piece) :] = piece
        return gathered_rows


@dataclass(frozen=True)
class Ranker:
    """LightGBM's text of the trees, and the rate at which their negatives were sampled.

    ``net`` is averaged with them at a weight of ``net_share``; None if purchases were few. ``plain`` is
    averaged with both; None if they were many. ``level`` is added to the log odds, as averaged log odds give
    a lower mean chance than those averaged.
    """

    text: str
    negative_rate: float
    net: Net | None = None
    net_share: float = 0.0
    level: float = 0.0
    plain: Plain | None = None

    @classmethod
    def train(cls, rows: Rows, config: RankerConfig) -> Self:
        """Learn chances by binary loss, without class weights, which would destroy their calibration."""
        features, bought = rows.features, rows.bought
        net = _net(features, bought, config)
        plain = _plain(features, bought, config, for_net=net is None)
        text = _trees(features, bought, config=config, n_bags=config.n_bags if net else 2 * config.n_bags)
        share = config.net_share if net else 0.0
        ranker = cls(text, config.negative_rate, net, share, plain=plain)
        if not (net or plain):
            return ranker
        return replace(ranker, level=level_of(ranker._odds_of_all(features), bought))

    @cached_property
    def trees(self) -> FlatTrees:
        """The trees for computing scores, without LightGBM."""
        return _read(self.text)

    def chance(self, features: Floats) -> Floats:
        """Return the chance of each row to be bought within the horizon."""
        return corrected(1 / (1 + np.exp(-self._odds(features))), self.negative_rate)

    def without(self, features: Floats, usual: Floats, family: Ints) -> Doubles:
        """Return log odds with each family of columns replaced by ``usual``, shape (families, rows).

        ``family`` holds each column's number; -1: none.
        """
        return self._averaged(lambda part: part.without(features, usual, family=family))

    def _odds(self, features: Floats) -> Doubles:
        """Return log odds at the sampled share of negatives."""
        return self._averaged(lambda part: part.raw(features))

    def _averaged(self, odds_of: Callable[[FlatTrees | Net | Plain], Doubles]) -> Doubles:
        odds = odds_of(self.trees)
        if self.net:
            odds = (1 - self.net_share) * odds + self.net_share * odds_of(self.net)
        if self.plain:
            odds = (1 - self.plain.share) * odds + self.plain.share * odds_of(self.plain)
        return odds + self.level

    def _odds_of_all(self, features: Floats) -> Doubles:
        pieces = np.array_split(features, threads_for(features.size))
        return np.concatenate(list(side_by_side(self._odds, pieces)))

    def importance(self) -> dict[str, float]:
        """Return each feature's share of the total gain, of the trees alone."""
        import lightgbm

        gain = lightgbm.Booster(model_str=self.text).feature_importance("gain")
        return dict(zip(PAIR_FEATURES, (gain / max(gain.sum(), 1e-9)).tolist(), strict=True))

    def save(self, folder: Path) -> None:
        """Write ``ranker.txt`` (LightGBM), ``ranker.json``, and the network's arrays if there is one."""
        (folder / "ranker.txt").write_text(self.text, encoding="utf-8")
        if self.net:
            self.net.save(folder)
        card = {
            "negative_rate": self.negative_rate,
            "pair_features": fingerprint(),
            "net_share": self.net_share,
            "level": self.level,
            "plain": self.plain.card() if self.plain else None,
        }
        (folder / "ranker.json").write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the pair features are not those it was trained on."""
        try:
            card = json.loads((folder / "ranker.json").read_text(encoding="utf-8"))
            text = (folder / "ranker.txt").read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ArtefactError(f"no readable ranker in {folder.name}/ ({error})", "train again") from error
        if card["pair_features"] != fingerprint():
            raise ArtefactError(
                f"the ranker was trained on pair features {card['pair_features']}, this code computes "
                f"{fingerprint()}",
                "retrain, or deploy the matching commit",
            )
        share = card.get("net_share", 0.0)
        net = Net.load(folder) if share else None
        plain = Plain.of(card["plain"]) if card.get("plain") else None
        return cls(text, card["negative_rate"], net, share, card.get("level", 0.0), plain)


def _net(features: Floats, bought: Bools, config: RankerConfig) -> Net | None:
    if not config.net_share or bought.sum() < config.net_from or bought.all():
        return None
    return learn(
        features, bought, config=NetConfig(config.n_nets, config.n_hidden, config.n_passes, config.seed)
    )


def _plain(features: Floats, bought: Bools, config: RankerConfig, *, for_net: bool) -> Plain | None:
    """Learn the plain regression; ``for_net``: without a network it gets that one's weight too."""
    share = config.plain_share
    if share and for_net:
        share += (1 - share) * config.net_share
    share *= max(0.0, 1 - float(bought.sum()) / config.plain_until)
    return Plain.learn(features, bought, share=share) if share else None


def level_of(odds: Doubles, bought: Bools) -> float:
    """Return what to add to log odds so that their mean chance is the share bought (Newton's steps).

    The rows must contain both outcomes, and the odds be nearly right already: no step is longer than one.
    """
    level = 0.0
    for _ in range(12):
        chance = 1 / (1 + np.exp(-(odds + level)))
        slope = max((chance * (1 - chance)).mean(), 1e-9)
        level += float(np.clip((bought.mean() - chance.mean()) / slope, -1, 1))
    return level


def _trees(features: Floats, bought: Bools, *, config: RankerConfig, n_bags: int) -> str:
    """Return LightGBM's text of all bags, trained in parallel, with the same bits as one after the other."""
    import lightgbm

    options = {
        "objective": "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.n_leaves,
        "min_data_in_leaf": int(np.clip(len(bought) // 20, 1, config.min_data_in_leaf)),
        "feature_fraction": config.column_share,
        "bagging_fraction": config.row_share,
        "bagging_freq": 1,
        "lambda_l2": config.ridge,
        "max_bin": 127,
        "num_threads": max(threads_for(features.size) // n_bags, 1),
        "deterministic": True,
        "force_col_wise": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(features, bought, feature_name=list(PAIR_FEATURES), params=options).construct()

    def bag(number: int) -> str:
        one = options | {"seed": config.seed + number}
        text: str = lightgbm.train(one, data, config.n_trees).model_to_string()
        return text

    return averaged(list(side_by_side(bag, range(n_bags))))


@lru_cache(maxsize=2)
def _read(text: str) -> FlatTrees:
    """Read trees; cached, since consecutive scorings mostly use the same ranker."""
    return FlatTrees.read(text)


def averaged(texts: Sequence[str]) -> str:
    """Return one model in LightGBM's text that computes the mean log odds of several."""
    head, tail = texts[0].partition("\nTree=")[0], texts[0].partition("\nend of trees")[2]
    trees: list[str] = []
    for text in texts:
        for section in text.partition("\nend of trees")[0].split("\nTree=")[1:]:
            lines = section.split("\n")[1:]
            scaled = [_scaled(line, len(texts)) if line.startswith("leaf_value=") else line for line in lines]
            trees.append("\n".join([f"Tree={len(trees)}", *scaled]))
    # the sizes of the trees' texts have changed; they only serve to read them in parallel
    head = "\n".join(line for line in head.split("\n") if not line.startswith("tree_sizes="))
    return "\n".join([head, *trees, "end of trees" + tail])


def _scaled(line: str, n: int) -> str:
    values = np.array(line.removeprefix("leaf_value=").split(), np.float64) / n
    return "leaf_value=" + " ".join(map(repr, values.tolist()))


def corrected(chance: Any, negative_rate: float) -> Floats:
    """Undo the sampling of negatives: odds in the sample are too high by 1 / rate."""
    chance = np.asarray(chance, np.float32)
    true_chance: Floats = chance * negative_rate / (chance * negative_rate + 1 - chance)
    return true_chance
