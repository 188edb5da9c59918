import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.storage.contracts import BLANKS
from serving.api import Event, EventsRequest, RecommendRequest
from serving.api_types import Request
from serving.entrance.bodies import parse
from serving.entrance.quick import FAULTS, reader
from serving.entrance.refusals import Refused

QUICK = reader(RecommendRequest)
text = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z", "Cc"]), max_size=4)
ids = st.one_of(
    st.sampled_from(["c1", "x" * 128, "x" * 129, "é" * 128, "a\n", "\x7f", "", " c1", "c 1\u3000"]), text
)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, 1.0, 200, 201, 1e9, -0.0, 1e308]))
anything = st.one_of(
    st.none(), st.booleans(), numbers, ids, st.lists(ids, max_size=3), st.dictionaries(text, ids, max_size=2)
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "customer_id": ids | anything,
        "k": st.integers(1, 200) | anything,
        "cart": st.lists(ids, max_size=3) | anything,
        "product_id": ids | anything,
        "exclude": st.lists(ids, max_size=3) | st.just(["p"] * 1000) | st.just(["p"] * 1001) | anything,
        "attributes": st.dictionaries(st.sampled_from(["gender", "region", "age"]), ids, max_size=2)
        | anything,
        "category": st.sampled_from(["a > b", "x" * 300, "x" * 301, "\x00"]) | anything,
        "min_price": numbers | anything,
        "max_price": numbers | anything,
        "details": st.booleans() | anything,
        "locale": st.sampled_from(["e", "en", "pt-BR", "x" * 36]) | anything,
        "list": st.sampled_from(["for_you", "upsell", "best"]) | anything,
        "sku": anything,
    },
)


def quick(body: bytes) -> dict[str, Any] | None:
    try:
        found = QUICK(body)
    except FAULTS:
        return None
    return {name: getattr(found, name) for name in RecommendRequest.model_fields}


def padded(body: dict[str, Any]) -> bool:
    said = [body.get("customer_id"), body.get("product_id"), body.get("cart"), body.get("exclude")]
    found = [one for value in said for one in (value if isinstance(value, list) else [value])]
    return any(isinstance(one, str) and one != one.strip(BLANKS) for one in found)


def slow(body: bytes) -> dict[str, Any] | None:
    try:
        return RecommendRequest.model_validate_json(body).model_dump()
    except ValidationError:
        return None


@settings(max_examples=500, deadline=None)
@given(bodies)
@example({"k": 1.0})
@example({"customer_id": " c1"})
@example({"cart": ["p1", "p2 "]})
def test_a_request_is_taken_or_not_and_read_as_its_model_reads_it(body: dict[str, Any]) -> None:
    written = json.dumps(body).encode()
    if isinstance(body.get("k"), float) or padded(body):  # left to the model, which reads 10.0 as 10
        assert quick(written) is None
    else:
        assert repr(quick(written)) == repr(slow(written))  # 1 is not 1.0


fragments = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        '"k"',
        '"customer_id"',
        '"min_price"',
        "1",
        "1.0",
        "1e1",
        "-0",
        "01",
        "NaN",
    ]
    + [
        "Infinity",
        "1e400",
        "1" * 30,
        "true",
        "null",
        '"a"',
        '"\\ud800"',
        '"\\u0000"',
        '"\x00"',
        " ",
        "\ufeff",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(fragments, max_size=8).map("".join))
@example('{"k":1,"k":0}')
@example('{"k":0,"k":1}')
@example('{"min_price":1e400}')
@example('{"min_price":' + "1" * 400 + "}")
@example('{"customer_id":"a\\n"}')
@example('{"attributes":{"gender":"x","gender":"y"}}')
@example('{"\\u006b":3}')
@example("[" * 5000)
@example('{"k":10}x')
def test_whatever_is_taken_is_read_as_its_model_reads_it(body: str) -> None:
    """What is not (a field twice, the first time wrong) is left to the model."""
    assert quick(body.encode()) is None or repr(quick(body.encode())) == repr(slow(body.encode()))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=6))
@example(b"\xff")
@example(b"\xed\xa0\x80")
@example(b"\xc0\x80")
@example(b" !")
def test_bytes_that_are_no_text_are_refused_by_both(raw: bytes) -> None:
    """An id with blanks at its ends is left to the model, which trims it."""
    body = b'{"customer_id":"' + raw + b'"}'
    assert quick(body) is None or repr(quick(body)) == repr(slow(body))


def test_a_field_that_cannot_be_read_quickly_is_named() -> None:
    class Odd(Request):
        event: Event

    with pytest.raises(TypeError, match="no quick reader for"):
        reader(Odd)


def test_a_fault_of_the_whole_body_is_told_without_a_field() -> None:
    with pytest.raises(Refused, match=r"^the body must be an object, found \[\]$"):
        parse(RecommendRequest, b"[]")


def test_an_event_without_a_kind_is_told_so() -> None:
    with pytest.raises(Refused, match=r"^events.0: no kind is given, found .* Hint: give its kind"):
        parse(EventsRequest, b'{"events": [{"event_id": "e1", "customer_id": "c1"}]}')
