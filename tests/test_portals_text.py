"""CSV, JSON and JSON lines: nothing delivered is lost, nothing else is taken for it."""

from __future__ import annotations

import csv as std_csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ingest.landfile import FORMAT_TABLE, Source
from ingest.portals import PORTALS, UnreadableDelivery
from ingest.portals import csv as csv_portal

HTML = b"<!DOCTYPE html><html><head><title>Wartung</title></head><body>Wartung</body></html>"


def source(kind: str, **more: Any) -> Source:
    entries = {"name": "x", "table": "usage", "format": kind, "location": "https://a.example/x", "delivers": "changes"} | more
    return Source.model_validate(entries)


def read(data: bytes, src: Source) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        path.write_bytes(data)
        return PORTALS[src.format].read([path], src).collect()


CSV = source("csv", columns={"region_key": "Schlüssel", "submitted": "eingereicht"})


def text(rows: str, **reading: Any) -> pl.DataFrame:
    encoding = reading.get("encoding", "utf-8")
    return read(rows.encode(encoding), source("csv", columns=CSV.columns, reading=reading))


# -- CSV --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_dialects_are_found(delimiter: str, end: str, mark: str) -> None:
    rows = end.join(
        [
            mark + delimiter.join(["Schlüssel", "eingereicht"]),
            delimiter.join(["06435014", "012"]),
            delimiter.join(["", "1.5"]),
            "",
        ]
    )
    assert text(rows).rows() == [("06435014", "012", 1), (None, "1.5", 2)]


def test_title_lines_cp1252_and_decimal_commas() -> None:
    frame = text("Bericht ä\n\nSchlüssel;eingereicht;Bemerkung\n09162000;1.234,5;Größe\n", encoding="cp1252", header_row=3)
    assert frame.columns == ["Schlüssel", "eingereicht", "Bemerkung", "_row"]
    assert frame.row(0) == ("09162000", "1.234,5", "Größe", 1)


def test_utf16_with_its_mark() -> None:
    assert read("\ufeffSchlüssel\teingereicht\n06\t1\n".encode("utf-16-le"), CSV).row(0) == ("06", "1", 1)


def test_quoted_fields_keep_delimiters_and_breaks() -> None:
    frame = text('Schlüssel;eingereicht\n"06;1";"a\nb"\n"say ""hi""";2\n')
    assert frame.rows() == [("06;1", "a\nb", 1), ('say "hi"', "2", 2)]


@pytest.mark.parametrize("quote", ["", '"'])
def test_rows_of_the_wrong_length_stay_with_their_reason(quote: str) -> None:
    frame = text(f"Schlüssel;eingereicht\n06;1\n{quote}07{quote}\n08;2;3\n;;\n\n09;4\n")
    assert frame["Schlüssel"].to_list() == ["06", "07", "08", "09"]
    reasons = frame["_malformed"].to_list()
    assert reasons[0] is None and reasons[3] is None
    assert reasons[1].startswith("1 Felder statt 2") and reasons[2] == "3 Felder statt 2: 08;2;3"
    assert frame["_row"].to_list() == [1, 2, 3, 4]


def test_a_stray_quotation_mark_breaks_its_row_only() -> None:
    frame = text('Schlüssel;eingereicht\n06;1\n"07;2\n08;3\n')
    assert frame["Schlüssel"].to_list()[::2] == ["06", "08"]
    assert [reason is not None for reason in frame["_malformed"]] == [False, True, False]


def test_repeated_empty_and_reserved_names() -> None:
    frame = text("Schlüssel;Schlüssel;;_row;_malformed\n1;2;3;4;5\n")
    assert frame.row(0, named=True) == {
        "Schlüssel": "1", "Schlüssel_2": "2", "spalte_3": "3", "_row_2": "4", "_malformed_2": "5", "_row": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reading", "says"),
    [
        (HTML, {}, "eine HTML-Seite"),
        (b"PK\x03\x04abc", {}, "ein ZIP-Archiv"),
        (b"%PDF-1.7", {}, "ein PDF"),
        (b'{"a": 1}', {}, "ein JSON-Dokument"),
        (b"", {}, "eine leere Datei"),
        (b"\n\n", {}, "eine leere Datei"),
        ("Schlüssel;eingereicht\nä;1\n".encode("cp1252"), {}, "reading.encoding"),
        ("Schlüssel;eingereicht\nä;1\n".encode(), {"encoding": "cp1252"}, "UTF-8 und nicht cp1252"),
        (b"Schl\x81ssel;eingereicht\n", {"encoding": "cp1252"}, "kein cp1252"),
        (b"a;b\n1;2\n", {}, "keine der erwarteten Spalten"),
        ("Schlüssel,eingereicht\n1,2\n".encode(), {"delimiter": ";"}, "delimiter"),
        ("Schlüssel;eingereicht\n".encode(), {"header_row": 5}, "reading.header_row"),
        (b"Schl\x00ssel;b\n", {}, "Statt Text"),
    ],
)
def test_csv_says_what_came_instead(data: bytes, reading: dict[str, Any], says: str) -> None:
    with pytest.raises(UnreadableDelivery) as caught:
        read(data, source("csv", columns=CSV.columns, reading=reading))
    assert says in caught.value.sentence_de
    assert caught.value.sentence_de.endswith(".") and caught.value.sentence_en.endswith(".")


