"""The synthetic directory: real counts, real Kreise, invented municipalities, the official record layout."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingest.sample import Parameters, directory

FREE = "66"


@pytest.fixture(scope="module")
def places() -> pl.DataFrame:
    return directory.municipalities(Parameters())


@pytest.fixture(scope="module")
def records(places: pl.DataFrame) -> list[str]:
    return directory.gv100ad(places).splitlines()


def _of(places: pl.DataFrame, land: str) -> pl.DataFrame:
    return places.filter((pl.col("land_code") == land) & (pl.col("text_code") != FREE))


def test_number_of_municipalities_inhabitants_and_area(places: pl.DataFrame) -> None:
    found = {
        land: (of.height, of["population"].sum(), places.filter(pl.col("land_code") == land)["area_ha"].sum())
        for land in ("09", "06")
        for of in [_of(places, land)]
    }
    assert found == {"09": (2056, 13_248_928, 7_054_159), "06": (421, 6_280_793, 2_111_570)}
    free = places.filter(pl.col("text_code") == FREE)
    assert dict(free.group_by("land_code").len().rows()) == {"09": 165, "06": 4}
    assert free["population"].sum() == 0


def test_number_per_kind(places: pl.DataFrame) -> None:
    def kinds(land: str) -> dict[str, int]:
        return dict(_of(places, land).group_by("text_code").len().rows())

    assert kinds("09") == {"61": 25, "67": 29, "63": 264, "60": 386, "64": 1352}
    assert kinds("06") == {"61": 6, "63": 185, "64": 230}


def test_number_per_regierungsbezirk_and_kreis(places: pl.DataFrame) -> None:
    towns = places.filter(pl.col("text_code") != FREE)
    counted = towns.group_by("regierungsbezirk_code").agg(pl.len(), pl.col("kreis_code").n_unique().alias("kreise"))
    assert {code: (n, kreise) for code, n, kreise in counted.rows()} == {
        "091": (500, 23),
        "092": (258, 12),
        "093": (226, 10),
        "094": (214, 13),
        "095": (210, 12),
        "096": (308, 12),
        "097": (340, 14),
        "064": (184, 15),
        "065": (101, 5),
        "066": (136, 7),
    }


def test_verwaltungsgemeinschaften_have_the_real_sizes(places: pl.DataFrame) -> None:
    members = places.filter(pl.col("verband_code").str.slice(5, 1) == "5")
    sizes = members.group_by("verband_code").len()["len"].to_numpy()
    assert (sizes.size, sizes.sum(), members["population"].sum()) == (311, 982, 2_047_587)
    assert {size: int((sizes == size).sum()) for size in np.unique(sizes)} == {
        2: 122,
        3: 96,
        4: 54,
        5: 18,
        6: 12,
        7: 3,
        8: 3,
        9: 3,
    }
    assert members.select((pl.col("verband_code").str.slice(0, 5) == pl.col("kreis_code")).all()).item()
    alone = _of(places, "09").filter(pl.col("verband_code").str.slice(5, 1) == "0")
    assert alone.height == 1074
    assert (alone["text_code"] == "61").sum() == 25


@pytest.mark.parametrize("seed", [1, 20260121])
def test_size_classes_are_the_real_ones_whatever_the_seed(seed: int) -> None:
    places = directory.municipalities(Parameters(seed=seed))
    bounds = [1, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 10_000_000]
    assert np.histogram(_of(places, "09")["population"], bounds)[0].tolist() == [143, 594, 743, 347, 153, 59, 9, 8]
    assert np.histogram(_of(places, "06")["population"], bounds)[0].tolist() == [1, 8, 113, 134, 106, 47, 7, 5]


def test_named_municipalities_and_visibly_invented_ones(places: pl.DataFrame) -> None:
    by_ags = {row["ags"]: row for row in places.to_dicts()}
    assert by_ags["06415000"] | {"area_ha": 0} == {
        "ags": "06415000",
        "ars": "064150000000",
        "name": "Hanau, Brüder-Grimm-Stadt",
        "text_code": "61",
        "kind": "kreisfreie_stadt",
        "kreis_code": "06415",
        "kreis_name": "Hanau, Brüder-Grimm-Stadt",
        "regierungsbezirk_code": "064",
        "regierungsbezirk_name": "Reg.-Bez. Darmstadt",
        "verband_code": "064150000",
        "verband_name": "Hanau, Brüder-Grimm-Stadt",
        "land_code": "06",
        "population": 97_956,
        "area_ha": 0,
    }
    assert "06435014" not in by_ags
    assert by_ags["09673116"]["ars"] == "096735633116"  # Bastheim is in a Verwaltungsgemeinschaft
    assert by_ags["09779201"]["ars"] == "097790201201"  # Rain is not
    assert by_ags["09775135"]["population"] == 62_641
    assert by_ags["06531005"]["population"] == 89_179
    large = places.filter(pl.col("text_code") == "67")
    assert (large.height, large["population"].sum()) == (29, 794_561)
    real = pl.read_csv(Path(directory.__file__).parent / "municipalities.csv", separator=";", schema_overrides={"ags": pl.String})
    real = real.filter(pl.col("ags").str.head(2).is_in(places["land_code"].implode()))
    assert real.join(places, on=["ags", "name"], how="anti").is_empty()
    invented = places.join(real, on="ags", how="anti")
    assert invented.height == places.height - real.height
    assert invented["name"].str.contains("(synthetisch)", literal=True).all()
    assert invented.select(pl.struct("land_code", "name").is_unique().all()).item()


def test_records_have_the_official_layout(places: pl.DataFrame, records: list[str]) -> None:
    assert {len(record) for record in records} == {220}
    assert {record[2:10] for record in records} == {"20260131"}
    counts = pl.Series([record[:2] for record in records]).value_counts()
    # Hesse has no Verbände: each of its 425 places has a record of its own; Bavaria 1,074 + 311 + 165
    assert dict(counts.rows()) == {"10": 2, "20": 10, "40": 123, "50": 1550 + 425, "60": 2221 + 425}
    gemeinden = [record for record in records if record[:2] == "60"]
    assert len({record[10:18] for record in gemeinden}) == len(gemeinden)
    verbaende = {record[10:15] + record[18:22] for record in records if record[:2] == "50"}
    assert {record[10:15] + record[18:22] for record in gemeinden} == verbaende
    assert sum(int(record[139:150]) for record in gemeinden) == places["population"].sum()
    assert sum(int(record[128:139]) for record in gemeinden) == places["area_ha"].sum()
    hanau = next(record for record in gemeinden if record[10:18] == "06415000")
    assert hanau[22:72].rstrip() == "Hanau, Brüder-Grimm-Stadt"
    assert hanau[122:124] == "61"
    kreise = {record[10:15]: record[122:124] for record in records if record[:2] == "40"}
    assert sum(code == "41" for code in kreise.values()) == 25 + 6
    assert sum(code == "44" for code in kreise.values()) == 71 + 21


def test_archive_is_the_same_bytes_for_the_same_world(places: pl.DataFrame, records: list[str]) -> None:
    archive = directory.gv100ad_zip(places)
    assert archive == directory.gv100ad_zip(directory.municipalities(Parameters()))
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.namelist() == ["GV100AD_31012026.txt"]
        assert file.read("GV100AD_31012026.txt").decode("utf-8").splitlines() == records


def test_a_land_alone_is_the_same_as_together(places: pl.DataFrame) -> None:
    alone = directory.municipalities(Parameters(laender=("06",)))
    assert alone.equals(places.filter(pl.col("land_code") == "06"))


def test_kreise_are_those_of_the_official_directory(places: pl.DataFrame, shared_data: Path) -> None:
    """Names, and numbers of municipalities, gemeindefreie Gebiete and Verwaltungsgemeinschaften per Kreis, before Hanau left."""
    lines = (shared_data / "destatis" / "GV100AD_30112025.txt").read_text(encoding="utf-8").split("\n")
    official = pl.DataFrame(
        [
            (r[:2], r[10:15], r[22:72].rstrip(), r[122:124], r[10:15] + r[18:22])
            for r in lines
            if r[:2] in ("40", "60") and r[10:12] in ("06", "09")
        ],
        schema=["type", "kreis", "name", "code", "verband"],
        orient="row",
    )
    names = dict(official.filter(pl.col("type") == "40").select("kreis", "name").iter_rows())
    ours = dict(places.select("kreis_code", "kreis_name").unique().iter_rows())
    assert ours.pop("06415").startswith("Hanau")
    assert ours == names

    def counted(frame: pl.DataFrame) -> dict[str, tuple[int, int, int]]:
        is_free = pl.col("code") == FREE
        vgem = pl.col("verband").filter(pl.col("verband").str.slice(5, 1) == "5").n_unique()
        rows = frame.group_by("kreis").agg((~is_free).sum().alias("towns"), is_free.sum().alias("free"), vgem.alias("vgem"))
        return {kreis: (towns, free, n) for kreis, towns, free, n in rows.rows()}

    back = places.select(pl.col("kreis_code").replace("06415", "06435").alias("kreis"), code="text_code", verband="verband_code")
    assert counted(back) == counted(official.filter(pl.col("type") == "60"))
