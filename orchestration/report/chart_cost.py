"""What it costs: by wave, how much of a falling average is mere division, running cost, plan and spending."""

from __future__ import annotations

from typing import Any

import polars as pl

from orchestration.report import words
from orchestration.report.cited import FOCUS
from orchestration.report.figure import (
    MOST_ROWS,
    NO_ROWS,
    Figure,
    Texts,
    View,
    both,
    facet,
    figure_of,
    hue,
    joined,
    listed,
    only,
    place,
    square,
)
from orchestration.report.words import NOTHING, Words


def cost_by_wave(view: View) -> Figure:
    """Cost per completed connection of each wave: the variable part, and the fixed part on top of it."""
    table, part = "metrics.programme_cost_by_wave", "metrics.cost_per_connection"
    if view.has(table) and not view.service_id:
        rows, suppressed, invoiced = f"{table} where {view.where}", "false", "invoiced_share"
    else:  # services and waves below the published cells stay in the house
        table, is_public = part, view.has(f"{part}.is_suppressed")
        service = f"= '{view.service_id}'" if view.service_id else "is null"
        land = f"land_code = '{view.land_code}'" if view.land_code else "true"
        rows = f"{part} where {land} and service_id {service} and payer = 'total' and wave is not null"
        suppressed, invoiced = "is_suppressed" if is_public else "false", "null::double"
    cited = view.cite(
        table,
        f"""select land_code, wave, connections_completed, cost_variable_per_connection_eur, cost_per_connection_eur,
        {suppressed} as is_suppressed, {invoiced} as invoiced_share
        from {rows} and connections_completed > 0 order by land_code, wave""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        shown = frame.filter(
            pl.col("cost_per_connection_eur").is_not_null() & pl.col("cost_variable_per_connection_eur").is_not_null()
        )
        hidden = frame.filter("is_suppressed")
        not_public = (
            both(
                "Nicht veröffentlicht (n. v.) sind {n} von {all} Wellen: zu wenige Anbindungen, noch nicht vollständig, oder aus anderen zu"
                " errechnen.",
                "Not published (n. p.) are {n} of {all} waves: too few connections, not complete yet, or to be computed from others.",
                n=words.number(hidden.height),
                all=words.number(frame.height),
            )
            if hidden.height
            else NOTHING
        )
        if shown.is_empty():
            return (
                None,
                NOTHING,
                joined([Words("Für keine Welle ist ein Betrag bekannt.", "No amount is known for any wave."), not_public]),
            )
        names = {
            code: texts(words.term("land", code))
            for code in sorted(shown["land_code"].unique().to_list(), key=lambda c: words.term("land", c).de)
        }
        variable = texts(Words("variabel: was diese Anbindungen kosteten", "variable: what these connections cost"))
        fixed = texts(Words("fix: auf alle Anbindungen verteilt", "fixed: spread over all connections"))
        pending = frame.filter(pl.col("invoiced_share") < 0.95)
        rows: list[dict[str, Any]] = []
        said = []
        for (code,), part in sorted(shown.group_by("land_code", maintain_order=True), key=lambda item: names[item[0][0]]):
            for row in part.iter_rows(named=True):
                low, high = float(row["cost_variable_per_connection_eur"]), float(row["cost_per_connection_eur"])
                is_open = row["invoiced_share"] is not None and row["invoiced_share"] < 0.95
                rows += [
                    {
                        "row": names[code],
                        "kind": variable,
                        "wave": row["wave"],
                        "low": 0,
                        "high": low,
                        "open": 0.25 if is_open else 1,
                    },
                    {
                        "row": names[code],
                        "kind": fixed,
                        "wave": row["wave"],
                        "low": low,
                        "high": high,
                        "open": 0.25 if is_open else 1,
                    },
                ]
            settled = part.filter(pl.col("invoiced_share").is_null() | (pl.col("invoiced_share") >= 0.95))
            chosen = settled if settled.height else part
            ends = (chosen.row(0, named=True), chosen.row(-1, named=True)) if chosen.height > 1 else (chosen.row(0, named=True),)
            told = [
                both(
                    "Welle {wave}: {full} je Anbindung, davon variabel {variable} ({n} fertige)",
                    "wave {wave}: {full} per connection, {variable} of it variable ({n} completed)",
                    wave=row["wave"],
                    full=words.euro(row["cost_per_connection_eur"]),
                    variable=words.euro(row["cost_variable_per_connection_eur"]),
                    n=words.number(row["connections_completed"]),
                )
                for row in ends
            ]
            said.append(joined([words.term("land", code), joined(told, "; ")], ": "))
        for code, wave in hidden.select("land_code", "wave").iter_rows():
            if code in names:  # a gap would look like nothing spent
                rows.append(
                    {"row": names[code], "kind": "hidden", "wave": wave, "low": 0, "text": texts(Words("n. v.", "n. p."))}
                )
        kinds = [variable, fixed]
        bars = (
            alt.Chart()
            .mark_bar(strokeWidth=1.2)
            .encode(
                alt.X("wave:O", title=texts(Words("Welle", "wave")), axis=alt.Axis(labelAngle=0)),
                alt.Y("low:Q", title=texts(Words("EUR je Anbindung", "EUR per connection")), scale=alt.Scale(zero=True)),
                alt.Y2("high:Q"),
                fill=alt.Fill("kind:N", scale=alt.Scale(domain=kinds, range=[hue("blue"), hue("vermilion")]), legend=square()),
                stroke=alt.Stroke("kind:N", scale=alt.Scale(domain=kinds, range=[hue("blue"), hue("vermilion")])),
                fillOpacity=alt.FillOpacity("open:Q", scale=None),
            )
        )
        bars = bars.transform_filter("datum.kind !== 'hidden'")
        label = (
            alt.Chart()
            .mark_text(baseline="bottom", dy=-3, fontSize=10, color=hue("muted"))
            .encode(alt.X("wave:O"), alt.Y("low:Q"), text=alt.Text("text:N"))
            .transform_filter(only(kind="hidden"))
        )
        chart = facet([bars, label] if hidden.height else [bars], texts.data(rows), list(names.values()), height=150)
        note = Words(
            "Fixe Kosten sind auf alle begonnenen Anbindungen gleich verteilt: kommen weitere dazu, fällt dieser Teil von allein. Nur der"
            " variable Teil kann Lernen zeigen. Brutto, einmalig, alle Zahler.",
            "Fixed costs are spread equally over all connections begun: as more join, that part falls by itself. Only the variable part can"
            " show learning. Gross, one-off, all payers.",
        )
        if pending.height:
            note = joined(
                [
                    note,
                    both(
                        "Blass: {n} Wellen, von denen weniger als 95 % abgerechnet sind; sie sehen billiger aus, als sie werden.",
                        "Pale: {n} waves of which less than 95 % are invoiced; they look cheaper than they will be.",
                        n=words.number(pending.height),
                    ),
                ]
            )
        return chart, joined([joined(said, ". "), Words(".", ".")], ""), joined([note, not_public])

    return figure_of(
        view,
        "cost-by-wave",
        Words("Kosten je Anbindung nach Wellen", "Cost per connection by wave"),
        cited,
        table,
        draw,
        empty=Words("Es sind keine Kosten fertiger Anbindungen gebucht.", "No cost of completed connections is booked."),
    )


def degression(view: View) -> Figure:
    """The average cost so far, split into fixed cost over more connections, which is arithmetic, and variable cost."""
    table = "metrics.cost_by_wave" if view.service_id else "metrics.programme_cost_by_wave"
    if not view.has(table):
        return _apparent_fall(view)
    nominal = "and price_basis = 'nominal'" if view.service_id else ""
    cited = view.cite(
        table,
        f"""select land_code, wave, connections_completed_cumulative, cost_fixed_average_eur, cost_variable_average_eur from {table}
        where {view.where} {nominal} and connections_completed > 0 and cost_average_eur is not null order by land_code, wave""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        names = {
            code: texts(words.term("land", code))
            for code in sorted(frame["land_code"].unique().to_list(), key=lambda c: words.term("land", c).de)
        }
        variable = texts(Words("variabler Teil", "variable part"))
        fixed = texts(Words("fixer Teil: fällt durch Teilen", "fixed part: falls by division"))
        rows: list[dict[str, Any]] = []
        said = []
        for (code,), part in sorted(frame.group_by("land_code", maintain_order=True), key=lambda item: names[item[0][0]]):
            if part.height < 2:
                continue
            for row in part.iter_rows(named=True):
                low, on_top = float(row["cost_variable_average_eur"]), float(row["cost_fixed_average_eur"])
                at = {"row": names[code], "n": row["connections_completed_cumulative"]}
                rows += [{**at, "kind": variable, "low": 0, "high": low}, {**at, "kind": fixed, "low": low, "high": low + on_top}]
            first, last = part.row(0, named=True), part.row(-1, named=True)
            by_division = first["cost_fixed_average_eur"] - last["cost_fixed_average_eur"]
            by_variable = first["cost_variable_average_eur"] - last["cost_variable_average_eur"]
            said.append(
                both(
                    "{land}: von {start} (nach {n_start} Anbindungen) auf {end} (nach {n_end}); {fixed} davon sind Fixkosten, die sich auf mehr"
                    " Anbindungen verteilen, {variable} sind variabel",
                    "{land}: from {start} (after {n_start} connections) to {end} (after {n_end}); {fixed} of that are fixed costs spread over"
                    " more connections, {variable} are variable",
                    land=words.term("land", code),
                    start=words.euro(first["cost_fixed_average_eur"] + first["cost_variable_average_eur"]),
                    end=words.euro(last["cost_fixed_average_eur"] + last["cost_variable_average_eur"]),
                    n_start=words.number(first["connections_completed_cumulative"]),
                    n_end=words.number(last["connections_completed_cumulative"]),
                    fixed=words.euro(by_division),
                    variable=words.euro(by_variable),
                )
            )
        if not rows:
            return (
                None,
                NOTHING,
                Words("Erst eine Welle ist fertig: noch kann nichts fallen.", "Only one wave is finished: nothing can fall yet."),
            )
        kinds = [fixed, variable]
        areas = (
            alt.Chart()
            .mark_area(line=False, strokeWidth=1.5)
            .encode(
                alt.X(
                    "n:Q",
                    title=texts(Words("fertige Anbindungen", "completed connections")),
                    axis=alt.Axis(tickCount=4, format=",d"),
                ),
                alt.Y("low:Q", title=texts(Words("EUR je Anbindung", "EUR per connection")), scale=alt.Scale(zero=True)),
                alt.Y2("high:Q"),
                fill=alt.Fill("kind:N", scale=alt.Scale(domain=kinds, range=[hue("haze"), hue("band")])),
                stroke=alt.Stroke("kind:N", scale=alt.Scale(domain=kinds, range=[hue("vermilion"), hue("blue")])),
            )
        )
        shown = [name for name in names.values() if any(row["row"] == name for row in rows)]
        chart = facet([areas], texts.data(rows), shown, height=150)
        return (
            chart,
            joined([joined(said, ". "), Words(".", ".")], ""),
            Words(
                "Dass sich fixe Kosten auf mehr Anbindungen verteilen, ist Rechnen und kein Lernen: es träte auch ein, wenn jede Anbindung gleich"
                " viel kostete. Der variable Teil sieht am Ende zu niedrig aus, solange Rechnungen fehlen.",
                "That fixed costs spread over more connections is arithmetic and no learning: it would happen, too, if every connection cost the"
                " same. The variable part looks too low at the end for as long as invoices are missing.",
            ),
        )

    return figure_of(
        view,
        "degression",
        Words("Durchschnittskosten: was bloßes Teilen ist", "Average cost: what is mere division"),
        cited,
        table,
        draw,
        empty=Words("Es sind keine Kosten fertiger Anbindungen gebucht.", "No cost of completed connections is booked."),
    )


def _apparent_fall(view: View) -> Figure:
    """The same where costs by wave are not published: by how much the full cost fell over the programme, and which part did."""
    table = "metrics.scale_estimate"
    is_whole = not (view.land_code or view.service_id)
    cited = (
        view.cite(
            table,
            f"""select term, coefficient, n, variant from {table}
            where claim = 'C0' and outcome = 'cost' and specification = 'degression' and status = 'available'
            and term in ('full_cost_fall_share', 'degression_share', 'variable_share') and coefficient is not null order by term""",
        )
        if is_whole
        else None
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        parts = dict(frame.select("term", "coefficient").iter_rows())
        if len(parts) < 3:
            return None, NOTHING, NO_ROWS
        labels = [
            (texts(Words("Vollkosten je Anbindung", "full cost per connection")), "full_cost_fall_share", "ink"),
            (texts(Words("davon fixe Kosten, verteilt", "of it fixed costs, spread")), "degression_share", "vermilion"),
            (texts(Words("davon variable Kosten", "of it variable costs")), "variable_share", "blue"),
        ]
        rows = [{"row": label, "share": parts[term], "text": texts(words.share(parts[term]))} for label, term, _ in labels]
        base = alt.Chart(texts.data(rows)).encode(
            alt.Y("row:N", sort=None, title=None),
            alt.X(
                "share:Q",
                title=texts(Words("Rückgang, Anteil der anfänglichen Vollkosten", "fall, share of the full cost at first")),
                axis=alt.Axis(format=".0%"),
                scale=alt.Scale(domain=[min(0, *parts.values()), 1]),
            ),
        )
        bars = base.mark_bar(height=18).encode(
            color=alt.Color(
                "row:N", scale=alt.Scale(domain=[r[0] for r in labels], range=[hue(r[2]) for r in labels]), legend=None
            )
        )
        chart = alt.layer(bars, base.mark_text(align="left", dx=5, fontWeight="bold").encode(text=alt.Text("text:N"))).properties(
            width=380, height=90
        )
        alt_text = both(
            "Die Vollkosten je Anbindung fielen um {full} ihres anfänglichen Betrags: um {fixed}, weil sich Fixkosten auf mehr Anbindungen"
            " verteilen, um {variable}, weil variable Kosten fielen ({n} Anbindungen, erste gegen alle).",
            "The full cost per connection fell by {full} of what it was at first: by {fixed} as fixed costs spread over more connections, by"
            " {variable} as variable costs fell ({n} connections, first against all).",
            full=words.share(parts["full_cost_fall_share"]),
            fixed=words.share(parts["degression_share"]),
            variable=words.share(parts["variable_share"]),
            n=words.number(frame["n"][0]),
        )
        return (
            chart,
            alt_text,
            Words(
                "Dass sich fixe Kosten verteilen, ist Rechnen und kein Lernen; es zählt nie als Beleg.",
                "That fixed costs spread is arithmetic and no learning; it never counts as evidence.",
            ),
        )

    return figure_of(
        view,
        "degression",
        Words("Durchschnittskosten: was bloßes Teilen ist", "Average cost: what is mere division"),
        cited,
        table,
        draw,
    )


_NO_RUNNING = {
    "not_booked_to_a_service": Words("auf keine Leistung gebucht", "booked to no service"),
    "no_running_cost": Words("keine laufenden Kosten gebucht", "no running cost is booked"),
    "cost_shorter_than_12_months": Words("Kosten kürzer als zwölf Monate bekannt", "cost known for less than twelve months"),
    "live_shorter_than_12_months": Words("noch keine zwölf Monate in Betrieb", "not live for twelve months yet"),
    "nothing_reported": Words("keine Nutzung gemeldet", "no use is reported"),
    "no_submission": Words("kein Antrag gestellt", "no submission"),
}


def running_cost(view: View) -> Figure:
    """Running cost per submission over the last twelve whole months."""
    table = "metrics.running_cost_per_transaction"
    where = view.where
    if view.one_by_one != where:  # what is booked to no service is nobody's to leave out
        where = f"{where} and (service_id is null or {FOCUS})"
    cited = view.cite(
        table,
        f"""select land_code, service_id, running_cost_eur, submitted_total_count, submitted_digital_count, running_cost_per_submission_eur,
        running_cost_per_digital_submission_eur, reporting_share, null_reason from {table} where {where} order by land_code, service_id""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        known = frame.filter(pl.col("running_cost_per_submission_eur").is_not_null())
        lacking = (
            frame.filter(pl.col("running_cost_per_submission_eur").is_null()).group_by("null_reason").len().sort("null_reason")
        )
        reasons = listed(
            [
                both("{n} × {why}", "{n} × {why}", n=count, why=_NO_RUNNING.get(reason, words.UNKNOWN))
                for reason, count in lacking.iter_rows()
            ]
        )
        without = both("Ohne Betrag: {reasons}.", "Without an amount: {reasons}.", reasons=reasons) if reasons else NOTHING
        if known.is_empty():
            return (
                None,
                NOTHING,
                joined(
                    [
                        Words(
                            "Laufende Kosten je Antrag lassen sich noch nicht sagen.",
                            "Running cost per submission cannot be told yet.",
                        ),
                        without,
                    ]
                ),
            )
        rows = []
        ordered = known.sort("running_cost_per_submission_eur")
        drawn = ordered.tail(MOST_ROWS)
        for row in sorted(drawn.iter_rows(named=True), key=lambda row: place(row, " · ").de):
            value = float(row["running_cost_per_submission_eur"])
            rows.append({"row": texts(place(row, " · ")), "value": value, "text": texts(words.euro(value, 2))})
        base = alt.Chart(texts.data(rows)).encode(
            alt.Y("row:N", sort=None, title=None),
            alt.X("value:Q", title=texts(Words("EUR je Antrag", "EUR per submission")), scale=alt.Scale(zero=True)),
        )
        chart = alt.layer(
            base.mark_bar(height=14), base.mark_text(align="left", dx=4).encode(text=alt.Text("text:N"))
        ).properties(width=330, height=22 * len(rows))
        low, high = ordered.row(0, named=True), ordered.row(-1, named=True)
        alt_text = both(
            "Am wenigsten kostet ein Antrag bei {low} ({low_eur}), am meisten bei {high} ({high_eur}).",
            "A submission costs least at {low} ({low_eur}) and most at {high} ({high_eur}).",
            low=place(low, ", "),
            high=place(high, ", "),
            low_eur=words.euro(low["running_cost_per_submission_eur"], 2),
            high_eur=words.euro(high["running_cost_per_submission_eur"], 2),
        )
        note = Words(
            "Wo nicht alle Behörden melden, ist der Betrag zu hoch: gezählt sind nur gemeldete Anträge.",
            "Where not all authorities report the amount is too high: only reported submissions count.",
        )
        if drawn.height < known.height:
            most = both(
                "Gezeichnet sind die {n} höchsten von {all} Beträgen.",
                "Drawn are the {n} highest of {all} amounts.",
                n=words.number(drawn.height),
                all=words.number(known.height),
            )
            note = joined([most, note])
        return chart, alt_text, joined([note, without])

    return figure_of(view, "running-cost", Words("Laufende Kosten je Antrag", "Running cost per submission"), cited, table, draw)


def budget(view: View) -> Figure:
    """What is planned, invoiced and estimated, one-off, by Land and payer."""
    table = "metrics.budget_status"
    cited = view.cite(
        table,
        f"""select land_code, payer, recurring, planned_eur, estimated_eur, invoiced_eur, is_plan_complete, open_eur, invoiced_to_planned_ratio
        from {table} where {view.where} and not recurring and payer <> 'total' order by land_code, payer""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        kinds = {
            "planned_eur": texts(Words("Plan", "plan")),
            "invoiced_eur": texts(Words("abgerechnet", "invoiced")),
            "estimated_eur": texts(Words("geschätzt, noch nicht abgerechnet", "estimated, not invoiced yet")),
        }
        rows: list[dict[str, Any]] = []
        said = []
        several = frame["land_code"].n_unique() > 1
        for row in sorted(frame.iter_rows(named=True), key=lambda row: (words.term("land", row["land_code"]).de, row["payer"])):
            payer = both("zahlt {payer}", "paid by {payer}", payer=words.term("payer", row["payer"]))
            where = joined([words.term("land", row["land_code"]), payer], " · ") if several else payer
            for column, name in kinds.items():
                if row[column] is not None:
                    rows.append({"row": texts(where), "kind": name, "value": float(row[column]) / 1e6})
            told = (
                both(
                    "abgerechnet {invoiced} von geplanten {planned} ({ratio})",
                    "invoiced {invoiced} of {planned} planned ({ratio})",
                    invoiced=words.euro(row["invoiced_eur"]),
                    planned=words.euro(row["planned_eur"]),
                    ratio=words.share(row["invoiced_to_planned_ratio"]),
                )
                if row["planned_eur"] is not None and row["invoiced_to_planned_ratio"] is not None
                else both(
                    "abgerechnet {invoiced}, kein Plan genannt",
                    "invoiced {invoiced}, no plan is stated",
                    invoiced=words.euro(row["invoiced_eur"]),
                )
            )
            said.append(joined([where, told], ": "))
        if not rows:
            return None, NOTHING, NO_ROWS
        order = list(dict.fromkeys(row["row"] for row in rows))
        y = alt.Y("row:N", sort=order, title=None)
        base = alt.Chart().encode(y)
        x = alt.X(
            "value:Q",
            title=texts(Words("Mio. EUR, einmalig, brutto", "EUR million, one-off, gross")),
            scale=alt.Scale(zero=True),
            axis=alt.Axis(grid=True),
        )
        names = list(kinds.values())
        colour = alt.Color(
            "kind:N", scale=alt.Scale(domain=names, range=[hue("ink"), hue("blue"), hue("purple")]), legend=square()
        )
        plan, bar, tick = (
            mark.encode(x, color=colour).transform_filter(only(kind=name))
            for mark, name in zip(
                (
                    base.mark_bar(height=18, filled=False, strokeWidth=1.5),
                    base.mark_bar(height=9),
                    base.mark_point(shape="diamond", size=80, filled=False, strokeWidth=2),
                ),
                names,
                strict=True,
            )
        )
        chart = alt.layer(plan, bar, tick, data=texts.data(rows)).properties(width=380, height=28 * len(order))
        return (
            chart,
            joined([joined(said, "; "), Words(".", ".")], ""),
            Words(
                "Plan, Schätzung und Rechnung sind drei Aussagen über dieselben Ausgaben und nicht zu addieren. Ein Plan, den niemand nennt, ist"
                " unbekannt und nicht null.",
                "Plan, estimate and invoice are three statements about the same spending and not to be added. A plan that nobody states is unknown"
                " and not zero.",
            ),
        )

    return figure_of(view, "budget", Words("Plan und Ausgaben", "Plan and spending"), cited, table, draw)
