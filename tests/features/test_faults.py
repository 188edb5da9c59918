"""Faults of values are told in words, whatever was asked for."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from features.faults import problem


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    n: int = Field(default=1, ge=1, le=200)
    share: float = Field(default=0.5, gt=0, lt=1, allow_inf_nan=False)
    name: str = Field(default="a", min_length=1, max_length=3)
    kind: Literal["order", "return"] = "order"
    flag: bool = False
    names: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    by_name: dict[str, int] = {}
    day: date = date(2024, 1, 1)
    at: datetime = datetime(2024, 1, 1)
    zoned: AwareDatetime | None = None
    even: int = 2

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd")
        return value


def told(**values: Any) -> str:
    with pytest.raises(ValidationError) as error:
        Asked.model_validate(values)
    return problem(error.value.errors()[0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n": 0}, "must be at least 1, found 0"),
        ({"n": 201}, "must be at most 200, found 201"),
        ({"n": "ten"}, 'must be a whole number, found "ten"'),
        ({"n": 1.5}, "must be a whole number, found 1.5"),
        ({"share": 0.0}, "must be more than 0, found 0.0"),
        ({"share": 1.0}, "must be less than 1, found 1.0"),
        ({"share": float("inf")}, "must be a finite number, found Infinity"),
        ({"share": "half"}, 'must be a number, found "half"'),
        ({"name": 7}, "must be a string, found 7"),
        ({"name": ""}, 'must not be empty, found ""'),
        ({"name": "long"}, 'must have at most 3 characters, found "long"'),
        ({"kind": "buy"}, "must be 'order' or 'return', found \"buy\""),
        ({"flag": "yes"}, 'must be true or false, found "yes"'),
        ({"names": "a"}, 'must be a list, found "a"'),
        ({"names": []}, "must not be empty"),
        ({"names": ["a", "b", "c"]}, "must have at most 2 entries"),
        ({"by_name": []}, "must be an object, found []"),
        ({"day": "tomorrow"}, 'must be a date such as 2026-03-29, found "tomorrow"'),
        ({"at": 7}, "must be a date and time such as 2026-03-29T23:30:00+00:00, found 7"),
        ({"even": 3}, "3 is odd"),
        ({"odd": 3}, "there is no such field"),
    ],
)
def test_a_fault_says_what_was_expected_and_what_came(values: dict[str, Any], words: str) -> None:
    assert told(**values) == words


def test_a_long_value_is_shortened() -> None:
    assert len(told(n="x" * 10_000)) < 120
