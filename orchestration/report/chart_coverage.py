"""How far the connections are: coverage with target and prediction, phases, and the time that they take."""

from __future__ import annotations

from typing import Any

import polars as pl

from orchestration.report import words
from orchestration.report.figure import (
    MOST_ROWS,
    ROW,
    Figure,
    Texts,
    View,
    both,
    day_axis,
    facet,
    few,
    figure_of,
    hue,
    iso,
    joined,
    last_value,
    listed,
    only,
    place,
    row_names,
    share_axis,
    styled,
)
from orchestration.report.words import NOTHING, Words

#: Phases that a connection goes through, in order.
_PATH = ("planned", "contracted", "integrating", "onboarding", "operational")


#: Reasons of commitment_status.
_NO_PREDICTION = {
    "no_target": Words("kein Zieldatum", "no target date"),
    "target_passed": Words("Zieldatum vorbei", "target date past"),
    "too_few_events": Words("noch zu wenige fertige Anbindungen", "too few finished connections yet"),
    "no_plan": Words("für offene Anbindungen fehlt ein geplanter Beginn", "open connections lack a planned start"),
    "beyond_experience": Words("länger offen als je beobachtet", "open for longer than ever observed"),
    "no_competent_authority": Words("niemand zuständig", "nobody competent"),
}


def coverage_over_time(view: View) -> Figure:
    """Coverage by authorities since three months before the programme, the path that it would need, and the predicted interval."""
    return _programme_coverage(view) if not (view.land_code or view.service_id) else _service_coverage(view)


