"""Whoever knows every public number: a linear programme over all of it, and random worlds to attack.

Belongs here: what can be concluded from public tables alone, by arithmetic. Does not: how cells are chosen; the attacker reads
tables of the public tier, never the mask.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from dbt_project.estimators.disclosure import CELL, GROUP, mask


@dataclass
class System:
    """Linear equations over unknown counts, each at least 0."""

    index: dict[Any, int] = field(default_factory=dict)
    equations: list[tuple[dict[int, float], float]] = field(default_factory=list)

    def unknown(self, name: Any) -> int:
        return self.index.setdefault(name, len(self.index))

    def say(self, names: Iterable[Any], total: float) -> None:
        """The sum of some unknowns is known."""
        terms: dict[int, float] = defaultdict(float)
        for name in names:
            terms[self.unknown(name)] += 1.0
        if terms:
            self.equations.append((dict(terms), total))

    def parts(self) -> dict[int, list[int]]:
        """Equations by connected part: what shares no unknown says nothing about each other."""
        parent = list(range(len(self.index)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        for terms, _ in self.equations:
            first, *others = terms
            for other in others:
                parent[root(other)] = root(first)
        found: dict[int, list[int]] = defaultdict(list)
        for number, (terms, _) in enumerate(self.equations):
            found[root(next(iter(terms)))].append(number)
        self._root = root
        return found

    def intervals(self, names: Iterable[Any]) -> dict[Any, tuple[float, float]]:
        """The least and the greatest value that each unknown can have; infinity where nothing bounds it."""
        parts = self.parts()
        found = {}
        for name in names:
            column = self.index.get(name)
            equations = parts.get(self._root(column), []) if column is not None else []
            if not equations:
                found[name] = (0.0, np.inf)
                continue
            columns = sorted({c for number in equations for c in self.equations[number][0]})
            place = {c: i for i, c in enumerate(columns)}
            rows, cols, values = [], [], []
            for row, number in enumerate(equations):
                for c, value in self.equations[number][0].items():
                    rows.append(row)
                    cols.append(place[c])
                    values.append(value)
            a = csr_matrix((values, (rows, cols)), shape=(len(equations), len(columns)))
            b = [self.equations[number][1] for number in equations]
            goal = np.zeros(len(columns))
            goal[place[column]] = 1.0
            ends = []
            for sign in (1.0, -1.0):
                solved = linprog(sign * goal, A_eq=a, b_eq=b, bounds=(0, None), method="highs")
                assert solved.status in (0, 3), (
                    solved.message
                )  # solved, or without bound: what is public contradicts itself otherwise
                ends.append(sign * solved.fun if solved.status == 0 else np.inf)
            found[name] = (ends[0], ends[1])
        return found


def published(cells: pl.DataFrame, masked: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What a release would publish of cells: the cells, and per group its total and its total over the paired ones."""
    both = cells.join(masked, on=CELL)
    shown = both.with_columns(pl.when(~pl.col("is_suppressed")).then("submitted").alias("submitted"))
    totals = (
        both.filter("is_in_total")
        .group_by(GROUP)
        .agg(
            total=pl.when(pl.col("is_total_shown").first()).then(pl.col("submitted").sum()),
            paired_total=pl.when(pl.col("is_pairing_shown").first()).then(pl.col("submitted").filter("is_paired").sum()),
        )
    )
    return shown, totals


def remember(system: System, shown: pl.DataFrame, totals: pl.DataFrame, release: Any) -> None:
    """Add what a release publishes to what is known; unknowns are (release, cell)."""
    by_group = defaultdict(list)
    for row in shown.filter("is_in_total").iter_rows(named=True):
        by_group[tuple(row[c] for c in GROUP)].append(row)
    for total in totals.iter_rows(named=True):
        rows = by_group[tuple(total[c] for c in GROUP)]
        for sum_, members in (("total", rows), ("paired_total", [r for r in rows if r["is_paired"]])):
            if total[sum_] is not None:
                hidden = [(release, *(r[c] for c in CELL)) for r in members if r["is_suppressed"]]
                system.say(hidden, total[sum_] - sum(r["submitted"] for r in members if not r["is_suppressed"]))


def link(system: System, before: pl.DataFrame, now: pl.DataFrame, is_same: pl.DataFrame, old: Any, new: Any) -> None:
    """The worst case: the attacker also knows which counts are the same in both releases. ``is_same``: those cells."""
    one = {tuple(r[c] for c in CELL): r for r in before.iter_rows(named=True)}
    two = {tuple(r[c] for c in CELL): r for r in now.iter_rows(named=True)}
    for cell in is_same.select(CELL).iter_rows():
        a, b = one.get(cell), two.get(cell)
        if a is None or b is None:
            continue
        if a["is_suppressed"] and b["is_suppressed"]:
            i, j = system.unknown((old, *cell)), system.unknown((new, *cell))
            system.equations.append(({i: 1.0, j: -1.0}, 0.0))
        elif a["is_suppressed"]:
            system.say([(old, *cell)], b["submitted"])
        elif b["is_suppressed"]:
            system.say([(new, *cell)], a["submitted"])


__all__ = ["CELL", "GROUP", "System", "link", "mask", "published", "remember"]
