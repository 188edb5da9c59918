from pathlib import Path

import pandas as pd
from worlds import fakes
from worlds.orders import make_home

from features.excerpt import write
from features.shop import Shop
from features.window import parse_cutoff

CUTOFF = parse_cutoff("2024-06-01")


def excerpt(folder: Path, lines: pd.DataFrame) -> dict[str, bytes]:
    shop = Shop(make_home(folder / "shop", lines))
    write(shop, CUTOFF, names=shop.customers_seen(CUTOFF), folder=folder / "excerpt")
    return {file.name: file.read_bytes() for file in (folder / "excerpt").iterdir()}


def test_what_happens_after_the_cutoff_changes_no_byte(tmp_path) -> None:
    lines = fakes.lines_with_leavers()
    after = lines["ordered_at"] >= "2024-06-01"
    corrupt = lines.assign(quantity=lines["quantity"].where(~after, 9.0), order_id=lines["order_id"] + "x")
    corrupt.loc[~after, "order_id"] = lines["order_id"]
    other = pd.concat([corrupt[~after].sample(frac=1, random_state=0), corrupt[after]])
    assert excerpt(tmp_path / "one", lines) == excerpt(tmp_path / "two", other)