fields = st.text(
    alphabet=st.characters(exclude_characters='";\r\n\0\ufeff', exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.lists(fields, min_size=1, max_size=5), max_size=8))
def test_both_ways_of_reading_agree(rows: list[list[str]]) -> None:
    header = "Schlüssel;eingereicht;c"
    plain = "\n".join([header, *(";".join(row) for row in rows)])
    quoted = "\n".join([header, *(";".join(f'"{field}"' for field in row) for row in rows)])
    first, second = (csv_portal.read_text(value, ";") for value in (plain, quoted))
    assert first.drop("_malformed", strict=False).equals(second.drop("_malformed", strict=False), null_equal=True)
    assert first.height == len(rows)
    bad = [len(row) != 3 for row in rows]
    for frame in (first, second):
        assert (frame["_malformed"].is_not_null().to_list() if "_malformed" in frame.columns else [False] * len(rows)) == bad


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.lists(st.text(alphabet="aäß€#0 \t", max_size=3), min_size=1, max_size=4).map(";".join), max_size=6),
    header=st.sampled_from(["Schlüssel;eingereicht", "a;^.*$;a", " x ;y;", "ä"]),
    above=st.sampled_from(["", "Titel\n", "\n;\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    end=st.sampled_from(["", "\n", "\n\n", "\r\n", '"', "\0", "\u2028"]),
    delimiter=st.sampled_from([";", None]),
)
def test_codes_of_texts_are_the_rows_that_the_lines_are(
    lines: list[str], header: str, above: str, mark: str, end: str, delimiter: str | None
) -> None:
    text = "\n".join([mark + above + header, *lines]) + end
    coded = csv_portal._coded(text.encode(), delimiter, above.count("\n") + 1)
    plain = [line for line in lines if line.strip("; \t")]
    fits = all(line.count(";") == header.count(";") for line in lines)
    if coded is None:  # what it leaves to the other way has a reason
        assert not plain or not fits or header == "ä" or end.strip("\n\u2028")
        return
    expected = csv_portal._tidy(csv_portal._table(text, delimiter, above.count("\n") + 1)[1].drop("_last"))
    assert_frame_equal(csv_portal._as_text(coded), expected)
    assert '"' not in text


def test_bytes_that_are_no_text_are_left_to_the_strict_way() -> None:
    assert csv_portal._coded("Schlüssel;b\nä;1\n".encode("cp1252"), ";", 1) is None
    assert csv_portal._coded(b"a;b\n1;\xff\n", ";", 1) is None
    assert csv_portal._coded("a;b\n1;2\n".encode("utf-16"), ";", 1) is None


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            # Python takes \x1c to \x1f for white space, Unicode does not
            st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\x1c\x1d\x1e\x1f"), max_size=8),
            st.text(alphabet="ab;,\n\"'", max_size=8),
        ),
        max_size=6,
    )
)
def test_what_a_csv_writer_wrote_comes_back(rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    writer = std_csv.writer(buffer, delimiter=";", quoting=std_csv.QUOTE_ALL)
    writer.writerows([("Schlüssel", "eingereicht"), *rows])
    frame = csv_portal.read_text(buffer.getvalue(), ";")
    kept = [row for row in rows if any(field.strip() for field in row)]
    expected = [tuple(field or None for field in row) for row in kept]
    assert frame.select("Schlüssel", "eingereicht").rows() == expected
    assert "_malformed" not in frame.columns


# -- JSON -------------------------------------------------------------------------------------------------------------------

JSON = source("json", columns={"region_key": "ars", "submitted": "n"})


def test_nested_objects_numbers_and_truth_values_keep_their_text() -> None:
    data = b'[{"ars":"09162000","n":1.10,"big":123456789012345678901234567890,"x":{"y":{"z":true}},"l":[1,{"a":2}],"e":{}, "o":null}]'
    assert read(data, JSON).row(0, named=True) == {
        "ars": "09162000", "n": "1.10", "big": "123456789012345678901234567890", "x.y.z": "true", "l": '["1", {"a": "2"}]',
        "e": "{}", "o": None, "_row": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "pages"),
    [
        ([{"ars": "1", "n": 2}], {}),
        ({"content": [{"ars": "1", "n": 2}], "totalElements": 1}, {"kind": "page"}),
        ({"hydra:member": [{"ars": "1", "n": 2}]}, {"kind": "hydra"}),
        ({"data": {"rows": [{"ars": "1", "n": 2}]}}, {"kind": "none", "items": "data.rows"}),
        ({"only": [{"ars": "1", "n": 2}], "total": 1}, {}),
    ],
)
def test_rows_are_found_in_any_envelope(document: Any, pages: dict[str, Any]) -> None:
    src = source("json", columns=JSON.columns, **({"pages": pages} if pages else {}))
    assert read(json.dumps(document).encode(), src).rows() == [("1", "2", 1)]


