"""Tables and pictures of ``docs/method.md``, from the kept result and the rule's file: no number of theirs is typed by hand.

Belongs here: the form of what is measured. Does not: the page's words, which stand in the page between the marks ``<!-- name -->`` and
``<!-- /name -->`` (what is between them is overwritten), measuring (``operating_characteristics.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from benchmarks import operating_characteristics as measured
from dbt_project import preregistration
from dbt_project.estimators import scale
from dbt_project.estimators.regression import saving

PAGE = measured.ROOT / "docs" / "method.md"
PICTURES = measured.ROOT / "docs" / "pictures"

_VERDICTS = ("supported", "immaterial", "contradicted", "inconclusive")
_COLOURS = {"supported": "#1b7837", "immaterial": "#d9b365", "contradicted": "#b2182b", "inconclusive": "#bdbdbd"}
#: Of the example of degression, in thousand EUR.
_FIXED, _VARIABLE = 300, 10
_LINES = {"bare": "solid", "complete": "dashed"}
_MAIN = re.compile(r"(\d+) clusters, (calm|rough)")


def bounds(count: int, of: int) -> tuple[float, float]:
    """Clopper–Pearson 95 % interval of a share: the Monte Carlo error of what is printed."""
    low = 0.0 if count == 0 else float(stats.beta.ppf(0.025, count, of - count + 1))
    high = 1.0 if count == of else float(stats.beta.ppf(0.975, count + 1, of - count))
    return low, high


def share(count: int, of: int) -> str:
    """A share in per cent with its Monte Carlo interval."""
    low, high = bounds(count, of)
    return f"{100 * count / of:.1f} % ({100 * low:.1f}–{100 * high:.1f})" if of else "–"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _per_cent(value: float) -> str:
    return f"{100 * value:g} %"


def _cells(result: Mapping[str, Any], kind: str = "verdict") -> list[dict[str, Any]]:
    return [cell for cell in result["cells"] if cell["kind"] == kind]


def _within(result: Mapping[str, Any], rate: float | None = None) -> list[dict[str, Any]]:
    return [c for c in _cells(result) if c["is_within_assumptions"] and rate in (None, c["learning_rate"])]


def promises(result: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """What the test must keep, the worst cell in words, and whether every cell keeps it."""
    told: list[tuple[str, str, bool]] = []

    def judge(
        words: str, cells: list[dict[str, Any]], pick: Callable[[dict[str, Any]], tuple[int, int]], limit: float, how: str
    ) -> None:
        value = {"bound": lambda c, n: bounds(c, n)[1], "most": lambda c, n: c / n, "least": lambda c, n: -c / n}[how]
        worst = max(cells, key=lambda cell: value(*pick(cell)))
        kept = value(*pick(worst)) <= (-limit if how == "least" else limit)
        told.append((words, f"{share(*pick(worst))}: {worst['design']}", kept))

    for outcome, named in (("cost", "cost"), ("person_days", "person-days")):
        for rule in ("bare", "complete"):
            name = f"C1 {outcome} {rule}"
            judge(
                f"{named}, {rule} rule: false *supported* at learning 0, upper bound at most 5 %",
                _within(result, 0.0),
                lambda cell, name=name: (cell[name].get("supported", 0), cell["worlds"]),  # type: ignore[misc]
                0.05,
                "bound",
            )
            judge(
                f"{named}, {rule} rule: false *contradicted* at learning 10 % at most 1 %",
                _within(result, 0.10),
                lambda cell, name=name: (cell[name].get("contradicted", 0), cell["worlds"]),  # type: ignore[misc]
                0.01,
                "most",
            )
        for level, least in (("95", 0.93), ("97.5", 0.955)):
            name = f"C1 {outcome} holds {level}"
            judge(
                f"{named}: {level} % intervals cover at least {_per_cent(least)}",
                [_covered(design, cells, name) for design, cells in _by_design(_within(result)).items()],
                lambda cell: (cell["held"], cell["of"]),
                least,
                "least",
            )
    for outcome, named in (("cost", "cost"), ("person_days", "person-days")):
        judge(
            f"forecast of {named}: 95 % intervals hold the next Land's total in at least 90 %",
            _cells(result, "forecast"),
            lambda cell, outcome=outcome: (cell[outcome]["held"], cell[outcome]["of"]),  # type: ignore[misc]
            0.90,
            "least",
        )
    return told


def _covered(design: str, cells: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Intervals of a design that hold the truth. Another true saving moves estimate and truth alike: its cells are one sample."""
    return {"design": design, "held": sum(cell[name]["held"] for cell in cells), "of": sum(cell[name]["of"] for cell in cells)}


