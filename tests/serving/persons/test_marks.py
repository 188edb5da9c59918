from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.arrays.history import Vocabulary
from serving.persons import marks
from serving.persons.marks import ErasedCustomers, Marks
from serving.persons.rights import digest_of

SALT = b"salt" * 8
NAMES = [f"c{number:03d}" for number in range(200)]
CUSTOMERS = Vocabulary.of(NAMES)
MARKS = Marks.of(SALT, NAMES)


def digests(names: list[str]) -> set[bytes]:
    return {digest_of(SALT, name) for name in names}


def found(erased_customers: ErasedCustomers, erased: set[bytes]) -> list[str]:
    return CUSTOMERS.names(np.flatnonzero(erased_customers.mask(SALT, erased)))


@given(st.lists(st.sampled_from([*NAMES, "nobody", "Zoë"]), max_size=20), st.booleans())
def test_exactly_those_are_found_whose_digest_is_kept(names: list[str], kept: bool) -> None:
    erased_customers = ErasedCustomers(CUSTOMERS, MARKS if kept else None)
    assert found(erased_customers, digests(names)) == sorted({*names} & {*NAMES})


def test_whoever_is_erased_later_is_found_too() -> None:
    erased_customers, erased = ErasedCustomers(CUSTOMERS, MARKS), digests(["c003"])
    assert found(erased_customers, erased) == ["c003"]
    erased |= digests(["c007"])
    assert found(erased_customers, erased) == ["c003", "c007"]


def test_marks_made_with_the_salt_of_another_store_are_made_anew() -> None:
    assert found(ErasedCustomers(CUSTOMERS, Marks.of(b"another", NAMES)), digests(["c003"])) == ["c003"]


def test_whoever_only_shares_a_mark_is_not_taken_for_erased() -> None:
    shared = MARKS.mark.copy()
    shared[9] = shared[3]
    assert found(ErasedCustomers(CUSTOMERS, Marks(MARKS.salt, shared)), digests(["c003"])) == ["c003"]


def test_with_marks_nobody_else_is_hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    erased, hashed = digests(["c003"]), list[str]()
    MARKS.save(tmp_path)
    monkeypatch.setattr(marks, "digest_of", lambda salt, name: hashed.append(name) or digest_of(salt, name))
    erased_customers = ErasedCustomers(CUSTOMERS, Marks.load(tmp_path))
    for _ in range(3):
        assert found(erased_customers, erased) == ["c003"]
    assert hashed == ["c003"]
