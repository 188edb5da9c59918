import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.ingest.casting import cast
from features.storage.contracts import BLANKS, id_of


@pytest.mark.parametrize("blank", ["", *BLANKS, "\t", "\n", "\x85", "\u200b", "\u2028"])
@given(st.text(st.sampled_from("a1 \xa0\t"), max_size=4))
@example("007")
@example(" 1.0 ")
def test_an_id_that_is_sent_is_read_as_ingest_reads_it(blank: str, text: str) -> None:
    sql = cast("id", "$cell", source_type="VARCHAR", timezone="UTC", timestamps="UTC")
    found = duckdb.execute(f"SELECT {sql}", {"cell": f"{blank}{text}{blank}"}).fetchall()
    assert id_of(f"{blank}{text}{blank}") == (found[0][0] or "")
