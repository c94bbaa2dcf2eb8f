"""What the numbers rest on: how old the deliveries are, and what was not used of them."""

from __future__ import annotations

from typing import Any

import polars as pl

from orchestration.report import words
from orchestration.report.figure import NO_ROWS, ROW, Figure, Texts, View, both, figure_of, hue, joined, listed
from orchestration.report.words import NOTHING, Words


def deliveries(view: View) -> Figure:
    """How old the newest delivery of each source is, and which sources are stale."""
    table = "meta.source_status"
    limit = "max_age_days" if view.has(f"{table}.max_age_days") else "null::bigint as max_age_days"
    land = f"land_code in ('00', '{view.land_code}')" if view.land_code else "true"
    cited = view.cite(
        table,
        f"""select land_code, source, table_name, status, last_delivered_at, {limit}, age_days
        from {table} where {land} and status <> 'not_configured' order by land_code, source""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        rows: list[dict[str, Any]] = []
        bad = []
        for row in frame.iter_rows(named=True):
            name = joined([words.term("land", row["land_code"]), words.term("table_name", row["table_name"])], " · ")
            name = Words(f"{name.de} ({row['source']})", f"{name.en} ({row['source']})")
            if row["status"] != "current":
                bad.append(joined([name, words.term("status", row["status"])], ": "))
            if row["age_days"] is None:
                continue
            age = row["age_days"]
            text = both("{n} Tage", "{n} days", n=words.number(age)) if age != 1 else Words("1 Tag", "1 day")
            if row["status"] != "current":
                text = joined([text, words.term("status", row["status"])], ", ")
            rows.append(
                {
                    "row": texts(name),
                    "age": age,
                    "limit": row["max_age_days"] if row["max_age_days"] is not None and row["max_age_days"] <= 60 else None,
                    "colour": hue("blue" if row["status"] == "current" else "vermilion"),
                    "text": texts(text),
                }
            )
        current = frame.filter(pl.col("status") == "current").height
        alt_text = joined(
            [
                both(
                    "{n} von {all} angeschlossenen Quellen sind aktuell.",
                    "{n} of {all} configured sources are current.",
                    n=words.number(current),
                    all=words.number(frame.height),
                ),
                joined([joined(bad, "; "), Words(".", ".")], "") if bad else NOTHING,
            ]
        )
        if not rows or all(row["age"] == 0 for row in rows):
            same = (
                Words("Alle Lieferungen sind vom Tag der Veröffentlichung.", "All deliveries are of the day of the release.")
                if rows
                else NO_ROWS
            )
            return None, NOTHING, joined([alt_text, same])
        highest = max(max(row["age"], row["limit"] or 0) for row in rows)
        base = alt.Chart().encode(alt.Y("row:N", sort=[row["row"] for row in rows], title=None, axis=alt.Axis(labelLimit=360)))
        x = alt.X(
            "age:Q",
            title=texts(Words("Tage seit der neuesten Lieferung", "days since the newest delivery")),
            scale=alt.Scale(domain=[0, max(highest, 7)]),
        )
        bar = base.mark_bar(height=8).encode(x, color=alt.Color("colour:N", scale=None))
        label = base.mark_text(align="left", dx=6, fontSize=11).encode(x, text=alt.Text("text:N"))
        limits = base.mark_tick(thickness=2, size=16).encode(alt.X("limit:Q")).transform_filter("isValid(datum.limit)")
        chart = alt.layer(bar, limits, label, data=texts.data(rows)).properties(width=290, height=ROW * len(rows))
        return (
            chart,
            alt_text,
            Words(
                "Senkrechter Strich: so alt darf die Quelle höchstens werden (bis 60 Tage gezeichnet). Was veraltet ist, gilt weiter, bis Neues kommt.",
                "Upright mark: the oldest that the source may be (drawn up to 60 days). What is stale holds until something newer comes.",
            ),
        )

    return figure_of(view, "deliveries", Words("Wie alt sind die Daten?", "How old are the data?"), cited, table, draw)


def quarantine(view: View) -> Figure:
    """Rows that were delivered and not used, by source and reason."""
    table = "meta.quarantine_summary"
    land = f"land_code in ('00', '{view.land_code}')" if view.land_code else "true"
    cited = view.cite(
        table,
        f"""select land_code, source, rule, row_count from {table} where {land} and row_count > 0
        order by land_code, source, rule""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        rows = []
        totals = (
            frame.group_by("land_code", "source")
            .agg(pl.col("row_count").sum())
            .sort("row_count", "land_code", "source", descending=[True, False, False])
        )
        for row in totals.iter_rows(named=True):
            land_ = words.term("land", row["land_code"])
            rows.append(
                {
                    "row": texts(Words(f"{land_.de} · {row['source']}", f"{land_.en} · {row['source']}")),
                    "count": row["row_count"],
                    "text": texts(words.number(row["row_count"])),
                }
            )
        base = alt.Chart(texts.data(rows)).encode(alt.Y("row:N", sort=None, title=None))
        x = alt.X(
            "count:Q", title=texts(Words("Zeilen", "rows")), scale=alt.Scale(zero=True), axis=alt.Axis(format=",d", tickCount=5)
        )
        chart = alt.layer(
            base.mark_bar(height=12, color=hue("vermilion")).encode(x),
            base.mark_text(align="left", dx=5).encode(x, text=alt.Text("text:N")),
        ).properties(width=340, height=ROW * len(rows))
        rules = frame.group_by("rule").agg(pl.col("row_count").sum()).sort("row_count", "rule", descending=[True, False]).head(3)
        alt_text = both(
            "{n} Zeilen aus {sources} Quellen wurden nicht verwendet, am häufigsten: {rules}.",
            "{n} rows of {sources} sources were not used, most often: {rules}.",
            n=words.number(frame["row_count"].sum()),
            sources=words.number(totals.height),
            rules=listed(
                [
                    both("{rule} ({n})", "{rule} ({n})", rule=words.term("rule", rule), n=words.number(count))
                    for rule, count in rules.iter_rows()
                ]
            ),
        )
        return (
            chart,
            alt_text,
            Words(
                "Jede nicht verwendete Zeile liegt mit ihrem Grund in der Quarantäne; keine verschwindet. Gezählt ist, was heute gilt.",
                "Every row that is not used lies in quarantine with its reason; none disappears. Counted is what holds today.",
            ),
        )

    return figure_of(
        view,
        "quarantine",
        Words("Was nicht verwendet wurde", "What was not used"),
        cited,
        table,
        draw,
        empty=Words("Keine Zeile ist in Quarantäne.", "No row is in quarantine."),
    )
