"""Which scorings stay on disk, and which one serves while a new one is made."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.scoring.kept import KEPT_DAYS, outdated, scorings, served, way_back
from serving.state import SERVED, Pointer


def keep(home: Path, *made: str) -> None:
    """Write a card a scoring, a day apart; ``churn1 ltv2`` are its versions."""
    for number, words in enumerate(made):
        folder = home / "lists" / f"20260301T0000-{number:04d}"
        folder.mkdir(parents=True)
        card = folder / "manifest.json"
        card.write_text(json.dumps({"as_of": f"2026-03-{number + 1:02d}", "models": versions(words)}))
        os.utime(card, (1_772_000_000 + number * 86_400,) * 2)


def versions(words: str) -> dict[str, str]:
    return {word[:-1]: word[-1] for word in words.split()}


def left(home: Path) -> list[int]:
    gone = outdated(home)
    return [int(scoring.path.name[-4:]) for scoring in scorings(home) if scoring.path not in gone]


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        (["a1"], [0]),
        (["a1"] * 5, [4, 3, 2]),
        (["a1", "a1", "a2", "a2", "a2", "a2"], [5, 4, 3, 1]),
        (["a1", "a2", "a3", "a3", "a3"], [4, 3, 2, 1]),
        (["a1", *["a2"] * (KEPT_DAYS - 1)], [27, 26, 25, 0]),
        (["a1", *["a2"] * KEPT_DAYS], [28, 27, 26]),
    ],
)
def test_the_newest_stay_and_one_to_go_back_to(tmp_path: Path, made: list[str], kept: list[int]) -> None:
    keep(tmp_path, *made)
    assert left(tmp_path) == kept


@pytest.mark.parametrize(
    ("made", "wanted", "found"),
    [
        (["a1 b1", "a2 b1"], "a1 b1", 0),
        (["a1 b1", "a1 b1", "a2 b1"], "a1 b1", 1),
        (["a1 b1", "a2 b2"], "a1 b2", 0),
        (["a1 b1", "a1 b2", "a2 b3"], "a1 b3", 1),
        (["a1 b1", "a2 b2"], "a2 b1", 0),
        (["a1 b1", "a2 b1", "a1 b1"], "a2 b1", 1),
        (["a1 c1", "a2 b1 c1"], "a1 c2", 0),
        (["a1 b1 c2", "a1 b2 c1", "a2 b3 c2"], "a1 b3 c2", 0),
    ],
)
def test_the_nearest_to_what_is_wanted_serves_meanwhile(
    tmp_path: Path, made: list[str], wanted: str, found: int
) -> None:
    keep(tmp_path, *made)
    pointer = way_back(tmp_path, versions(wanted), served=versions(made[-1]))
    assert pointer is not None
    assert pointer.stamp.endswith(f"{found:04d}")
    assert pointer.models == versions(made[found])


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (["a1", "a2"], "a3"),
        (["a1 b1"], "a2 b1"),
        (["a2", "a3"], "a1"),
        (["a1 b1", "a2 b1"], "a2 b2"),
        (["a1", "a2 b1"], "a1 b1"),
    ],
)
def test_a_promotion_or_what_was_never_scored_waits_for_its_scoring(
    tmp_path: Path, made: list[str], wanted: str
) -> None:
    keep(tmp_path, *made)
    assert way_back(tmp_path, versions(wanted), served=versions(made[-1])) is None


def test_a_scoring_whose_card_is_broken_is_none_to_go_back_to(tmp_path: Path) -> None:
    keep(tmp_path, "a1", "a2")
    (tmp_path / "lists" / "20260301T0000-0000" / "manifest.json").write_text("{")
    assert way_back(tmp_path, versions("a1"), served=versions("a2")) is None


def test_a_scoring_still_being_written_is_none_to_go_back_to(tmp_path: Path) -> None:
    keep(tmp_path, "a1", "a2")
    first = tmp_path / "lists" / "20260301T0000-0000"
    first.rename(first.with_name(f".{first.name}"))
    assert way_back(tmp_path, versions("a1"), served=versions("a2")) is None


def test_what_answered_at_a_moment_is_known(tmp_path: Path) -> None:
    lines = [
        {"at": f"2026-11-17T1{hour}:00:00+00:00", "lists": f"s-{hour}", "models": {"churn": str(hour)}}
        for hour in (2, 4)
    ]
    (tmp_path / SERVED).write_text("\n".join(json.dumps(line) for line in lines))
    before = "no scoring is known to have served at 2026-11-17 11:00:00 UTC"
    assert served(tmp_path / "elsewhere", datetime(2026, 11, 17, 11, tzinfo=UTC)) == before
    told = [served(tmp_path, datetime(2026, 11, 17, hour, tzinfo=UTC)) for hour in (11, 12, 15)]
    assert told == [
        before,
        "s-2 answered, in service since 2026-11-17T12:00:00 UTC: churn v2",
        "s-4 answered, in service since 2026-11-17T14:00:00 UTC: churn v4",
    ]


def test_of_a_time_that_a_clock_set_back_shows_twice_the_later_scoring_is_told(tmp_path: Path) -> None:
    lines = [{"at": f"2026-11-17T12:{minute}:00+00:00", "lists": minute, "models": {}} for minute in (50, 10)]
    (tmp_path / SERVED).write_text("\n".join(json.dumps(line) for line in lines))
    assert served(tmp_path, datetime(2026, 11, 17, 13, tzinfo=UTC)).startswith("10 answered")


def test_a_line_that_a_full_disk_cut_short_hides_no_other(tmp_path: Path) -> None:
    Pointer("s-1", "2026-03-01", {"churn": "1"}).move(tmp_path)
    with (tmp_path / SERVED).open("a") as file:
        file.write('{"at": "2026-11-17T1')
    assert served(tmp_path, datetime.now(UTC)).endswith(": churn v1")


def test_every_scoring_put_in_service_is_noted(tmp_path: Path) -> None:
    for version in ("1", "2"):
        Pointer(f"s-{version}", "2026-03-01", {"churn": version}).move(tmp_path)
    assert served(tmp_path, datetime.now(UTC)).endswith(": churn v2")
    assert len((tmp_path / SERVED).read_text().splitlines()) == 2
