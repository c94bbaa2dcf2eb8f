"""The programme's verdict (C1 on cost) from a published ``scale_observation.parquet`` and ``preregistration.yml``, without the project:

python tests/verdict_by_hand.py scale_observation.parquet preregistration.yml 2027-03-01
"""

import json
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from scipy.stats import t

rows, today = pl.read_parquet(sys.argv[1]).sort("authority_id", "service_id"), date.fromisoformat(sys.argv[3])
rule = yaml.safe_load(Path(sys.argv[2]).read_text(encoding="utf-8"))
ln = {"c": "cost_variable_eur", "total": "payer_total_eur", "weight": "phase_weight", "n": "cumulative_connections"}
ln |= {"own": "own", "pop": "population"}
rows = rows.with_columns(own=pl.col("cumulative_connections") - pl.col("baseline_connections"))
rows = rows.with_columns(pl.when(pl.col(of) > 0).then(pl.col(of).cast(pl.Float64).log()).alias(to) for to, of in ln.items())
rows = rows.with_columns(
    earned=pl.col("c") - pl.col("weight"),
    cell=pl.col("land_code") + pl.col("service_id"),
    days=pl.col("started_on").to_physical(),
)
looks = [look for look in rule["looks"] if look["look_on"] <= today]
looks = [
    look
    for look in looks
    if rows.filter(pl.col("accepted_on") <= look["accepted_by"])["is_invoiced"].mean() >= rule["look_invoiced_share_min"]
]
until, level = (looks or [{"accepted_by": date.max}])[-1]["accepted_by"], (looks or rule["looks"])[-1]["ci_level"]
rows = rows.filter(pl.col("started_on") <= until)
accepted = rows.filter(pl.col("accepted_on") <= until)
invoiced = accepted.filter("is_invoiced")
actual = invoiced.filter(pl.col("price_mechanism") == "actual")
if actual.is_empty():
    print(json.dumps({"verdict": "inconclusive" if looks else "not_due"}))
    sys.exit()


def design(of, *names):  # the first column apart; every column less theta times the mean of its cluster
    columns = np.column_stack([of.select(names).to_numpy(), of["cell"].to_dummies().to_numpy()]).astype(float)
    rho, part = rule["intraclass_correlation"], of["cluster"].to_dummies().to_numpy().astype(float)
    size = part.sum(axis=0)[:, None]
    columns -= part @ ((1 - np.sqrt((1 - rho) / (1 - rho + size * rho))) / size * (part.T @ columns))
    return columns[:, 0], columns[:, 1:]


def saving(slope, se, df):
    return [1 - 2 ** (slope + side * t.ppf((1 + level) / 2, df) * se) for side in (0, 1, -1)]


def learn(of, y="c", n="n", *more):
    of = of.drop_nulls([y, n, "pop", "difficulty", "cluster"])
    z, x = design(of, y, n, "pop", "difficulty", *more)
    b, *_ = np.linalg.lstsq(x, z)
    others = [(of["cluster"] != cluster).to_numpy() for cluster in of["cluster"].unique()]
    away = np.array([np.linalg.lstsq(x[kept], z[kept])[0][0] - b[0] for kept in others])
    df = away.size - 1
    se = float(np.sqrt(df / away.size * away @ away))
    return of, b, se, df, saving(b[0], se, df)


used, b, se, df, (estimate, low, high) = learn(actual)
used = used.with_columns(c=pl.col("c") - b[1] * pl.col("pop") - b[2] * pl.col("difficulty"))
others = {}
if looks:  # before a look there is nothing to be robust
    waves = used.with_columns(pl.col("c", "n") - pl.col("c", "n").mean().over("cell")).group_by("contractor", "cluster")
    steps = waves.agg(pl.mean("c", "n", "days")).sort("contractor", "days").select(pl.col("c", "n").diff().over("contractor"))
    dy, dx = steps.drop_nulls().to_numpy().T
    w = dy @ dx / (dx @ dx)
    others |= {
        "S3": learn(actual, "c", "n", "days")[4],
        "S5": saving(w, np.sqrt(np.square(dy - w * dx).sum() / (dy.size - 1) / (dx @ dx)), dy.size - 1),
        "S6": learn(actual, "c", "own")[4],
        "S7": learn(actual.filter(~pl.col("is_pilot")))[4],
        "S8": learn(rows.filter(pl.col("price_mechanism") == "actual"), "earned")[4],
        "S9": learn(actual, "total")[4],
    }
n, controls = design(used, "n", "pop", "difficulty")
leverage = (
    used.select("cluster", own=np.square(n - controls @ np.linalg.lstsq(controls, n)[0]))
    .group_by("cluster")
    .sum()["own"]
    .to_numpy()
)
spans = used.filter(~pl.col("is_pilot")).group_by("cell").agg(of=(pl.max("n") - pl.min("n")) / np.log(2), k=pl.len()).sort("of")
cost, direct = (
    invoiced.select(pl.col("cost_variable_eur", "allocation_direct_share").cast(float).fill_null(0).clip(0)).to_numpy().T
)
in_time = accepted["difficulty"].is_not_null() & (accepted["difficulty_recorded_on"] < accepted["wave_started_on"])
values = {
    "clusters": df + 1,
    "connections": used.height,
    "span_doublings": spans.filter(pl.col("k").cum_sum() >= pl.col("k").sum() / 2)["of"][0],
    "leverage_share": leverage.max() / leverage.sum(),
    "invoiced_share": invoiced.height / accepted.height,
    "price_actual_share": cost[(invoiced["price_mechanism"] == "actual").fill_null(False)].sum() / cost.sum(),
    "direct_share": (cost * direct).sum() / cost.sum(),
    "difficulty_share": in_time.fill_null(False).mean(),
    "complete_share": used.height / actual.height,
}
gates = {name: gate for name, gate in rule["gates"].items() if "C1" in gate["claims"] and "cost" in gate["outcomes"]}
failed = [
    name for name, gate in gates.items() if not gate.get("at_least", -np.inf) <= values[name] <= gate.get("at_most", np.inf)
]
delta, enough, kept = rule["delta_per_doubling"], rule["robustness"]["cost"]["at_least"], others.values()
holds = min((rate for rate, _, _ in kept), default=0) > 0 and sum(rate >= delta for rate, _, _ in kept) >= enough
verdict = "inconclusive"
if low > 0 and estimate >= delta:
    verdict = "supported" if holds else "inconclusive"
elif high < delta:
    falls = "contradicted" if sum(top < delta for _, _, top in kept) >= enough else "inconclusive"
    verdict = "immaterial" if low > 0 else falls
verdict = "not_due" if not looks else "inconclusive" if failed else verdict
numbers = {"estimate": estimate, "se": se, "df": df, "ci_low": low, "ci_high": high, "n": used.height, "clusters": df + 1}
print(json.dumps({"verdict": verdict, **numbers, "delta": delta, "gates": failed}))
