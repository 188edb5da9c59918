"""Off-policy estimates against a simulation whose truth is known."""

import numpy as np
import pytest

from features.errors import CannotLearn, InputError
from models.trials.off_policy import Log, cross_fitted, value, weights

N_RUNS = 500
N = 1200
SLOPES = np.array([[0.0, 0.0], [0.6, -0.4], [-0.5, 0.7]])
LEVELS = np.array([1.0, 1.2, 0.9])


def contexts(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(n, 2))


def logging(x: np.ndarray) -> np.ndarray:
    """Chances of the three actions under the policy that was followed: it leans, but tries all."""
    raw = np.exp(0.6 * x @ np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.5]]))
    return 0.1 + 0.7 * raw / raw.sum(axis=1, keepdims=True)


def target(x: np.ndarray) -> np.ndarray:
    """Chances under the policy to be valued: mostly the best action."""
    best = (LEVELS + x @ SLOPES.T).argmax(axis=1)
    return 0.1 + 0.7 * np.eye(3)[best]


def play(n: int, rng: np.random.Generator) -> tuple[np.ndarray, Log]:
    x = contexts(n, rng)
    chance = logging(x)
    action = (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1)
    at = np.arange(n)
    mean = (LEVELS + np.tanh(x) @ SLOPES.T)[
        at, action
    ]  # not linear: the outcome model is wrong, as models are
    return x, Log.of(action, chance[at, action], reward=mean + rng.normal(size=n), n_actions=3)


def true_value() -> float:
    x = contexts(2_000_000, np.random.default_rng(99))
    return float((target(x) * (LEVELS + np.tanh(x) @ SLOPES.T)).sum(axis=1).mean())


def ridge(rows: np.ndarray, reward: np.ndarray):
    design = np.column_stack([np.ones(len(rows)), rows])
    weight = np.linalg.solve(design.T @ design + 1e-3 * np.eye(design.shape[1]), design.T @ reward)
    return lambda new: np.column_stack([np.ones(len(new)), new]) @ weight


@pytest.fixture(scope="module")
def runs() -> dict[str, np.ndarray]:
    """Value, low and high of every estimate, in each of 500 simulated logs."""
    rng, found = np.random.default_rng(0), {"ips": [], "snips": [], "dr": []}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("models.trials.off_policy.N_FOLDS", 2)  # quicker
        for _ in range(N_RUNS):
            x, log = play(N, rng)
            one = value(log, target(x), expected=cross_fitted(log, x, fit=ridge))
            for name, estimates in found.items():
                estimates.append(getattr(one, name))
    return {name: np.array(estimates) for name, estimates in found.items()}


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_of_95_percent_cover_the_truth_in_93_to_97_percent_of_500_runs(name, runs) -> None:
    truth = true_value()
    _, low, high = runs[name].T
    assert 0.93 <= ((low <= truth) & (truth <= high)).mean() <= 0.97


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_the_mean_of_500_runs_is_the_truth(name, runs) -> None:
    assert runs[name][:, 0].mean() == pytest.approx(true_value(), abs=0.012)


def test_an_outcome_model_narrows_the_interval(runs) -> None:
    width = {name: (found[:, 2] - found[:, 1]).mean() for name, found in runs.items()}
    assert width["dr"] < width["snips"] < width["ips"]


def test_the_policy_that_was_followed_is_valued_at_what_it_earned() -> None:
    x, log = play(N, np.random.default_rng(3))
    said = value(log, logging(x))
    assert said.ips.value == pytest.approx(log.reward.mean(), abs=0.1)
    assert np.average(weights(log, logging(x))) == pytest.approx(1)


def test_where_a_policy_agrees_with_half_of_a_coins_decisions_half_of_them_count() -> None:
    log = Log.of(np.arange(100) % 2, np.full(100, 0.5), reward=np.arange(100.0), n_actions=2)
    assert value(log, np.tile([0.0, 1.0], (100, 1))).n_effective == pytest.approx(50)


def test_propensities_that_are_all_too_small_by_one_factor_change_nothing_of_snips() -> None:
    x, log = play(N, np.random.default_rng(7))
    smaller = Log.of(log.action, log.propensity * 0.97, reward=log.reward, n_actions=3)
    assert value(smaller, target(x)).snips == pytest.approx(value(log, target(x)).snips)


def test_decisions_of_one_customer_are_no_news() -> None:
    x, log = play(400, np.random.default_rng(4))
    again = np.repeat(np.arange(400), 4)
    many = Log.of(
        log.action[again],
        log.propensity[again],
        reward=log.reward[again],
        n_actions=3,
        customer=again.astype(str),
    )
    once, four = value(log, target(x)), value(many, target(x[again]))
    assert four.ips == pytest.approx(once.ips)
    assert four.snips == pytest.approx(once.snips)


