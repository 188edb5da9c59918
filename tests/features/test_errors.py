import pytest

from features.errors import InputError, NotFound, RecompraError, first_line


def test_an_error_tells_no_password_of_an_address() -> None:
    error = NotFound("no registry at postgresql://mlflow:s3cret@db.example:5432/ml", "start it")
    assert str(error) == "no registry at postgresql://mlflow:***@db.example:5432/ml. Hint: start it"
    assert "s3cret" not in error.message


def test_what_is_no_password_stays() -> None:
    for told in (
        "http://127.0.0.1:3000/a@b",
        "12:30 by a@b.example",
        "s3://bucket/a:b",
        "sqlite:////home/x@y.db",
    ):
        assert RecompraError(told, "wait").message == told


def test_no_error_comes_without_what_to_do() -> None:
    with pytest.raises(TypeError, match="hint"):
        RecompraError("no registry")  # type: ignore[call-arg]


def test_of_a_library_s_error_the_first_line_is_shown_and_without_one_its_type() -> None:
    assert first_line(ValueError("no such column\nLINE 1: SELECT x")) == "no such column"
    assert first_line(OSError()) == "OSError"
    assert first_line(KeyError("settings")) == "no 'settings'"


def test_a_message_that_ends_in_a_stop_gets_no_second_one() -> None:
    assert (
        str(InputError("the file is not UTF-8.", "save it anew"))
        == "the file is not UTF-8. Hint: save it anew"
    )
