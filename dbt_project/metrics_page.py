"""The documentation page of the metrics, ``docs/metrics.md``, made from the metric catalogue: ``python -m dbt_project.metrics_page``.

Belongs here: the page's form. Does not: its words, which stand in ``seeds/metric_catalogue.csv`` and nowhere else.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from dbt_project import PROJECT_DIR

CATALOGUE = PROJECT_DIR / "seeds" / "metric_catalogue.csv"

_HEAD = """# Metrics

Every metric that a release publishes: what it says, how it is computed and what it does not say. The same words are in the release, in
`meta.metric`, also in German, with two hashes: `definition_sha256` changes with the definition, `computation_md5` with the files that compute it. A share
lies between 0 and 1 and stands beside its numerator and denominator; a denominator of zero gives NULL; what is missing is NULL and never
zero. Assumptions are in `dbt_project/seeds/cost_assumption.csv`, price indices in `dbt_project/seeds/price_index.csv`.

This page is made from `dbt_project/seeds/metric_catalogue.csv`: change that, then `make docs`.
"""

_ASIDE = {"caveats": "Does not say", "source": "Source"}


def page(metrics: Sequence[Mapping[str, str]]) -> str:
    """The page, as Markdown, of the catalogue's rows: one section per table, in the order in which tables first appear."""
    order = {row["table_name"]: number for number, row in reversed(list(enumerate(metrics)))}
    parts = [_HEAD]
    for table, rows in groupby(sorted(metrics, key=lambda row: order[row["table_name"]]), key=lambda row: row["table_name"]):
        parts.append(f"## `{table}`\n")
        parts += [_metric(row) for row in rows]
    return "\n".join(parts)


def _metric(row: Mapping[str, str]) -> str:
    lines = [
        f"### {_line(row['name_en'])} – {_line(row['name_de'])}",
        "",
        f"{_line(row['definition_en'])}.",
        "",
        f"- Column `{row['column_name']}` = `{_line(row['formula'])}`",
        f"- Unit: {_line(row['unit'])}, for each {_line(row['grain'])}",
        *(f"- {word}: {_line(row[name])}" for name, word in _ASIDE.items() if row[name].strip()),
        f"- Version {row['version']} of `{row['metric_id']}`",
        "",
    ]
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def main(target: Path = PROJECT_DIR.parent / "docs" / "metrics.md") -> None:
    """Write the page to ``target``."""
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
