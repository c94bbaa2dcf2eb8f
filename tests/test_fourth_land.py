"""A Land that is nothing but a file: two Länder that no line of the packages was written for, measured and published from YAML and files.

Schleswig-Holstein (01) has its authorities by rule: Ämter, Kreise, towns with powers of their own, and one for the whole Land. Saarland
(10) delivers its authorities and competences itself. Both bring connections as NDJSON, usage as Parquet and costs as CSV, each in a
dialect of its own, and the federal files are the packaged ``deutschland.yaml`` with its locations pointed at files. The facts are
drawn here and what follows from them is computed by ``tests.recompute``, never from a table of the pipeline. All figures are invented.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from ingest.landfile import PACKAGED
from ingest.tables import AUTHORITY_KIND, TABLES
from tests import recompute, recompute_cost
from tests.conftest import Rollin
from tests.house import take_parse
from tests.recompute import Night, Truth, differences

AS_OF = date(2026, 9, 30)
NOW = datetime(2026, 9, 30, 20, tzinfo=UTC)
START = date(2026, 7, 1)
OPEN = date(1900, 1, 1)
POPULATION_DATE, CENSUS_BASE = date(2024, 12, 31), "zensus_2022"  # what the directory of January 2026 counts by

Row = dict[str, Any]

#: AGS, number of the Verband, Textkennzeichen, name, name of the Verband, inhabitants.
PLACES = [
    ("01001000", "0000", "61", "Flensburg, Stadt", "Flensburg, Stadt", 92_550),
    ("01051011", "0011", "63", "Brunsbüttel, Stadt", "Brunsbüttel, Stadt", 12_460),
    ("01051044", "0044", "63", "Heide, Stadt", "Heide, Stadt", 21_880),
    ("01051001", "5163", "64", "Albersdorf", "Mitteldithmarschen", 3_640),
    ("01051010", "5163", "64", "Bargenstedt", "Mitteldithmarschen", 960),
    ("01051074", "5163", "63", "Meldorf, Stadt", "Mitteldithmarschen", 7_250),
    ("01053032", "0032", "63", "Geesthacht, Stadt", "Geesthacht, Stadt", 31_240),
    ("01053100", "0100", "63", "Ratzeburg, Stadt", "Ratzeburg, Stadt", 14_800),
    ("01053003", "5313", "64", "Aumühle", "Hohe Elbgeest", 3_130),
    ("01053020", "5313", "64", "Dassendorf", "Hohe Elbgeest", 3_260),
    ("01053105", "9105", "66", "Sachsenwald, gemfr. Gebiet", "Sachsenwald, gemfr. Gebiet", 0),
    ("10041100", "0100", "63", "Saarbrücken, Landeshauptstadt", "Saarbrücken, Landeshauptstadt", 181_960),
    ("10041514", "0514", "64", "Kleinblittersdorf", "Kleinblittersdorf", 10_720),
    ("10041519", "0519", "63", "Völklingen, Stadt", "Völklingen, Stadt", 39_900),
    ("10042111", "0111", "64", "Beckingen", "Beckingen", 14_560),
    ("10042113", "0113", "63", "Merzig, Kreisstadt", "Merzig, Kreisstadt", 29_990),
]
KREISE = {
    "01001": ("41", "Flensburg, Stadt"),
    "01051": ("43", "Dithmarschen"),
    "01053": ("43", "Herzogtum Lauenburg"),
    "10041": ("45", "Regionalverband Saarbrücken"),
    "10042": ("44", "Merzig-Wadern"),
}
PROGRAMME = {
    "01": ["ummeldung", "fuehrerschein", "bauantrag", "unterhaltsvorschuss", "anlagengenehmigung"],
    "10": ["ummeldung", "fuehrerschein", "waffen"],
}

# -- the Land files: everything that the pipeline is told about the two Länder ------------------------------------------------

SCHLESWIG_HOLSTEIN = r"""
land_code: "01"
name: Schleswig-Holstein
is_synthetic: true
programme:
  start: 2026-07-01
  target: {date: 2027-06-30, share: 0.9}
  services: [ummeldung, fuehrerschein, bauantrag, unterhaltsvorschuss, anlagengenehmigung]
competences:
  ummeldung: {level: verband}
  fuehrerschein: {level: kreis}
  bauantrag: {level: kreis, plus: ["01053032"], also: ["01053100"]}
  unterhaltsvorschuss: {level: kreis}
  anlagengenehmigung: {level: land}