def _promises(result: Mapping[str, Any]) -> str:
    return table(
        ("Promise", "Worst cell", "Kept"),
        [(words, worst, "yes" if kept else "**no**") for words, worst, kept in promises(result)],
    )


def _errors(result: Mapping[str, Any]) -> str:
    rows = []
    for cell in _within(result):
        n = cell["worlds"]
        rows.append(
            [cell["design"], _per_cent(cell["learning_rate"])]
            + [share(cell[f"C1 cost {rule}"].get(verdict, 0), n) for verdict in _VERDICTS[:3] for rule in ("bare", "complete")]
        )
    heads = [f"*{verdict}*, {rule}" for verdict in _VERDICTS[:3] for rule in ("bare", "complete")]
    return table(("Design", "True saving per doubling", *heads), rows)


def _coverage(result: Mapping[str, Any]) -> str:
    rows = []
    for design, cells in _by_design(_within(result)).items():
        row = [design]
        for outcome in ("cost", "person_days"):
            for level in ("95", "97.5"):
                name = f"C1 {outcome} holds {level}"
                found = _covered(design, cells, name)
                row.append(share(found["held"], found["of"]))
        row.append(f"{100 * np.mean([cell['C1 cost width']['mean'] for cell in cells]):.0f} points")
        rows.append(row)
    return table(
        ("Design", "Cost, 95 %", "Cost, 97.5 %", "Person-days, 95 %", "Person-days, 97.5 %", "Mean width at 97.5 %, cost"), rows
    )


