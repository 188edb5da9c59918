"""Responses as files: rows in CSV or NDJSON, generated while sent, with an ETag, gzipped on request."""

import csv
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from serving.marketing.cells import guarded_rows

TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}
GZIP = zlib.MAX_WBITS | 16
WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")
FAST = 1
"""Compression level: three quarters of the highest level's savings, in a fifth of its time."""
Row = Sequence[Any]


@dataclass(frozen=True)
class Accepted:
    """The file formats a client accepts, from the headers of its request."""

    gzip: bool = False
    known: frozenset[str] = frozenset()
    """ETags the client has already, without the prefix of weak ones."""
    bodiless: bool = False
    """Only the head is wanted: no rows are generated."""
    kind: str = "json"
    """Which of ``TYPES`` ``Accept`` asks for, if the request names none."""

    @classmethod
    def of(cls, headers: Mapping[str, str], *, bodiless: bool = False) -> "Accepted":
        """Read ``Accept``, ``Accept-Encoding`` and ``If-None-Match``."""
        encodings = _weighed(headers.get("accept-encoding", ""))
        gzip = encodings.get("gzip", encodings.get("*", 0.0)) > 0
        tags = headers.get("if-none-match", "").split(",")
        known = frozenset(tag.strip().removeprefix("W/") for tag in tags)
        return cls(gzip, known, bodiless, _kind(_weighed(headers.get("accept", ""))))

    def holds(self, tag: str) -> bool:
        """Return whether the client has this content already (``*`` matches anything)."""
        return not self.known.isdisjoint((tag, "*"))


def _weighed(header: str) -> dict[str, float]:
    """Return the values of a header with their weights; 1 if absent or not a number."""
    weight_of = {}
    for part in header.lower().split(","):
        name, *more = (word.strip() for word in part.split(";"))
        weights = [word.removeprefix("q=") for word in more if word.startswith("q=")]
        weight_of[name] = float(weights[0]) if weights and WEIGHT.fullmatch(weights[0]) else 1.0
    return weight_of


def _kind(accepted: Mapping[str, float]) -> str:
    """Return the kind of file a client prefers; JSON if it does not say, or in a tie."""
    return max(TYPES, key=lambda kind: _weight(accepted, TYPES[kind]))


def _weight(accepted: Mapping[str, float], name: str) -> float:
    """Return the weight of a type in ``Accept``: the most specific match counts (RFC 9110, 12.5.1)."""
    ranges = (name, f"{name.partition('/')[0]}/*", "*/*")
    return next((accepted[known] for known in ranges if known in accepted), 0.0)


@dataclass(frozen=True)
class File:
    """Rows under names, in blocks; ``tag`` changes whenever the content does."""

    names: Sequence[str]
    blocks: Iterable[Sequence[Row]]
    tag: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, kind: str, asked: Accepted) -> Response:
        """Return the rows as a file that is generated while sent; 304 if the client has it already."""
        return _answer(
            written(kind, self.names, blocks=self.blocks),
            kind,
            tag=self.tag,
            headers=self.headers,
            asked=asked,
        )


def json_answer(body: bytes, asked: Accepted, *, tag: str = "") -> Response:
    """Return a complete JSON body, by default tagged by its content; 304 if the client has it already."""
    return _answer(iter([body]), "json", tag=tag or tag_of(body), headers={}, asked=asked)


def rows_answer(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, kind: str, asked: Accepted, notes: str = ""
) -> Response:
    """Return complete rows as a file, tagged by their content.

    ``notes`` are their caveats, for the header ``X-Notes``.
    """
    body = as_csv(rows, names) if kind == "csv" else as_ndjson(rows)
    return _answer(
        iter([body]), kind, tag=tag_of(body), headers={"x-notes": notes} if notes else {}, asked=asked
    )


def tag_of(*parts: bytes) -> str:
    """Return an ETag (quoted) of what a response is made of."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return f'"{digest.hexdigest()[:32]}"'


def written(kind: str, names: Sequence[str], *, blocks: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """Write blocks of rows: CSV under a heading (times in ISO 8601, an absent value empty), or NDJSON.

    Cells of a CSV are protected against formulas: see ``serving.marketing.cells``.
    """
    if kind == "csv":
        yield _csv([names])
    encoder = msgspec.json.Encoder()
    for block in blocks:
        if kind == "csv":
            yield _csv(guarded_rows(names, block))
        else:
            yield encoder.encode_lines([dict(zip(names, row, strict=True)) for row in block])


def as_ndjson(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as NDJSON: one JSON object per line."""
    return msgspec.json.Encoder().encode_lines(rows)


def as_csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """Return rows of these names as CSV with a heading, also if there are no rows."""
    return b"".join(written("csv", names, blocks=[[list(row.values()) for row in rows]]))


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream with gzip, part by part."""
    packer = zlib.compressobj(FAST, wbits=GZIP)
    for part in parts:
        if some := packer.compress(part):
            yield some
    yield packer.flush()


def unchanged(tag: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return 304: the client has it already."""
    return Response(status_code=304, headers=_headers(tag, headers or {}))


def _headers(tag: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers; the tag is weak, as it is the same with and without compression."""
    own = {"etag": f"W/{tag}", "vary": "accept, accept-encoding", "cache-control": "private, no-cache"}
    return {**own, **headers}


def _answer(
    parts: Iterator[bytes], kind: str, *, tag: str, headers: Mapping[str, str], asked: Accepted
) -> Response:
    if asked.holds(tag):
        return unchanged(tag, headers)
    sent = _headers(tag, headers)
    if asked.gzip:
        sent["content-encoding"], parts = "gzip", packed(parts)
    if asked.bodiless:
        parts = iter(())
    return StreamingResponse(parts, headers=sent, media_type=TYPES[kind])
