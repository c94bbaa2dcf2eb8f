"""Land files: what is accepted, and that every error names file, line and remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest import landfile
from ingest.landfile import LandFileError, NotConfigured, Source

LAND = """\
land_code: "09"
name: Bayern
programme:
  start: 2026-01-21
  target: {date: 2026-12-31, share: 1.0}
  services: [ummeldung]
competences:
  ummeldung: {level: verband}
sources:
  - name: verbindungen
    table: connections
    format: json
    location: "${BY_URL}/api/verbindungen"
    auth: {kind: oauth2, token_url: "${BY_URL}/token", client_id: "${BY_ID}", client_secret: "${BY_SECRET:-}"}
    pages: {kind: page, size: 100}
    delivers: changes
    columns: {region_key: behoerdeArs, service_id: leistung, phase: status}
    values: {phase: {geplant: planned}}
"""
FEDERAL = """\
land_code: "00"
name: Deutschland
changes:
  - {old: "06435014", new: "06415000", kind: key_change, on: 2026-01-01}
"""


def write(folder: Path, text: str, name: str = "bayern.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problem(folder: Path, text: str) -> tuple[int, str]:
    path = write(folder, text)
    with pytest.raises(LandFileError) as caught:
        landfile.load_file(path)
    match = re.fullmatch(rf"{re.escape(str(path))}:(\d+): (.+)", str(caught.value), re.DOTALL)
    assert match, str(caught.value)
    return int(match[1]), match[2]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('land_code: "09"', "land_code: 06", 1, 'Write "06" in quotes'),
        ('land_code: "09"', 'land_code: "17"', 1, "'17' is not valid for 'land_code'"),
        ("name: Bayern", "name: 2026-01-01", 2, "read as a date"),
        ("services: [ummeldung]", "services: [umeldung]", 6, "'umeldung' is not valid"),
        ("services: [ummeldung]", "services: [ummeldung, waffen]", 6, "Nobody is competent for 'waffen'"),
        ("services: [ummeldung]", "services: [ummeldung, ummeldung]", 6, "listed twice"),
        ("level: verband", "level: gemiende", 8, "Use one of"),
        ("{level: verband}", "{level: kreis, plus: [06433012]}", 8, 'Write "06433012" in quotes'),
        ("{level: verband}", '{level: kreis, plus: ["06184112"]}', 8, "another Land"),
        ("{level: verband}", '{level: kreis, plus: ["0918411"]}', 8, "must match"),
        ("name: verbindungen", "name: Verbindungen", 10, "must match"),
        ("table: connections", "table: connection", 11, "Use one of"),
        ("format: json", "format: sdg_json", 11, "Write table: page_visits"),
        ("delivers: changes", "delivers: changes\n    verification_key: abc", 17, "has no signatures"),
        ("delivers: changes", "delivers: changes\n    every_days: 8", 17, "Make 'max_age_days' at least"),
        ("delivers: changes", "delivers: changes\n    requests_per_second: 0", 17, "'requests_per_second' is not valid"),
        ("format: json", "format: gv100ad", 11, "Write table: regions"),
        ("format: json", "format: csv", 15, "has no pages"),
        ("kind: oauth2", "kind: oauth3", 14, "no valid 'kind'"),
        ("${BY_SECRET:-}", "geheim", 14, "A secret does not belong into a file"),
        ('"${BY_URL}/token"', '"http://example.org/token"', 14, "not encrypted"),
        ("    delivers: changes\n", "", 10, "'delivers' is missing"),
        ("delivers: changes", "delivers: changes\n    delivers: snapshot", 17, "stated twice"),
        ("delivers: changes", "delivers: snapshot\n    since: {parameter: ab}", 17, "cannot be asked"),
        ("region_key: behoerdeArs", "regionkey: behoerdeArs", 17, "Did you mean 'region_key'?"),
        ("phase: status", "phase: 7", 17, "read as a number"),
        ("{geplant: planned}", "{geplant: plannd}", 18, "Did you mean 'planned'?"),
        ("{geplant: planned}", "{01: planned}", 18, 'Write "01" in quotes'),
        ("values: {phase:", "constants: {phase: planned}\n    values: {phase:", 18, "both delivered and constant"),
        ("    values:", "    max_age_days: 0\n    values:", 18, "'max_age_days' is not valid"),
        ("    values:", "    reading: {thousands: .}\n    values:", 18, "the same character"),
        ("    values:", "    reading: {encoding: rot13}\n    values:", 18, "no encoding"),
        ("    values:", "    valeus: 1\n    values:", 18, "'valeus' is no entry"),
        ("sources:", "sources: [", 9, "no valid YAML"),
        ("competences:", "  nonsense\ncompetences:", 7, "no valid YAML"),
    ],
)
def test_errors_name_line_and_remedy(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in LAND
    found_line, text = problem(tmp_path, LAND.replace(old, new, 1))
    assert says in text
    assert abs(found_line - line) <= (1 if "YAML" in says else 0), text
    assert text.endswith((".", "?")) or "Use one of" in text


def test_the_form_of_the_design_is_accepted(tmp_path: Path) -> None:
    write(tmp_path, LAND)
    write(tmp_path, FEDERAL, "deutschland.yaml")
    laender = landfile.load(tmp_path)
    assert list(laender) == ["00", "09"]
    assert laender["00"].changes[0].on.isoformat() == "2026-01-01"  # "on" is a word, not a truth value
    assert laender["09"].sources[0].values == {"phase": {"geplant": "planned"}}


def test_two_files_for_one_land(tmp_path: Path) -> None:
    write(tmp_path, LAND)
    write(tmp_path, LAND, "second.yaml")
    with pytest.raises(LandFileError, match=r"second\.yaml:1: .*already in bayern\.yaml.*Keep one"):
        landfile.load(tmp_path)


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    sources = LAND[LAND.index("  - name") :]
    line, text = problem(tmp_path, LAND + sources)
    assert (line, "Two sources are called" in text) == (19, True)


@pytest.mark.parametrize("text", ["", "- a\n", "x", "\x00", "{a: &a [*a]}", "a: !!python/object:os.system 1", "? [a]\n: b"])
def test_anything_else_is_an_error(tmp_path: Path, text: str) -> None:
    problem(tmp_path, text)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(
                st.sampled_from(["land_code", "name", "sources", "programme", "table", "auth", "kind", "columns"]), c, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_arbitrary_documents_end_in_a_land_file_error(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    with pytest.raises(LandFileError, match=r"arbitrary\.yaml:\d+: "):
        landfile.load_file(path)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(LandFileError, match="no such folder"):
        landfile.load(tmp_path / "none")
    with pytest.raises(LandFileError, match="no Land file"):
        landfile.load(tmp_path)


def test_variables_are_filled_in_late(tmp_path: Path) -> None:
    source = landfile.load_file(write(tmp_path, LAND)).sources[0]
    assert source.missing_variables({}) == ["BY_URL", "BY_ID"]
    assert not source.is_configured({"BY_URL": "https://a.example", "BY_ID": ""})
    with pytest.raises(NotConfigured, match="BY_URL"):
        source.resolved_location({})
    environ = {"BY_URL": "https://a.example", "BY_ID": "rollin", "BY_SECRET": "hunter2"}
    assert source.resolved_location(environ) == "https://a.example/api/verbindungen"
    auth = source.resolved_auth(environ)
    assert auth.client_secret.get_secret_value() == "hunter2"  # type: ignore[union-attr]
    assert "hunter2" not in repr(auth) + str(source) + json.dumps(source.model_dump(mode="json"))


@pytest.mark.parametrize("url", ["http://portal.example/x", "ftp://a/b", "https://u:p@a/b", "https://", "https://a:99999/"])
def test_unusable_addresses(tmp_path: Path, url: str) -> None:
    source = landfile.load_file(write(tmp_path, LAND.replace("${BY_URL}/api/verbindungen", "${BY_URL}"))).sources[0]
    with pytest.raises(ValueError, match=r"The address .*\. (Write|Remove)"):
        source.resolved_location({"BY_URL": url, "BY_ID": "x"})


def test_paths_are_relative_to_the_land_file(tmp_path: Path) -> None:
    text = LAND.replace('"${BY_URL}/api/verbindungen"', '"../deliveries/*.json"')
    text = re.sub(r"    (auth|pages): .*\n", "", text)
    folder = tmp_path / "laender"
    folder.mkdir()
    source = landfile.load_file(write(folder, text)).sources[0]
    assert source.resolved_location({}) == str(tmp_path / "deliveries" / "*.json")


def test_error_of_a_source_shows_no_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Source(
            name="x",
            table="costs",
            format="json",
            location="https://a",
            delivers="snapshot",
            auth={"kind": "basic", "user": "u", "password": {"hunter2": 1}},
        )  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_packaged_files_load_and_follow_the_shipped_schema() -> None:
    shipped = json.loads(landfile.SCHEMA_PATH.read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(landfile.json_schema())), "run: python -m ingest.landfile"
    laender = landfile.load()
    assert {"00", "06", "09"} <= set(laender)
    for path in landfile.PACKAGED.glob("*.yaml"):
        document = yaml.load(path.read_text(encoding="utf-8"), landfile._Loader)
        jsonschema.validate(json.loads(json.dumps(document, default=str)), shipped)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"land_code": "09", "name": "Bayern", "extra": 1}, shipped)


def test_of_very_many_words_the_nearest_are_told() -> None:
    words = [f"leistung_{number:03d}" for number in range(575)]
    told = landfile._choices("leistng_042", " or ".join(map(repr, words)))
    assert told.startswith("one of 575 words, such as 'leistung_042'")
    assert landfile._choices("x", "'a', 'b' or 'c'") == "one of 'a', 'b', 'c'"
