"""Whether it is used: the share of online submissions, use since go-live, and dead connections."""

from __future__ import annotations

from typing import Any

import polars as pl

from orchestration.report import words
from orchestration.report.drawing import PALETTE, STEPS
from orchestration.report.figure import (
    Figure,
    Texts,
    View,
    both,
    day_axis,
    facet,
    figure_of,
    hue,
    iso,
    joined,
    last_value,
    only,
    row_names,
    share_axis,
    square,
    styled,
)
from orchestration.report.words import NOTHING, Words

#: Submissions fewer than which a share of a month is chance.
_CASES = 20


def take_up_over_time(view: View) -> Figure:
    """Share of submissions that were made online, month by month; a row each for the services of a Land, or for the Länder."""
    is_whole = not (view.land_code or view.service_id)
    table, by = ("metrics.service_adoption_monthly", "service_id") if is_whole else ("metrics.adoption_monthly", view.by)
    suppressed = "is_suppressed" if view.has(f"{table}.is_suppressed") else "false"
    cited = view.cite(
        table,
        f"""select {by}, month, paired_online_count, paired_total_count, take_up_share, submitted_online_count, reporting_authorities,
        live_authorities, {suppressed} as is_suppressed from {table}
        where {view.one_by_one} and month >= (select max(month) from {table}) - interval 15 month and live_authorities > 0
        order by {by}, month""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        def named(code: str) -> Words:
            return words.term("service" if by == "service_id" else "land", code)

        names = {
            code: texts(said)
            for code, said in sorted(((c, named(c)) for c in frame[by].unique().to_list()), key=lambda i: i[1].de)
        }
        rows: list[dict[str, Any]] = []
        said, hidden = [], 0
        for (code,), part in sorted(frame.group_by(by, maintain_order=True), key=lambda item: names[item[0][0]]):
            hidden += part.filter("is_suppressed").height
            is_enough = (pl.col("paired_total_count") >= _CASES) & (
                2 * pl.col("reporting_authorities") >= pl.col("live_authorities")
            )
            part = part.with_columns(take_up_share=pl.when(is_enough).then("take_up_share"))
            known = part.filter(pl.col("take_up_share").is_not_null())
            if known.is_empty():
                continue
            # a month that is missing breaks the line
            rows += [
                {"row": names[code], "kind": "line", "day": iso(month), "share": share}
                for month, share in part.select("month", "take_up_share").iter_rows()
            ]
            last = known.row(-1, named=True)
            text = texts(words.share(last["take_up_share"]))
            rows.append(
                {"row": names[code], "kind": "label", "day": iso(last["month"]), "share": last["take_up_share"], "text": text}
            )
            said.append(
                both(
                    "{row}: {share} im {month}, {reporting} von {live} Behörden meldeten",
                    "{row}: {share} in {month}, {reporting} of {live} authorities reported",
                    row=named(code),
                    share=words.share(last["take_up_share"]),
                    month=words.month(last["month"]),
                    reporting=words.number(last["reporting_authorities"]),
                    live=words.number(last["live_authorities"]),
                )
            )
        if not rows:
            return (
                None,
                NOTHING,
                joined(
                    [
                        Words(
                            "Zu wenige Behörden melden Online-Anträge und solche auf anderen Wegen, als dass sich ein Anteil sagen ließe.",
                            "Too few authorities report submissions both online and otherwise for a share to be told.",
                        ),
                        Words("Unterdrückte Zahlen sind nicht veröffentlicht.", "Suppressed numbers are not published.")
                        if hidden
                        else NOTHING,
                    ]
                ),
            )
        line = (
            alt.Chart()
            .mark_line(point={"size": 18})
            .encode(day_axis(months=6), share_axis("share"))
            .transform_filter(only(kind="line"))
        )
        shown = [name for name in names.values() if any(row["row"] == name for row in rows)]
        chart = facet([line, *last_value()], texts.data(rows), shown, height=90)
        note = Words(
            "Nur Behörden, die online und auf anderem Weg melden; wer nicht meldet, fehlt und zählt nicht als null. Kommen neue Behörden"
            " dazu, kann der Anteil sinken, ohne dass jemand seltener online geht. Nicht gezeichnet sind Monate, in denen weniger als die"
            f" Hälfte meldete oder weniger als {_CASES} Anträge zusammenkamen.",
            "Only authorities that report both online and otherwise; who does not report is missing and not zero. As new authorities join the"
            " share can fall without anybody going online less. Not drawn are months in which less than half reported or fewer than"
            f" {_CASES} submissions came together.",
        )
        if hidden:
            note = joined(
                [
                    note,
                    both(
                        "{n} Monatswerte sind nicht veröffentlicht (kleine Zahlen): Lücke in der Linie, keine Null.",
                        "{n} monthly values are not published (small numbers): a gap in the line, not a zero.",
                        n=words.number(hidden),
                    ),
                ]
            )
        return chart, joined([joined(said, "; "), Words(".", ".")], ""), note

    title = Words("Anteil der Online-Anträge", "Share of online submissions")
    return figure_of(view, "take-up", title, cited, table, draw, empty=Words("Keine Nutzung gemeldet.", "No use is reported."))


#: Connections fewer than which a month of the adoption curve is not drawn.
_FEW = 5


def adoption_curve(view: View) -> Figure:
    """Use by months since go-live, beside the first month of the very same connections."""
    table = "metrics.adoption_curve"
    if view.land_code and view.service_id:
        kind = "land_service"
    else:
        kind = "land" if view.land_code else "service" if view.service_id else "all"
    cited = view.cite(
        table,
        f"""select full_month, at_risk_count, connections_due, submitted_online_count, submissions_per_1000_inhabitants,
        first_month_per_1000_inhabitants, take_up_share from {table}
        where stratum_kind = '{kind}' and {view.where if kind != "all" else "true"} order by full_month""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        shown = frame.filter((pl.col("at_risk_count") >= _FEW) & pl.col("submissions_per_1000_inhabitants").is_not_null())
        if shown.height < 2:
            return (
                None,
                NOTHING,
                both(
                    "Noch sind keine {n} Anbindungen zwei volle Monate in Betrieb und gemeldet: eine Kurve wäre Zufall.",
                    "No {n} connections have been live and reported for two whole months yet: a curve would be chance.",
                    n=_FEW,
                ),
            )
        now = texts(Words("in diesem Monat", "in that month"))
        first = texts(Words("dieselben Anbindungen in ihrem ersten Monat", "the same connections in their first month"))
        rows = [
            {"kind": name, "month": row["full_month"], "rate": row[column], "count": row["at_risk_count"]}
            for row in shown.iter_rows(named=True)
            for name, column in ((now, "submissions_per_1000_inhabitants"), (first, "first_month_per_1000_inhabitants"))
        ]
        base = alt.Chart()
        x = alt.X(
            "month:O",
            title=texts(
                Words(
                    "voller Monat seit Inbetriebnahme; darunter: so viele Anbindungen",
                    "full month since go-live; below: connections",
                )
            ),
            axis=alt.Axis(labelAngle=0, titlePadding=32),
        )
        lines = base.mark_line(point={"size": 35}).encode(
            x,
            alt.Y(
                "rate:Q",
                title=texts(Words("je 1.000 Einwohner und Jahr", "per 1,000 inhabitants and year")),
                scale=alt.Scale(domainMin=0),
            ),
            **styled([(now, "blue", [1, 0]), (first, "vermilion", [6, 3])]),
        )
        count = (
            base.mark_text(baseline="top", dy=22, fontSize=10, color=hue("muted"))
            .encode(x, y=alt.value(190), text=alt.Text("count:Q", format=",d"))
            .transform_filter(only(kind=now))
        )
        chart = alt.layer(lines, count, data=texts.data(rows)).properties(width=500, height=190)
        start, end = shown.row(0, named=True), shown.row(-1, named=True)
        alt_text = both(
            "Im {a}. vollen Monat {start} Online-Anträge je 1.000 Einwohner und Jahr ({n_start} Anbindungen), im {b}. {end}"
            " ({n_end} Anbindungen; dieselben begannen mit {first}).",
            "In full month {a} {start} online submissions per 1,000 inhabitants and year ({n_start} connections), in month {b} {end}"
            " ({n_end} connections; the same ones began with {first}).",
            a=start["full_month"],
            b=end["full_month"],
            start=words.number(start["submissions_per_1000_inhabitants"], 1),
            end=words.number(end["submissions_per_1000_inhabitants"], 1),
            first=words.number(end["first_month_per_1000_inhabitants"], 1),
            n_start=words.number(start["at_risk_count"]),
            n_end=words.number(end["at_risk_count"]),
        )
        note = both(
            "Je länger her, desto weniger Anbindungen: Wachstum zeigt nur der Abstand der beiden Linien, nicht eine Linie allein. Monate"
            " mit weniger als {n} Anbindungen sind nicht gezeichnet.",
            "The longer ago, the fewer connections: only the distance of the two lines shows growth, not one line alone. Months with fewer"
            " than {n} connections are not drawn.",
            n=_FEW,
        )
        return chart, alt_text, note

    return figure_of(view, "adoption-curve", Words("Nutzung seit Inbetriebnahme", "Use since go-live"), cited, table, draw)


#: Answers of dormant_connection in the order of a bar, with colour and whether the segment is filled.
_ANSWERS = (
    ("active", "blue"),
    ("dead_technical", "vermilion"),
    ("dead_demand", "purple"),
    ("too_small_or_too_early", "step1"),
    ("unknown", "grid"),
)
#: Those that say whether a connection is used.
_JUDGED = ("active", "dead_technical", "dead_demand")


def dormant_connections(view: View) -> Figure:
    """Of the connections in operation: which are used, which are dead, and of which nothing can be said."""
    table = "metrics.dormant_connection"
    cited = view.cite(
        table,
        f"""select {view.by}, answer, count(*)::bigint as connections_count from {table}
        where {view.one_by_one if view.land_code else view.where} group by {view.by}, answer order by {view.by}, answer""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        if frame.filter(pl.col("answer").is_in(_JUDGED)).is_empty():
            return (
                None,
                NOTHING,
                both(
                    "Von keiner der {all} Anbindungen in Betrieb lässt sich sagen, ob sie genutzt wird: zu klein, zu jung oder nichts gemeldet.",
                    "Of none of the {all} connections in operation can it be said whether it is used: too small, too young or nothing reported.",
                    all=words.number(frame["connections_count"].sum()),
                ),
            )
        colours = PALETTE | STEPS
        names = row_names(view, frame, texts)
        labels = {answer: texts(words.term("answer", answer)) for answer, _ in _ANSWERS}
        used = [(answer, colour) for answer, colour in _ANSWERS if answer in frame["answer"].to_list()]
        rows: list[dict[str, Any]] = []
        said = []
        for (code,), part in sorted(frame.group_by(view.by, maintain_order=True), key=lambda item: names[item[0][0]]):
            counts = dict(part.select("answer", "connections_count").iter_rows())
            whole = sum(counts.values())
            rows += [
                {"row": names[code], "kind": labels[answer], "order": at, "share": counts.get(answer, 0) / whole}
                for at, (answer, _) in enumerate(used)
            ]
            dead = counts.get("dead_technical", 0) + counts.get("dead_demand", 0)
            values = {"dead": words.number(dead), "all": words.number(whole)}
            rows.append(
                {
                    "row": names[code],
                    "kind": "label",
                    "share": 1,
                    "text": texts(
                        both("{dead} tot von {all}", "{dead} dead of {all}", **values)
                        if any(counts.get(answer) for answer in _JUDGED)
                        else Words("nicht zu beurteilen", "cannot be judged")
                    ),
                }
            )
            said.append(
                both(
                    "{row}: {dead} von {all} tot, von {open} lässt sich nichts sagen",
                    "{row}: {dead} of {all} dead, of {open} nothing can be said",
                    row=view.row(code),
                    open=words.number(counts.get("too_small_or_too_early", 0) + counts.get("unknown", 0)),
                    **values,
                )
            )
        base = alt.Chart().encode(alt.Y("row:N", title=None, sort=list(names.values())))
        bars = (
            base.mark_bar(height=16, stroke=hue("ink"), strokeWidth=0.7)
            .encode(
                share_axis("share", axis=alt.X, values=(0, 0.25, 0.5, 0.75, 1)),
                color=alt.Color(
                    "kind:N",
                    scale=alt.Scale(
                        domain=[labels[answer] for answer, _ in used], range=[colours[colour].light for _, colour in used]
                    ),
                    legend=square(columns=2),
                ),
                order=alt.Order("order:Q"),
            )
            .transform_filter("datum.kind !== 'label'")
        )
        label = (
            base.mark_text(align="left", dx=6)
            .encode(alt.X("share:Q"), text=alt.Text("text:N"))
            .transform_filter(only(kind="label"))
        )
        chart = alt.layer(bars, label, data=texts.data(rows)).properties(width=300, height=24 * len(names))
        return (
            chart,
            joined([joined(said, "; "), Words(".", ".")], ""),
            Words(
                "Tot heißt: zwei Zeiträume von 90 gemeldeten Tagen ohne einen Online-Antrag, obwohl vergleichbare Behörden welche hatten (Anteil"
                " falscher Funde höchstens 5 %). Eine tote Anbindung ist eine Frage an die Behörde, kein Vorwurf.",
                "Dead means: two periods of 90 reported days without an online submission although like authorities had some (false discoveries at"
                " most 5 %). A dead connection is a question to the authority, no reproach.",
            ),
        )

    return figure_of(view, "dormant", Words("Tote Anbindungen", "Dead connections"), cited, table, draw)
