"""Exploration: trying actions not known to be best, with exact propensities for later evaluation.

A policy here is a table of probabilities: for every customer that of each action and of nothing. The choice
is drawn from this very table, so the logged propensity is exact, whatever the table was computed from.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from features.arrays.dtypes import Doubles, Ints
from features.settings import ContactPolicy
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import Money
from models.decisions.everyone import Options
from models.decisions.everyone import options as options_of
from models.policy.subjects import Goods

GRID = 96
"""Points of the integral over the best sampled worth."""
N_DEVIATIONS = 6.0
"""The integral extends this many standard deviations beyond the largest mean."""


@dataclass(frozen=True)
class Explored:
    """The actions drawn for n customers, and their probabilities."""

    options: Options
    action: Ints
    """Index of the action, -1 for nothing; shape (n,)."""
    propensity: Doubles
    """The total probability of that action, including by being held out; shape (n,)."""


def explore(case: Case, goods: Goods, *, terms: Terms, uniform: Doubles) -> Explored:
    """Draw actions for everyone by the shop's policy; ``uniform`` are numbers in [0, 1), shape (n,).

    Held-out customers get nothing. Since they too were drawn at random, the share held out is part of the
    propensity.
    """
    share, held = 0.0, np.zeros(len(case.product), bool)
    if case.standing is not None:  # without it nobody is held out
        share, held = terms.policy.held_out_share, case.standing.held_out
        case = replace(case, standing=replace(case.standing, held_out=np.zeros_like(held)))
    options = options_of(case, goods, terms=terms)
    chances = policy_of(options, terms.policy)
    action = np.where(held, NOTHING, draw(chances, uniform)).astype(np.int32)
    kept = (1 - share) * chances[np.arange(len(chances)), action]
    return Explored(options, action, kept + share * (action == NOTHING))


def policy_of(options: Options, policy: ContactPolicy) -> Doubles:
    """Return the shop's policy: the probability of each action and (last) of nothing, (n, n_actions + 1)."""
    if policy.exploration == "epsilon":
        return epsilon_greedy(options, policy.epsilon)
    if policy.exploration == "thompson":
        return thompson(options, policy.effect_spread * np.abs(options.worth + options.spend))
    return greedy(options)


def greedy(options: Options) -> Doubles:
    """Return the policy that always takes the action worth most."""
    chances = np.zeros((len(options), len(options.table) + 1))
    chances[np.arange(len(options)), options.best()] = 1.0  # -1 is the last column: nothing
    return chances


def epsilon_greedy(options: Options, epsilon: float) -> Doubles:
    """Return the policy that with probability ``epsilon`` draws evenly from permitted actions and nothing."""
    permitted = np.pad(np.isfinite(options.worth), ((0, 0), (0, 1)), constant_values=True)
    tried = permitted / permitted.sum(axis=1, keepdims=True)
    return np.asarray((1 - epsilon) * greedy(options) + epsilon * tried)


def thompson(options: Options, spread: Money) -> Doubles:
    """Return the probability of each action to be the best when worths are drawn from their distributions.

    Worths are taken as independent and normal with means ``options.worth`` and standard deviations
    ``spread``, shape (n, n_actions); nothing is worth 0 (Thompson 1933). The integral is a sum over a grid,
    normalised: the choice is drawn from its result.
    """
    barred = ~np.isfinite(options.worth)
    centre = np.where(barred, -1.0, options.worth)  # and certainly so: its chance is exactly 0
    width = np.where(barred, 1e-12, np.maximum(spread, 1e-12))
    top = np.maximum((centre + N_DEVIATIONS * width).max(axis=1, initial=0.0), 1e-9)
    edges = top[:, None, None] * np.linspace(0, 1, GRID + 1)[None, :, None]
    below = ndtr((edges - centre[:, None, :]) / width[:, None, :])
    mass, at = np.diff(below, axis=1), np.maximum((below[:, 1:] + below[:, :-1]) / 2, 1e-300)
    others = np.exp(np.log(at).sum(axis=2, keepdims=True) - np.log(at))
    nothing = below[:, 0].prod(axis=1, keepdims=True)
    chances = np.hstack([(mass * others).sum(axis=1), nothing])
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def draw(chances: Doubles, uniform: Doubles) -> Ints:
    """Draw an action per customer (-1: nothing) by uniform numbers in [0, 1), (n,)."""
    ends = np.cumsum(chances, axis=1)
    passed = (uniform[:, None] * ends[:, -1:] >= ends).sum(axis=1)
    return np.where(passed >= chances.shape[1] - 1, NOTHING, passed).astype(np.int32)
