"""SQL that converts a source's cell to our type: text trimmed, times in UTC, NULL where it cannot be read."""

from features.storage.contracts import SQL_TYPE, Kind

FIRST_YEAR, LAST_YEAR = 1970, 2100
MACROS = f"""
CREATE OR REPLACE TEMP MACRO num(x) AS TRY_CAST(x AS DOUBLE);
CREATE OR REPLACE TEMP MACRO sane(m) AS
  CASE WHEN isfinite(m) AND year(m) BETWEEN {FIRST_YEAR} AND {LAST_YEAR} THEN m END;
"""
"""``num`` is for column maps; ``sane`` drops infinities and placeholders (0001-01-01, 9999-12-31)."""


def accepts(kind: Kind, source_type: str) -> bool:
    """Tell whether a source column of that DuckDB type can hold a ``kind`` at all."""
    family = _family(source_type)
    allowed = {
        "id": {"text", "number", "uuid"},
        "text": {"text", "number", "flag", "uuid", "time"},
        "time": {"text", "time"},
        "day": {"text", "time"},
        "number": {"text", "number"},
        "flag": {"text", "number", "flag"},
        "digest": {"text"},
    }
    return family == "null" or family in allowed[kind]


def cast(kind: Kind, cell: str, *, source_type: str, timezone: str, timestamps: str) -> str:
    """Return SQL that turns ``cell`` into our type, or NULL where it cannot.

    Naive times are read in the zone ``timestamps``; a bare date is the midnight of the shop's ``timezone``.
    Times come out in UTC, without a zone.
    """
    if _family(source_type) == "null":
        return f"CAST(NULL AS {SQL_TYPE[kind]})"
    if kind in ("id", "text"):
        return _cast_text(kind, cell, source_type)
    if kind == "digest":
        return _digest(cell)
    if kind == "time":
        return f"sane({_cast_time(cell, source_type.upper(), timezone=timezone, timestamps=timestamps)})"
    return read(kind, f"nullif(trim({cell}), '')" if _family(source_type) == "text" else cell)


def read(kind: Kind, cell: str) -> str:
    """Return SQL that casts ``cell`` to our type directly, NULL where that fails."""
    value = f"TRY_CAST({cell} AS {SQL_TYPE[kind]})"
    if kind == "time":
        return f"sane({value})"
    return f"CASE WHEN isfinite({value}) THEN {value} END" if kind in ("number", "day") else value


def is_moment(cell: str) -> str:
    """Return SQL that tells whether ``cell`` can be cast to a time, of any year."""
    return f"isfinite(TRY_CAST({cell} AS TIMESTAMP))"


def _family(source_type: str) -> str:
    base = source_type.split("(", maxsplit=1)[0].strip(' "').upper()
    if base.endswith("]") or base in ("STRUCT", "MAP", "UNION", "BLOB", "INTERVAL", "TIME", "VARIANT"):
        return "other"
    if base.startswith("TIMESTAMP") or base == "DATE":
        return "time"
    families = {
        "NULL": "null",
        "VARCHAR": "text",
        "ENUM": "text",
        "JSON": "text",
        "BOOLEAN": "flag",
        "UUID": "uuid",
    }
    return families.get(base, "number")


def _cast_text(kind: Kind, cell: str, source_type: str) -> str:
    """Trim; an id that is a whole float (13085.0) becomes its integer (13085)."""
    text = f"nullif(trim(CAST({cell} AS VARCHAR)), '')"
    if kind == "text" or _family(source_type) != "number" or source_type.upper().endswith(("INT", "INTEGER")):
        return text
    whole = f"CAST(TRY_CAST({cell} AS HUGEINT) AS VARCHAR)"
    finite = f"CASE WHEN {cell} = floor({cell}) THEN {whole} ELSE {text} END"
    return f"CASE WHEN isfinite({cell}::DOUBLE) THEN {finite} END"


def _digest(cell: str) -> str:
    """Hash an address, trimmed and in lower case, as ad platforms match them; a digest stays as it came."""
    text = f"nullif(lower(trim({cell})), '')"
    return f"CASE WHEN regexp_full_match({text}, '[0-9a-f]{{64}}') THEN {text} ELSE sha256({text}) END"


def _cast_time(cell: str, source_type: str, *, timezone: str, timestamps: str) -> str:
    if source_type == "DATE":
        return _to_utc(f"CAST({cell} AS TIMESTAMP)", timezone)
    if source_type.endswith("WITH TIME ZONE") or source_type.startswith("TIMESTAMPTZ"):
        return f"timezone('UTC', CAST({cell} AS TIMESTAMPTZ))"
    if source_type.startswith("TIMESTAMP"):
        return _to_utc(f"CAST({cell} AS TIMESTAMP)", timestamps)
    text = f"regexp_replace(trim({cell}), '(:.*?) ?([+-][0-9]{{2}}):?([0-9]{{2}})$', '\\1\\2:\\3')"
    naive = f"TRY_CAST({text} AS TIMESTAMP)"
    is_day = f"regexp_full_match({text}, '[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}')"
    is_aware = f"regexp_matches({text}, ':.*[a-zA-Z+-]')"  # without its zone (or PM) it would be another time
    return (
        f"CASE WHEN {is_day} THEN {_to_utc(naive, timezone)} "
        f"WHEN {is_aware} THEN timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ)) "
        f"ELSE {_to_utc(naive, timestamps)} END"
    )


def _to_utc(naive: str, zone: str) -> str:
    return naive if zone == "UTC" else f"timezone('UTC', timezone('{zone}', {naive}))"
