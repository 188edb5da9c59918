"""A randomised campaign whose effect on every customer is known."""

import numpy as np
import pandas as pd


def campaign(
    n: int = 4000, *, lift: float = 0.3, harm: float = 0.0, share: float = 0.5, seed: int = 0
) -> pd.DataFrame:
    """Return one row a customer: who is moved is not who buys.

    ``asks`` (0 or 1) decides the effect: ``lift`` for those who ask, ``-harm`` for the others. ``spend``
    decides the base: 10 to 50%. ``recency`` and ``channel`` are noise.
    """
    rng = np.random.default_rng(seed)
    asks, spend = rng.integers(0, 2, n), rng.random(n)
    effect, base = np.where(asks == 1, lift, -harm), 0.1 + 0.4 * spend
    treated = (rng.random(n) < share).astype(int)
    return pd.DataFrame(
        {
            "asks": asks,
            "spend": spend,
            "recency": rng.integers(0, 12, n),
            "channel": rng.choice(["web", "phone"], n),
            "treated": treated,
            "bought": (rng.random(n) < base + effect * treated).astype(int),
        }
    )


def tables(n_customers: int = 500, *, seed: int = 0, held_out: bool = True) -> dict[str, pd.DataFrame]:
    """Return ``lines`` and ``contacts`` of a shop that mails everybody every 28 days, or holds them out.

    A mail makes the spenders (even numbers, dear products) order in 2 of 5 cases more, and others never.
    Half of the mails are held out, with propensity 0.5; without ``held_out`` all are sent, and none is told.
    """
    rng, n_mails = np.random.default_rng(seed), 6
    customer = np.tile(np.arange(n_customers), n_mails)
    mail = np.repeat(np.arange(n_mails), n_customers)
    sent = 60 + 28 * mail + customer % 7
    treated = rng.random(len(sent)) < 0.5 if held_out else np.ones(len(sent), bool)
    spends = customer % 2 == 0
    moved = treated & spends & (rng.random(len(sent)) < 0.4)
    anyway = rng.random(len(sent)) < 0.25
    first = pd.DataFrame({"customer": np.arange(n_customers), "day": rng.integers(0, 50, n_customers)})
    later = [
        pd.DataFrame({"customer": customer[rows], "day": sent[rows] + rng.integers(1, 26, rows.sum())})
        for rows in (moved, anyway)
    ]
    orders = pd.concat([first, *later], ignore_index=True)
    lines = pd.DataFrame(
        {
            "customer_id": _names(orders["customer"]),
            "order_id": [f"o{number}" for number in range(len(orders))],
            "ordered_at": pd.Timestamp("2024-01-01 12:00") + pd.to_timedelta(orders["day"], unit="D"),
            "product_id": np.where(orders["customer"] % 2 == 0, "dear", "cheap"),
            "unit_price": np.where(orders["customer"] % 2 == 0, 50.0, 5.0),
        }
    )
    contacts = pd.DataFrame(
        {
            "customer_id": _names(pd.Series(customer)),
            "sent_at": pd.Timestamp("2024-01-01 09:00") + pd.to_timedelta(sent, unit="D"),
            "contact_id": [f"m{number}" for number in range(len(sent))],
            "action": "win_back",
        }
    )
    if held_out:
        contacts = contacts.assign(treated=treated, propensity=0.5)
    return {"lines": lines, "contacts": contacts}


def _names(numbers: "pd.Series[int]") -> list[str]:
    return [f"c{number:04d}" for number in numbers]
