"""Whether costs fall: the learning curve, the estimates with the verdict and its gates in words, the forecast for the next Land."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from orchestration.report import words
from orchestration.report.figure import (
    NO_ROWS,
    Figure,
    Texts,
    View,
    both,
    capital,
    facet,
    figure_of,
    hue,
    joined,
    level,
    listed,
    only,
)
from orchestration.report.words import NOTHING, Words

_CLAIM = {
    ("C1", "cost"): Words("Lernen, Kosten", "learning, cost"),
    ("C1", "person_days"): Words("Lernen, Personentage", "learning, person-days"),
    ("C2", "cost"): Words("Größe der Abrufe, Kosten", "size of call-offs, cost"),
    ("C2", "person_days"): Words("Größe der Abrufe, Personentage", "size of call-offs, person-days"),
}

#: The specifications beside the primary one that the rule wants to agree, and what each asks.
_CHECKS = {
    "S2": Words("Hauptschätzung", "primary estimate"),
    "S3": Words("mit linearem Zeittrend", "with a linear trend of time"),
    "S5": Words("nur Unterschiede zwischen Wellen", "only differences between waves"),
    "S6": Words("ohne Erfahrung von vor dem Programm", "without experience before the programme"),
    "S7": Words("ohne Piloten", "without pilots"),
    "S8": Words("mit offenen Anbindungen", "with open connections"),
    "S9": Words("mit der Arbeit der Kommunen", "with the municipalities' own work"),
    "S2_unweighted": Words("jede Anbindung wiegt gleich", "every connection weighs the same"),
}


def verdict_in_words(row: dict[str, Any]) -> Words:
    """A row of scale_verdict in a few sentences: verdict, label, estimate with interval, what it could have found, failed gates."""
    said = [
        both(
            "{claim}: {verdict}",
            "{claim}: {verdict}",
            claim=capital(_CLAIM.get((row["claim"], row["outcome"]), Words(row["claim"], row["claim"]))),
            verdict=words.term("verdict", row["verdict"]),
        )
    ]
    label = joined(words.labels(row["label"]), "; ")
    said[0] = joined([said[0], Words(f" ({label.de}).", f" ({label.en}).") if label else Words(".", ".")], "")
    if row["verdict"] == "not_due" and row["look_on"] is not None:
        said.append(
            both(
                "Entschieden wird frühestens am {day}.", "It is decided on {day} at the earliest.", day=words.day(row["look_on"])
            )
        )
    if row["estimate"] is not None and row["ci_low"] is not None:
        said.append(
            both(
                "Geschätzte Ersparnis je Verdopplung: {estimate} (Intervall {low} bis {high}; gefordert sind mindestens {delta}).",
                "Estimated saving per doubling: {estimate} (interval {low} to {high}; at least {delta} are demanded).",
                estimate=words.share(row["estimate"]),
                low=words.share(row["ci_low"]),
                high=words.share(row["ci_high"]),
                delta=level(row["delta"]),
            )
        )
    else:
        said.append(Words("Eine Schätzung ist noch nicht möglich.", "No estimate is possible yet."))
    if row["power_10"] is not None:
        said.append(
            both(
                "Läge die Ersparnis bei 10 %, würde die Regel sie mit einer Wahrscheinlichkeit von {power} belegen.",
                "If the saving were 10 %, the rule would support it with a probability of {power}.",
                power=words.share(row["power_10"], 0),
            )
        )
    gates = joined(words.gates(row["gates_failed"]), "; ")
    said.append(
        both("Nicht erfüllte Bedingungen: {gates}.", "Conditions not met: {gates}.", gates=gates)
        if gates
        else Words("Alle Bedingungen sind erfüllt.", "All conditions are met.")
    )
    return joined(said)


def verdicts(view: View, claim: str = "C1") -> Words:
    """The verdicts on a claim, on costs and on person-days, in words."""
    table = "metrics.scale_verdict"
    cited = view.cite(table, f"select * from {table} where claim = '{claim}' order by outcome")
    if cited is None or cited.frame.is_empty():
        return Words("Ein Urteil liegt nicht vor.", "There is no verdict.")
    return joined([verdict_in_words(row) for row in cited.frame.iter_rows(named=True)])


#: Ticks of a logarithmic axis of multiples.
_LADDER = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20]

#: Dots of one picture beyond which more show nothing more: then an even part of the connections is drawn.
_DOTS = 5000


def learning_curve(view: View) -> Figure:
    """Variable cost of single connections over experience, and the estimated curve; in the house only."""
    table, other = "metrics.learning_curve", "metrics.scale_estimate"
    known = view.connection.execute(f"select count(*) from {table}").fetchall()[0][0] if view.has(table) else 0
    # the same ones every night, whatever joins them
    part = f"where md5(c.authority_id || ' ' || c.service_id) < '{16**8 * _DOTS // known:08x}'" if known > _DOTS else ""
    cited = view.cite(
        table,
        f"""select c.land_code, c.service_id, c.wave, c.experience_ratio, c.cost_variable_ratio, e.coefficient, e.ci_low, e.ci_high, e.rate,
        e.rate_ci_low, e.rate_ci_high, e.ci_level, e.n, e.clusters, e.is_descriptive
        from {table} c join {other} e on e.claim = 'C1' and e.outcome = 'cost' and e.specification = 'S2' and e.term = 'ln_n'
        and e.status = 'available' {part} order by c.land_code, c.service_id, c.experience_ratio, c.cost_variable_ratio""",
        needs=[other],
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        first = frame.row(0, named=True)
        low, high = frame["experience_ratio"].min(), frame["experience_ratio"].max()
        if low == high or first["coefficient"] is None:
            return (
                None,
                NOTHING,
                joined(
                    [
                        Words("Alle Anbindungen haben dieselbe Erfahrung.", "All connections have the same experience."),
                        verdicts(view),
                    ]
                ),
            )
        single = texts(Words("eine Anbindung", "one connection"))
        curve = texts(Words("geschätzte Kurve mit Intervall", "estimated curve with interval"))
        rows = [
            {"kind": single, "x": round(x, 4), "y": round(y, 4)}
            for x, y in frame.select("experience_ratio", "cost_variable_ratio").iter_rows()
        ]
        steps = [math.log(low) + (math.log(high) - math.log(low)) * at / 24 for at in range(25)]  # type: ignore[arg-type]
        rows += [
            {
                "kind": curve,
                "x": math.exp(step),
                "y": math.exp(first["coefficient"] * step),
                "low": math.exp(min(first["ci_low"] * step, first["ci_high"] * step)),
                "high": math.exp(max(first["ci_low"] * step, first["ci_high"] * step)),
            }
            for step in steps
        ]
        x = alt.X(
            "x:Q",
            scale=alt.Scale(type="log", nice=False),
            title=texts(
                Words(
                    "Erfahrung, Vielfaches des Mittels der Leistung im Land (logarithmisch)",
                    "experience, multiple of the mean of the service in its Land (logarithmic)",
                )
            ),
            axis=alt.Axis(format=",~r", values=_LADDER, grid=True),
        )
        y = alt.Y(
            "y:Q",
            scale=alt.Scale(type="log", nice=False),
            title=texts(Words("Kosten, Vielfaches (log.)", "cost, multiple (log.)")),
            axis=alt.Axis(format=",~r", values=_LADDER),
        )
        kinds = [single, curve]
        colour = alt.Scale(domain=kinds, range=[hue("muted"), hue("vermilion")])
        dots = (
            alt.Chart()
            .mark_circle(size=9, opacity=0.75)
            .encode(x, y, color=alt.Color("kind:N", scale=colour, legend=alt.Legend(symbolOpacity=1)))
            .transform_filter(only(kind=single))
        )
        band = (
            alt.Chart()
            .mark_area(color=hue("haze"), stroke=hue("vermilion"), strokeWidth=0.8, opacity=0.85)
            .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"))
            .transform_filter(only(kind=curve))
        )
        line = (
            alt.Chart()
            .mark_line(strokeWidth=2.5)
            .encode(x, y, color=alt.Color("kind:N", scale=colour))
            .transform_filter(only(kind=curve))
        )
        chart = alt.layer(dots, band, line, data=texts.data(rows)).properties(width=500, height=270)
        alt_text = both(
            "{n} abgerechnete Anbindungen in {clusters} Clustern: mit jeder Verdopplung der Erfahrung sinken die variablen Kosten geschätzt um"
            " {rate} ({level}-Intervall: {low} bis {high}).",
            "{n} invoiced connections in {clusters} clusters: with every doubling of experience variable cost falls by an estimated {rate}"
            " ({level} interval: {low} to {high}).",
            n=words.number(first["n"]),
            clusters=words.number(first["clusters"]),
            rate=words.share(first["rate"]),
            level=level(first["ci_level"]),
            low=words.share(first["rate_ci_low"]),
            high=words.share(first["rate_ci_high"]),
        )
        note = Words(
            "Jede Anbindung im Verhältnis zum geometrischen Mittel ihrer Leistung in ihrem Land; Einwohner und Schwierigkeit, die die Schätzung"
            " berücksichtigt, sind in den Punkten nicht herausgerechnet.",
            "Every connection relative to the geometric mean of its service in its Land; inhabitants and difficulty, which the estimate takes"
            " into account, are not taken out of the dots.",
        )
        descriptive = (
            Words("Beschreibend: entschieden ist damit nichts.", "Descriptive: nothing is decided by it.")
            if first["is_descriptive"]
            else NOTHING
        )
        evenly = (
            both(
                "Gezeichnet ist eine gleichmäßige Auswahl: {n} von {all} Anbindungen.",
                "Drawn is an even selection: {n} of {all} connections.",
                n=words.number(frame.height),
                all=words.number(known),
            )
            if frame.height < known
            else NOTHING
        )
        return chart, alt_text, joined([evenly, note, descriptive, verdicts(view)])

    return figure_of(
        view,
        "learning-curve",
        Words("Lernkurve: sinken die Kosten mit der Erfahrung?", "Learning curve: does cost fall with experience?"),
        cited,
        table,
        draw,
        absent=Words(
            "Einzelne Anbindungen sind nicht veröffentlicht: eine Zeile wäre die Rechnung einer Behörde. Die Schätzung steht unten.",
            "Single connections are not published: a row would be the bill of one authority. The estimate stands below.",
        ),
        empty=joined(
            [
                Words(
                    "Noch reicht keine abgerechnete Anbindung für eine Schätzung.",
                    "No invoiced connection suffices for an estimate yet.",
                ),
                verdicts(view),
            ]
        ),
    )


def learning_estimates(view: View) -> Figure:
    """Saving per doubling of experience by the primary estimate and by the specifications that have to agree."""
    table = "metrics.scale_estimate"
    specifications = ", ".join(f"'{name}'" for name in _CHECKS)
    cited = view.cite(
        table,
        f"""select outcome, specification, term, rate, rate_ci_low, rate_ci_high, ci_level, n, clusters, is_descriptive from {table}
        where claim = 'C1' and specification in ({specifications}) and (term = 'ln_n' or term = 'ln_n_programme') and status = 'available'
        and rate is not null and rate_ci_low is not null order by outcome, specification""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        outcomes = [outcome for outcome in ("cost", "person_days") if outcome in frame["outcome"].to_list()]
        panels = {outcome: texts(_CLAIM["C1", outcome]) for outcome in outcomes}
        order = [texts(words_) for words_ in _CHECKS.values()]
        rows: list[dict[str, Any]] = []
        for row in frame.iter_rows(named=True):
            rows.append(
                {
                    "row": panels[row["outcome"]],
                    "check": texts(_CHECKS[row["specification"]]),
                    "kind": "estimate",
                    "colour": hue("blue" if row["specification"] == "S2" else "muted"),
                    "shape": "diamond" if row["specification"] == "S2" else "circle",
                    "rate": row["rate"],
                    "low": row["rate_ci_low"],
                    "high": row["rate_ci_high"],
                }
            )
        delta = view.cite(
            "metrics.scale_verdict", "select distinct delta from metrics.scale_verdict where claim = 'C1' order by delta"
        )
        wanted = delta.frame["delta"][0] if delta is not None and delta.frame.height else None
        for panel in panels.values():
            rows.append({"row": panel, "kind": "zero", "at": 0})
            if wanted is not None:
                rows.append({"row": panel, "kind": "wanted", "at": wanted})
        title = Words("Ersparnis je Verdopplung", "saving per doubling")
        if wanted is not None:
            title = both("{title} (gestrichelt: gefordert)", "{title} (dashed: demanded)", title=title)
        y = alt.Y("check:N", sort=order, title=None)
        base = alt.Chart()
        colour = alt.Color("colour:N", scale=None)
        x = alt.X("rate:Q", title=texts(title), axis=alt.Axis(format=".0%", tickCount=5, grid=True))
        estimated = base.encode(y, color=colour).transform_filter(only(kind="estimate"))
        span = estimated.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"))
        dot = estimated.mark_point(size=55).encode(x, shape=alt.Shape("shape:N", scale=None))
        rule = base.mark_rule(color=hue("ink")).encode(alt.X("at:Q")).transform_filter(only(kind="zero"))
        bound = (
            base.mark_rule(color=hue("vermilion"), strokeDash=[5, 3]).encode(alt.X("at:Q")).transform_filter(only(kind="wanted"))
        )
        chart = facet(
            [rule, bound, span, dot],
            texts.data(rows),
            list(panels.values()),
            width=205,
            height=22 * frame["specification"].n_unique(),
        )
        said = []
        for outcome in outcomes:
            part = frame.filter(pl.col("outcome") == outcome)
            main = part.filter(pl.col("specification") == "S2")
            if main.is_empty():
                continue
            row = main.row(0, named=True)
            said.append(
                both(
                    "{claim}: {rate} je Verdopplung ({level}-Intervall {low} bis {high}, {n} Anbindungen in {clusters} Clustern); die anderen"
                    " Rechnungen liegen zwischen {least} und {most}.",
                    "{claim}: {rate} per doubling ({level} interval {low} to {high}, {n} connections in {clusters} clusters); the other"
                    " computations lie between {least} and {most}.",
                    claim=capital(_CLAIM["C1", outcome]),
                    rate=words.share(row["rate"]),
                    level=level(row["ci_level"]),
                    low=words.share(row["rate_ci_low"]),
                    high=words.share(row["rate_ci_high"]),
                    n=words.number(row["n"]),
                    clusters=words.number(row["clusters"]),
                    least=words.share(part["rate"].min()),  # type: ignore[arg-type]
                    most=words.share(part["rate"].max()),  # type: ignore[arg-type]
                )
            )
        return chart, joined(said), verdicts(view)

    return figure_of(
        view,
        "learning-estimates",
        Words("Ersparnis je Verdopplung der Erfahrung", "Saving per doubling of experience"),
        cited,
        table,
        draw,
        empty=joined([Words("Noch ist keine Schätzung möglich.", "No estimate is possible yet."), verdicts(view)]),
    )