def _by_design(cells: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        found.setdefault(cell["design"], []).append(cell)
    return found


def _power(result: Mapping[str, Any]) -> str:
    rows = []
    for cell in _within(result):
        if cell["learning_rate"] == 0:
            continue
        n, percent = cell["worlds"], round(100 * cell["learning_rate"])
        rows.append(
            [cell["design"], _per_cent(cell["learning_rate"])]
            + [share(cell[f"C1 cost {rule}"].get("supported", 0), n) for rule in ("bare", "complete")]
            + [f"{100 * cell[f'C1 cost told power {percent}']['mean']:.0f} %"]
            + [share(cell[f"C1 person_days {rule}"].get("supported", 0), n) for rule in ("bare", "complete")]
        )
    heads = (
        "Design",
        "True saving",
        "Cost, bare",
        "Cost, complete",
        "told by the verdict, mean",
        "Person-days, bare",
        "Person-days, complete",
    )
    return table(heads, rows)


def _selection(result: Mapping[str, Any]) -> str:
    rows = []
    for cell in _cells(result):
        if " first" in cell["design"]:
            n = cell["worlds"]
            rows.append(
                [cell["design"], _per_cent(cell["learning_rate"]), f"{100 * (1 - 2 ** -cell['C1 cost w']['mean']):.1f} %"]
                + [share(cell["C1 cost complete"].get(verdict, 0), n) for verdict in ("supported", "contradicted")]
            )
    return table(("Order of the connections", "True saving", "Estimated on average", "*supported*", "*contradicted*"), rows)


def _lots(result: Mapping[str, Any]) -> str:
    rows = []
    for cell in _cells(result):
        if cell["design"].startswith("lots"):
            n, gates = cell["worlds"], cell["C2 cost gates"]
            rows.append(
                [cell["design"].removeprefix("lots, ")]
                + [share(cell["C2 cost complete"].get(verdict, 0), n) for verdict in _VERDICTS]
                + [share(gates.get("reverse_bound", 0), n)]
            )
    return table(("Call-offs with", *(f"*{verdict}*" for verdict in _VERDICTS), "stopped by the reverse bound"), rows)


def _rivals(result: Mapping[str, Any]) -> str:
    rows = []
    for design, cells in _by_design(_within(result)).items():
        for words, bare, holds in (
            ("the rule's: partially pooled, CRV3", "C1 cost bare", "C1 cost holds 97.5"),
            ("unweighted, CRV3", "unweighted bare", "unweighted holds 97.5"),
            ("unweighted, wild cluster bootstrap", "bootstrap bare", "bootstrap holds 97.5"),
        ):
            at = {cell["learning_rate"]: cell for cell in cells}
            covered = _covered(design, cells, holds)
            counts = [(at[rate][bare].get(verdict, 0), at[rate]["worlds"]) if rate in at else (0, 0) for rate, verdict in _SHOWN]
            rows.append([design, words, share(covered["held"], covered["of"]), *(share(*count) for count in counts)])
    heads = (
        "Design",
        "Estimator and error",
        "97.5 % intervals cover",
        "*supported* at 0",
        "*contradicted* at 0",
        "*supported* at 5 %",
        "*supported* at 10 %",
    )
    return table(heads, rows)


_SHOWN = ((0.0, "supported"), (0.0, "contradicted"), (0.05, "supported"), (0.10, "supported"))


def _forecast(result: Mapping[str, Any]) -> str:
    rows = []
    for cell in _cells(result, "forecast"):
        for outcome, named in (("cost", "cost"), ("person_days", "person-days")):
            told = cell[outcome]
            rows.append(
                [
                    f"{cell['land_sd']:g}",
                    f"{cell['clusters_mean']:.0f}",
                    named,
                    share(told["held"], told["of"]),
                    share(told["services_held"], told["services"]),
                    f"÷ and × {told['width_factor']:.2f}",
                    f"{100 * (np.exp(told['error_mean']) - 1):+.1f} %",
                    f"{100 * told['error_sd']:.0f} %",
                ]
            )
    heads = (
        "Länder differ by (sd of ln)",
        "Clusters known",
        "Outcome",
        "Total within the interval",
        "Services within theirs",
        "Interval, mean",
        "Error, mean",
        "Error, sd",
    )
    return table(heads, rows)


def _gates(_: Mapping[str, Any]) -> str:
    rule = preregistration.load()
    rows = []
    for name, gate in rule.gates.items():
        value = f"{_per_cent(gate.threshold)}" if name.endswith("_share") else f"{gate.threshold:g}"
        side = "at least" if gate.at_least is not None else "at most"
        outcomes = " and ".join(outcome.replace("_", "-") for outcome in gate.outcomes)
        rows.append([scale.GATE_WORDS[name][1], f"{side} {value}", f"{', '.join(gate.claims)}: {outcomes}"])
    return table(("What is measured", "Needed", "For"), rows)


def _decision(_: Mapping[str, Any]) -> str:
    rule = preregistration.load()
    lines = [f"{number}. {line.when} → **{line.then}**" for number, line in enumerate(rule.decision, 1)]
    looks = "; ".join(
        f"{look.name}: accepted by {look.accepted_by}, taken on {look.look_on} at the earliest, {_per_cent(look.ci_level)} intervals"
        for look in rule.looks
    )
    signed = (
        f"signed on {rule.signed_on} by {rule.signed_by}"
        if rule.signed_on
        else "not signed by anybody yet, and every verdict says so"
    )
    return "\n".join([*lines, "", f"`low` and `high` are the ends of the interval of the saving per doubling, `delta` is {_per_cent(rule.delta_per_doubling)}.",
        f"Looks: {looks}. The rule is {signed}."])  # fmt: skip


def _robustness(_: Mapping[str, Any]) -> str:
    rule = preregistration.load()
    return table(
        ("Outcome", "Specifications", "of them with the size"),
        [
            (outcome.replace("_", "-"), ", ".join(demand.specifications), f"at least {demand.at_least}")
            for outcome, demand in rule.robustness.items()
        ],
    )


def _made(result: Mapping[str, Any]) -> str:
    verdicts, forecasts = _cells(result), _cells(result, "forecast")
    worlds = sorted({cell["worlds"] for cell in result["cells"]})
    cost = sum(cell["worlds"] * cell["cpu_seconds_per_world"] for cell in result["cells"])
    return (
        f"{len(verdicts)} cells of the test and {len(forecasts)} of the forecast, {' to '.join(f'{n:,}' for n in worlds)} worlds each, seed"
        f" {result['seed']}, code `{result['fingerprint']}`, rule `{result['rule_sha256'][:12]}`: {cost / 60:.0f} minutes of one processor core"
        f" ({1000 * cost / sum(cell['worlds'] for cell in result['cells']):.0f} ms per world)."
    )


def _degression(_: Mapping[str, Any]) -> str:
    count = np.arange(1, 501)
    slope = float(np.polyfit(np.log(count), np.log(_FIXED / count + _VARIABLE), 1)[0])
    return (
        f"With {_FIXED} thousand EUR of fixed cost and {_VARIABLE} thousand EUR for every connection, always the same, the average over 500"
        f" connections shows an apparent learning rate of {100 * saving(slope):.0f} %. The true one is 0."
    )


_BLOCKS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "degression": _degression,
    "decision": _decision,
    "gates": _gates,
    "robustness": _robustness,
    "made": _made,
    "promises": _promises,
    "errors": _errors,
    "coverage": _coverage,
    "power": _power,
    "selection": _selection,
    "lots": _lots,
    "rivals": _rivals,
    "forecast": _forecast,
}


