import io
import json
import time

import pytest
from rich.console import Console

from training.progress import FILE, Shown


def shown(tmp_path, *, terminal: bool = False) -> tuple[Shown, io.StringIO]:
    out = io.StringIO()
    return Shown(tmp_path, Console(file=out, force_terminal=terminal, width=100)), out


def test_without_a_terminal_each_step_is_a_line(tmp_path) -> None:
    steps, out = shown(tmp_path)
    with steps, steps.step("churn: learning"):
        pass
    assert out.getvalue() == "churn: learning: 0.0 s\n"


def test_a_terminal_sees_what_is_done_and_how_long_is_left(tmp_path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"churn: learning": 125.0}))
    steps, out = shown(tmp_path, terminal=True)
    steps.plan(["churn: learning"])
    with steps, steps.step("churn: learning"):
        time.sleep(0.15)
    assert "churn: learning" in out.getvalue()
    assert "about 2:04 left" in out.getvalue()


def test_what_is_left_is_known_from_the_last_time(tmp_path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"a": 10.0, "b": 20.0}))
    steps, _ = shown(tmp_path)
    steps.plan(["a", "b"])
    assert steps.seconds_left() == pytest.approx(30, abs=0.5)


def test_a_step_never_done_is_expected_to_take_as_long_as_the_others(tmp_path) -> None:
    steps, _ = shown(tmp_path)
    steps.plan(["a", "b"])
    assert steps.seconds_left() is None
    with steps.step("a"):
        time.sleep(0.02)
    assert steps.seconds_left() is not None


def test_durations_are_remembered_and_skipped_steps_forgotten(tmp_path) -> None:
    steps, _ = shown(tmp_path)
    with steps:
        steps.plan(["a", "b"])
        steps.skip(["b"])
        with steps.step("a"):
            pass
    assert list(json.loads((tmp_path / FILE).read_text())) == ["a"]
    assert steps.seconds_left() == 0


def test_a_broken_memory_is_forgotten(tmp_path) -> None:
    (tmp_path / FILE).write_text("not json")
    assert shown(tmp_path)[0].seconds_left() == 0


def test_where_nothing_can_be_written_durations_are_not_remembered(tmp_path) -> None:
    (tmp_path / FILE).mkdir()  # as good as a disk that takes no writes
    with shown(tmp_path)[0] as steps, steps.step("a"):
        pass
    assert (tmp_path / FILE).is_dir()