sources:
  - name: anbindungen
    table: connections
    format: ndjson
    location: anbindungen.ndjson
    delivers: changes
    required: true
    columns:
      region_key: stelle.schluessel
      service_id: dienst
      phase: stand
      effective_on: ab
      reported_at: gemeldet
      wave: welle
      call_off: abruf
      is_pilot: pilot
      is_retracted: storno
    values:
      service_id: &dienste
        Wohnsitz ummelden: ummeldung
        Führerschein beantragen: fuehrerschein
        Bauen: bauantrag
        Unterhaltsvorschuss: unterhaltsvorschuss
        BImSchG: anlagengenehmigung
      phase:
        vorgemerkt: planned
        Vertrag: contracted
        in Arbeit: integrating
        Einweisung: onboarding
        läuft: operational
        pausiert: suspended
        beendet: withdrawn
    reading: {date: "%Y/%m/%d"}
    max_age_days: 5
  - name: nutzung
    table: usage
    format: parquet
    location: "nutzung-*.parquet"
    delivers: changes
    columns:
      region_key: schluessel
      service_id: dienst
      period: zeitraum
      grain: raster
      channel: weg
      account: konto
      started: begonnen
      submitted: eingereicht
      completed: erledigt
      is_test: probe
    values:
      service_id: *dienste
      grain: {M: month, T: day}
      channel: {Netz: online, Netz mit Hilfe: assisted, Amt: counter, Brief: post}
      account: {BundID: bundid, ohne: none}
  - name: fallzahlen
    table: case_volumes
    format: json
    location: fallzahlen.json
    pages: {kind: none, items: daten.faelle}
    delivers: snapshot
    columns: {region_key: schluessel, service_id: dienst, year: jahr, cases: anzahl}
    values: {service_id: *dienste}
  - name: kosten
    table: costs
    format: csv
    location: kosten/*.txt
    delivers: changes
    required: true
    columns:
      entry_id: Nr
      booked_on: Tag
      region_key: Stelle
      service_id: Dienst
      wave: Welle
      call_off: Abruf
      category: Art
      behaviour: Verhalten
      payer: Wer
      recurring: laufend
      entry_status: Beleg
      amount_eur: Summe
      vat_nonrecoverable_eur: USt
    constants: {price_mechanism: actual}
    values:
      service_id: *dienste
      category: {Anbindung: integration, Lizenz: licence, Büro: programme_office, Team: roll_in_team}
      behaviour: {je Stück: variable, fest: fixed_land}
      payer: {B: bund, L: land, K: kommune}
      entry_status: {Soll: planned, Ist: invoiced, Gutschrift: reversal}
    reading: {date: "%d/%m/%Y", delimiter: "|", decimal: ".", thousands: "'", encoding: utf-16, header_row: 2}
    max_age_days: 45
"""

SAARLAND = r"""
land_code: "10"
name: Saarland
is_synthetic: true
programme:
  start: 2026-07-01
  target: {date: 2027-12-31, share: 1.0}
  services: [ummeldung, fuehrerschein, waffen]
sources:
  - name: behoerden
    table: authorities
    format: csv
    location: behoerden.csv
    delivers: snapshot
    required: true
    columns: {authority_id: Kennung, name: Bezeichnung, seat_key: Sitz, valid_from: seit}
    reading: {date: "%d.%m.%Y"}
  - name: zustaendigkeiten
    table: competences
    format: csv
    location: zustaendigkeiten.csv
    delivers: snapshot
    required: true
    columns: {authority_id: Kennung, service_id: Leistung, ags: Gemeinde, valid_from: seit, valid_to: bis}
    constants: {is_partial: false}
    reading: {date: "%d.%m.%Y"}
  - name: anbindungen
    table: connections
    format: ndjson
    location: anbindungen.ndjson
    delivers: changes
    required: true
  - name: nutzung
    table: usage
    format: parquet
    location: nutzung.parquet
    delivers: changes
    constants: {grain: month, channel: online}
  - name: kosten
    table: costs
    format: csv
    location: kosten.tsv
    delivers: snapshot
    columns:
      entry_id: Belegnummer
      booked_on: Buchungstag
      authority_id: Behörde
      service_id: Leistung
      wave: Welle
      category: Kostenart
      payer: Träger
      amount_eur: Betrag
    constants: {behaviour: variable, recurring: false, entry_status: invoiced, price_mechanism: fixed_price}
    values: {category: {Einführung: onboarding, Anschluß: integration}}
    reading: {date: "%y%m%d", delimiter: "\t", decimal: ",", thousands: " ", encoding: cp850}
"""


# -- who is competent where, by hand -----------------------------------------------------------------------------------------


def competent_key(service: str, ags: str, verband: str) -> str:
    """The key of the authority that is competent for a municipality in Schleswig-Holstein, as its Land file says in words."""
    if service == "ummeldung":
        return ags[:5] + verband
    if service == "anlagengenehmigung":
        return "01"
    return ags if (service, ags) == ("bauantrag", "01053032") else ags[:5]


def competences() -> list[Row]:
    """Every authority, service and municipality."""
    rows = []

    def add(service: str, key: str, ags: str, partial: bool = False) -> None:
        rows.append(
            {
                "land_code": ags[:2],
                "authority_id": f"{AUTHORITY_KIND[service]}/{key}",
                "service_id": service,
                "ags": ags,
                "is_partial": partial,
                "valid_from": OPEN,
                "valid_to": None,
            }
        )

    for ags, verband, code, *_ in PLACES:
        if code == "66":
            continue
        if ags.startswith("01"):
            for service in PROGRAMME["01"]:
                add(service, competent_key(service, ags, verband), ags)
            if ags == "01053100":
                add("bauantrag", ags, ags, partial=True)
            continue
        for service in ("fuehrerschein", "waffen"):
            add(service, ags[:5], ags)
        # Saarbrücken registers residents for its neighbour Kleinblittersdorf: no level of the directory says that
        add("ummeldung", "10041100" if ags == "10041514" else ags, ags)
    return rows


# -- facts -------------------------------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """What is true, in canonical columns; every list is what a perfect warehouse holds."""

    connections: list[Row] = field(default_factory=list)
    usage: list[Row] = field(default_factory=list)
    case_volumes: list[Row] = field(default_factory=list)
    costs: list[Row] = field(default_factory=list)
    listings: list[Row] = field(default_factory=list)


def draw(seed: int = 4) -> Facts:
    """Lives of all connections, what they were used for and what they cost."""
    rng = random.Random(seed)
    facts = Facts()
    held = {(row["land_code"], row["authority_id"], row["service_id"]) for row in competences()}
    for number, (land, authority, service) in enumerate(sorted(held)):
        common = {"land_code": land, "authority_id": authority, "service_id": service}
        live_since = connect(rng, facts, common, wave=1 + number % 3, number=number)
        if live_since is not None:
            use(rng, facts, common, live_since)
        if land == "01" and service != "anlagengenehmigung":
            for year in (2024, 2025):
                facts.case_volumes.append({**common, "year": year, "cases": rng.randrange(20, 4000), "is_retracted": False})
    pay(rng, facts)
    show(rng, facts)
    return facts


def connect(rng: random.Random, facts: Facts, common: Row, *, wave: int, number: int) -> date | None:
    """One connection's events; the first operational day."""
    day = START + timedelta(days=rng.randrange(-60, 40)) if number % 5 else date(2026, 3, 1) + timedelta(days=number)
    path = ["planned", "contracted", "integrating", "onboarding", "operational", "suspended", "operational", "withdrawn"]
    length = rng.choice([1, 3, 4, 5, 5, 5, 5, 6, 7, 8])
    live_since = None
    for phase in path[:length]:
        if day > AS_OF:
            break
        wave_of_event = None if phase == "planned" else wave
        facts.connections.append(
            {
                **common,
                "phase": phase,
                "effective_on": day,
                "reported_at": datetime(day.year, day.month, day.day, 9, number % 60, tzinfo=UTC),
                "wave": wave_of_event,
                "call_off": None if wave_of_event is None else f"AB-{common['land_code']}-{wave}",
                "is_pilot": number % 7 == 0,
                "is_retracted": False,
            }
        )
        live_since = live_since or (day if phase == "operational" else None)
        day += timedelta(days=rng.randrange(0, 25))
    return live_since


def use(rng: random.Random, facts: Facts, common: Row, live_since: date) -> None:
    """Months of usage since a connection is live: some are missing, some zero, one comes day by day."""
    month = live_since.replace(day=1)
    while month <= AS_OF:
        fate = rng.random()
        base = {**common, "grain": "month", "period": month, "channel": "online", "account": None, "is_test": False}
        base |= {"started": None, "submitted": None, "completed": None, "is_retracted": False}
        if common["land_code"] == "10":
            if fate > 0.2:
                facts.usage.append({**base, "submitted": rng.randrange(0, 60)})
        elif fate < 0.2:
            pass
        elif fate < 0.4:
            days = [month + timedelta(days=n) for n in range(0, 28, 3)]
            facts.usage += [{**base, "grain": "day", "period": d, "submitted": rng.randrange(0, 9)} for d in days if d <= AS_OF]
        else:
            for account in ("bundid", "none"):
                submitted = rng.randrange(0, 40)
                counts = {"submitted": submitted, "started": submitted + rng.randrange(0, 9), "completed": submitted // 2}
                facts.usage.append({**base, "account": account, **counts})
            facts.usage.append({**base, "channel": "assisted", "submitted": rng.randrange(0, 5)})
            if fate > 0.6:
                facts.usage.append({**base, "channel": "counter", "submitted": rng.randrange(0, 90)})
                facts.usage.append({**base, "channel": "post", "submitted": rng.randrange(0, 9)})
            facts.usage.append({**base, "account": "bundid", "is_test": True, "submitted": 77})
        month = (month + timedelta(days=31)).replace(day=1)


def pay(rng: random.Random, facts: Facts) -> None:
    """A ledger per Land: booked to a connection, to a wave or call-off, to everything; credits, plans and running costs."""
    empty: Row = dict.fromkeys(("authority_id", "service_id", "wave", "call_off", "vat_nonrecoverable_eur"))
    empty |= {"category": "integration", "behaviour": "variable", "payer": "bund", "recurring": False, "entry_status": "invoiced"}

    def book(land: str, amount: int, **more: Any) -> None:
        entry = f"{land}-{len(facts.costs):04d}"
        facts.costs.append(
            {
                **empty,
                "land_code": land,
                "entry_id": entry,
                "booked_on": date(2026, 7, 1) + timedelta(days=len(facts.costs) % 90),
                "amount_eur": Decimal(amount) / 100,
                "price_mechanism": "actual" if land == "01" else "fixed_price",
                "is_retracted": False,
                **more,
            }
        )

    started = {
        (e["land_code"], e["authority_id"], e["service_id"], e["wave"]) for e in facts.connections if e["phase"] == "integrating"
    }
    for land, authority, service, wave in sorted(started):
        of = {"authority_id": authority, "service_id": service, "wave": wave}
        book(land, rng.randrange(500_000, 3_000_000), payer=rng.choice(["bund", "land", "kommune"]), **of)
        if land == "01" and wave == 2:
            book(land, rng.randrange(100_000, 150_000), vat_nonrecoverable_eur=Decimal("190.07"), **of)
            book(land, -rng.randrange(1_000, 9_999), entry_status="reversal", **of)
    for wave in (1, 2, 3):
        book("10", rng.randrange(100_000, 900_000), category="onboarding", service_id="ummeldung", wave=wave)
        book("01", rng.randrange(100_000, 900_000), category="roll_in_team", call_off=f"AB-01-{wave}", payer="land")
    book("01", 123_456_789, category="programme_office", behaviour="fixed_land", payer="land")
    book("01", 5_000_000, category="licence", recurring=True, payer="land")
    book("01", 99_000_000, entry_status="planned")


def show(rng: random.Random, facts: Facts) -> None:
    """The catalogue of the last day: some have an entry of their own, some inherit one, each Land has one at its own level."""
    places = {ags: ags[:5] + verband + ags[5:] for ags, verband, *_ in PLACES}
    for row in {(r["authority_id"], r["service_id"]): r for r in competences()}.values():
        key = row["authority_id"].split("/")[1]
        if row["service_id"] not in ("ummeldung", "waffen") or rng.random() < 0.3:
            continue
        facts.listings.append(
            {
                "land_code": row["land_code"],
                "leika_key": {"ummeldung": "99115005104000", "waffen": "99089018001015"}[row["service_id"]],
                "ars": places.get(key, key.ljust(12, "0")),
                "url": f"https://dienst.example/{row['authority_id']}",
                "is_inherited": rng.random() < 0.2,
                "observed_on": AS_OF,
                "evidence": rng.choice(["listed", "reachable"]),
                "is_retracted": False,
            }
        )


# -- how the facts are delivered ---------------------------------------------------------------------------------------------

WORDS = {
    name: {canonical: word for word, canonical in words.items()}
    for source in yaml.safe_load(SCHLESWIG_HOLSTEIN)["sources"]
    for name, words in source.get("values", {}).items()
}


def a_key(authority_id: str, number: int) -> str:
    """One of the forms in which an authority's own region may be written."""
    key = authority_id.split("/")[1]
    forms = [key] if len(key) == 8 else [key, key.ljust(12, "0")]
    if len(key) == 5:
        forms.append(f"{key}000")
    if len(key) == 9 and key[5] != "5":  # a municipality that is its own Verband
        forms += [key[:5] + key[6:], key + key[6:]]
    return forms[number % len(forms)]


def write_schleswig_holstein(folder: Path, facts: Facts) -> None:
    """Its four deliveries, with one faulty row in each of three."""

    def own(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row["land_code"] == "01"]

    lines = [
        {
            "stelle": {"schluessel": a_key(row["authority_id"], number), "art": row["authority_id"].split("/")[0]},
            "dienst": WORDS["service_id"][row["service_id"]],
            "stand": WORDS["phase"][row["phase"]],
            "ab": f"{row['effective_on']:%Y/%m/%d}",
            "gemeldet": (row["reported_at"] + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
            "welle": row["wave"],
            "abruf": row["call_off"],
            "pilot": "ja" if row["is_pilot"] else "nein",
            "storno": False,
        }
        for number, row in enumerate(own(facts.connections))
    ]
    lines.append({**lines[0], "stand": "fast fertig"})
    folder.joinpath("anbindungen.ndjson").write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8"
    )

    usage = [
        {
            "schluessel": a_key(row["authority_id"], number),
            "dienst": WORDS["service_id"][row["service_id"]],
            "zeitraum": row["period"],
            "raster": WORDS["grain"][row["grain"]],
            "weg": WORDS["channel"][row["channel"]],
            "konto": WORDS["account"].get(row["account"]),
            "begonnen": row["started"],
            "eingereicht": row["submitted"],
            "erledigt": row["completed"],
            "probe": row["is_test"],
        }
        for number, row in enumerate(own(facts.usage))
    ]
    usage.append({**usage[-1], "zeitraum": date(2026, 1, 1), "eingereicht": -3})
    schema = {"begonnen": pl.Int32, "eingereicht": pl.Int32, "erledigt": pl.Int32}
    frame = pl.DataFrame(usage, schema_overrides=schema, infer_schema_length=None)
    late = pl.col("zeitraum") >= AS_OF.replace(day=1)
    frame.filter(~late).write_parquet(folder / "nutzung-2026-08.parquet")
    frame.filter(late).write_parquet(folder / "nutzung-2026-09.parquet", compression="snappy")

    cases = [
        {
            "schluessel": a_key(row["authority_id"], number),
            "dienst": WORDS["service_id"][row["service_id"]],
            "jahr": row["year"],
            "anzahl": row["cases"],
        }
        for number, row in enumerate(own(facts.case_volumes))
    ]
    folder.joinpath("fallzahlen.json").write_text(json.dumps({"daten": {"faelle": cases}}, ensure_ascii=False), "utf-8")

    table = [
        [
            row["entry_id"],
            f"{row['booked_on']:%d/%m/%Y}",
            "" if row["authority_id"] is None else a_key(row["authority_id"], number),
            "" if row["service_id"] is None else WORDS["service_id"][row["service_id"]],
            "" if row["wave"] is None else str(row["wave"]),
            row["call_off"] or "",
            WORDS["category"][row["category"]],
            WORDS["behaviour"][row["behaviour"]],
            WORDS["payer"][row["payer"]],
            "ja" if row["recurring"] else "nein",
            WORDS["entry_status"][row["entry_status"]],
            f"{row['amount_eur']:,.2f}".replace(",", "'") + (" €" if number % 3 else ""),
            "" if row["vat_nonrecoverable_eur"] is None else f"EUR {row['vat_nonrecoverable_eur']}",
        ]
        for number, row in enumerate(own(facts.costs))
    ]
    table.append(["01-T", *table[0][1:-2], "12.5 T€", ""])
    header = "Nr|Tag|Stelle|Dienst|Welle|Abruf|Art|Verhalten|Wer|laufend|Beleg|Summe|USt"
    text = "\r\n".join(["Kosten der Einführung, Stand 30.09.2026", header, *("|".join(row) for row in table)]) + "\r\n"
    folder.joinpath("kosten").mkdir()
    folder.joinpath("kosten", "2026-q3.txt").write_text(text, "utf-16", newline="")


def write_saarland(folder: Path, facts: Facts) -> None:
    """Its five deliveries, in canonical names where the Land has no words of its own."""

    def own(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row["land_code"] == "10"]

    def day(value: date | None) -> str:
        return "" if value is None else f"{value:%d.%m.%Y}"

    held = own(competences())
    lines = [
        f'{authority};"Amt ""{authority.split("/")[1]}""";{authority.split("/")[1].ljust(8, "0")[:8]};{day(OPEN)}'
        for authority in sorted({row["authority_id"] for row in held})
    ]
    folder.joinpath("behoerden.csv").write_text("\n".join(["Kennung;Bezeichnung;Sitz;seit", *lines]) + "\n", "utf-8-sig")
    lines = [
        ";".join([row["authority_id"], row["service_id"], row["ags"], day(row["valid_from"]), day(row["valid_to"])])
        for row in held
    ]
    text = "\n".join(["Kennung;Leistung;Gemeinde;seit;bis", *lines]) + "\n"
    folder.joinpath("zustaendigkeiten.csv").write_text(text, "utf-8")

    events = [
        {
            **{name: row[name] for name in ("authority_id", "service_id", "phase", "wave", "call_off", "is_pilot")},
            "effective_on": row["effective_on"].isoformat(),
            "reported_at": row["reported_at"].isoformat(),
        }
        for row in own(facts.connections)
    ]
    folder.joinpath("anbindungen.ndjson").write_text("\n".join(json.dumps(event) for event in events), "utf-8")
    counts = [{name: row[name] for name in ("authority_id", "service_id", "period", "submitted")} for row in own(facts.usage)]
    pl.DataFrame(counts).write_parquet(folder / "nutzung.parquet")

    word = {"onboarding": "Einführung", "integration": "Anschluß"}
    table = [
        [
            row["entry_id"],
            f"{row['booked_on']:%y%m%d}",
            row["authority_id"] or "",
            row["service_id"] or "",
            "" if row["wave"] is None else str(row["wave"]),
            word[row["category"]],
            row["payer"],
            f"{row['amount_eur']:,.2f}".replace(",", " ").replace(".", ","),
        ]
        for row in own(facts.costs)
    ]
    header = "\t".join(["Belegnummer", "Buchungstag", "Behörde", "Leistung", "Welle", "Kostenart", "Träger", "Betrag"])
    folder.joinpath("kosten.tsv").write_text("\n".join([header, *("\t".join(row) for row in table)]) + "\n", "cp850")


def gv100ad(stand: date) -> str:
    """The directory: records of 220 characters (Destatis, Datensatzbeschreibung GV100AD)."""

    def record(kind: str, key: str, name: str, rest: str = "") -> str:
        return f"{kind}{stand:%Y%m%d}{key:<12}{name:<50}{'':<50}{rest}".ljust(220)

    lines = [record("10", "01", "Schleswig-Holstein"), record("10", "10", "Saarland")]
    lines += [record("40", kreis, name, code) for kreis, (code, name) in KREISE.items()]
    groups = {f"{ags[:5]}   {verband}": name for ags, verband, _, _, name, _ in PLACES}
    lines += [record("50", key, name, "50") for key, name in groups.items()]
    lines += [
        record("60", ags + verband, name, f"{code}    {1_234:011d}{people:011d}{people // 2:011d}")
        for ags, verband, code, name, _, people in PLACES
    ]
    return "\n".join(lines) + "\n"


def write_federal(folder: Path, facts: Facts) -> dict[str, str]:
    """The federal files, and the variables that point the packaged federal file at them: at nothing, where nothing is written here."""
    folder.mkdir()
    (folder / "GV100AD.txt").write_text(gv100ad(date(2026, 1, 31)), "utf-8")
    lines = [
        ",".join(
            [
                row["leika_key"],
                row["ars"],
                row["url"],
                "ok" if row["evidence"] == "reachable" else "nicht ok",
                "ja",
                "landesweit flächendeckend" if row["is_inherited"] else "in mind. einer Kommune verfügbar",
                row["observed_on"].isoformat(),
            ]
        )
        for row in facts.listings
    ]
    header = "leika_key,ars,url,online_status,aktiv,art_flaechendeckung,datenstand_pvog_import"
    (folder / "open-pvog.csv").write_text("\n".join([header, *lines]) + "\n", "utf-8")
    packaged = (PACKAGED / "deutschland.yaml").read_text(encoding="utf-8")
    environ = {name: str(folder / "nowhere") for name in re.findall(r"\$\{(ROLLIN_\w+)", packaged)}
    return environ | {"ROLLIN_GV100AD_LOCATION": str(folder / "GV100AD.txt"), "ROLLIN_DATAHUB_URL": str(folder / "open-pvog.csv")}


def write_truth(folder: Path, laender: Path, facts: Facts) -> Truth:
    """The facts as ``tests.recompute`` reads a world's truth."""
    (folder / "truth").mkdir(parents=True)
    (folder / "laender").mkdir()
    for path in (*laender.glob("*.yaml"), PACKAGED / "deutschland.yaml"):
        (folder / "laender" / path.name).write_bytes(path.read_bytes())
    kinds = {"61": "kreisfreie_stadt", "63": "stadt", "64": "gemeinde", "66": "gemeindefrei_unbewohnt"}
    regions = [
        {
            "land_code": ags[:2],
            "ags": ags,
            "ars": ags[:5] + verband + ags[5:],
            "kind": kinds[code],
            "population": people,
            "population_date": POPULATION_DATE,
            "census_base": CENSUS_BASE,
            "valid_from": OPEN,
            "valid_to": None,
        }
        for ags, verband, code, _, _, people in PLACES
    ]
    tables = {"regions": regions, "competences": competences(), **vars(facts)}
    for name, rows in tables.items():
        types = {n: pl.String() if isinstance(t, pl.Enum) else t for n, t in TABLES[name].polars_schema().items()}
        own = {n: t for n, t in types.items() if n not in ("source", "delivery_id", "delivered_at")}
        pl.DataFrame([{n: row.get(n) for n in own} for row in rows], schema=own).write_parquet(
            folder / "truth" / f"{name}.parquet"
        )
    (folder / "truth" / "parameters.json").write_text(json.dumps({"end": AS_OF.isoformat()}), "utf-8")
    return Truth(folder)


# -- the night ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory, rollin: Rollin) -> Night:
    """One night of both Länder, on nothing but files."""
    folder = tmp_path_factory.mktemp("joined")
    facts = draw()
    laender = folder / "laender"
    laender.mkdir()
    for name, text, write in (("01", SCHLESWIG_HOLSTEIN, write_schleswig_holstein), ("10", SAARLAND, write_saarland)):
        # each Land's deliveries lie in a folder of its own, beside its file
        land = yaml.safe_load(text)
        for source in land["sources"]:
            source["location"] = f"../{name}/{source['location']}"
        (laender / f"{land['name'].lower()}.yaml").write_text(yaml.safe_dump(land, allow_unicode=True), "utf-8")
        (folder / name).mkdir()
        write(folder / name, facts)
    environ = write_federal(folder / "federal", facts) | {"ROLLIN_NOW": NOW.isoformat()}
    take_parse(folder / "home", tmp_path_factory)
    ran = rollin("refresh", "--laender", str(laender), home=folder / "home", **environ, ROLLIN_REPORT="no")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return Night(folder / "home", write_truth(folder / "world", laender, facts))


#: Table, its recomputation and its grain.
PUBLISHED = [
    ("core.bridge_competence", recompute.bridge_competence, ["authority_id", "service_id", "ags", "valid_from"]),
    ("core.fct_connection_phase", recompute.fct_connection_phase, ["authority_id", "service_id", "valid_from"]),
    ("core.fct_cost", recompute.fct_cost, ["land_code", "source", "entry_id"]),
    ("metrics.coverage_daily", recompute.coverage_daily, ["land_code", "service_id", "as_of"]),
    ("metrics.programme_coverage_daily", recompute.programme_coverage_daily, ["land_code", "as_of"]),
    ("metrics.phase_funnel_daily", recompute.phase_funnel_daily, ["land_code", "service_id", "as_of", "phase"]),
    ("metrics.adoption_monthly", recompute.adoption_monthly, ["land_code", "service_id", "month"]),
    ("metrics.cost_per_connection", recompute_cost.cost_per_connection, ["land_code", "service_id", "wave", "payer"]),
    ("metrics.evidence_conflict", recompute.evidence_conflict, ["land_code", "authority_id", "service_id", "kind"]),
]


@pytest.mark.parametrize(("table", "recomputed", "grain"), PUBLISHED, ids=[name for name, *_ in PUBLISHED])
def test_a_land_that_is_only_a_file_is_measured_as_its_facts_say(
    joined: Night, table: str, recomputed: Callable[[Truth], pl.DataFrame], grain: list[str]
) -> None:
    """Every number that the facts tell; that nothing else is published is what the sample worlds' comparison says."""
    expected = recomputed(joined.truth)
    assert set(expected["land_code"]) == {"01", "10"} and expected.height > 8
    assert differences(expected, joined.published(table).select(expected.columns), grain) == []


def test_the_facts_hold_what_the_comparison_is_about(joined: Night) -> None:
    """Both Länder regress, complete, miss months and cost something; an empty case would agree as well."""
    last = recompute.coverage_daily(joined.truth).filter(as_of=AS_OF)
    assert last.height == 8
    assert last["authorities_operational"].sum() > 5 < (last["authorities_competent"] - last["authorities_operational"]).sum()
    assert set(recompute.fct_connection_phase(joined.truth)["phase"]) == set(recompute.PHASE_ORDER) - {"none"}
    assert set(recompute.fct_usage_monthly(joined.truth)["reporting_status"]) == {"reported", "partial", "missing"}
    cost = recompute_cost.cost_per_connection(joined.truth)
    assert cost["cost_per_connection_eur"].null_count() > 0 and set(cost["payer"]) == {"bund", "land", "kommune", "total"}
    kinds = set(recompute.evidence_conflict(joined.truth)["kind"])
    assert kinds == {"reported_not_listed", "listed_not_reported", "listed_not_reachable"}


def test_what_cannot_be_used_is_quarantined_with_its_reason_and_nothing_else_is(joined: Night) -> None:
    assert joined.ask("select land_code, source, rule, row_count from meta.quarantine_summary order by all") == [
        ("01", "anbindungen", "unknown_value", 1),
        ("01", "kosten", "wrong_unit", 1),
        ("01", "nutzung", "out_of_range", 1),
    ]


def test_competence_by_rule_and_as_delivered(joined: Night) -> None:
    """Ämter, Kreise, a town with a part of the cases and an authority for the whole Land; an office that also serves its neighbour."""
    counted = "select land_code, service_id, authorities_competent, municipalities_competent from metrics.coverage_daily where as_of = '2026-09-30' order by all"
    assert joined.ask(counted) == [
        ("01", "anlagengenehmigung", 1, 10),
        ("01", "bauantrag", 5, 10),
        ("01", "fuehrerschein", 3, 10),
        ("01", "ummeldung", 7, 10),
        ("01", "unterhaltsvorschuss", 3, 10),
        ("10", "fuehrerschein", 2, 5),
        ("10", "ummeldung", 4, 5),
        ("10", "waffen", 2, 5),
    ]
    names = "select authority_id, name from core.dim_authority where authority_id in ('meldebehoerde/010515163', 'meldebehoerde/10041100', 'fahrerlaubnisbehoerde/01053', 'immissionsschutzbehoerde/01') order by all"
    assert joined.ask(names) == [
        ("fahrerlaubnisbehoerde/01053", "Kreis Herzogtum Lauenburg"),
        ("immissionsschutzbehoerde/01", "Land Schleswig-Holstein"),
        ("meldebehoerde/010515163", "Mitteldithmarschen"),
        ("meldebehoerde/10041100", 'Amt "10041100"'),
    ]


def test_a_folder_of_land_files_without_a_federal_one_uses_the_packaged(joined: Night) -> None:
    """Its sources are asked, nobody else's: no other packaged Land takes part, and what is synthetic says so."""
    sources = joined.ask("select distinct land_code from meta.source_status order by 1")
    assert sources == [("00",), ("01",), ("10",)]
    assert joined.ask("select status from meta.source_status where land_code = '00' and source = 'gemeindeverzeichnis'") == [
        ("current",)
    ]
    assert joined.ask("select is_synthetic, as_of from meta.release") == [(True, AS_OF)]
    participating = joined.ask("select land_code, name, target_share from core.dim_land where is_participating order by 1")
    assert participating == [("01", "Schleswig-Holstein", 0.9), ("10", "Saarland", 1.0)]