def filled(page: str, result: Mapping[str, Any]) -> str:
    """The page with every block between its marks. Raises ``ValueError`` where a mark is missing or unknown."""
    found = re.findall(r"<!-- (\w+) -->", page)
    if sorted(found) != sorted(_BLOCKS):
        raise ValueError(f"The page's marks {sorted(found)} are not {sorted(_BLOCKS)}: correct the page.")
    for name, block in _BLOCKS.items():
        before, _, rest = page.partition(f"<!-- {name} -->")
        _, closing, after = rest.partition(f"<!-- /{name} -->")
        if not closing:
            raise ValueError(f"The page has no <!-- /{name} -->: correct the page.")
        page = f"{before}<!-- {name} -->\n{block(result)}\n{closing}{after}"
    return page


def pictures(result: Mapping[str, Any]) -> dict[str, Any]:
    """Altair charts by file name."""
    import altair

    return {
        "degression": _picture_of_degression(altair),
        "power": _picture_of_power(altair, result),
        "verdicts": _picture_of_verdicts(altair, result),
        "coverage": _picture_of_coverage(altair, result),
        "forecast": _picture_of_forecast(altair, result),
    }


def _picture_of_degression(altair: Any) -> Any:
    count = np.unique(np.geomspace(1, 500, 60).astype(int))
    frame = pl.concat(
        pl.DataFrame({"connections": count, "cost": cost.astype(float), "curve": [name] * count.size})
        for name, cost in (
            ("average full cost: falls, although nobody learns", _FIXED / count + _VARIABLE),
            ("variable cost of each connection: constant", np.full(count.size, _VARIABLE)),
        )
    )
    return (
        altair.Chart(frame, width=420, height=220)
        .mark_line()
        .encode(
            altair.X("connections:Q", scale=altair.Scale(type="log", nice=False), title="connections so far"),
            altair.Y("cost:Q", scale=altair.Scale(type="log"), title="thousand EUR per connection"),
            altair.Color(
                "curve:N",
                title=None,
                scale=altair.Scale(range=["#b2182b", "#2166ac"]),
                legend=altair.Legend(orient="bottom", labelLimit=400),
            ),
        )
    )


def _picture_of_power(altair: Any, result: Mapping[str, Any]) -> Any:
    rows = []
    for cell in _within(result):
        named = _MAIN.fullmatch(cell["design"])
        for rule in ("bare", "complete") if named else ():
            count, n = cell[f"C1 cost {rule}"].get("supported", 0), cell["worlds"]
            low, high = bounds(count, n)
            rows.append(
                {
                    "saving": 100 * cell["learning_rate"],
                    "share": 100 * count / n,
                    "low": 100 * low,
                    "high": 100 * high,
                    "clusters": f"{named[1]} clusters",  # type: ignore[index]
                    "shocks": f"{named[2]} waves",  # type: ignore[index]
                    "rule": f"{_LINES[rule]}: {rule} rule",
                }
            )
    base = altair.Chart(pl.DataFrame(rows), width=250, height=230).encode(
        altair.X("saving:Q", title="true saving per doubling, %", axis=altair.Axis(values=[0, 5, 10, 20])),
        color=altair.Color("clusters:N", title=None, scale=altair.Scale(range=["#a6cee3", "#1f78b4", "#08306b"])),
    )
    line = base.mark_line(point=True).encode(
        altair.Y("share:Q", title="verdicts “supported”, %", scale=altair.Scale(domain=[0, 100])),
        strokeDash=altair.StrokeDash(
            "rule:N", title=None, scale=altair.Scale(domain=["solid: bare rule", "dashed: complete rule"], range=[[1, 0], [4, 2]])
        ),
        detail="rule:N",
    )
    error = base.mark_rule().encode(altair.Y("low:Q", title="verdicts “supported”, %"), altair.Y2("high:Q"), detail="rule:N")
    return altair.layer(line, error).facet(altair.Column("shocks:N", title=None)).configure_legend(orient="bottom")


