"""Adapters: one small settings file for each known kind of source, which maps its columns to ours.

An adapter is ``<name>.toml``: keys of ``Settings`` (zone, currency, files, column maps), and
``package = "<package>/<folder>"`` where an installed Python package carries the data itself. Expressions are
DuckDB's; ``num(x)`` reads a number or gives NULL, so that one map serves typed Parquet and untyped CSV.
"""

import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from features.errors import InputError, SettingsError

FOLDER = Path(__file__).parent
TEXT = "_text"


@dataclass(frozen=True)
class Adapter:
    """A parsed adapter file: settings as a plain mapping, and the folder of data it brings, if any."""

    values: dict[str, Any]
    data: Path | None


def names() -> list[str]:
    """Return the adapters' names, without the ``_text`` variants: those are chosen by the file's suffix."""
    return sorted(path.stem for path in FOLDER.glob("*.toml") if not path.stem.endswith(TEXT))


def load(name: str, source: Path | None = None) -> Adapter:
    """Read the adapter of that name, or for a ``.txt`` source its ``_text`` variant, if there is one.

    Raises ``SettingsError`` for a name that does not exist.
    """
    if name not in names():
        raise SettingsError(f"unknown adapter {name!r}", f"choose one of {', '.join(names())}")
    twin = FOLDER / f"{name}{TEXT}.toml"
    is_text = source is not None and source.suffix == ".txt" and twin.is_file()
    values = tomllib.loads((twin if is_text else FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Adapter(values, _packed(values.pop("package", "")))


def locate(source: str | Path, adapter: str | None) -> tuple[Path, str | None]:
    """Return where the data lies and the adapter to use.

    A source may be the name of an adapter that brings its own data. Raises ``InputError`` where there is no
    such file, and where an adapter named as the source brings no data.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path, adapter
    name = str(source)
    if name not in names() or adapter not in (None, name):
        carriers = [known for known in names() if load(known).data]
        raise InputError(f"no file or folder {name!r}", f"give a path, or one of: {', '.join(carriers)}")
    data = load(name).data
    if data is None:
        raise InputError(f"{name!r} brings no data of its own", f"give a path and --adapter {name}")
    return data, name


def _packed(package: str) -> Path | None:
    """Find a folder inside an installed package without importing it."""
    name, _, folder = package.partition("/")
    spec = find_spec(name) if name else None
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / folder if places else None
