"""Progress: the current step and the time left, estimated from how long each step took the last time."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FILE = "timings.json"


class Steps:
    """The silent implementation: steps are announced, nothing is shown."""

    def plan(self, names: Iterable[str]) -> None:
        """Announce every step that will come, in order."""

    def skip(self, names: Iterable[str]) -> None:
        """Take steps out of the plan."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do one step of the plan."""
        yield


class Shown(Steps):
    """A progress bar on a terminal, one line per step elsewhere; ``with Shown(home) as steps``."""

    def __init__(self, home: Path, console: Any = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self._file = home / FILE
        self._known: dict[str, float] = _read(self._file)
        self._took: dict[str, float] = {}
        self._ahead: list[str] = []
        self._since = time.monotonic()
        self._bar = _bar(self)

    def __enter__(self) -> "Shown":
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bar.stop()
        if self._took and self._file.parent.is_dir():
            with suppress(OSError):  # a full or read-only disk
                self._file.write_text(json.dumps(self._known | self._took, indent=1), encoding="utf-8")

    def plan(self, names: Iterable[str]) -> None:
        """Announce every step that will come, in order; may be called again for more."""
        self._ahead += names
        self._count()

    def skip(self, names: Iterable[str]) -> None:
        """Take steps out of the plan."""
        gone = set(names)
        self._ahead = [name for name in self._ahead if name not in gone]
        self._count()

    def _count(self) -> None:
        if not self._bar.tasks:
            self._bar.add_task("", total=0)
        self._bar.update(self._bar.tasks[0].id, total=len(self._took) + len(self._ahead))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do one step of the plan."""
        if name not in self._ahead:
            self.plan([name])
        self._since = time.monotonic()
        self._bar.update(self._bar.tasks[0].id, description=name)
        yield
        self._ahead.remove(name)
        self._took[name] = round(time.monotonic() - self._since, 2)
        self._bar.advance(self._bar.tasks[0].id)
        if not self.console.is_terminal:
            self.console.print(f"{name}: {self._took[name]:.1f} s", highlight=False)

    def seconds_left(self) -> float | None:
        """Estimate the time left: by the last run, else by the mean of the steps done; None if unknown."""
        typical = sum(self._took.values()) / len(self._took) if self._took else None
        expected = [self._known.get(name, typical) for name in self._ahead]
        if any(seconds is None for seconds in expected):
            return None
        total = sum(seconds for seconds in expected if seconds is not None)
        return max(total - (time.monotonic() - self._since), 0.0)


def _bar(steps: Shown) -> Any:
    from rich import progress

    class Left(progress.ProgressColumn):
        def render(self, task: Any) -> str:
            seconds = steps.seconds_left()
            return "" if seconds is None else f"about {int(seconds) // 60}:{int(seconds) % 60:02d} left"

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        Left(),
        console=steps.console,
        transient=True,
    )


def _read(file: Path) -> dict[str, float]:
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}
