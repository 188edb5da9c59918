"""A kitchen shop: coffee is bought every week, a fridge once, bags go with everything and are never shown.

``scored`` is all of it in service: a model that learnt, its ready lists and the live ranker.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from worlds.checkerboard import SMALL, folder_of_its_own
from worlds.orders import make_shop

from features.shop import Shop
from features.window import parse_cutoff
from models.cross_sell import CrossSell
from models.popular import Popular
from models.repurchase import Repurchase
from models.upsell import Upsell
from serving.persons.rights import Forgotten
from serving.scoring.build import Build
from serving.scoring.folder import load, write
from serving.scoring.snapshot import Snapshot

CUTOFF = parse_cutoff("2024-05-20")
N_DAYS = 140
COFFEE, FRIDGES, PANS, BAGS = "food > coffee", "home > fridges", "home > pans", "extras > bags"
SIZES = {COFFEE: 12, FRIDGES: 16, PANS: 30, BAGS: 2}
LISTS = """
[lists]
hidden = ["extras > bags"]
max_per_category = 3
pinned = { for_you = ["pans-07"], popular = ["fridges-03", "coffee-01"] }
boosted = { "home > pans" = 1.5 }
"""


def ids_of(category: str) -> list[str]:
    """Return a category's products."""
    return [f"{category.split(' > ')[1]}-{number:02d}" for number in range(SIZES[category])]


def kitchen_products() -> pd.DataFrame:
    """Return the catalogue: prices rise with the number."""
    rows = [
        (name, name.replace("-", " no "), category, f"brand {number % 3}", 5.0 + 3 * number)
        for category in SIZES
        for number, name in enumerate(ids_of(category))
    ]
    return pd.DataFrame(rows, columns=["product_id", "name", "category", "brand", "list_price"])


def kitchen_lines(n_customers: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return orders: a favourite coffee each week, a bag with it, a pan now and then, two fridges in all."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(n_customers):
        days = range(customer % 7, N_DAYS, 7 + customer % 5)
        fridges = dict(
            zip(rng.choice(len(days), 2), rng.choice(ids_of(FRIDGES), 2, replace=False), strict=True)
        )
        pans = iter(rng.permutation(ids_of(PANS)))
        for number, day in enumerate(days):
            basket = {f"coffee-{customer % 12:02d}", "bags-00"} | (
                {fridges[number]} if number in fridges else set()
            )
            basket |= {next(pans)} if rng.random() < 0.4 else set()
            moment = pd.Timestamp("2024-01-01") + pd.Timedelta(days=day, hours=12)
            rows += [(f"c{customer:02d}", f"o{customer}-{day}", moment, name) for name in sorted(basket)]
    return pd.DataFrame(rows, columns=["customer_id", "order_id", "ordered_at", "product_id"])


@dataclass(frozen=True)
class Kitchen:
    """The shop, its model, and its scoring as a worker maps it."""

    shop: Shop
    model: CrossSell
    snapshot: Snapshot


@cache
def scored() -> Kitchen:
    """Learn, score and map; made once."""
    folder = folder_of_its_own()
    shop = make_shop(folder, kitchen_lines(), more=LISTS, products=kitchen_products())
    model = CrossSell.fit(shop, CUTOFF, config=SMALL)
    models = {"cross_sell": model, "popular": Popular.fit(shop, CUTOFF, config=Popular.Config())}
    models["repurchase"] = Repurchase.fit(shop, CUTOFF, config=Repurchase.Config())
    models["upsell"] = Upsell.fit(shop, CUTOFF, config=Upsell.Config())
    build = Build(shop, CUTOFF, models, dict.fromkeys(models, "1"), Forgotten(b"", frozenset()))
    write(folder / "scoring", build.snapshot(), more=build.save_more)
    return Kitchen(shop, model, load(folder / "scoring"))
