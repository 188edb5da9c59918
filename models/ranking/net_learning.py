"""Training of the ranker's network: Adam (Kingma and Ba, 2015) over small batches.

Several networks with different initial weights are trained side by side, as one wide network; their log odds
are averaged, and so are their errors. The learning rate falls to zero along a cosine, where training ends: by
then the loss on held-out rows has stopped falling.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Bools, Doubles, Floats, Longs
from models.ranking.net import Net, Scale, inputs

BATCH, STEPS = 1024, 500
"""Maximum rows per step, and minimum steps per pass (batches are smaller if rows are few)."""
MIN_ROWS = 32
"""Minimum rows per step."""
RATE = 0.003
"""Maximum learning rate."""
WARM = 200
"""Steps until that rate is reached."""
N_SCALE_ROWS = 100_000
"""Number of rows from which the scale of the columns is computed."""
MEMORY, SPREAD = 0.9, 0.999
"""Decay of the running means of the gradient and of its square."""
DECAY = np.float32(0.1)
"""Weight decay (Loshchilov and Hutter, 2019), times the learning rate."""
SETTLED = 0.02
"""Training has converged if the last pass changed the loss by no more than this share."""


@dataclass(frozen=True)
class NetConfig:
    """The number of networks, their hidden units, and the number of passes over the rows."""

    n_nets: int
    n_hidden: int
    n_passes: int
    seed: int


def learn(features: Floats, bought: Bools, *, config: NetConfig) -> Net | None:
    """Return the mean of several networks; None if training has not converged.

    The same rows give the same network on any number of cores.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(config.seed)
    scale = Scale.of(features[:: max(len(features) // N_SCALE_ROWS, 1)])
    nets = _Nets.new(rng, inputs(features[:1], scale).shape[1], config=config, share=float(bought.mean()))
    batch = int(np.clip(len(features) // STEPS, MIN_ROWS, BATCH))
    n_steps = config.n_passes * (len(features) // batch)
    losses = np.zeros(n_steps)
    with threadpool_limits(1, "blas"):
        for step, rows in enumerate(_batches(rng, len(features), batch=batch, n_passes=config.n_passes)):
            rate = RATE * min(1, (step + 1) / WARM) * (1 + np.cos(np.pi * step / n_steps)) / 2
            losses[step] = nets.step(inputs(features[rows], scale), bought[rows], rate=np.float32(rate))
    if not _settled(losses.reshape(config.n_passes, -1).mean(axis=1)):
        return None
    return nets.mean(scale)


def _settled(losses: Doubles) -> bool:
    """Return whether the last pass changed the mean log loss little; False for NaN."""
    return len(losses) > 1 and bool(abs(losses[-1] - losses[-2]) <= SETTLED * losses[-2])


def _batches(rng: np.random.Generator, n_rows: int, *, batch: int, n_passes: int) -> Iterator[Longs]:
    for _ in range(n_passes):
        order = rng.permutation(n_rows)
        for start in range(0, n_rows - batch + 1, batch):
            yield order[start : start + batch]


@dataclass
class _Weights:
    """Weights, and Adam's running means."""

    now: Floats
    mean: Floats
    square: Floats
    n_steps: int = 0

    @classmethod
    def of(cls, now: Floats) -> "_Weights":
        return cls(now, np.zeros_like(now), np.zeros_like(now))

    def move(self, slope: Floats, rate: np.float32) -> None:
        self.n_steps += 1
        fresh, fresh_square = (np.float32(1 - kept**self.n_steps) for kept in (MEMORY, SPREAD))
        self.mean += np.float32(1 - MEMORY) * (slope - self.mean)
        self.square += np.float32(1 - SPREAD) * (slope**2 - self.square)
        self.now *= 1 - rate * DECAY
        self.now -= rate * (self.mean / fresh) / (np.sqrt(self.square / fresh_square) + np.float32(1e-8))


@dataclass(frozen=True)
class _Nets:
    """Networks side by side: weights of their inputs, of their hidden units, and the bias of each."""

    weight: _Weights
    out: _Weights
    level: _Weights

    @classmethod
    def new(cls, rng: np.random.Generator, n_inputs: int, *, config: NetConfig, share: float) -> "_Nets":
        """Return new networks whose output is the share of rows that were bought."""
        units = config.n_nets * config.n_hidden
        weight = rng.standard_normal((n_inputs, units), np.float32) / np.float32(np.sqrt(n_inputs))
        weight[-1] = 0
        out = rng.standard_normal(units, np.float32) / np.float32(np.sqrt(config.n_hidden))
        level = np.full(config.n_nets, np.log(share / (1 - share)), np.float32)
        return cls(_Weights.of(weight), _Weights.of(out), _Weights.of(level))

    def step(self, rows: Floats, bought: Bools, *, rate: np.float32) -> float:
        """Train on a batch, each network by its own error; return the log loss before the step."""
        out, level = self.out.now, self.level.now
        hidden = np.maximum(rows @ self.weight.now, 0)
        odds = (hidden * out).reshape(len(rows), len(level), -1).sum(axis=2) + level
        wrong = (1 / (1 + np.exp(-odds)) - bought[:, None]).astype(np.float32) / np.float32(len(rows))
        back = np.repeat(wrong, len(out) // len(level), axis=1)
        out_slope = (hidden * back).sum(axis=0)
        back *= out
        back *= hidden > 0
        self.weight.move(rows.T @ back, rate)
        self.out.move(out_slope, rate)
        self.level.move(wrong.sum(axis=0), rate)
        return float(np.logaddexp(0, np.where(bought[:, None], -odds, odds)).mean())

    def mean(self, scale: Scale) -> Net:
        """Return one network that computes the mean of their log odds."""
        out, level = self.out.now, self.level.now
        return Net(scale, self.weight.now, np.append(out / len(level), level.mean()).astype(np.float32))