def _programme_coverage(view: View) -> Figure:
    table = "metrics.programme_coverage_daily"
    cited = view.cite(
        table,
        f"""select c.land_code, c.as_of, c.authority_service_pairs_operational, c.authority_service_pairs_competent, c.coverage_micro_share,
        c.coverage_min_share, c.coverage_min_service_id, l.target_on, l.target_share, l.programme_start
        from {table} c join core.dim_land l using (land_code) join (select max(as_of) as last_on from {table}) on true
        where c.as_of >= coalesce(l.programme_start, c.as_of) - 91 and date_diff('day', c.as_of, last_on) % 7 = 0
        order by c.land_code, c.as_of""",
        needs=["core.dim_land"],
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        names = row_names(view, frame, texts, "land_code")
        all_, least, path = (
            texts(Words("alle Leistungen zusammen", "all services together")),
            texts(Words("langsamste Leistung", "slowest service")),
            texts(Words("nötiger Weg zum Ziel", "path needed to the target")),
        )
        rows, said = [], []
        for (code,), land in sorted(frame.group_by("land_code", maintain_order=True), key=lambda item: names[item[0][0]]):
            for row in land.iter_rows(named=True):
                rows += [
                    {"row": names[code], "kind": kind, "day": iso(row["as_of"]), "share": row[column]}
                    for kind, column in ((all_, "coverage_micro_share"), (least, "coverage_min_share"))
                ]
            last = land.row(-1, named=True)
            if last["target_on"] and last["target_on"] > last["as_of"] and last["target_share"] is not None:
                ends = ((last["as_of"], last["coverage_micro_share"]), (last["target_on"], last["target_share"]))
                rows += [{"row": names[code], "kind": path, "day": iso(on), "share": share} for on, share in ends]
            rows.append(
                {
                    "row": names[code],
                    "kind": "label",
                    "day": iso(last["as_of"]),
                    "share": last["coverage_micro_share"],
                    "text": texts(words.share(last["coverage_micro_share"])),
                }
            )
            said.append(
                both(
                    "{land}: {share} ({part} von {whole}), langsamste Leistung {service} mit {least}.",
                    "{land}: {share} ({part} of {whole}), slowest service {service} with {least}.",
                    land=words.term("land", code),
                    share=words.share(last["coverage_micro_share"]),
                    part=words.number(last["authority_service_pairs_operational"]),
                    whole=words.number(last["authority_service_pairs_competent"]),
                    service=words.term("service", last["coverage_min_service_id"]),
                    least=words.share(last["coverage_min_share"]),
                )
            )
        lines = (
            alt.Chart()
            .mark_line()
            .encode(
                day_axis(),
                share_axis("share"),
                **styled([(all_, "blue", [1, 0]), (least, "green", [2, 2]), (path, "vermilion", [7, 4])]),
            )
            .transform_filter("datum.kind !== 'label'")
        )
        chart = facet([lines, *last_value()], texts.data(rows), list(names.values()))
        alt_text = joined(
            [
                both(
                    "Anteil der Anbindungen in Betrieb an allen Paaren aus zuständiger Behörde und Leistung am {day}.",
                    "Share of connections in operation among all pairs of competent authority and service on {day}.",
                    day=words.day(frame["as_of"].max()),  # type: ignore[arg-type]
                ),
                *said,
            ]
        )
        return (
            chart,
            alt_text,
            Words(
                "Leistungen mit vielen Behörden wiegen hier mehr; die langsamste Leistung steht deshalb daneben. Jeder Tag ist auf den"
                " heutigen Gebietsstand gerechnet. Wochenwerte.",
                "Services with many authorities weigh more here, so that the slowest service stands beside them. Every day is told on today's"
                " territorial status. Weekly values.",
            ),
        )

    return figure_of(view, "coverage-over-time", Words("Abdeckung im Zeitverlauf", "Coverage over time"), cited, table, draw)


def _service_coverage(view: View) -> Figure:
    table, other = "metrics.coverage_daily", "metrics.commitment_status"
    cited = view.cite(
        table,
        f"""select c.land_code, c.service_id, c.as_of, c.authorities_operational, c.authorities_competent, c.coverage_authority_share,
        s.target_on, s.target_share, s.required_pace_per_week, s.actual_pace_per_week, s.open_predicted_count,
        s.open_predicted_low_count, s.open_predicted_high_count, s.coverage_predicted_share, s.coverage_predicted_low_share,
        s.coverage_predicted_high_share, s.prediction_reason
        from {table} c join core.dim_land l using (land_code) join (select max(as_of) as last_on from {table}) on true
        left join {other} s using (land_code, service_id, as_of)
        where {view.one_by_one} and c.as_of >= coalesce(l.programme_start, c.as_of) - 91 and date_diff('day', c.as_of, last_on) % 7 = 0
        order by c.land_code, c.service_id, c.as_of""",
        needs=["core.dim_land", other],
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        names = row_names(view, frame, texts)
        now, path, guess = (
            texts(Words("in Betrieb", "in operation")),
            texts(Words("nötiger Weg zum Ziel", "path needed to the target")),
            texts(Words("Prognose mit 95-%-Intervall", "prediction with 95 % interval")),
        )
        rows: list[dict[str, Any]] = []
        said: list[Words] = []
        without: dict[Words, list[Words]] = {}
        for (code,), part in sorted(frame.group_by(view.by, maintain_order=True), key=lambda item: names[item[0][0]]):
            name = names[code]
            known = part.filter(pl.col("coverage_authority_share").is_not_null())
            if known.is_empty():
                continue
            rows += [
                {"row": name, "kind": now, "day": iso(on), "share": share}
                for on, share in known.select("as_of", "coverage_authority_share").iter_rows()
            ]
            last = known.row(-1, named=True)
            on, share, whole = last["as_of"], last["coverage_authority_share"], last["authorities_competent"]
            rows.append({"row": name, "kind": "label", "day": iso(on), "share": share, "text": texts(words.share(share))})
            outlook = NOTHING
            if last["target_on"] and last["target_on"] > on and last["target_share"] is not None:
                rows += [
                    {"row": name, "kind": path, "day": iso(on), "share": share},
                    {"row": name, "kind": path, "day": iso(last["target_on"]), "share": last["target_share"]},
                ]
                if last["open_predicted_count"] is not None:
                    middle, low, high = (last[f"coverage_predicted_{end}share"] for end in ("", "low_", "high_"))
                    rows += [
                        {"row": name, "kind": guess, "day": iso(on), "share": share, "low": share, "high": share},
                        {"row": name, "kind": guess, "day": iso(last["target_on"]), "share": middle, "low": low, "high": high},
                    ]
                    outlook = both(
                        "; am {day} voraussichtlich {open} offen (95 %: {low} bis {high})",
                        "; {open} probably open on {day} (95 %: {low} to {high})",
                        day=words.day(last["target_on"]),
                        open=few(last["open_predicted_count"]),
                        low=words.number(last["open_predicted_low_count"]),
                        high=words.number(last["open_predicted_high_count"]),
                    )
            if last["open_predicted_count"] is None:
                why = _NO_PREDICTION.get(last["prediction_reason"], words.UNKNOWN)
                without.setdefault(why, []).append(view.row(code))
            said.append(
                joined(
                    [
                        both(
                            "{row}: {share} ({part} von {whole})",
                            "{row}: {share} ({part} of {whole})",
                            row=view.row(code),
                            share=words.share(share),
                            part=words.number(last["authorities_operational"]),
                            whole=words.number(whole),
                        ),
                        outlook,
                    ],
                    "",
                )
            )
        if not rows:
            return (
                None,
                NOTHING,
                Words("Niemand ist zuständig: es gibt keine Abdeckung.", "Nobody is competent: there is no coverage."),
            )
        present = {row["kind"] for row in rows}
        kinds = [(now, "blue", [1, 0]), (path, "vermilion", [7, 4]), (guess, "purple", [2, 2])]
        kinds = [kind for kind in kinds if kind[0] in present]
        band = (
            alt.Chart()
            .mark_area(color=hue("band"), stroke=hue("purple"), strokeWidth=0.7)
            .encode(alt.X("day:T"), alt.Y("low:Q"), alt.Y2("high:Q"))
            .transform_filter(only(kind=guess))
        )
        lines = (
            alt.Chart()
            .mark_line()
            .encode(day_axis(), share_axis("share"), **styled(kinds))
            .transform_filter("datum.kind !== 'label'")
        )
        chart = facet(
            [band, lines, *last_value()],
            texts.data(rows),
            [name for name in names.values() if any(row["row"] == name for row in rows)],
        )
        alt_text = joined(
            [
                both(
                    "Anteil der zuständigen Behörden, die in Betrieb sind, am {day}.",
                    "Share of the competent authorities that are in operation on {day}.",
                    day=words.day(frame["as_of"].max()),  # type: ignore[arg-type]
                ),
                joined([joined(said, "; "), Words(".", ".")], ""),
            ]
        )
        note = Words("Wochenwerte.", "Weekly values.")
        if guess in present:
            meaning = Words(
                "Die Prognose fragt, was herauskommt, wenn es so weitergeht wie bisher; das Intervall soll den Ausgang in 95 von 100"
                " Fällen enthalten. Kein politischer Halt und kein Ausfall eines Auftragnehmers ist darin.",
                "The prediction asks what comes of it if things go on as they did; the interval shall hold the outcome in 95 of 100"
                " cases. No political stop and no failing contractor is in it.",
            )
            note = joined([meaning, note])
        if without:
            note = joined(
                [
                    note,
                    both(
                        "Ohne Prognose: {rows}.",
                        "Without a prediction: {rows}.",
                        rows=joined(
                            [
                                both("{rows} ({why})", "{rows} ({why})", rows=listed(found), why=why)
                                for why, found in without.items()
                            ],
                            "; ",
                        ),
                    ),
                ]
            )
        return chart, alt_text, note

    return figure_of(
        view, "coverage-over-time", Words("Abdeckung, Ziel und Prognose", "Coverage, target and prediction"), cited, table, draw
    )


def commitment_outlook(view: View) -> Figure:
    """Where each Land and service stands, and where it will be on the target date."""
    table, other = "metrics.commitment_status", "metrics.coverage_daily"
    cited = view.cite(
        table,
        f"""select land_code, service_id, target_on, target_share, authorities_competent, authorities_operational, coverage_authority_share,
        authorities_open, open_predicted_count, open_predicted_low_count, open_predicted_high_count, coverage_predicted_share,
        coverage_predicted_low_share, coverage_predicted_high_share, prediction_reason, required_pace_per_week, actual_pace_per_week
        from {table} join {other} using (land_code, service_id, as_of, authorities_competent, authorities_operational)
        where {view.one_by_one} and authorities_competent > 0 order by land_code, service_id""",
        needs=[other],
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        shown = frame.filter(pl.col("open_predicted_count").is_not_null())
        without = frame.height - shown.height
        reasons = (
            frame.filter(pl.col("open_predicted_count").is_null()).group_by("prediction_reason").len().sort("prediction_reason")
        )
        reason = both(
            "Ohne Prognose: {reasons}.",
            "Without a prediction: {reasons}.",
            reasons=listed(
                [
                    both("{n} × {why}", "{n} × {why}", n=count, why=_NO_PREDICTION.get(code, words.UNKNOWN))
                    for code, count in reasons.iter_rows()
                ]
            ),
        )
        if shown.is_empty():
            return None, NOTHING, reason
        now, guess = (
            texts(Words("heute", "today")),
            texts(Words("am Zieldatum, mit 95-%-Intervall", "on the target date, with 95 % interval")),
        )
        rows = []
        drawn = shown.sort("coverage_predicted_share", maintain_order=True).head(MOST_ROWS)
        for row in sorted(drawn.iter_rows(named=True), key=lambda row: place(row, " · ").de):
            name = texts(place(row, " · "))
            rows += [
                {"row": name, "kind": now, "share": row["coverage_authority_share"]},
                {
                    "row": name,
                    "kind": guess,
                    "share": row["coverage_predicted_share"],
                    "low": row["coverage_predicted_low_share"],
                    "high": row["coverage_predicted_high_share"],
                },
            ]
        names = [now, guess]
        y = alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=330, domain=False, ticks=False, grid=True))
        base = alt.Chart().encode(y)
        spans = (
            base.mark_rule(color=hue("purple"), strokeWidth=3)
            .encode(alt.X("low:Q"), alt.X2("high:Q"))
            .transform_filter(only(kind=guess))
        )
        dots = base.mark_point(size=60).encode(
            share_axis("share", axis=alt.X, values=(0, 0.25, 0.5, 0.75, 1)),
            color=alt.Color("kind:N", scale=alt.Scale(domain=names, range=[hue("blue"), hue("purple")])),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=names, range=["circle", "diamond"])),
        )
        chart = alt.layer(spans, dots, data=texts.data(rows)).properties(width=330, height=ROW * drawn.height)
        reached = shown.filter(pl.col("coverage_predicted_high_share") >= pl.col("target_share").fill_null(1) - 1e-9)
        ordered = shown.sort("coverage_predicted_share", descending=True, maintain_order=True)
        best, worst = ordered.row(0, named=True), ordered.row(-1, named=True)
        alt_text = both(
            "In {n} von {all} Fällen reicht das Intervall der Prognose bis zum Ziel. Am weitesten wird voraussichtlich {best} sein"
            " ({best_open} von {best_all} Behörden offen), am wenigsten weit {worst} ({worst_open} von {worst_all} offen).",
            "In {n} of {all} cases the interval of the prediction reaches the target. Furthest will probably be {best} ({best_open} of"
            " {best_all} authorities open), least far {worst} ({worst_open} of {worst_all} open).",
            n=words.number(reached.height),
            all=words.number(shown.height),
            **{
                f"{name}{suffix}": value
                for name, row in (("best", best), ("worst", worst))
                for suffix, value in (
                    ("", place(row, ", ")),
                    ("_open", few(row["open_predicted_count"])),
                    ("_all", words.number(row["authorities_competent"])),
                )
            },
        )
        note = Words(
            "Vorhergesagt ist der Ausgang, wenn es so weitergeht wie bisher, kein Mittelwert. Wo wenige Behörden zuständig sind, springt"
            " der Anteil.",
            "Predicted is the outcome if things go on as they did, no mean. Where few authorities are competent the share jumps.",
        )
        if drawn.height < shown.height:
            least = both(
                "Gezeichnet sind die {n} von {all} Fällen mit der niedrigsten vorhergesagten Abdeckung.",
                "Drawn are the {n} of {all} cases with the lowest predicted coverage.",
                n=words.number(drawn.height),
                all=words.number(shown.height),
            )
            note = joined([least, note])
        return chart, alt_text, joined([note, reason]) if without else note

    return figure_of(view, "outlook", Words("Wird das Ziel erreicht?", "Will the target be met?"), cited, table, draw)


