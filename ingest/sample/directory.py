"""A municipal directory of Bavaria, Hesse and North Rhine-Westphalia in the format of Destatis' GV100AD.

Belongs here: the invented directory, as a table and as 220-character records. Does not: reading a directory.

Real are the Kreise and their names, the numbers of municipalities, gemeindefreie Gebiete and Verwaltungsgemeinschaften per Kreis,
the numbers per kind, size class and size of Verwaltungsgemeinschaft, and the totals of inhabitants and area per Land (counted from
GV100AD, © Statistisches Bundesamt (Destatis), Gebietsstand 30.11.2025, population 31.12.2024 on Zensus 2022); also the
municipalities named in ``municipalities.csv``, with inhabitants where the official figure is known to the unit, round figures being
approximations. Hanau is kreisfrei (06415) as of 1 January 2026.
Everything else, above all every other municipality, its name and its inhabitants, is synthetic and carries "(synthetisch)".
"""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from ingest.sample.parameters import Parameters

TERRITORY_ON = date(2026, 1, 31)
POPULATION_ON = date(2024, 12, 31)

_HERE = Path(__file__).parent
_INHABITANTS = {"09": 13_248_928, "06": 6_280_793, "05": 18_034_454}
_IN_VERBAENDE = 2_047_587  # of Bavaria's inhabitants
_AREA_HA = {"09": 7_054_159, "06": 2_111_570, "05": 3_411_234}
_BOUNDS = (100, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 2_000_000)
#: municipalities per size class, from below 1,000 to 100,000 and more inhabitants
_SIZE_CLASSES = {
    "09": (143, 594, 743, 347, 153, 59, 9, 8),
    "06": (1, 8, 113, 134, 106, 47, 7, 5),
    "05": (0, 0, 4, 47, 131, 137, 47, 30),
}
_MEMBER_CLASSES = (120, 500, 330, 32, 0, 0, 0, 0)  # of the 982 members of Verwaltungsgemeinschaften (synthetic split)
_VERBAND_SIZES = {2: 122, 3: 96, 4: 54, 5: 18, 6: 12, 7: 3, 8: 3, 9: 3}
#: municipalities per Textkennzeichen
_KINDS = {"09": {"63": 264, "60": 386}, "06": {"63": 185}, "05": {"63": 250}}
_LAND = {"09": ("Bayern", "München"), "06": ("Hessen", "Wiesbaden"), "05": ("Nordrhein-Westfalen", "Düsseldorf")}
_REGIERUNGSBEZIRKE = {
    "051": ("Reg.-Bez. Düsseldorf", "Düsseldorf"),
    "053": ("Reg.-Bez. Köln", "Köln"),
    "055": ("Reg.-Bez. Münster", "Münster"),
    "057": ("Reg.-Bez. Detmold", "Detmold"),
    "059": ("Reg.-Bez. Arnsberg", "Arnsberg"),
    "064": ("Reg.-Bez. Darmstadt", "Darmstadt"),
    "065": ("Reg.-Bez. Gießen", "Gießen"),
    "066": ("Reg.-Bez. Kassel", "Kassel"),
    "091": ("Oberbayern", "München"),
    "092": ("Niederbayern", "Landshut"),
    "093": ("Oberpfalz", "Regensburg"),
    "094": ("Oberfranken", "Bayreuth"),
    "095": ("Mittelfranken", "Ansbach"),
    "096": ("Unterfranken", "Würzburg"),
    "097": ("Schwaben", "Augsburg"),
}
_KIND_OF = {
    "61": "kreisfreie_stadt",
    "67": "grosse_kreisstadt",
    "63": "stadt",
    "60": "markt",
    "64": "gemeinde",
    "66": "gemeindefrei_unbewohnt",
}
_RETIRED = {"06435014"}  # Hanau's key until 2025: nobody else gets it
_VERBAND_OF = {"09673116": "5633"}  # named municipalities that belong to a Verwaltungsgemeinschaft


