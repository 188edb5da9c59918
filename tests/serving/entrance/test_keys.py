from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds.snapshot import AS_OF, NOW

from features.errors import NotFound, SettingsError
from serving.entrance import keys
from serving.online.view import View
from serving.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def view(store: Store) -> Any:
    opened = View(store, AS_OF)
    yield opened
    opened.close()


def test_a_key_opens_the_doors_of_its_scopes_only(store: Store, view: View) -> None:
    secret = keys.create(store, ["storefront"], name="web shop", now=NOW)
    view.sync()
    key = keys.holder(view.keys, secret)
    assert key is not None
    assert key.name == "web shop"
    assert [scope for scope in keys.SCOPES if key.may(scope)] == ["storefront"]


def test_an_admin_key_opens_every_door(store: Store, view: View) -> None:
    secret = keys.create(store, ["admin"], now=NOW)
    view.sync()
    key = keys.holder(view.keys, secret)
    assert key is not None
    assert all(key.may(scope) for scope in keys.SCOPES)


def test_the_scheme_of_a_header_may_be_written_as_it_likes(store: Store, view: View) -> None:
    secret = keys.create(store, ["crm"], now=NOW)
    view.sync()
    heads = [f"{scheme}{secret}".encode() for scheme in ("Bearer ", "bearer  ", "BEARER ", "Basic ", "")]
    assert [view.holder(head) is not None for head in heads] == [True, True, True, False, False]


def test_the_store_does_not_hold_the_secret(store: Store, tmp_path: Path) -> None:
    secret = keys.create(store, ["crm"], now=NOW).split("_", 2)[2]
    store.close()
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.glob("online.db*"))


def test_a_revoked_key_is_nobodys_from_then_on(store: Store, view: View) -> None:
    secret = keys.create(store, ["crm"], now=NOW)
    view.sync()
    assert keys.holder(view.keys, secret) is not None
    keys.revoke(store, secret.split("_")[1], now=NOW)
    view.sync()
    assert keys.holder(view.keys, secret) is None
    assert [key.revoked_at for key in keys.listed(store)] == [NOW]


def test_a_secret_may_hold_the_sign_that_parts_a_key(store: Store, view: View) -> None:
    secrets = [keys.create(store, ["crm"], now=NOW) for _ in range(20)]
    view.sync()
    assert any("_" in secret.split("_", 2)[2] for secret in secrets)
    assert all(keys.holder(view.keys, secret) is not None for secret in secrets)


def test_keys_are_listed_oldest_first(store: Store) -> None:
    for hours in range(8, 0, -1):
        keys.create(store, ["crm"], name=str(hours), now=NOW + timedelta(hours=hours))
    assert [key.name for key in keys.listed(store)] == [str(hours) for hours in range(1, 9)]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_lets_nothing_through_is_refused(store: Store, rate: float) -> None:
    with pytest.raises(SettingsError, match="above 0"):
        keys.create(store, ["crm"], now=NOW, per_second=rate)


@pytest.mark.parametrize(
    "wrong", ["", "rk", "rk_", "rk_{id}_", "rk_{id}_wrong", "xx_{id}_{secret}", "rk_ffffffff_{secret}"]
)
def test_what_is_no_key_is_nobodys(store: Store, view: View, wrong: str) -> None:
    _, key_id, secret = keys.create(store, ["crm"], now=NOW).split("_", 2)
    view.sync()
    assert keys.holder(view.keys, wrong.format(id=key_id, secret=secret)) is None


def test_an_unknown_scope_and_an_unknown_key_are_named(store: Store) -> None:
    with pytest.raises(SettingsError, match="unknown scope shop"):
        keys.create(store, ["shop"], now=NOW)
    with pytest.raises(SettingsError, match="none"):
        keys.create(store, [], now=NOW)
    with pytest.raises(NotFound, match="no key 'abc'"):
        keys.revoke(store, "abc", now=NOW)