_NO_FORECAST = {
    "no_data": Words("keine Daten", "no data"),
    "too_few_connections": Words("zu wenige Anbindungen", "too few connections"),
    "too_few_clusters": Words("zu wenige Wellen", "too few waves"),
    "price_by_contract": Words(
        "Preise stehen im Vertrag und folgen nicht dem Aufwand", "prices are the contract's and do not follow the effort"
    ),
    "no_variation": Words("keine unterschiedliche Erfahrung", "no difference in experience"),
    "service_without_experience": Words("eine Leistung ohne Erfahrung", "a service without experience"),
}


def forecast(view: View) -> Figure:
    """What the next Land will take, for three assumptions of how much Länder differ."""
    table = "metrics.cost_forecast"
    whole = "and service_id is null" if view.has(f"{table}.service_id") else ""
    cited = view.cite(
        table,
        f"""select outcome, unit, land_effect_sd, connections, total_predicted, total_low, total_high, per_connection_predicted,
        per_connection_low, per_connection_high, interval_level, learning_rate, n, clusters, doublings_beyond_experience, hindcast_clusters,
        hindcast_covered_clusters, reason from {table} where true {whole} order by outcome, land_effect_sd""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        known = frame.filter(pl.col("total_predicted").is_not_null())
        reasons = listed(
            [_NO_FORECAST.get(reason, words.UNKNOWN) for reason in frame["reason"].drop_nulls().unique().sort().to_list()]
        )
        without = both("Ohne Prognose: {reasons}.", "Without a forecast: {reasons}.", reasons=reasons) if reasons else NOTHING
        if known.is_empty():
            return None, NOTHING, without or NO_ROWS
        panels = []
        said = []
        for outcome in ("cost", "person_days"):
            part = known.filter(pl.col("outcome") == outcome)
            if part.is_empty():
                continue
            scale, title, places = (
                (1e6, Words("Mio. EUR, variabel, netto, real", "EUR million, variable, net, real"), 1)
                if outcome == "cost"
                else (1e3, Words("Tsd. Personentage", "thousand person-days"), 1)
            )
            rows = []
            for row in part.iter_rows(named=True):
                name = texts(both("Länder streuen um {sd}", "Länder differ by {sd}", sd=level(row["land_effect_sd"])))
                rows.append(
                    {
                        "row": name,
                        "value": row["total_predicted"] / scale,
                        "low": row["total_low"] / scale,
                        "high": row["total_high"] / scale,
                        "text": texts(
                            both(
                                "{value} ({low} bis {high})",
                                "{value} ({low} to {high})",
                                value=words.number(row["total_predicted"] / scale, places),
                                low=words.number(row["total_low"] / scale, places),
                                high=words.number(row["total_high"] / scale, places),
                            )
                        ),
                    }
                )
            base = alt.Chart(texts.data(rows)).encode(alt.Y("row:N", sort=None, title=None))
            span = base.mark_rule(strokeWidth=3, color=hue("purple")).encode(
                alt.X("low:Q", scale=alt.Scale(zero=True), title=texts(title), axis=alt.Axis(grid=True, tickCount=5)),
                alt.X2("high:Q"),
            )
            dot = base.mark_point(shape="diamond", size=80, color=hue("purple")).encode(alt.X("value:Q"))
            label = base.mark_text(dy=-10, fontSize=11).encode(alt.X("value:Q"), text=alt.Text("text:N"))
            panels.append(alt.layer(span, dot, label).properties(width=380, height=34 * part.height))
            middle = part.row(part.height // 2, named=True)
            amount = words.euro if outcome == "cost" else words.number
            said.append(
                both(
                    "{outcome}: {value} ({level} zwischen {low} und {high}, wenn Länder um {sd} streuen), {each} je Anbindung",
                    "{outcome}: {value} ({level} between {low} and {high} if Länder differ by {sd}), {each} per connection",
                    outcome=capital(words.term("outcome", outcome)),
                    value=amount(middle["total_predicted"]),
                    low=amount(middle["total_low"]),
                    high=amount(middle["total_high"]),
                    level=level(middle["interval_level"]),
                    sd=level(middle["land_effect_sd"]),
                    each=words.euro(middle["per_connection_predicted"])
                    if outcome == "cost"
                    else words.number(middle["per_connection_predicted"], 1),
                )
            )
        some = known.row(0, named=True)
        head = both(
            "Für ein Land wie das Mittel der bisherigen mit {n} Anbindungen.",
            "For a Land like the mean of those so far with {n} connections.",
            n=words.number(some["connections"]),
        )
        beyond = known["doublings_beyond_experience"].max()
        far = (
            both(
                "Die Prognose reicht bis zu {n} Verdopplungen über alle Erfahrung hinaus: dass die Kurve so weitergeht, ist angenommen.",
                "The forecast reaches up to {n} doublings beyond all experience: that the curve goes on is assumed.",
                n=words.number(beyond, 1),  # type: ignore[arg-type]
            )
            if beyond is not None and beyond > 0  # type: ignore[operator]
            else NOTHING
        )
        back = listed(
            [
                both(
                    "{part} von {whole} bei {outcome}",
                    "{part} of {whole} for {outcome}",
                    part=words.number(row["hindcast_covered_clusters"]),
                    whole=words.number(row["hindcast_clusters"]),
                    outcome=words.term("outcome", row["outcome"]),
                )
                for row in known.unique("outcome", keep="first", maintain_order=True).iter_rows(named=True)
                if row["hindcast_clusters"]
            ]
        )
        hindcast = (
            both(
                "Rückschau: so viele frühere Wellen lagen in ihrem Intervall: {back}.",
                "Hindcast: so many earlier waves lay within their interval: {back}.",
                back=back,
            )
            if back
            else NOTHING
        )
        note = Words(
            "Kein Plan eines wirklichen Landes. Wie sehr Länder sich unterscheiden, lässt sich aus so wenigen nicht lernen: es ist angenommen,"
            " dreimal. Fixe Kosten sind nicht darin.",
            "No plan of a real Land. How much Länder differ cannot be learned from so few: it is assumed, three times. Fixed costs are not in it.",
        )
        chart = panels[0] if len(panels) == 1 else alt.vconcat(*panels, spacing=18)
        return (
            chart,
            joined([head, joined([joined(said, "; "), Words(".", ".")], "")]),
            joined([note, far, hindcast, without]),
        )

    return figure_of(view, "forecast", Words("Was kostet das nächste Land?", "What will the next Land cost?"), cited, table, draw)
