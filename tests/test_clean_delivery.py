"""A landed delivery becomes files and a record, once; and the whole sample ends up where its truth says."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ingest import clean as cleaning
from ingest.clean import CleaningRecord, clean_delivery, fingerprint_of
from ingest.directory import Reference, build_references
from ingest.landfile import Source, load
from ingest.landing import Delivery, Landing, LandingError, Part
from ingest.sample.files import write_sample
from ingest.sample.parameters import Parameters
from ingest.tables import TABLES
from tests.clean_world import DELIVERED_AT, laender, references

SOURCE = Source(
    name="nutzung",
    table="usage",
    format="csv",
    location="nutzung.csv",
    delivers="changes",
    columns={"region_key": "Schlüssel", "period": "Monat", "submitted": "eingereicht"},
    constants={"service_id": "fuehrerschein", "grain": "month", "channel": "online"},
)
LINES = "Schlüssel;Monat;eingereicht\n09174;2026-03-01;12\n09174;2026-04-01;12x4\n09999;2026-04-01;3\n"


def land(
    landing: Landing, source: Source, content: bytes, land_code: str = "09", name: str = "lieferung", **more: Any
) -> Delivery:
    """Land bytes as one delivery of one part."""
    sha256, size = landing.put([content])
    part = Part(name, sha256, size, None, None, None, None, name)
    options = {"delivered_at": DELIVERED_AT} | more
    return landing.store(
        land_code=land_code, source=source.name, table=source.table, format=source.format, parts=[part], **options
    )


def run(home: Path, delivery: Delivery, source: Source = SOURCE, reference: Reference | None = None) -> CleaningRecord:
    return clean_delivery(home, Landing(home), laender()["09"], source, delivery, reference or references()["09"], DELIVERED_AT)


def test_files_and_record_lie_where_they_should(tmp_path: Path) -> None:
    delivery = land(Landing(tmp_path), SOURCE, LINES.encode())
    record = run(tmp_path, delivery)
    name = f"{delivery.delivery_id}.{record.fingerprint}"
    assert record.clean_path == f"clean/usage/09/nutzung/{name}.parquet"
    assert record.quarantine_path == f"quarantine/usage/09/nutzung/{name}.parquet"
    written = tmp_path / "clean" / "records" / "09" / "nutzung" / f"{name}.json"
    assert CleaningRecord.from_json(written.read_text("utf-8")) == record
    assert (record.rows_delivered, record.rows_clean, record.quarantined) == (3, 1, {"malformed": 1, "unknown_key": 1})
    assert record.problem is None and record.delivered_at == DELIVERED_AT
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and "landing" not in path.parts) == sorted(
        [f"{name}.parquet", f"{name}.parquet", f"{name}.json"]
    )


def test_duckdb_reads_the_clean_rows_with_plain_types(tmp_path: Path) -> None:
    record = run(tmp_path, land(Landing(tmp_path), SOURCE, LINES.encode()))
    described = duckdb.sql(f"describe select * from '{tmp_path / record.clean_path}'").fetchall()
    types = {row[0]: row[1] for row in described}
    assert list(types) == TABLES["usage"].polars_schema().names()
    assert (types["channel"], types["period"], types["submitted"]) == ("VARCHAR", "DATE", "BIGINT")
    assert types["delivered_at"] == "TIMESTAMP WITH TIME ZONE" and types["is_test"] == "BOOLEAN"


def test_an_unchanged_delivery_is_not_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = land(Landing(tmp_path), SOURCE, LINES.encode())
    record = run(tmp_path, delivery)
    monkeypatch.setattr(cleaning.portals, "read_delivery", lambda *_: pytest.fail("parsed again"))
    assert run(tmp_path, delivery) == record


def test_whatever_decides_the_outcome_is_in_the_fingerprint(tmp_path: Path) -> None:
    delivery = land(Landing(tmp_path), SOURCE, LINES.encode())
    bavaria, reference = laender()["09"], references()["09"]
    first = fingerprint_of(bavaria, SOURCE, delivery, reference)
    other_words = SOURCE.model_copy(update={"values": {"service_id": {"A": "waffen"}}})
    other_bytes = land(Landing(tmp_path), SOURCE, LINES.encode() + b"\n", sequence=2)
    other_rule = build_references(laender(fuehrerschein={"level": "kreis"}), references()["00"].regions)["09"]
    changed = [
        fingerprint_of(bavaria, other_words, delivery, reference),
        fingerprint_of(bavaria, SOURCE, other_bytes, reference),
        fingerprint_of(bavaria, SOURCE, delivery, other_rule),
        fingerprint_of(bavaria, SOURCE, delivery, None),
        fingerprint_of(laender()["06"], SOURCE, delivery, reference),
    ]
    assert len({first, *changed}) == 6
    listings = Source(name="katalog", table="listings", format="csv", location="k.csv", delivers="snapshot")
    assert fingerprint_of(bavaria, listings, delivery, reference) == fingerprint_of(bavaria, listings, delivery, None)


def test_a_killed_run_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = land(Landing(tmp_path), SOURCE, LINES.encode())
    commits: list[Path] = []

    def die_at_the_record(aside: Path, path: Path) -> None:
        commits.append(path)
        if path.suffix == ".json":
            raise KeyboardInterrupt
        aside.replace(path)

    with monkeypatch.context() as patched:
        patched.setattr(cleaning, "_commit", die_at_the_record)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, delivery)
    assert [path.suffix for path in commits] == [".parquet", ".parquet", ".json"]
    assert run(tmp_path, delivery).rows_clean == 1


def test_a_record_whose_files_are_gone_is_made_again(tmp_path: Path) -> None:
    delivery = land(Landing(tmp_path), SOURCE, LINES.encode())
    record = run(tmp_path, delivery)
    (tmp_path / record.clean_path).unlink()
    assert run(tmp_path, delivery) == record and (tmp_path / record.clean_path).is_file()


def test_deliveries_that_are_cleaned_at_once_become_what_each_becomes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        f"Schlüssel;Monat;eingereicht\n09174;2026-0{1 + number % 3};{number}\n09999;2026-04;{number}\n" for number in range(12)
    ]
    homes = [tmp_path / "alone", tmp_path / "at-once"]
    found = []
    for home in homes:
        landing = Landing(home)
        deliveries = [land(landing, SOURCE, text.encode(), sequence=number) for number, text in enumerate(texts)]
        monkeypatch.setattr(cleaning, "_LARGE_BYTES", 10**9 if home == homes[0] else 1)
        arguments = (home, landing, laender()["09"], SOURCE, deliveries, references()["09"], DELIVERED_AT)
        found.append(list(cleaning.clean_deliveries(*arguments)))
    assert found[0] == found[1] and [record.rows_clean for record in found[0]] == [1] * 12
    for record in found[0]:
        for path in (record.clean_path, record.quarantine_path):
            assert (homes[0] / path).read_bytes() == (homes[1] / path).read_bytes()

    # one that cannot be cleaned ends what is asked for after it, and spoils nothing before it
    for record in found[1]:
        (homes[1] / record.clean_path).unlink()
    landing.path(deliveries[5].parts[0]).write_bytes(b"damaged")
    records = cleaning.clean_deliveries(*arguments)
    assert [next(records) for _ in range(5)] == found[1][:5]
    with pytest.raises(LandingError, match="are damaged"):
        next(records)
    assert (homes[1] / found[1][4].clean_path).is_file() and not (homes[1] / found[1][5].clean_path).is_file()


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html><body>502</body></html>", b"", b"a;b\n1;2\n"])
def test_what_cannot_be_read_is_a_problem_with_both_files_empty(content: bytes, tmp_path: Path) -> None:
    record = run(tmp_path, land(Landing(tmp_path), SOURCE, content))
    assert record.problem and record.problem_en and record.problem.endswith(".")
    assert (record.rows_delivered, record.rows_clean, record.quarantined) == (0, 0, {})
    assert pl.read_parquet(tmp_path / record.clean_path).schema == TABLES["usage"].polars_schema()
    assert pl.read_parquet(tmp_path / record.quarantine_path).schema == cleaning.QUARANTINE_SCHEMA


def test_damaged_bytes_and_deliveries_from_the_future_are_refused(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    delivery = land(landing, SOURCE, LINES.encode())
    path = landing.path(delivery.parts[0])
    path.chmod(0o644)
    path.write_bytes(b"something else")
    with pytest.raises(LandingError, match="damaged"):
        run(tmp_path, delivery)
    ahead = land(landing, SOURCE, LINES.encode() + b" ", delivered_at=DELIVERED_AT + timedelta(days=1), sequence=2)
    with pytest.raises(ValueError, match="after"):
        run(tmp_path, ahead)


# ------------------------------------------------------------------------------------------------------------------------- the sample


def as_delivered(raw: str) -> tuple[tuple[str, str], ...]:
    """A delivered row without what it leaves empty."""
    return tuple(sorted((name, str(value)) for name, value in json.loads(raw).items() if value not in (None, "")))


def test_every_faulty_row_of_the_sample_is_quarantined_under_its_rule_and_no_sound_one(tmp_path: Path) -> None:
    parameters = Parameters(dirty_share=0.02, end=date(2026, 4, 30))
    world = tmp_path / "sample"
    write_sample(world, parameters)
    files, landing, home = load(world / "laender"), Landing(tmp_path), tmp_path
    dirty = pl.read_parquet(world / "truth" / "dirty_rows.parquet")
    counts = {row["file"]: row for row in pl.read_parquet(world / "truth" / "delivery_counts.parquet").to_dicts()}
    found: dict[str, Reference] = {}
    seen = Counter[str]()
    for code in ("00", "09", "06"):
        for source in files[code].sources:
            paths = sorted(Path(source.resolved_location()).parent.glob(Path(source.resolved_location()).name))
            for sequence, path in enumerate(paths, 1):
                delivery = land(
                    landing, source, path.read_bytes(), code, str(path), delivered_at=parameters.night, sequence=sequence
                )
                record = clean_delivery(home, landing, files[code], source, delivery, found.get(code), parameters.night)
                name = str(path.relative_to(world / "deliveries"))
                of_file = dirty.filter(pl.col("file") == name)
                assert record.quarantined == dict(of_file.group_by("rule").len().iter_rows()), name
                assert record.rows_delivered == counts[name]["rows_delivered"], name
                assert record.rows_clean + sum(record.quarantined.values()) == record.rows_delivered, name
                assert record.problem is None and record.missing_columns == [], name
                rows = pl.read_parquet(home / record.clean_path)
                assert TABLES[source.table].schema.is_valid(rows), name
                quarantined = pl.read_parquet(home / record.quarantine_path)
                expected = Counter((row["rule"], as_delivered(row["raw"])) for row in of_file.to_dicts())
                assert Counter((row["rule"], as_delivered(row["raw"])) for row in quarantined.to_dicts()) == expected, name
                seen.update(record.quarantined)
                if source.table == "regions":
                    found = build_references(files, rows)
    assert {"wrong_unit", "malformed", "unknown_key", "future_date", "duplicate", "conflict", "wrong_land"} <= set(seen)