def phase_funnel(view: View) -> Figure:
    """How many competent authorities have come how far, and how many are in each phase now."""
    is_whole = not (view.land_code or view.service_id)
    table = "metrics.programme_phase_funnel" if is_whole else "metrics.phase_funnel_daily"
    counts = (
        "authority_service_pairs_current as authorities_current_count, authority_service_pairs_reached as authorities_reached_count"
        if is_whole
        else "authorities_current_count, authorities_reached_count"
    )
    cited = view.cite(
        table,
        f"""select {view.by}, phase, phase_order, as_of, {counts} from {table}
        where {view.where if is_whole else view.one_by_one} and as_of = (select max(as_of) from {table}) order by {view.by}, phase_order""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        names = row_names(view, frame, texts)
        order = [texts(words.term("phase", phase)) for phase in _PATH]
        rows, said = [], []
        for (code,), part in sorted(frame.group_by(view.by, maintain_order=True), key=lambda item: names[item[0][0]]):
            counts = {row["phase"]: row for row in part.iter_rows(named=True)}
            whole = counts["none"]["authorities_reached_count"] if "none" in counts else 0
            if not whole:
                continue
            for phase, name in zip(_PATH, order, strict=True):
                row = counts[phase]
                reached, current = row["authorities_reached_count"], row["authorities_current_count"]
                rows.append(
                    {
                        "row": names[code],
                        "phase": name,
                        "reached": reached / whole,
                        "current": current / whole,
                        "text": texts(
                            both(
                                "{reached}, davon jetzt hier {current}",
                                "{reached}, of them here now {current}",
                                reached=words.number(reached),
                                current=words.number(current),
                            )
                        ),
                    }
                )
            away = [
                both(
                    "{n} {phase}",
                    "{n} {phase}",
                    n=words.number(counts[phase]["authorities_current_count"]),
                    phase=words.term("phase", phase),
                )
                for phase in ("suspended", "withdrawn")
                if counts[phase]["authorities_current_count"]
            ]
            said.append(
                joined(
                    [
                        both(
                            "{row}: von {whole} zuständigen haben {contracted} einen Vertrag, {integrating} die technische Anbindung begonnen,"
                            " {operational} sind oder waren in Betrieb ({now} jetzt)",
                            "{row}: of {whole} competent ones {contracted} have a contract, {integrating} began to integrate, {operational} are"
                            " or were operational ({now} now)",
                            row=view.row(code),
                            whole=words.number(whole),
                            now=words.number(counts["operational"]["authorities_current_count"]),
                            **{phase: words.number(counts[phase]["authorities_reached_count"]) for phase in _PATH},
                        ),
                        *away,
                    ],
                    ", ",
                )
            )
        if not rows:
            return None, NOTHING, Words("Niemand ist zuständig.", "Nobody is competent.")
        y = alt.Y("phase:N", title=None, sort=order, scale=alt.Scale(paddingInner=0.1, paddingOuter=0.3))
        base = alt.Chart().encode(y)
        reached = base.mark_bar(filled=False, stroke=hue("blue"), strokeWidth=1.2, height=15).encode(
            share_axis("reached", axis=alt.X, values=(0, 0.5, 1))
        )
        current = base.mark_bar(height=15).encode(alt.X("current:Q"))
        label = base.mark_text(align="left", dx=2, baseline="bottom", dy=-8, fontSize=11).encode(
            x=alt.value(0), text=alt.Text("text:N")
        )
        chart = facet(
            [reached, current, label],
            texts.data(rows),
            [name for name in names.values() if any(r["row"] == name for r in rows)],
            height=175,
        )
        unit = (
            Words("Paare aus Behörde und Leistung.", "Pairs of authority and service.")
            if view.by == "land_code" and not view.service_id
            else NOTHING
        )
        note = Words(
            "Umriss: wer je so weit kam; gefüllt: wer jetzt hier steht. Wer zurückfällt, bleibt im Umriss.",
            "Outline: who ever came so far; filled: who is here now. Who falls back stays in the outline.",
        )
        return chart, joined([joined(said, ". "), Words(".", ".")], ""), joined([note, unit])

    return figure_of(view, "phase-funnel", Words("Stand der Anbindungen", "How far the connections are"), cited, table, draw)


def time_in_phase(view: View) -> Figure:
    """For how long authorities have been in a phase, beside how long those were who have left it."""
    table = "metrics.time_in_phase"
    cited = view.cite(
        table,
        f"""select {view.by}, phase, phase_order, authorities_in_phase, current_median_days, completed_count, completed_median_days,
        completed_p90_days, stuck_threshold_days, authorities_stuck, stuck_reason from {table}
        where {view.one_by_one} and phase in ('planned', 'contracted', 'integrating', 'onboarding') order by {view.by}, phase_order""",
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        names = row_names(view, frame, texts)
        order = [texts(words.term("phase", phase)) for phase in _PATH[:-1]]
        so_far = texts(Words("bisher hier: Median", "here so far: median"))
        done = texts(Words("beendet: Median bis neun Zehntel", "ended: median to nine tenths"))
        rows: list[dict[str, Any]] = []
        stuck = 0
        said = []
        for row in frame.iter_rows(named=True):
            at = {"row": names[row[view.by]], "phase": texts(words.term("phase", row["phase"]))}
            if row["completed_median_days"] is not None:
                rows.append({**at, "kind": done, "days": row["completed_median_days"], "high": row["completed_p90_days"]})
            if row["current_median_days"] is not None:
                rows.append({**at, "kind": so_far, "days": row["current_median_days"]})
            if row["authorities_stuck"]:
                stuck += row["authorities_stuck"]
                verb = "hängt" if row["authorities_stuck"] == 1 else "hängen"
                text = both(f"{{n}} {verb}", "{n} stuck", n=words.number(row["authorities_stuck"]))
                rows.append(
                    {
                        **at,
                        "kind": "label",
                        "days": max(row["completed_p90_days"] or 0, row["current_median_days"] or 0),
                        "text": texts(text),
                    }
                )
                said.append(
                    both(
                        "{row}, {phase}: {n} länger als {days} Tage",
                        "{row}, {phase}: {n} for more than {days} days",
                        row=view.row(row[view.by]),
                        phase=words.term("phase", row["phase"]),
                        n=words.number(row["authorities_stuck"]),
                        days=words.number(row["stuck_threshold_days"]),
                    )
                )
        if not rows:
            return (
                None,
                NOTHING,
                Words("Noch war keine Behörde in einer dieser Phasen.", "No authority has been in one of these phases yet."),
            )
        kinds = [so_far, done]
        y = alt.Y("phase:N", title=None, sort=order)
        base = alt.Chart().encode(y)
        span = (
            base.mark_rule(color=hue("ink"), strokeWidth=2)
            .encode(alt.X("days:Q"), alt.X2("high:Q"))
            .transform_filter(only(kind=done))
        )
        dots = (
            base.mark_point(size=55)
            .encode(
                alt.X("days:Q", scale=alt.Scale(domainMin=0), title=texts(Words("Tage", "days"))),
                color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[hue("blue"), hue("ink")])),
                shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"])),
            )
            .transform_filter("datum.kind !== 'label'")
        )
        label = (
            base.mark_text(align="left", dx=9, color=hue("vermilion"), fontWeight="bold", fontSize=11)
            .encode(alt.X("days:Q"), text=alt.Text("text:N"))
            .transform_filter(only(kind="label"))
        )
        chart = facet(
            [span, dots, label],
            texts.data(rows),
            [name for name in names.values() if any(r["row"] == name for r in rows)],
            height=88,
        )
        head = both(
            "{n} Behörden stehen länger in einer Phase als neun von zehn vor ihnen.",
            "{n} authorities have been in a phase for longer than nine in ten before them.",
            n=words.number(stuck),
        )
        alt_text = joined([head, joined([joined(said, "; "), Words(".", ".")], "")]) if said else head
        return (
            chart,
            alt_text,
            Words(
                "„Hängt“ heißt: länger in der Phase als neun von zehn, die sie verlassen haben, in irgendeinem Land; nicht gesagt, wo weniger"
                " als 20 sie verlassen haben.",
                "“Stuck” means: in the phase for longer than nine in ten of those who left it, in any Land; not told where less than 20 have.",
            ),
        )

    return figure_of(view, "time-in-phase", Words("Zeit in den Phasen", "Time in the phases"), cited, table, draw)


def time_to_operational(view: View) -> Figure:
    """Kaplan–Meier curve of the time from the start of work to operation, with its interval; all connections beside it."""
    table, other = "metrics.time_to_operational", "metrics.time_to_operational_summary"
    if view.land_code and view.service_id:
        kind, own = "land_service", f"stratum_kind = 'land_service' and {view.where}"
    elif view.land_code or view.service_id:
        kind = "land" if view.land_code else "service"
        own = f"stratum_kind = '{kind}' and {view.where}"
    else:
        kind, own = "all", "stratum_kind = 'all'"
    cited = view.cite(
        table,
        f"""select t.stratum_kind, t.stratum, t.days, t.at_risk_count, t.operational_share, t.operational_low_share, t.operational_high_share,
        s.connections_begun, s.connections_completed, s.median_days, s.median_low_days,
        s.median_high_days, s.p90_days
        from {table} t join {other} s using (stratum_kind, stratum)
        where (t.stratum_kind = 'all' or (t.stratum_kind, t.stratum) in (select (stratum_kind, stratum) from {table} where {own}))
        and t.event_count > 0 order by t.stratum_kind, t.stratum, t.days""",
        needs=[other],
    )

    def draw(frame: pl.DataFrame, texts: Texts) -> tuple[Any, Words, Words]:
        import altair as alt

        main = frame.filter(pl.col("stratum_kind") == kind)
        if main.is_empty():
            return (
                None,
                NOTHING,
                Words(
                    "Noch wurde hier keine Anbindung des Programms fertig.",
                    "No connection of the programme is finished here yet.",
                ),
            )
        here = {
            "all": Words("alle Anbindungen", "all connections"),
            "land": words.term("land", view.land_code),
            "service": words.term("service", view.service_id),
            "land_service": words.term("service", view.service_id),
        }[kind]
        name, rest = texts(here), texts(Words("zum Vergleich: alle Anbindungen", "to compare: all connections"))
        rows: list[dict[str, Any]] = []
        for part, label in ((main, name), *([] if kind == "all" else [(frame.filter(pl.col("stratum_kind") == "all"), rest)])):
            rows.append({"kind": label, "days": 0, "share": 0, "low": 0, "high": 0})
            rows += [
                {"kind": label, "days": days, "share": share, "low": low, "high": high}
                for days, share, low, high in part.select(
                    "days", "operational_share", "operational_low_share", "operational_high_share"
                ).iter_rows()
            ]
        summary = main.row(0, named=True)
        kinds = [(name, "blue", [1, 0])] + ([] if kind == "all" else [(rest, "muted", [2, 3])])
        x = alt.X(
            "days:Q", title=texts(Words("Tage seit Beginn der technischen Anbindung", "days since work on the integration began"))
        )
        band = (
            alt.Chart()
            .mark_area(interpolate="step-after", color=hue("band"), stroke=hue("blue"), strokeWidth=0.6)
            .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"))
            .transform_filter(f"{only(kind=name)} && isValid(datum.low)")
        )
        curve = (
            alt.Chart()
            .mark_line(interpolate="step-after")
            .encode(x, share_axis("share", values=(0, 0.25, 0.5, 0.75, 1)), **styled(kinds))
        )
        layers = [band, curve]
        if summary["median_days"] is not None:
            text = both("Hälfte: {days} Tage", "half: {days} days", days=words.number(summary["median_days"]))
            half = {"days": summary["median_days"], "share": 0.5, "text": texts(text)}
            base = alt.Chart(texts.data([half])).encode(alt.X("days:Q"), alt.Y("share:Q"))
            layers += [
                base.mark_point(color=hue("ink")),
                base.mark_text(align="left", dx=8, dy=9, fontWeight="bold").encode(text=alt.Text("text:N")),
            ]
        chart = alt.layer(*layers, data=texts.data(rows)).properties(width=500, height=210)
        interval = (
            both(
                " (95 %: {low} bis {high})",
                " (95 %: {low} to {high})",
                low=words.number(summary["median_low_days"]),
                high=words.number(summary["median_high_days"]),
            )
            if summary["median_low_days"] is not None and summary["median_high_days"] is not None
            else NOTHING
        )
        half_said = (
            joined(
                [
                    both(
                        "die Hälfte ist nach {days} Tagen in Betrieb",
                        "half are operational after {days} days",
                        days=words.number(summary["median_days"]),
                    ),
                    interval,
                ],
                "",
            )
            if summary["median_days"] is not None
            else Words("die Hälfte ist noch nicht in Betrieb", "half are not operational yet")
        )
        tenth = (
            both(", neun Zehntel nach {days} Tagen", ", nine tenths after {days} days", days=words.number(summary["p90_days"]))
            if summary["p90_days"] is not None
            else NOTHING
        )
        alt_text = both(
            "Von {begun} begonnenen Anbindungen sind {done} fertig; {half}{tenth}.",
            "Of {begun} connections begun {done} are finished; {half}{tenth}.",
            begun=words.number(summary["connections_begun"]),
            done=words.number(summary["connections_completed"]),
            half=half_said,
            tenth=tenth,
        )
        return (
            chart,
            alt_text,
            Words(
                "Kaplan-Meier-Schätzung mit 95-%-Intervall: offene Anbindungen zählen mit, solange sie beobachtet sind. Was vor dem Programm in"
                " Betrieb war, ist nicht darin.",
                "Kaplan–Meier estimate with 95 % interval: open connections count for as long as they are observed. What was operational before"
                " the programme is not in it.",
            ),
        )

    return figure_of(view, "time-to-operational", Words("Zeit bis zum Betrieb", "Time to operation"), cited, table, draw)