def municipalities(parameters: Parameters) -> pl.DataFrame:
    """One row per municipality and gemeindefreies Gebiet of ``parameters.laender``.

    Columns ``ags ars name text_code kind kreis_code kreis_name regierungsbezirk_code regierungsbezirk_name verband_code
    verband_name land_code population area_ha``; sorted by ``ags``.
    """
    kreise = pl.read_csv(_HERE / "kreise.csv", separator=";", schema_overrides={"kreis": pl.String})
    named = pl.read_csv(_HERE / "municipalities.csv", separator=";", schema_overrides={"ags": pl.String, "kind": pl.String})
    frames = [
        _land(
            parameters,
            land,
            kreise.filter(pl.col("kreis").str.starts_with(land)),
            named.filter(pl.col("ags").str.starts_with(land)),
        )
        for land in parameters.laender
    ]
    bezirke = pl.DataFrame(
        [(code, name) for code, (name, _) in _REGIERUNGSBEZIRKE.items()],
        schema=["regierungsbezirk_code", "regierungsbezirk_name"],
        orient="row",
    )
    return (
        pl.concat(frames)
        .join(kreise.select(kreis_code="kreis", kreis_name="name"), on="kreis_code", how="left", maintain_order="left")
        .with_columns(
            ars=pl.col("verband_code") + pl.col("ags").str.slice(5),
            land_code=pl.col("ags").str.slice(0, 2),
            regierungsbezirk_code=pl.col("ags").str.slice(0, 3),
            kind=pl.col("text_code").replace_strict(_KIND_OF),
        )
        .join(bezirke, on="regierungsbezirk_code", how="left", maintain_order="left")
        .select(
            "ags",
            "ars",
            "name",
            "text_code",
            "kind",
            "kreis_code",
            "kreis_name",
            "regierungsbezirk_code",
            "regierungsbezirk_name",
            "verband_code",
            "verband_name",
            "land_code",
            "population",
            "area_ha",
        )
        .sort("ags")
    )


