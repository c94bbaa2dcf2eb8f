"""The synthetic world as its portals deliver it: in the words and formats of the Land files, faulty rows among the sound ones.

Belongs here: delivered columns and words, faulty rows with the rule that each breaks, the files of deliveries and truth.
Does not: what happens in the world (``ingest.sample.world``), serving (``ingest.sample.server``).

Faulty rows are added, the sound rows all stay, so that a perfect warehouse equals the truth. A faulty row breaks one rule only.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter
import yaml

from ingest.sample import directory, nrw
from ingest.sample.parameters import Parameters
from ingest.sample.world import BASELINE, World, canonical, make_world

Row = dict[str, Any]
#: Faulty rows out of a copy of a sound row and a number that is the row's own.
Fault = Callable[[Row, int], list[Row]]

_PACKAGED = Path(__file__).parent.parent / "laender"
_FILES = {
    ("09", "verbindungen"): "09/verbindungen.json",
    ("09", "nutzung"): "09/nutzung.json",
    ("09", "fallzahlen"): "09/fallzahlen.json",
    ("09", "kosten"): "09/kosten.json",
    ("06", "anbindungen"): "06/anbindungen.xlsx",
    ("06", "nutzung"): "06/nutzung-*.csv",
    ("06", "fallzahlen"): "06/fallzahlen.xlsx",
    ("06", "kosten"): "06/kosten-*.csv",
    ("05", "umsetzungsstand"): nrw.FILE,
    ("05", "nutzung"): "05/zsk-*.csv",
    ("00", "gemeindeverzeichnis"): "00/GV100AD.zip",
    ("00", "datahub"): "00/open-pvog.csv",
}
#: What the invented deliveries may be used under, so that a sample has a whole public tier.
SAMPLE_LICENCE = "dl-de/by-2-0"

_LAND_FILE = {"09": "bayern.yaml", "06": "hessen.yaml", "05": "nordrhein-westfalen.yaml", "00": "deutschland.yaml"}


@dataclass(frozen=True)
class Delivery:
    """Rows of one source as delivered, before they are split into files.

    ``frame``: delivered columns, and ``_reported_on``, ``_u``, ``_is_superseded``, ``_is_retracted``.
    ``faults``: per quarantine rule, what is done to a copy of a sound row; several rows come out of a conflict.
    ``eligible``: rows that may be copied for a faulty one.
    """

    land_code: str
    source: str
    frame: pl.DataFrame
    faults: dict[str, Fault]
    eligible: pl.Expr
    monthly_files: bool = False
    fault_factor: float = 1.0


def write_sample(out: Path, parameters: Parameters | None = None) -> World:
    """Write ``laender/``, ``deliveries/`` and ``truth/`` below ``out``, replacing those that are there; returns the world.

    ``laender/`` holds the packaged Land files with their locations pointed at the files of ``deliveries/``, so that they run
    without a server. ``truth/`` holds Parquet with canonical columns (``regions authorities competences connections usage_daily
    usage case_volumes costs listings``), ``plan`` (what drives each connection), ``dirty_rows`` (``land_code source file rule
    raw``; a federal row under "00"), ``delivery_counts`` (``land_code source file rows_delivered rows_quarantined
    rows_superseded rows_retracted``) and ``parameters.json``.
    """
    world = make_world(parameters or Parameters())
    for folder in ("laender", "deliveries", "truth"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    dirty, counts = [], []
    for delivery in _deliveries(world):
        bad = _faulty_rows(delivery, world.parameters)
        for name, sound, faulty in _split(delivery, bad):
            path = out / "deliveries" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(_encode(delivery, path.suffix, sound, [row for row, _ in faulty], world.parameters))
            key = {"land_code": delivery.land_code, "source": delivery.source, "file": name}
            dirty += [key | {"rule": rule, "raw": json.dumps(_as_text(row), ensure_ascii=False)} for row, rule in faulty]
            counts.append(
                key
                | {
                    "rows_delivered": sound.height + len(faulty),
                    "rows_quarantined": len(faulty),
                    "rows_superseded": int(sound["_is_superseded"].sum()),
                    "rows_retracted": int(sound["_is_retracted"].sum()),
                }
            )
    if "05" in world.parameters.laender:
        document, faulty_readings, readings = nrw.harvest(world)
        (out / "deliveries" / nrw.FILE).write_bytes(document)
        key = {"land_code": "05", "source": "umsetzungsstand", "file": nrw.FILE}
        dirty += [key | {"rule": rule, "raw": json.dumps(raw, ensure_ascii=False)} for raw, rule in faulty_readings]
        zero = {"rows_superseded": 0, "rows_retracted": 0}
        counts.append(key | {"rows_delivered": readings, "rows_quarantined": len(faulty_readings), **zero})
    gv100ad = out / "deliveries" / _FILES["00", "gemeindeverzeichnis"]
    gv100ad.write_bytes(directory.gv100ad_zip(world.municipalities))
    places = world.municipalities.height
    counts.append(
        {
            "land_code": "00",
            "source": "gemeindeverzeichnis",
            "file": _FILES["00", "gemeindeverzeichnis"],
            "rows_delivered": places,
            "rows_quarantined": 0,
            "rows_superseded": 0,
            "rows_retracted": 0,
        }
    )
    _write_land_files(out, world.parameters)
    _write_truth(out / "truth", world, dirty, counts)
    return world


# -- words and numbers ------------------------------------------------------------------------------------------------------

_SERVICE_WORDS = {
    "09": {
        "ummeldung": "Online-Ummeldung",
        "fuehrerschein": "Führerschein",
        "bauantrag": "Digitaler Bauantrag",
        "aufenthalt": "Aufenthaltstitel",
        "waffen": "Waffenrechtliche Erlaubnis",
    },
    "06": {
        "ummeldung": "Wohnsitzanmeldung (eWA)",
        "fuehrerschein": "Fahrerlaubnis Erstantrag",
        "aufenthalt": "Aufenthaltserlaubnis",
        "unterhaltsvorschuss": "Unterhaltsvorschuss",
        "anlagengenehmigung": "Anlagengenehmigung BImSchG",
    },
    "05": {"ummeldung": "Elektronische Wohnsitzanmeldung", "fuehrerschein": "Führerschein Erstantrag"},
}
_PHASE_WORDS = {
    "09": {
        "planned": "geplant",
        "contracted": "Nachnutzungsvertrag geschlossen",
        "integrating": "in Integration",
        "onboarding": "im Onboarding",
        "operational": "in Betrieb",
        "suspended": "ausgesetzt",
        "withdrawn": "zurückgezogen",
    },
    "06": {
        "planned": "vorgesehen",
        "contracted": "beauftragt",
        "integrating": "technische Integration",
        "onboarding": "Onboarding",
        "operational": "produktiv",
        "suspended": "ausgesetzt",
        "withdrawn": "beendet",
    },
}
_CHANNEL_WORDS = {
    "09": {"online": "Online", "assisted": "Online mit Unterstützung", "counter": "Schalter", "post": "Post"},
    "06": {"online": "Online", "assisted": "Online mit Hilfe", "counter": "Schalter", "post": "Post"},
}
_ACCOUNT_WORDS = {"bundid": "BundID", "unternehmenskonto": "Unternehmenskonto", "other": "anderes Konto", "none": "ohne Konto"}
_CATEGORY_WORDS = {
    "general_contractor": "Generalunternehmer",
    "roll_in_team": "Roll-in-Team",
    "integration": "Integration",
    "onboarding": "Onboarding",
    "training": "Schulung",
    "licence": "Lizenz",
    "hosting": "Hosting",
    "support": "Support",
    "programme_office": "Programmbüro",
}
_BEHAVIOUR_WORDS = {"variable": "variabel", "fixed_land": "fix Land", "fixed_programme": "fix Programm"}
_PAYER_WORDS = {"bund": "Bund", "land": "Land", "kommune": "Kommune"}
_ENTRY_WORDS = {"planned": "Plan", "estimate": "Schätzung", "invoiced": "Rechnung", "reversal": "Gutschrift"}
_PRICE_WORDS = {
    "09": {"actual": "nach Aufwand", "fixed_price": "Festpreis", "step_price": "Staffelpreis"},
    "06": {"actual": "Aufwand", "fixed_price": "Festpreis", "step_price": "Staffelpreis"},
}


def _word(column: str, words: dict[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(words, return_dtype=pl.String)


def _day(column: str) -> pl.Expr:
    return pl.col(column).dt.strftime("%d.%m.%Y")


def _instant(column: str) -> pl.Expr:
    return pl.col(column).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _yes(column: str, yes: str, no: str) -> pl.Expr:
    return pl.when(pl.col(column)).then(pl.lit(yes)).otherwise(pl.lit(no))


def _german_whole(number: pl.Expr) -> pl.Expr:
    """A whole number with dots between thousands: 1.234."""
    digits = number.abs().cast(pl.String).str.reverse().str.replace_all(r"(\d{3})", "$1.").str.reverse().str.strip_prefix(".")
    return pl.when(number < 0).then(pl.lit("-") + digits).otherwise(digits)


def _german_euros(cents: str) -> pl.Expr:
    """Cents as 1.234,56."""
    amount = pl.col(cents)
    whole, rest = amount.abs() // 100, (amount.abs() % 100).cast(pl.String).str.zfill(2)
    return pl.when(amount.is_not_null()).then(
        pl.concat_str(pl.when(amount < 0).then(pl.lit("-")).otherwise(pl.lit("")), _german_whole(whole), pl.lit(","), rest)
    )


def _as_text(row: Row, prefix: str = "") -> dict[str, str | None]:
    """A delivered row as text, nested names joined by dots: the way quarantine keeps it."""
    flat: dict[str, str | None] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= _as_text(value, f"{prefix}{name}.")
        elif value is None or value == "":
            flat[prefix + name] = None
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


# -- faulty rows ------------------------------------------------------------------------------------------------------------


def _put(row: Row, **changes: Any) -> Row:
    """A copy with other values; a dotted name (written with two underscores) reaches into a nested object."""
    copy = {name: dict(value) if isinstance(value, dict) else value for name, value in row.items()}
    for name, value in changes.items():
        inner, _, leaf = name.partition("__")
        if leaf:
            copy[inner][leaf] = value
        else:
            copy[name] = value
    return copy


_month = pl.col("_reported_on").dt.strftime("%Y-%m")

#: So many rows of a monthly file bear one faulty row of every kind without the file as a whole being in doubt.
_ROWS_PER_FAULT = 25


def _faulty_rows(delivery: Delivery, parameters: Parameters) -> list[tuple[Row, str, date]]:
    """Faulty rows with their rule and the day on which they were reported: the first rows once per rule, then a share of all."""
    share = min(parameters.dirty_share * delivery.fault_factor, 0.9)
    if not share:
        return []
    rules = list(delivery.faults)
    # the first rows that could ever be delivered, so that every rule appears from the first day on and never changes its row
    eligible = delivery.frame.filter(delivery.eligible)
    first = eligible.sort("_reported_on", maintain_order=True)
    if delivery.monthly_files:
        # one of each kind in a file of a few dozen rows would be a broken file: the first month that is large enough has them
        months = delivery.frame.group_by(_month.alias("month")).len()
        large = months.filter(pl.col("len") >= _ROWS_PER_FAULT * len(rules))["month"].min()
        first = first.filter(_month == large) if large is not None else first.clear()
    first = first.head(len(rules))
    drawn = eligible.filter(pl.col("_u") < share)
    drawn = drawn.with_columns(_rule=(pl.col("_u") / share * len(rules)).cast(pl.Int64))
    chosen = pl.concat([first.with_columns(_rule=pl.int_range(pl.len(), dtype=pl.Int64)), drawn])
    columns = [name for name in chosen.columns if not name.startswith("_")]
    found: list[tuple[Row, str, date]] = []
    for serial, row in enumerate(chosen.to_dicts()):
        rule = rules[row["_rule"]]
        sound = {name: row[name] for name in columns}
        # a number that depends on the row alone, not on how many came before it
        number = serial if serial < first.height else 100 + int(row["_u"] * 1e12)
        found += [(bad, rule, row["_reported_on"]) for bad in delivery.faults[rule](sound, number)]
    return found


def _split(delivery: Delivery, bad: list[tuple[Row, str, date]]) -> list[tuple[str, pl.DataFrame, list[tuple[Row, str]]]]:
    """The files of a delivery: name, sound rows, faulty rows."""
    name = _FILES[delivery.land_code, delivery.source]
    if not delivery.monthly_files:
        return [(name, delivery.frame, [(row, rule) for row, rule, _ in bad])]
    files = []
    for (label,), sound in delivery.frame.sort("_reported_on", maintain_order=True).group_by(_month, maintain_order=True):
        files.append((name.replace("*", str(label)), sound, [(row, rule) for row, rule, on in bad if f"{on:%Y-%m}" == label]))
    return files


def _earlier(number: int) -> date:
    """A day before anything was delivered, another one for (nearly) each number."""
    return date(2022, 12, 24) - timedelta(days=number % 30_000)


_FAR = "24.12.2099"


def _numbered(column: str, prefix: str, faults: Mapping[str, Fault]) -> dict[str, Fault]:
    """Faults whose rows get a number of their own, so that they are no revisions of sound rows."""

    def numbered(fault: Fault) -> Fault:
        return lambda row, number: [_put(bad, **{column: f"{prefix}{number}"}) for bad in fault(row, number)]

    return {rule: numbered(fault) for rule, fault in faults.items()}


def _twins(row: Row, name: str, first: Any, second: Any) -> list[Row]:
    return [_put(row, **{name: first}), _put(row, **{name: second})]


# -- Bavaria ----------------------------------------------------------------------------------------------------------------


def _bavaria(world: World) -> list[Delivery]:
    service = _word("service_id", _SERVICE_WORDS["09"])
    own = pl.col("land_code") == "09"
    never = {"_is_superseded": pl.lit(False), "_is_retracted": pl.lit(False)}
    keyed: dict[str, Fault] = {
        "missing": lambda r, n: [_put(r, leistung=None)],
        "wrong_land": lambda r, n: [_put(r, behoerdeArs="064120000000")],
        "unknown_key": lambda r, n: [_put(r, behoerdeArs="099990000000")],
        "duplicate": lambda r, n: [r],
    }

    events = pl.concat([world.connections.filter(own), _phantoms(world)], how="diagonal")
    connections = Delivery(
        "09",
        "verbindungen",
        events.select(
            ereignisId="event_id",
            behoerdeArs="region_key",
            leistung=service,
            status=_word("phase", _PHASE_WORDS["09"]),
            gueltigAb=_day("effective_on"),
            gemeldetAm=_instant("reported_at"),
            welle="wave",
            team="team",
            generalunternehmer="contractor",
            abruf="call_off",
            pilot="is_pilot",
            geplanteWelle="planned_wave",
            geplanterBeginn=_day("planned_start_on"),
            schwierigkeit="difficulty",
            schwierigkeitErhobenAm=_day("difficulty_recorded_on"),
            personentage="person_days",
            personentageKommune="person_days_municipal",
            storniert="is_retracted",
            _reported_on="_reported_on",
            _u="_u",
            _is_superseded=pl.lit(False),
            _is_retracted="is_retracted",
        ),
        _numbered(
            "ereignisId",
            "BY-F",
            {
                "malformed": lambda r, n: [_put(r, gueltigAb="31.02.2026")],
                "missing": keyed["missing"],
                "unknown_value": lambda r, n: [_put(r, status="fast fertig")],
                "wrong_land": keyed["wrong_land"],
                "unknown_key": keyed["unknown_key"],
                "out_of_range": lambda r, n: [_put(r, personentage=-3.5)],
                "future_date": lambda r, n: [_put(r, gueltigAb=_FAR, status="in Betrieb")],
                "conflict": lambda r, n: _twins(r, "gueltigAb", "02.02.2026", "03.02.2026"),
            },
        )
        | {"duplicate": keyed["duplicate"]},
        ~pl.col("_is_retracted"),
    )

    usage = Delivery(
        "09",
        "nutzung",
        world.usage.filter(own).select(
            behoerdeArs="region_key",
            leistung=service,
            monat=_day("period"),
            kanal=_word("channel", _CHANNEL_WORDS["09"]),
            konto=_word("account", _ACCOUNT_WORDS),
            begonnen="started",
            eingereicht="submitted",
            abgeschlossen="completed",
            testbetrieb="is_test",
            gemeldetAm=pl.col("_reported_on").dt.strftime("%Y-%m-%dT05:00:00Z"),
            _reported_on="_reported_on",
            _u="_u",
            **never,
        ),
        {
            "malformed": lambda r, n: [_put(r, eingereicht="12x4")],
            "missing": keyed["missing"],
            "unknown_value": lambda r, n: [_put(r, kanal="Fax")],
            "wrong_land": keyed["wrong_land"],
            "unknown_key": keyed["unknown_key"],
            "out_of_range": lambda r, n: [_put(r, eingereicht=-4)],
            "future_date": lambda r, n: [_put(r, monat="01.12.2099")],
            "duplicate": keyed["duplicate"],
            "conflict": lambda r, n: _twins(_put(r, monat=_month_before(n)), "eingereicht", 11 + n % 1000, 2011 + n % 1000),
        },
        ~pl.col("testbetrieb"),
    )

    cases = Delivery(
        "09",
        "fallzahlen",
        world.case_volumes.filter(own).select(
            behoerdeArs="region_key", leistung=service, jahr="year", faelle="cases", _reported_on="_reported_on", _u="_u", **never
        ),
        {
            "malformed": lambda r, n: [_put(r, faelle="12x4")],
            "missing": keyed["missing"],
            "unknown_value": lambda r, n: [_put(r, leistung="Hundesteuer")],
            "wrong_land": keyed["wrong_land"],
            "unknown_key": keyed["unknown_key"],
            "out_of_range": lambda r, n: [_put(r, faelle=-12)],
            "future_date": lambda r, n: [_put(r, jahr=2099)],
            "duplicate": keyed["duplicate"],
            "conflict": lambda r, n: _twins(_put(r, jahr=2001 + n % 20), "faelle", 11 + n % 100_000, 200_011 + n % 100_000),
        },
        pl.lit(True),
    )

    costs = Delivery(
        "09",
        "kosten",
        world.costs.filter(own).select(
            belegId="entry_id",
            gebuchtAm=_day("booked_on"),
            leistungszeitraum=pl.struct(von=_day("period_start"), bis=_day("period_end")),
            behoerdeArs="region_key",
            leistung=service,
            welle="wave",
            abruf="call_off",
            auftragnehmer="contractor",
            kostenart=_word("category", _CATEGORY_WORDS),
            kostenverhalten=_word("behaviour", _BEHAVIOUR_WORDS),
            kostentraeger=_word("payer", _PAYER_WORDS),
            wiederkehrend="recurring",
            buchungsart=_word("entry_status", _ENTRY_WORDS),
            betrag=pl.struct(netto=pl.col("cents") / 100, ustNichtAbziehbar=pl.col("_vat_cents") / 100),
            preisart=_word("price_mechanism", _PRICE_WORDS["09"]),
            deflator="deflator_class",
            _reported_on="_reported_on",
            _u="_u",
            **never,
        ),
        _numbered(
            "belegId",
            "BY-F",
            {
                "wrong_unit": lambda r, n: [_put(r, betrag__netto="12.5 T€" if n % 2 else "450000 ct")],
                "malformed": lambda r, n: [_put(r, betrag__netto="zwölf")],
                "missing": lambda r, n: [_put(r, betrag__netto=None)],
                "unknown_value": lambda r, n: [_put(r, kostenart="Sonstiges")],
                "wrong_land": keyed["wrong_land"],
                "unknown_key": keyed["unknown_key"],
                "out_of_range": lambda r, n: [_put(r, betrag__netto=9_999_999_999.0)],
                "future_date": lambda r, n: [_put(r, gebuchtAm=_FAR, buchungsart="Rechnung")],
                "conflict": lambda r, n: _twins(r, "betrag__netto", 100.0, 200.0),
            },
        )
        | {"duplicate": keyed["duplicate"]},
        pl.col("behoerdeArs").is_not_null(),
    )
    return [connections, usage, cases, costs]


def _phantoms(world: World) -> pl.DataFrame:
    """Events that never happened, reported by mistake and taken back: a portal shows them as retracted."""
    reported = pl.from_epoch("onboarding", time_unit="d") + timedelta(days=25)
    return (
        world.plan.filter(
            (pl.col("land_code") == "09") & (pl.col("listed_lot") < 0.006) & (pl.col("accepted") > pl.col("onboarding") + 5)
        )
        .with_columns(
            event_id=pl.concat_str(pl.lit("BY-S"), pl.col("index").cast(pl.String)),
            phase=pl.lit("operational"),
            effective_on=pl.from_epoch("onboarding", time_unit="d") + timedelta(days=5),
            reported_at=reported.cast(pl.Datetime("us", "UTC")) + timedelta(hours=9),
            planned_start_on=pl.lit(None, dtype=pl.Date),
            difficulty_recorded_on=pl.lit(None, dtype=pl.Date),
            person_days=pl.lit(None, dtype=pl.Float64),
            person_days_municipal=pl.lit(None, dtype=pl.Float64),
            is_retracted=pl.lit(True),
            _reported_on=reported.cast(pl.Date),
            _u=pl.lit(1.0),
        )
        .filter(~pl.col("is_baseline") & (pl.col("_reported_on") <= world.parameters.end))
    )


def _month_before(number: int) -> str:
    months = 2022 * 12 - number % 1_200
    return f"01.{months % 12 + 1:02d}.{months // 12}"


# -- Hesse ------------------------------------------------------------------------------------------------------------------


def _hesse(world: World) -> list[Delivery]:
    service = _word("service_id", _SERVICE_WORDS["06"])
    own = pl.col("land_code") == "06"
    never = {"_is_superseded": pl.lit(False), "_is_retracted": pl.lit(False)}
    keyed: dict[str, Fault] = {
        "missing": lambda r, n: [_put(r, Leistung=None)],
        "wrong_land": lambda r, n: [_put(r, Schlüssel="09162000")],
        "unknown_key": lambda r, n: [_put(r, Schlüssel="06999999")],
        "duplicate": lambda r, n: [r],
    }

    connections = Delivery(
        "06",
        "anbindungen",
        world.connections.filter(own).select(
            pl.col("region_key").alias("Schlüssel"),
            service.alias("Leistung"),
            _word("phase", _PHASE_WORDS["06"]).alias("Stand"),
            _day("effective_on").alias("gültig ab"),
            _instant("reported_at").alias("gemeldet am"),
            pl.col("wave").alias("Welle"),
            pl.col("team").alias("Team"),
            pl.col("contractor").alias("Generalunternehmer"),
            pl.col("call_off").alias("Abruf"),
            _yes("is_pilot", "ja", "nein").alias("Pilot"),
            pl.col("planned_wave").alias("Geplante Welle"),
            _day("planned_start_on").alias("Geplanter Beginn"),
            pl.col("difficulty").alias("Schwierigkeit"),
            _day("difficulty_recorded_on").alias("Schwierigkeit erhoben am"),
            pl.col("person_days").alias("Personentage"),
            pl.col("person_days_municipal").alias("Personentage Kommune"),
            "_reported_on",
            "_u",
            **never,
        ),
        {
            "malformed": lambda r, n: [_put(r, **{"gültig ab": "31.02.2026"})],
            "missing": keyed["missing"],
            "unknown_value": lambda r, n: [_put(r, Stand="fast fertig")],
            "wrong_land": keyed["wrong_land"],
            "unknown_key": keyed["unknown_key"],
            "out_of_range": lambda r, n: [_put(r, Personentage=-3.5)],
            "future_date": lambda r, n: [_put(r, Stand="produktiv", **{"gültig ab": _FAR})],
            "duplicate": keyed["duplicate"],
            # there is no event number: the natural key, on a day on which nothing happened
            "conflict": lambda r, n: _twins(
                _put(r, Stand="beendet", **{"gültig ab": f"{_earlier(n):%d.%m.%Y}"}), "Team", f"Team A{n}", f"Team B{n}"
            ),
        },
        pl.lit(True),
    )

    usage = Delivery(
        "06",
        "nutzung",
        world.usage_versions.filter(own)
        .sort("_reported_on", "period", "service_id", "authority_id", "channel")
        .select(
            _day("period").alias("Datum"),
            pl.col("region_key").alias("Schlüssel"),
            service.alias("Leistung"),
            _word("channel", _CHANNEL_WORDS["06"]).alias("Kanal"),
            _german_whole(pl.col("started")).alias("begonnen"),
            _german_whole(pl.col("submitted")).alias("eingereicht"),
            _yes("is_test", "J", "N").alias("Test"),
            "_reported_on",
            "_u",
            "_is_superseded",
            _is_retracted=pl.lit(False),
        ),
        {
            "malformed": lambda r, n: [_put(r, eingereicht="12x4")],
            "missing": keyed["missing"],
            "unknown_value": lambda r, n: [_put(r, Kanal="Fax")],
            "wrong_land": keyed["wrong_land"],
            "unknown_key": keyed["unknown_key"],
            "out_of_range": lambda r, n: [_put(r, eingereicht="-4")],
            "future_date": lambda r, n: [_put(r, Datum=_FAR)],
            "duplicate": keyed["duplicate"],
            "conflict": lambda r, n: _twins(
                _put(r, Datum=f"{_earlier(n):%d.%m.%Y}"), "eingereicht", str(11 + n % 300), str(411 + n % 300)
            ),
        },
        # only online rows carry a drawn number: their share stands for that of all four channels
        pl.col("_u") < 1,
        monthly_files=True,
        fault_factor=4,
    )

    cases = Delivery(
        "06",
        "fallzahlen",
        world.case_volumes.filter(own).select(
            pl.col("region_key").alias("Schlüssel"),
            service.alias("Leistung"),
            pl.col("year").alias("Jahr"),
            pl.col("cases").alias("Fälle"),
            "_reported_on",
            "_u",
            **never,
        ),
        {
            "malformed": lambda r, n: [_put(r, Fälle="12x4")],
            "missing": keyed["missing"],
            "unknown_value": lambda r, n: [_put(r, Leistung="Hundesteuer")],
            "wrong_land": keyed["wrong_land"],
            "unknown_key": keyed["unknown_key"],
            "out_of_range": lambda r, n: [_put(r, Fälle=-12)],
            "future_date": lambda r, n: [_put(r, Jahr=2099)],
            "duplicate": keyed["duplicate"],
            "conflict": lambda r, n: _twins(_put(r, Jahr=2001 + n % 20), "Fälle", 11 + n % 100_000, 200_011 + n % 100_000),
        },
        pl.lit(True),
    )

    costs = Delivery(
        "06",
        "kosten",
        world.cost_versions.filter(own)
        .sort("_reported_on", "entry_id")
        .select(
            pl.col("entry_id").alias("Beleg"),
            _day("booked_on").alias("Buchungsdatum"),
            _day("period_start").alias("Zeitraum von"),
            _day("period_end").alias("Zeitraum bis"),
            pl.col("region_key").alias("Schlüssel"),
            service.alias("Leistung"),
            pl.col("wave").cast(pl.String).alias("Welle"),
            pl.col("call_off").alias("Abruf"),
            pl.col("contractor").alias("Auftragnehmer"),
            _word("category", _CATEGORY_WORDS).alias("Kostenart"),
            _word("behaviour", _BEHAVIOUR_WORDS).alias("Kostenverhalten"),
            _word("payer", _PAYER_WORDS).alias("Kostenträger"),
            _yes("recurring", "J", "N").alias("wiederkehrend"),
            _word("entry_status", _ENTRY_WORDS).alias("Belegart"),
            _german_euros("cents").alias("Betrag netto"),
            _german_euros("_vat_cents").alias("USt nicht abziehbar"),
            _word("price_mechanism", _PRICE_WORDS["06"]).alias("Preisart"),
            pl.col("deflator_class").alias("Deflator"),
            "_reported_on",
            "_u",
            "_is_superseded",
            _is_retracted=pl.lit(False),
        ),
        _numbered(
            "Beleg",
            "HE-F",
            {
                "wrong_unit": lambda r, n: [_put(r, **{"Betrag netto": "12,5 T€" if n % 2 else "450.000 ct"})],
                "malformed": lambda r, n: [_put(r, **{"Betrag netto": "zwölf"})],
                "missing": lambda r, n: [_put(r, **{"Betrag netto": None})],
                "unknown_value": lambda r, n: [_put(r, Kostenart="Sonstiges")],
                "wrong_land": keyed["wrong_land"],
                "unknown_key": keyed["unknown_key"],
                "out_of_range": lambda r, n: [_put(r, **{"Betrag netto": "9.999.999.999,00"})],
                "future_date": lambda r, n: [_put(r, Buchungsdatum=_FAR, Belegart="Rechnung")],
                "conflict": lambda r, n: _twins(r, "Betrag netto", "100,00", "200,00"),
            },
        )
        | {"duplicate": keyed["duplicate"]},
        pl.col("Schlüssel").is_not_null() & (pl.col("_u") < 1),
        monthly_files=True,
    )
    return [connections, usage, cases, costs]


# -- North Rhine-Westphalia -------------------------------------------------------------------------------------------------


def _nrw(world: World) -> list[Delivery]:
    """Its statistics, a file a month; its connections are a harvest (``ingest.sample.nrw``)."""
    return [
        Delivery(
            "05",
            "nutzung",
            world.usage_versions.filter(pl.col("land_code") == "05")
            .sort("_reported_on", "period", "service_id", "authority_id")
            .select(
                pl.col("region_key").alias("Regionalschlüssel"),
                _word("service_id", _SERVICE_WORDS["05"]).alias("Onlinedienst"),
                pl.col("period").dt.strftime("%Y-%m").alias("Monat"),
                pl.col("submitted").alias("Transaktionen"),
                "_reported_on",
                "_u",
                "_is_superseded",
                _is_retracted=pl.lit(False),
            ),
            {
                "malformed": lambda r, n: [_put(r, Transaktionen="12x4")],
                "missing": lambda r, n: [_put(r, Onlinedienst=None)],
                "unknown_value": lambda r, n: [_put(r, Onlinedienst="Hundesteuer")],
                "wrong_land": lambda r, n: [_put(r, Regionalschlüssel="09162000")],
                "unknown_key": lambda r, n: [_put(r, Regionalschlüssel="05999999")],
                "out_of_range": lambda r, n: [_put(r, Transaktionen="-4")],
                "future_date": lambda r, n: [_put(r, Monat="2099-12")],
                "duplicate": lambda r, n: [r],
                "conflict": lambda r, n: _twins(
                    _put(r, Monat=f"{_earlier(n):%Y-%m}"), "Transaktionen", str(11 + n % 300), str(411 + n % 300)
                ),
            },
            pl.col("_u") < 1,
            monthly_files=True,
        )
    ]


# -- the federal catalogue --------------------------------------------------------------------------------------------------

_SERVICE_TITLES = {
    "ummeldung": "Wohnsitzanmeldung",
    "aufenthalt": "Aufenthaltstitel",
    "bauantrag": "Baugenehmigung",
    "waffen": "Waffenrechtliche Erlaubnisse",
    "unterhaltsvorschuss": "Unterhaltsvorschuss",
}
_OZG_ID = {"aufenthalt": 10255}  # the only verified number among the listed services


def _catalogue(world: World) -> Delivery:
    """The entries, and some that were left behind when their service moved: the catalogue keeps them as inactive."""
    land = {"09": "Bayern", "06": "Hessen", "05": "Nordrhein-Westfalen"}
    drawn = world.listings.with_columns(_u=pl.Series(world.parameters.rng("catalogue").random(world.listings.height)))
    moved = pl.col("_u") > 0.98
    inactive = drawn.filter(moved).with_columns(
        url=pl.concat_str("url", pl.lit("/alt")), works=pl.lit(False), is_retracted=pl.lit(True), _u=pl.lit(1.0)
    )
    return Delivery(
        "00",
        "datahub",
        pl.concat([drawn, inactive]).select(
            leika_key="leika_key",
            leika_name=_word("service_id", _SERVICE_TITLES),
            ars="ars",
            ars_name=pl.lit(None, dtype=pl.String),
            ars_federal_state="land_code",
            bundesland=_word("land_code", land),
            ozgid=pl.col("service_id").replace_strict(_OZG_ID, default=None, return_dtype=pl.Int64),
            url="url",
            online_status=_yes("works", "ok", "nicht ok"),
            aktiv=_yes("is_retracted", "nein", "ja"),
            art_flaechendeckung="coverage_class",
            datenstand_pvog_import=pl.col("observed_on").dt.strftime("%Y-%m-%d"),
            _reported_on="observed_on",
            _u="_u",
            _is_superseded=pl.lit(False),
            _is_retracted="is_retracted",
        ),
        {
            "malformed": lambda r, n: [_put(r, leika_key="9911500510400")],
            "missing": lambda r, n: [_put(r, leika_key=None)],
            "future_date": lambda r, n: [_put(r, datenstand_pvog_import="2099-12-24")],
            "duplicate": lambda r, n: [r],
            "conflict": lambda r, n: _twins(
                _put(r, url=f"https://dienst.example/widerspruch/{n}"),
                "art_flaechendeckung",
                "in mind. einer Kommune verfügbar",
                "landesweit flächendeckend",
            ),
        },
        ~pl.col("_is_retracted"),
    )


# -- writing ----------------------------------------------------------------------------------------------------------------


def _deliveries(world: World) -> list[Delivery]:
    laender = {"09": _bavaria, "06": _hesse, "05": _nrw}
    return [d for land in world.parameters.laender for d in laender[land](world)] + [_catalogue(world)]


def _encode(delivery: Delivery, suffix: str, sound: pl.DataFrame, bad: list[Row], parameters: Parameters) -> bytes:
    frame = sound.select([name for name in sound.columns if not name.startswith("_")])
    if suffix == ".json":
        rows = [line for line in (frame.write_json()[1:-1], *(json.dumps(r, ensure_ascii=False) for r in bad)) if line]
        return ("[" + ",\n".join(rows) + "]").encode()
    if suffix == ".csv":
        text = pl.concat(
            [frame.cast(pl.String), pl.DataFrame([_as_text(r) for r in bad], schema=dict.fromkeys(frame.columns, pl.String))]
        )
        is_hessian = delivery.land_code == "06"
        return text.write_csv(separator="," if delivery.land_code == "00" else ";").encode("cp1252" if is_hessian else "utf-8")
    return _workbook(delivery.source, frame, bad, parameters)


def _workbook(source: str, frame: pl.DataFrame, bad: list[Row], parameters: Parameters) -> bytes:
    """A workbook as an office keeps it: two title rows, the header in the third; keys and dates are text, figures numbers."""
    sheet = source.capitalize()
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"created": datetime(2026, 1, 1), "title": f"{sheet} (synthetische Daten)"})
        page = book.add_worksheet(sheet)
        page.write_string(0, 0, f"{sheet} der Onlinedienste in Hessen (synthetische Daten)")
        page.write_string(1, 0, f"Stand: {parameters.end:%d.%m.%Y}")
        page.write_row(2, 0, frame.columns)
        for number, row in enumerate(frame.iter_rows(), 3):
            page.write_row(number, 0, row)
        for number, faulty in enumerate(bad, 3 + frame.height):
            page.write_row(number, 0, [faulty[name] for name in frame.columns])
    return buffer.getvalue()


class _PlainYaml(yaml.SafeDumper):
    """YAML without anchors: what two entries have in common is written twice, the way people read it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_land_files(out: Path, parameters: Parameters) -> None:
    """The packaged Land files with files for addresses; everything else, above all the words, stays as it is."""
    for land in (*parameters.laender, "00"):
        document = yaml.safe_load((_PACKAGED / _LAND_FILE[land]).read_text(encoding="utf-8"))
        document["is_synthetic"] = True
        if land in BASELINE:
            document["programme"]["baseline"] = BASELINE[land]
        # the catalogues that are asked question by question, and the files of others, have no file in the sample
        document["sources"] = [source for source in document["sources"] if (land, source["name"]) in _FILES]
        for source in document["sources"]:
            source["location"] = f"../deliveries/{_FILES[land, source['name']]}"
            for name in ("auth", "pages", "since"):
                source.pop(name, None)
            source.setdefault("licence", SAMPLE_LICENCE)  # what real portals allow is theirs to state
        head = "# Synthetic data, written by the sample: the packaged Land file with files in place of addresses.\n"
        text = yaml.dump(document, Dumper=_PlainYaml, sort_keys=False, allow_unicode=True, width=120)
        (out / "laender" / _LAND_FILE[land]).write_text(head + text, encoding="utf-8")


def _write_truth(folder: Path, world: World, dirty: list[dict[str, Any]], counts: list[dict[str, Any]]) -> None:
    tables = {
        name: canonical(name, getattr(world, name))
        for name in ("regions", "authorities", "competences", "connections", "case_volumes", "costs", "listings", "usage")
    }
    tables["usage_daily"] = world.usage_daily
    tables["plan"] = world.plan
    text = ("land_code", "source", "file")
    tables["dirty_rows"] = pl.DataFrame(dirty, schema=dict.fromkeys((*text, "rule", "raw"), pl.String))
    numbers = ("rows_delivered", "rows_quarantined", "rows_superseded", "rows_retracted")
    tables["delivery_counts"] = pl.DataFrame(
        counts,
        schema=dict.fromkeys(text, pl.String) | dict.fromkeys(numbers, pl.Int64),
    )
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd")
    stated = world.parameters.model_dump(mode="json")
    stated["learning_exponent"] = world.parameters.learning_exponent
    stated["now"] = world.parameters.night.isoformat()
    stated["is_synthetic"] = True
    (folder / "parameters.json").write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