def test_rows_that_are_no_objects_stay_with_their_reason() -> None:
    frame = read(b'[{"ars":"1"}, 7, null, "x", {"ars":"2","_malformed":"mine"}]', JSON)
    assert [value is not None for value in frame["_malformed"]] == [False, True, True, True, False]
    assert frame["_malformed_2"].to_list()[-1] == "mine"
    assert frame.height == 5


def test_an_empty_list_is_an_empty_delivery() -> None:
    for data in (b"[]", b' {"content": [], "totalElements": 0}'):
        assert read(data, source("json")).height == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HTML, "eine HTML-Seite"),
        (b"<?xml version='1.0'?><a/>", "ein XML-Dokument"),
        (b"", "eine leere Datei"),
        (b'[{"ars":"1"},', "abgeschnitten"),
        (b'{"error":"x"}', "keine Liste"),
        (b'"text"', "keine Liste"),
        (b'{"a":[],"b":[]}', "keine Liste"),
        (b"[" * 100_000, "abgeschnitten"),
        (b'[{"ars":"\\ud800"}]', "halbe Unicode-Zeichen"),
        (b'[{"ars":"\xff"}]', "reading.encoding"),
        (b'[{"foo":1}]', "keine der erwarteten Spalten"),
    ],
)
def test_json_says_what_came_instead(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableDelivery) as caught:
        read(data, JSON)
    assert says in caught.value.sentence_de and caught.value.sentence_de.endswith(".")


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["n", "b", "c d", "x.y"]),
            st.recursive(
                scalars,
                lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2),
                max_leaves=4,
            ),
        ),
        max_size=6,
    )
)
def test_no_row_and_no_value_is_lost(rows: list[dict[str, Any]]) -> None:
    frame = read(json.dumps([{"ars": "1"} | row for row in rows]).encode(), JSON)
    assert frame.height == len(rows)
    assert "_malformed" not in frame.columns
    for row, found in zip(rows, frame.iter_rows(named=True), strict=True):
        for key, value in row.items():
            if isinstance(value, str):
                assert found[key] == value
            elif isinstance(value, bool):
                assert found[key] == ("true" if value else "false")
            elif isinstance(value, int | float):
                assert json.loads(found[key]) == value
            elif value is None:
                assert found.get(key) is None
            elif isinstance(value, list) or not value:
                assert found[key] is not None


# -- JSON lines -------------------------------------------------------------------------------------------------------------

LINES = source("ndjson", columns=JSON.columns)


def test_lines() -> None:
    frame = read(b'{"ars":"1","n":1}\n\n{"ars":"2"}\r\n', LINES)
    assert frame.rows() == [("1", "1", 1), ("2", None, 2)]


def test_a_broken_line_stays_with_its_reason() -> None:
    frame = read(b'{"ars":"1"}\n{"ars":\n[1]\n{"ars":"3"},{"ars":"4"}\n{"ars":"2"}', LINES)
    assert frame["ars"].to_list() == ["1", None, None, None, "2"]
    assert frame["_malformed"].to_list()[1] == 'kein JSON-Objekt: {"ars":'


@pytest.mark.parametrize("data", [HTML, b"", b"a;b\n1;2", b"[1]\n[2]", b"{\n{\n"])
def test_other_things_are_no_lines(data: bytes) -> None:
    with pytest.raises(UnreadableDelivery):
        read(data, LINES)


# -- anything ---------------------------------------------------------------------------------------------------------------

HOSTILE = st.binary(max_size=300) | st.builds(
    lambda start, rest: start + rest,
    st.sampled_from(
        [b"PK\x03\x04", b"PAR1", b"[", b"{", b"\xef\xbb\xbf", b"\xff\xfe", b"a;b\n", b'"', b"<html>", b"60" + b" " * 218]
    ),
    st.binary(max_size=200),
)


#: What a format that lists every public service must be told.
MAPPED: dict[str, dict[str, Any]] = {
    "ozg_nrw": {
        "columns": {"region_key": "communeKey", "service_id": "serviceKey", "phase": "phase", "effective_on": "phaseAt"},
        "values": {"service_id": {"99115005104000": "ummeldung"}, "phase": {"commissioningStatusAt": "operational"}},
    }
}


@pytest.mark.parametrize("kind", list(PORTALS))
@settings(max_examples=60, deadline=None)
@given(data=HOSTILE)
@example(data=b"[]")
@example(data=b"{}")
@example(data=b"PAR1PAR1")
def test_arbitrary_bytes_are_refused_or_read_but_never_vanish(kind: str, data: bytes) -> None:
    table = FORMAT_TABLE.get(kind, "usage")
    try:
        frame = read(data, source(kind, table=table, **MAPPED.get(kind, {})))
    except UnreadableDelivery:
        return
    assert frame.schema["_row"] == pl.Int64
    assert all(dtype == pl.String for name, dtype in frame.schema.items() if name != "_row")
    stripped = data.strip(b"\xef\xbb\xbf \t\r\n")
    assert frame.height or stripped.startswith((b"[", b"{")), data
