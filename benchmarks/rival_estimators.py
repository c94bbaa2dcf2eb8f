"""A rival of the test's estimator, to be compared with it in the same worlds: what the rule could have used instead.

Belongs here: the null-imposed wild cluster bootstrap (WCR). Does not: the estimator of the rule and plain least squares with the cluster
jackknife (``dbt_project/estimators/regression.py``), the worlds, the comparison (``operating_characteristics.py``).

Sources: Cameron, Gelbach and Miller (2008); MacKinnon, Nielsen and Webb (2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Design:
    """A regression of ``y`` on ``x`` (the regressor of interest) and ``controls`` (n, k), dummies of the levels among them."""

    y: np.ndarray
    x: np.ndarray
    controls: np.ndarray
    cluster: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, x: np.ndarray, level: np.ndarray, cluster: np.ndarray) -> Design:
        """``x`` (n, p), the regressor of interest first; ``level`` and ``cluster``: labels (n,)."""
        _, level_code = np.unique(level, return_inverse=True)
        _, cluster_code = np.unique(cluster, return_inverse=True)
        order = np.argsort(cluster_code, kind="stable")
        dummies = np.eye(level_code.max() + 1)[level_code]
        controls = np.column_stack([x[:, 1:], dummies])
        return cls(y[order], x[order, 0], controls[order], cluster_code[order])

    @property
    def bounds(self) -> np.ndarray:
        """Where each cluster begins, (G,)."""
        return np.flatnonzero(np.diff(self.cluster, prepend=-1))


def wild_cluster_p(design: Design, slope: float, draws: int, rng: np.random.Generator) -> float:
    """Two-sided p of ``slope`` for the regressor of interest: restricted residuals, Rademacher weights per cluster, CRV1 t statistic."""
    q, _ = np.linalg.qr(design.controls)
    z = design.x - q @ (q.T @ design.x)
    null = design.y - slope * design.x
    restricted = null - q @ (q.T @ null)
    starts = design.bounds
    spread = float(z @ z)
    score = np.add.reduceat(z * restricted, starts)
    own = np.add.reduceat(z * z, starts)
    pulled = np.add.reduceat(restricted[:, None] * q, starts) @ np.add.reduceat(z[:, None] * q, starts).T
    weights = np.concatenate([np.ones((1, starts.size)), rng.choice([-1.0, 1.0], (draws, starts.size))])
    moved = weights @ score
    scores = weights * score - weights @ pulled - (moved / spread)[:, None] * own
    t = np.abs(moved) / np.sqrt((scores**2).sum(axis=1))
    return float((1 + (t[1:] >= t[0]).sum()) / (1 + draws))