def _picture_of_verdicts(altair: Any, result: Mapping[str, Any]) -> Any:
    rows = [
        {
            "design": cell["design"],
            "saving": f"true saving {_per_cent(cell['learning_rate'])}",
            "order": cell["learning_rate"],
            "verdict": verdict,
            "rank": rank,
            "share": 100 * cell["C1 cost complete"].get(verdict, 0) / cell["worlds"],
        }
        for cell in _within(result)
        if _MAIN.fullmatch(cell["design"])
        for rank, verdict in enumerate(_VERDICTS)
    ]
    return (
        altair.Chart(pl.DataFrame(rows), width=150, height=170)
        .mark_bar()
        .encode(
            altair.X("share:Q", title="worlds, %", scale=altair.Scale(domain=[0, 100])),
            altair.Y("design:N", title=None),
            altair.Color(
                "verdict:N",
                title=None,
                scale=altair.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
                legend=altair.Legend(orient="bottom"),
            ),
            altair.Order("rank:Q"),
            altair.Column("saving:N", title=None, sort=altair.SortField("order")),
        )
    )


def _picture_of_coverage(altair: Any, result: Mapping[str, Any]) -> Any:
    rows = []
    for design, cells in _by_design(_within(result)).items():
        for level, least in (("95", 93.0), ("97.5", 95.5)):
            found = _covered(design, cells, f"C1 cost holds {level}")
            count, n = found["held"], found["of"]
            low, high = bounds(count, n)
            rows.append(
                {
                    "design": design,
                    "level": f"{level} % intervals",
                    "share": 100 * count / n,
                    "low": 100 * low,
                    "high": 100 * high,
                    "least": least,
                }
            )
    base = altair.Chart(pl.DataFrame(rows), width=250, height=200).encode(altair.Y("design:N", title=None))
    axis = {"title": "hold the truth, %", "scale": altair.Scale(domain=[90, 100], zero=False, clamp=True)}
    dot = base.mark_point(filled=True, size=60, color="#08306b").encode(altair.X("share:Q", **axis))
    error = base.mark_rule(color="#08306b").encode(altair.X("low:Q", **axis), altair.X2("high:Q"))
    least = base.mark_tick(color="#b2182b", thickness=2, size=14).encode(altair.X("least:Q", **axis))
    return altair.layer(least, error, dot).facet(altair.Column("level:N", title=None))


def _picture_of_forecast(altair: Any, result: Mapping[str, Any]) -> Any:
    cell = max(_cells(result, "forecast"), key=lambda one: (one["land_sd"] == 0.2, one["clusters_mean"]))
    rows = [
        {"world": number, "low": low, "high": high, "truth": "within" if low <= 1 <= high else "outside"}
        for number, (low, high) in enumerate(sorted(cell["first"], key=lambda ends: ends[0] * ends[1]))
    ]
    base = altair.Chart(pl.DataFrame(rows), width=560, height=200)
    bar = base.mark_rule(strokeWidth=3).encode(
        altair.X(
            "world:O",
            title=f"{len(rows)} worlds, Länder differ by {cell['land_sd']:g}",
            axis=altair.Axis(labels=False, ticks=False),
        ),
        altair.Y("low:Q", scale=altair.Scale(type="log"), title="interval ÷ what the Land cost"),
        altair.Y2("high:Q"),
        altair.Color("truth:N", title=None, scale=altair.Scale(domain=["within", "outside"], range=["#2166ac", "#b2182b"])),
    )
    line = altair.Chart(pl.DataFrame({"one": [1.0]})).mark_rule(strokeDash=[4, 3]).encode(altair.Y("one:Q"))
    return altair.layer(bar, line)


def write(page: Path = PAGE, result: Path = measured.RESULT, folder: Path = PICTURES) -> None:
    """Fill the page and draw its pictures as SVG (needs ``vl-convert-python``)."""
    kept = json.loads(result.read_text(encoding="utf-8"))
    page.write_text(filled(page.read_text(encoding="utf-8"), kept), encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in pictures(kept).items():
        chart.configure_view(stroke=None).save(str(folder / f"{name}.svg"))
