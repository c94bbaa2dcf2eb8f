"""The written sample: faulty rows are extras, files of finished months never change, the Land files keep their words."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl
import pytest
import yaml

from ingest.landfile import PACKAGED, load
from ingest.sample import Parameters, World, write_sample

END = date(2026, 6, 30)
Rows = Counter[str]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    out = tmp_path_factory.mktemp("sample")
    return out, write_sample(out, Parameters(end=END))


@pytest.fixture(scope="module")
def flawless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flawless")
    write_sample(out, Parameters(end=END, dirty_share=0))
    return out


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, str | None]:
    flat: dict[str, str | None] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = None if value in (None, "") else value if isinstance(value, str) else json.dumps(value)
    return flat


def _rows(path: Path) -> list[dict[str, str | None]]:
    """The rows of a delivered file, read without any code of ours."""
    if path.suffix == ".json":
        return [_flat(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    if path.suffix == ".csv":
        is_hessian = path.parent.name == "06"
        text = path.read_bytes().decode("cp1252" if is_hessian else "utf-8")
        return [_flat(row) for row in csv.DictReader(text.splitlines(), delimiter=";" if is_hessian else ",")]
    sheet = fastexcel.read_excel(path).load_sheet(0, header_row=2, dtypes="string")
    return [_flat({k: v.removesuffix(".0") if v else v for k, v in row.items()}) for row in sheet.to_polars().to_dicts()]


def _counted(rows: list[dict[str, str | None]]) -> Rows:
    return Counter(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)


def test_faulty_rows_are_extras_and_the_sound_rows_all_stay(sample: tuple[Path, World], flawless: Path) -> None:
    out, _ = sample
    dirty = pl.read_parquet(out / "truth" / "dirty_rows.parquet")
    for path in sorted((out / "deliveries").rglob("*.*")):
        name = str(path.relative_to(out / "deliveries"))
        if path.suffix == ".zip":
            assert path.read_bytes() == (flawless / "deliveries" / name).read_bytes()
            continue
        extra = [json.loads(raw) for raw in dirty.filter(pl.col("file") == name)["raw"]]
        delivered = _counted(_rows(path))
        sound = _counted(_rows(flawless / "deliveries" / name))
        assert delivered - sound == _counted(
            [{k: v.removesuffix(".0") if v and path.suffix == ".xlsx" else v for k, v in row.items()} for row in extra]
        )
        assert not sound - delivered
    for name in ("connections", "usage", "costs", "case_volumes", "listings", "regions"):
        assert pl.read_parquet(out / "truth" / f"{name}.parquet").equals(pl.read_parquet(flawless / "truth" / f"{name}.parquet"))
    assert pl.read_parquet(flawless / "truth" / "dirty_rows.parquet").is_empty()


def test_no_file_is_so_faulty_that_it_is_broken(sample: tuple[Path, World]) -> None:
    """A perfect warehouse equals the truth: every file must be fit to be admitted as a whole."""
    counts = pl.read_parquet(sample[0] / "truth" / "delivery_counts.parquet")
    broken = counts.filter((pl.col("rows_quarantined") > 3) & (pl.col("rows_quarantined") > 0.05 * pl.col("rows_delivered")))
    assert broken.is_empty(), broken


def test_every_kind_of_fault_is_in_every_source(tmp_path: Path) -> None:
    write_sample(tmp_path, Parameters())
    dirty = pl.read_parquet(tmp_path / "truth" / "dirty_rows.parquet")
    found = {(land, source): set(rules) for land, source, rules in dirty.group_by("land_code", "source").agg("rule").rows()}
    common = {
        "malformed",
        "missing",
        "unknown_value",
        "wrong_land",
        "unknown_key",
        "out_of_range",
        "future_date",
        "duplicate",
        "conflict",
    }
    assert found == {
        ("09", "verbindungen"): common,
        ("09", "nutzung"): common,
        ("09", "fallzahlen"): common,
        ("09", "kosten"): common | {"wrong_unit"},
        ("06", "anbindungen"): common,
        ("06", "nutzung"): common,
        ("06", "fallzahlen"): common,
        ("06", "kosten"): common | {"wrong_unit"},
        ("00", "datahub"): {"malformed", "missing", "future_date", "duplicate", "conflict"},
    }


def test_share_of_faulty_rows(sample: tuple[Path, World]) -> None:
    counts = pl.read_parquet(sample[0] / "truth" / "delivery_counts.parquet")
    usage = counts.filter((pl.col("land_code") == "06") & (pl.col("source") == "nutzung"))
    assert usage["rows_quarantined"].sum() / usage["rows_delivered"].sum() == pytest.approx(0.0055, rel=0.3)


def test_rows_delivered_are_kept_quarantined_superseded_or_retracted(sample: tuple[Path, World]) -> None:
    out, world = sample
    counts = pl.read_parquet(out / "truth" / "delivery_counts.parquet")
    for row in counts.filter(~pl.col("file").str.ends_with(".zip")).to_dicts():
        assert row["rows_delivered"] == len(_rows(out / "deliveries" / row["file"]))
    kept = counts.group_by("land_code", "source").agg(
        pl.col("rows_delivered").sum()
        - pl.col("rows_quarantined").sum()
        - pl.col("rows_superseded").sum()
        - pl.col("rows_retracted").sum()
    )
    of = {(land, source): n for land, source, n in kept.rows()}
    for table, sources in {
        "connections": {"09": "verbindungen", "06": "anbindungen"},
        "usage": {"09": "nutzung", "06": "nutzung"},
        "case_volumes": {"09": "fallzahlen", "06": "fallzahlen"},
        "costs": {"09": "kosten", "06": "kosten"},
    }.items():
        true = pl.read_parquet(out / "truth" / f"{table}.parquet")
        assert {land: of[land, source] for land, source in sources.items()} == dict(true.group_by("land_code").len().rows())
    assert of["00", "datahub"] == world.listings.height
    assert counts.filter(pl.col("source") == "nutzung")["rows_superseded"].sum() > 0
    for source in ("verbindungen", "datahub"):
        assert counts.filter(pl.col("source") == source)["rows_retracted"].sum() > 0


def test_files_of_finished_months_are_the_same_bytes_later(sample: tuple[Path, World], tmp_path: Path) -> None:
    write_sample(tmp_path, Parameters(end=date(2026, 8, 15)))
    early, late = sample[0] / "deliveries" / "06", tmp_path / "deliveries" / "06"
    names = sorted(path.name for path in early.glob("*-*.csv"))
    assert len(names) == 12  # usage and costs of January to June
    for name in names:
        assert (early / name).read_bytes() == (late / name).read_bytes()
    assert {"nutzung-2026-08.csv", "kosten-2026-08.csv"} <= {path.name for path in late.glob("*.csv")}


def test_the_same_parameters_write_the_same_bytes(sample: tuple[Path, World], tmp_path: Path) -> None:
    write_sample(tmp_path, Parameters(end=END))
    first = {str(p.relative_to(sample[0])): p.read_bytes() for p in sample[0].rglob("*") if p.is_file()}
    again = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert first == again


def test_writing_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    write_sample(tmp_path, Parameters(end=date(2026, 4, 30)))
    write_sample(tmp_path, Parameters(end=date(2026, 2, 15), laender=("06",)))
    assert {path.name for path in (tmp_path / "deliveries").iterdir()} == {"00", "06"}
    assert {path.name for path in (tmp_path / "laender").iterdir()} == {"deutschland.yaml", "hessen.yaml"}
    assert not (tmp_path / "deliveries" / "06" / "nutzung-2026-04.csv").exists()
    assert set(pl.read_parquet(tmp_path / "truth" / "usage.parquet")["land_code"]) == {"06"}


def test_hesse_writes_the_way_offices_do(sample: tuple[Path, World]) -> None:
    out, world = sample
    text = (out / "deliveries" / "06" / "kosten-2026-05.csv").read_bytes().decode("cp1252")
    assert text.startswith("Beleg;Buchungsdatum;Zeitraum von;Zeitraum bis;Schlüssel;Leistung;")
    rows = {row["Beleg"]: row for row in csv.DictReader(text.splitlines(), delimiter=";")}
    known = {row["entry_id"]: row for row in world.cost_versions.to_dicts()}
    assert any("." in row["Betrag netto"] for row in rows.values())
    for name, row in rows.items():
        if name in known and not known[name]["_corrected_on"]:
            euros = float(row["Betrag netto"].replace(".", "").replace(",", "."))
            assert euros == pytest.approx(float(known[name]["amount_eur"]))
    sheet = fastexcel.read_excel(out / "deliveries" / "06" / "anbindungen.xlsx")
    assert sheet.sheet_names == ["Anbindungen"]
    assert sheet.load_sheet(0, header_row=None, n_rows=2).to_polars().item(1, 0) == "Stand: 30.06.2026"


def test_land_files_keep_their_words_and_say_that_they_are_synthetic(sample: tuple[Path, World]) -> None:
    folder = sample[0] / "laender"
    written, packaged = load(folder, {}), load(None, {})
    assert set(written) == {"00", "06", "09"}
    for code, land in written.items():
        assert land.is_synthetic
        assert not packaged[code].is_synthetic
        ours = [s.model_dump(exclude={"location", "auth", "pages", "since", "licence"}) for s in land.sources]
        theirs = [s.model_dump(exclude={"location", "auth", "pages", "since", "licence"}) for s in packaged[code].sources]
        # what a Land leaves open is said for invented data, so that it may be published
        licences = {source.name: source.licence for source in packaged[code].sources}
        assert all(source.licence == (licences[source.name] or "dl-de/by-2-0") for source in land.sources)
        # Hanau's change is stated in the file itself; catalogues that are asked question by question, and visits of pages, have no file in the sample
        theirs = [source for source in theirs if source["name"] not in ("gebietsaenderungen", "suchdienst", "fit_connect", "sdg")]
        assert ours == theirs
        assert land.competences == packaged[code].competences
        for source in land.sources:
            assert source.is_configured({})
            where = Path(source.resolved_location({}))
            assert list(where.parent.glob(where.name)), where


def test_land_files_are_written_without_anchors(sample: tuple[Path, World]) -> None:
    for path in (sample[0] / "laender").iterdir():
        tokens = {type(token) for token in yaml.scan(path.read_text(encoding="utf-8"))}
        assert tokens.isdisjoint({yaml.AnchorToken, yaml.AliasToken}), path


def test_packaged_land_files_need_the_environment_only_for_the_laender() -> None:
    packaged = load(None, {})
    assert {code: [s.is_configured({}) for s in land.sources] for code, land in packaged.items()} == {
        "00": [
            True,
            True,
            True,
            True,
            True,
            False,
        ],  # federal addresses are public and have defaults; visits of pages are a folder
        "05": [True, False],  # its portal is public, its statistics are a folder
        "06": [False] * 4,
        "09": [False] * 4,
    }
    assert all("${" not in s.resolved_location({}) for s in packaged["00"].sources if s.is_configured({}))
    text = (PACKAGED / "deutschland.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["changes"] == [
        {"old": "06435014", "new": "06415000", "kind": "key_change", "on": date(2026, 1, 1)}
    ]


def test_parameters_are_written_with_what_follows_from_them(sample: tuple[Path, World]) -> None:
    stated = json.loads((sample[0] / "truth" / "parameters.json").read_text(encoding="utf-8"))
    assert stated["learning_rate"] == 0.10
    assert stated["learning_exponent"] == pytest.approx(0.1520030934)
    assert stated["is_synthetic"] is True
    assert stated["now"] == "2026-06-30T21:59:00+00:00"
