"""The customer features on Spark against DuckDB: the same definitions, the same figures.

Needs Java 17 and ``pip install pyspark`` (4.0 or later), which the project itself does not require.
``python tests/benchmarks/spark_parity.py HOME CUTOFF`` exits with 1 where figures differ by over a millionth.
"""

import sys
import time
from pathlib import Path
from typing import Any

import ibis
from rich.console import Console

from features.customer import CUSTOMER_FEATURES
from features.shop import Shop
from features.window import parse_cutoff

TABLES = ("orders", "days", "returns", "contacts", "surveys")


def spark_of(shop: Shop) -> Any:
    """Return an Ibis Spark backend on this machine alone, with the shop's tables."""
    from pyspark.sql import SparkSession

    here = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    session = SparkSession.builder.master("local[*]").config(
        map={**here, "spark.sql.session.timeZone": "UTC"}
    )
    spark = session.getOrCreate()
    for name in TABLES:
        spark.read.parquet(str(shop.warehouse.folder / f"{name}.parquet")).createOrReplaceTempView(name)
    spark.read.parquet(str(shop.warehouse.folder / "order_lines")).createOrReplaceTempView("order_lines")
    return ibis.pyspark.connect(spark)


def main(home: Path, cutoff: str) -> bool:
    """Print the largest difference; return whether there is one."""
    shop = Shop(home)
    moment = parse_cutoff(cutoff, shop.timezone)
    frames = []
    for con in (shop.con, spark_of(shop)):
        start = time.perf_counter()
        frames.append(CUSTOMER_FEATURES.compute(con, moment, timezone=shop.timezone))
        Console().print(f"{con.name}: {len(frames[-1]):,} customers in {time.perf_counter() - start:.1f} s")
    duck, spark = frames
    worst = (duck - spark).abs().max().max()
    same = duck.index.equals(spark.index) and duck.isna().equals(spark.isna()) and worst <= 2e-6
    Console().print(
        f"{duck.shape[1]} features, largest difference {worst:.1e}: {'the same' if same else 'NOT the same'}"
    )
    return not same


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