def _land(parameters: Parameters, land: str, kreise: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """Keys and Verbände first, then inhabitants and kinds, then names."""
    rng = parameters.rng("directory", land)
    named_of = {row["ags"]: row for row in named.to_dicts()}
    sizes = _verband_sizes(kreise, named)
    rows: list[dict[str, object]] = []
    for kreis, _, count, free, _ in kreise.iter_rows():
        own = sorted(ags for ags in named_of if ags.startswith(kreis))
        taken = {int(ags[5:]) for ags in [*own, *_RETIRED] if ags.startswith(kreis)}
        first = 111 if land == "09" else 1
        numbers = [n for n in range(first, 1000) if n not in taken][: count - len(own)]
        keys = own + [f"{kreis}{n:03d}" for n in numbers]
        members = [ags for ags in keys if ags in _VERBAND_OF] + [ags for ags in keys if ags not in named_of]
        verband: dict[str, str] = {}
        for index, size in enumerate(sizes.get(kreis, [])):
            joining, members = members[:size], members[size:]
            code = next((_VERBAND_OF[ags] for ags in joining if ags in _VERBAND_OF), f"5{301 + index}"[:4])
            verband |= dict.fromkeys(joining, code)
        for ags in keys:
            alone = "0" + ags[5:]
            rows.append({"ags": ags, "verband_code": kreis + verband.get(ags, alone), "is_member": ags in verband})
        for n in range(free):
            number = 451 + n if land == "09" else 200 + n
            rows.append({"ags": f"{kreis}{number}", "verband_code": f"{kreis}9{number}", "is_member": False, "text_code": "66"})
    frame = pl.DataFrame(
        rows, schema={"ags": pl.String, "verband_code": pl.String, "is_member": pl.Boolean, "text_code": pl.String}
    )
    frame = frame.sort("ags").join(
        named.rename({"name": "real_name", "kind": "real_kind"}), on="ags", how="left", maintain_order="left"
    )
    frame = frame.with_columns(text_code=pl.coalesce("real_kind", "text_code"))
    frame = frame.with_columns(population=pl.Series(_population(rng, land, frame), dtype=pl.Int64))
    frame = frame.with_columns(text_code=pl.Series(_kinds(rng, land, frame), dtype=pl.String))
    weight = rng.lognormal(0, 0.6, frame.height) * np.where(frame["text_code"].to_numpy() == "66", 0.2, 1.0)
    area = np.maximum(1, np.floor(weight / weight.sum() * _AREA_HA[land])).astype(np.int64)
    area[np.argmax(area)] += _AREA_HA[land] - area.sum()
    stem = {"63": "Musterstadt", "60": "Mustermarkt", "64": "Musterdorf", "66": "Musterforst"}
    suffix = {"63": ", St", "60": ", M"} if land == "09" else {"63": ", Stadt"}
    serial = pl.int_range(1, pl.len() + 1).over("text_code").cast(pl.String).str.zfill(4)
    return (
        frame.with_columns(area_ha=pl.Series(area))
        .with_columns(
            name=pl.coalesce(
                "real_name",
                pl.col("text_code").replace_strict(stem, default="Muster")
                + " "
                + serial
                + " (synthetisch)"
                + pl.col("text_code").replace_strict(suffix, default=""),
            ),
            kreis_code=pl.col("ags").str.slice(0, 5),
        )
        .with_columns(
            verband_name=pl.when("is_member")
            .then(pl.lit("Musterverband ") + pl.col("verband_code").str.slice(2) + " (synthetisch) (VGem)")
            .otherwise("name")
        )
        .select("ags", "name", "text_code", "kreis_code", "verband_code", "verband_name", "population", "area_ha")
    )


def _verband_sizes(kreise: pl.DataFrame, named: pl.DataFrame) -> dict[str, list[int]]:
    """How many members each Verwaltungsgemeinschaft of a Kreis has: the largest go where most municipalities are still free."""
    slots = {kreis: n for kreis, _, _, _, n in kreise.iter_rows() if n}
    fixed = [ags for ags in named["ags"] if ags not in _VERBAND_OF]
    free = {k: c - sum(ags.startswith(k) for ags in fixed) for k, _, c, _, n in kreise.iter_rows() if n}
    sizes: dict[str, list[int]] = {kreis: [] for kreis in slots}
    for size in sorted((s for s, n in _VERBAND_SIZES.items() for _ in range(n)), reverse=True) if slots else []:
        kreis = max((k for k in slots if len(sizes[k]) < slots[k]), key=lambda k: (free[k] - 2 * (slots[k] - len(sizes[k])), k))
        sizes[kreis].append(size)
        free[kreis] -= size
    if any(n < 0 for n in free.values()):
        raise AssertionError("more members of Verwaltungsgemeinschaften than municipalities in a Kreis")
    return sizes


def _population(rng: np.random.Generator, land: str, frame: pl.DataFrame) -> np.ndarray:
    """Inhabitants: stated ones as they are, the others drawn within the real size classes so that the Land's total is met."""
    stated = frame["population"].fill_null(0).to_numpy().copy()
    is_free = (frame["text_code"] == "66").fill_null(False).to_numpy()
    is_open = (frame["population"].is_null().to_numpy()) & ~is_free
    is_member = frame["is_member"].to_numpy()
    classes = np.array(_SIZE_CLASSES[land]) - np.histogram(stated[stated > 0], _BOUNDS)[0]
    members = np.zeros(8, dtype=np.int64)
    member_total = 0
    if is_member.any():
        members = np.array(_MEMBER_CLASSES) - np.histogram(stated[is_member & (stated > 0)], _BOUNDS)[0]
        member_total = _IN_VERBAENDE - int(stated[is_member].sum())
    other_total = _INHABITANTS[land] - member_total - int(stated.sum())
    for who, counts, total in (
        (is_open & is_member, members, member_total),
        (is_open & ~is_member, classes - members, other_total),
    ):
        if who.any():
            stated[who] = rng.permutation(_draw(rng, counts, total))
    return stated


def _draw(rng: np.random.Generator, counts: np.ndarray, total: int) -> np.ndarray:
    """Integers within the size classes, ``counts`` of each, that add up to ``total``: one exponent bends all of them."""
    low = np.repeat(np.array(_BOUNDS[:-1], dtype=float), counts)
    high = np.repeat(np.array(_BOUNDS[1:], dtype=float), counts) - 1
    u = rng.random(low.size)

    def bent(exponent: float) -> np.ndarray:
        return np.floor(low * (high / low) ** (u**exponent)).astype(np.int64)

    few, many = 0.05, 20.0  # a larger exponent makes smaller places
    if not bent(many).sum() <= total <= bent(few).sum():
        raise AssertionError("the total of inhabitants cannot be met within the size classes")
    for _ in range(60):
        middle = (few + many) / 2
        few, many = (middle, many) if bent(middle).sum() > total else (few, middle)
    places = bent(many)
    rest = total - int(places.sum())
    room = np.flatnonzero(places < high - rest // places.size - 1)
    places[room[: rest % room.size]] += 1
    places[room] += rest // room.size
    return places


def _kinds(rng: np.random.Generator, land: str, frame: pl.DataFrame) -> list[str]:
    """Textkennzeichen: the real number of towns and markets, the larger places first, with some disorder."""
    kinds = frame["text_code"].to_list()
    open_rows = [i for i, kind in enumerate(kinds) if kind is None]
    score = np.log(frame["population"].to_numpy().astype(float)[open_rows]) + rng.normal(0, 0.5, len(open_rows))
    order = [open_rows[i] for i in np.argsort(-score)]
    for kind, count in _KINDS[land].items():
        missing = count - kinds.count(kind)
        for i in order[:missing]:
            kinds[i] = kind
        order = order[missing:]
    return [kind or "64" for kind in kinds]


def gv100ad(regions: pl.DataFrame) -> str:
    """The directory as GV100AD: UTF-8 text, one record of 220 characters per line, Satzart 10, 20, 40, 50 and 60.

    ``regions`` as of ``municipalities``. Positions: Destatis, Datensatzbeschreibung GV100AD.
    """
    stand = f"{TERRITORY_ON:%Y%m%d}"

    def records(frame: pl.DataFrame, kind: str, key: pl.Expr, name: pl.Expr, seat: pl.Expr, rest: pl.Expr) -> pl.DataFrame:
        line = pl.concat_str(
            pl.lit(kind + stand),
            key.str.pad_end(12),
            name.str.slice(0, 50).str.pad_end(50),
            seat.str.slice(0, 50).str.pad_end(50),
            rest,
        ).str.pad_end(220)
        return frame.select(line=line, order=key.str.slice(0, 5), kind=pl.lit(kind), key=key)

    lands = [code for code in _LAND if (regions["land_code"] == code).any()]
    land = pl.DataFrame([(c, *_LAND[c]) for c in lands], schema=["code", "name", "seat"], orient="row")
    bezirk = pl.DataFrame(
        [(c, *v) for c, v in _REGIERUNGSBEZIRKE.items() if c[:2] in lands], schema=["code", "name", "seat"], orient="row"
    )
    kreis = regions.group_by("kreis_code").agg(pl.col("kreis_name").first(), is_city=(pl.col("text_code") == "61").any())
    verband = regions.group_by("verband_code").agg(
        pl.col("verband_name").first(), is_vgem=pl.col("verband_code").str.slice(5, 1).first() == "5"
    )
    blank, col = pl.lit(""), pl.col

    def number(name: str) -> pl.Expr:
        return col(name).cast(pl.String).str.zfill(11)

    text = pl.concat(
        [
            records(land, "10", col("code"), col("name"), col("seat"), blank),
            records(bezirk, "20", col("code"), col("name"), col("seat"), blank),
            records(
                kreis,
                "40",
                col("kreis_code"),
                col("kreis_name"),
                col("kreis_name"),
                pl.when("is_city")
                .then(pl.lit("41"))
                .when(col("kreis_code").str.starts_with("05"))
                .then(pl.lit("43"))
                .otherwise(pl.lit("44")),
            ),
            records(
                verband,
                "50",
                col("verband_code").str.slice(0, 5) + "   " + col("verband_code").str.slice(5),
                col("verband_name"),
                blank,
                pl.when("is_vgem").then(pl.lit("54")).otherwise(pl.lit("50")),
            ),
            records(
                regions.with_columns(male=(col("population") * 0.493).floor().cast(pl.Int64)),
                "60",
                col("ags") + col("verband_code").str.slice(5),
                col("name"),
                blank,
                pl.concat_str(col("text_code"), pl.lit("    "), number("area_ha"), number("population"), number("male")),
            ),
        ]
    ).sort("order", "kind", "key")
    return "\n".join(text["line"]) + "\n"


def gv100ad_zip(regions: pl.DataFrame) -> bytes:
    """The archive as Destatis offers it: one text file, same bytes for the same directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(f"GV100AD_{TERRITORY_ON:%d%m%Y}.txt", (2026, 2, 1, 0, 0, 0))
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, gv100ad(regions))
    return buffer.getvalue()