def test_a_policy_that_does_what_was_never_tried_is_refused_in_words() -> None:
    x, log = play(N, np.random.default_rng(5))
    kept = log.action != 2
    only_two = log.propensity[kept] / (1 - logging(x)[kept, 2])
    part = Log.of(log.action[kept], only_two, reward=log.reward[kept], n_actions=3)
    with pytest.raises(CannotLearn, match="the log does not cover the policy: its weights average"):
        value(part, target(x[kept]))
    with pytest.raises(CannotLearn, match="never takes the action that was taken"):
        value(part, np.tile([0.0, 0.0, 1.0], (kept.sum(), 1)))
    with pytest.raises(CannotLearn, match="never takes the action that was taken"):
        value(Log.of([], [], reward=[], n_actions=3), np.zeros((0, 3)))
    with pytest.raises(CannotLearn, match="its weights average 2"):
        value(Log.of(log.action, log.propensity / 2, reward=log.reward, n_actions=3), logging(x))


def partly_certain(share: float) -> tuple[Log, np.ndarray]:
    """Return decisions by a coin, and which were certain: no contact was permitted there."""
    rng, certain = np.random.default_rng(6), np.arange(N) < share * N
    action = np.where(certain, 0, rng.random(N) < 0.5).astype(int)
    chance = np.where(certain, 1.0, 0.5)
    return Log.of(action, chance, reward=rng.gamma(2.0, 5.0, N), n_actions=2), certain


def test_a_policy_is_refused_where_it_would_do_what_had_no_chance() -> None:
    always = np.tile([0.0, 1.0], (N, 1))
    log, certain = partly_certain(0.05)
    with pytest.raises(CannotLearn, match="in 5% of decisions it takes an action that had no chance"):
        value(log, always)
    assert value(log, np.column_stack([certain, ~certain]).astype(float)).n_effective > N / 3
    assert value(partly_certain(0.005)[0], always).n_effective > N / 3  # next to none


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensity": [0.0, 0.5]}, "1 decisions have no propensity"),
        ({"propensity": [np.nan, 0.5]}, "1 decisions have no propensity"),
        ({"propensity": [1.5, 0.5]}, "1 decisions have no propensity"),
        ({"reward": [np.nan, 1.0]}, "a reward is missing"),
        ({"action": [0, 3]}, "must be from 0 to 2, found 0 to 3"),
        ({"action": [-1, 1]}, "must be from 0 to 2, found -1 to 1"),
    ],
)
def test_a_log_that_cannot_be_is_refused_in_words(change, words) -> None:
    good = {"action": [0, 1], "propensity": [0.5, 0.5], "reward": [1.0, 1.0], "n_actions": 3}
    with pytest.raises(InputError, match=words):
        Log.of(**(good | change))


def test_chances_that_do_not_sum_to_one_are_refused() -> None:
    log = Log.of([0, 1], [0.5, 0.5], reward=[1.0, 1.0], n_actions=2)
    with pytest.raises(InputError, match="sum to 1"):
        value(log, np.ones((2, 2)))
    with pytest.raises(InputError, match="must be 0 or more"):
        value(log, np.array([[1.5, -0.5], [0.5, 0.5]]))
    with pytest.raises(InputError, match="expected chances of shape"):
        value(log, np.ones((2, 3)))


def test_nothing_is_expected_of_a_customer_by_a_model_that_saw_them_or_another_of_their_decisions() -> None:
    customer, action = np.repeat(np.arange(50.0), 4), np.tile([0, 1], 100)
    log = Log.of(action, np.full(200, 0.5), reward=np.ones(200), n_actions=2, customer=customer)

    def fit(seen: np.ndarray, _: np.ndarray):
        return lambda asked: np.isin(asked[:, 0], seen[:, 0]).astype(float)

    assert (cross_fitted(log, customer[:, None], fit=fit) == 0).all()


def test_an_action_hardly_tried_is_expected_to_earn_what_all_do() -> None:
    action = np.where(np.arange(200) < 2, 1, 0)
    log = Log.of(action, np.full(200, 0.5), reward=np.full(200, 7.0), n_actions=2)
    expected = cross_fitted(log, np.zeros((200, 1)), fit=lambda *_: lambda asked: np.zeros(len(asked)))
    np.testing.assert_array_equal(expected, np.tile([0.0, 7.0], (200, 1)))
