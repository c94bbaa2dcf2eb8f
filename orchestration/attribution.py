"""``LICENCES.md``: of every source its terms and its note, and what is withheld because a source states none, for people.

Belongs here: the text. Does not: what a licence permits (``licences``), which table rests on what (``lineage``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestration.licences import KNOWN
from orchestration.lineage import NOTHING, Lineage, restriction

NAME = "LICENCES.md"


def write(folder: Path, traced: Lineage, tables: Mapping[str, Sequence[str]], *, is_public: bool) -> Path:
    """Write the page of a tier. ``tables``: those that the tier holds, as ``schema.table``, with their columns."""
    path = folder / NAME
    path.write_text(_text(traced, tables, is_public=is_public), encoding="utf-8")
    return path


def _text(traced: Lineage, tables: Mapping[str, Sequence[str]], *, is_public: bool) -> str:
    used = {
        (source.land_code, source.name): source
        for table, columns in tables.items()
        for source in (traced.published(table, columns) if is_public else (one for _, one in traced.of(table)))
    }
    lines = ["# Lizenzen und Quellenvermerke (licences and attributions)", ""]
    if is_public:
        lines += ["Wer diese Daten weitergibt, nennt die Quellen, deren Lizenz es verlangt.", ""]
    else:
        lines += [
            "Dieser Teil ist nur für den internen Gebrauch, auch wo eine Lizenz mehr erlaubt. (Not to leave the house.)",
            "",
        ]
    if used:
        lines += ["| Quelle (source) | Lizenz (licence) | Quellenvermerk (attribution) |", "|---|---|---|"]
        lines += [
            f"| {_cell(f'{source.land_code}/{source.name}')} | {_cell(source.stated)} | {_cell(source.attribution)} |"
            for _, source in sorted(used.items())
        ]
    else:
        lines += ["Keine Quelle. (No source.)"]
    if not is_public:
        return "\n".join([*lines, ""])
    withheld = {(source.land_code, source.name): source for table in tables for source in traced.withheld(table)}
    lines += ["", "## Nicht veröffentlicht (withheld from the public tier)", ""]
    if not withheld:
        return "\n".join([*lines, "Nichts: jede Quelle nennt eine Lizenz, die es erlaubt. (Nothing.)", ""])
    names = ", ".join(f"`{licence.name}`" for licence in KNOWN)
    lines += [
        "Diese Quellen nennen keine Lizenz, die eine Veröffentlichung bekanntermaßen erlaubt. Was auf ihnen beruht, steht nicht im",
        f"öffentlichen Teil. Abhilfe: mit der datenhaltenden Stelle klären und in der Land-Datei `licence` angeben, etwa {names}.",
        "",
        "| Quelle (source) | angegeben (stated) | ganz entfallen (tables without any row) | ohne die Zeilen des Landes (without its rows) |",
        "|---|---|---|---|",
    ]
    for key, source in sorted(withheld.items()):
        rests = [table for table in tables if source in traced.withheld(table)]
        whole = [table for table in rests if restriction(traced, table, tables[table]) == NOTHING]
        lines.append(
            f"| {_cell('/'.join(key))} | {_cell(source.stated)} | {_listed(whole)} | {_listed(set(rests) - set(whole))} |"
        )
    lines += [
        "",
        "Eine Tabelle ohne Landesschlüssel oder mit einer Quelle des Bundes, die keine Lizenz nennt, entfällt ganz: sie steht leer da.",
        "Von den anderen entfallen die Zeilen des Landes und die über mehrere Länder zusammen.",
        "",
    ]
    return "\n".join(lines)


def _listed(tables: Iterable[str]) -> str:
    return ", ".join(sorted(tables)) or "–"


def _cell(text: str | None) -> str:
    """Delivered text can neither leave its cell nor become markup."""
    cell = " ".join((text or "–").split())
    for character in "\\|`*_<>[]":
        cell = cell.replace(character, f"\\{character}")
    return cell


__all__ = ["NAME", "write"]
