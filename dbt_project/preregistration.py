"""The pre-registered rule of the test of the economies of scale, read from ``preregistration.yml``.

Belongs here: reading and validating that file, and its hash. Does not: applying the rule (``estimators/scale.py``).
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PATH = Path(__file__).with_name("preregistration.yml")

Claim = Literal["C0", "C1", "C2"]
Outcome = Literal["cost", "person_days"]
Share = Annotated[float, Field(gt=0, lt=1)]

#: The gates that the estimators know how to measure; the file states all of them and no other.
GATES = (
    "clusters",
    "connections",
    "span_doublings",
    "leverage_share",
    "invoiced_share",
    "price_actual_share",
    "direct_share",
    "difficulty_share",
    "complete_share",
    "lots",
    "laender",
    "reverse_bound",
)

#: The decision rule as it is built; the file states it in these words, so that the two cannot part unseen.
DECISION = (
    ("any gate fails", "inconclusive"),
    ("low > 0 and estimate >= delta", "supported"),
    ("high < delta and low > 0", "immaterial"),
    ("high < delta", "contradicted"),
    ("otherwise", "inconclusive"),
)


class PreregistrationError(ValueError):
    """The file cannot be used; the message names the place and the remedy."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sentence(_Model):
    """One sentence in German and in English."""

    de: str = Field(min_length=10)
    en: str = Field(min_length=10)


class Primary(_Model):
    """Claim and outcome whose verdict is the programme's."""

    claim: Claim
    outcome: Outcome


class Look(_Model):
    """One look at the data: on ``look_on`` at what was accepted up to ``accepted_by``, with intervals of ``ci_level``."""

    name: str
    accepted_by: date
    look_on: date
    ci_level: Share

    @model_validator(mode="after")
    def _in_order(self) -> Look:
        if self.look_on <= self.accepted_by:
            raise ValueError("look_on must be after accepted_by: costs are booked after acceptance")
        return self


class Gate(_Model):
    """A condition without which nothing is decided (or only: not ``supported``), for some claims and outcomes; the threshold passes."""

    claims: tuple[Claim, ...]
    outcomes: tuple[Outcome, ...]
    at_least: float | None = None
    at_most: float | None = None
    blocks: Literal["every verdict", "supported"] = "every verdict"

    @model_validator(mode="after")
    def _one_side(self) -> Gate:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("either at_least or at_most")
        return self

    @property
    def threshold(self) -> float:
        """The number that the measured value is held against."""
        return float(self.at_least if self.at_least is not None else self.at_most or 0.0)

    def passes(self, value: float | None) -> bool:
        """Whether the value meets the gate; what is unknown (None) does not."""
        if value is None:
            return False
        return value >= self.threshold if self.at_least is not None else value <= self.threshold


class Decision(_Model):
    """One line of the decision rule in words."""

    when: str
    then: str


class Robustness(_Model):
    """Specifications in which a finding must hold, and how many of them carry its size."""

    specifications: tuple[str, ...] = Field(min_length=1)
    at_least: int = Field(ge=0)


class PhaseWeights(_Model):
    """Share of a connection that has been earned in a phase."""

    integrating: float = Field(ge=0, le=1)
    onboarding: float = Field(ge=0, le=1)
    operational: float = Field(ge=0, le=1)


class Power(_Model):
    """Savings per doubling at which the rule's power is stated."""

    savings: tuple[Share, Share, Share]
    draws: int = Field(ge=500)
    seed: int = Field(ge=0)


class Preregistration(_Model):
    """The whole rule. ``sha256`` is that of the file's bytes, in hexadecimal."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    version: int = Field(ge=1)
    signed_on: date | None
    signed_by: str | None
    hypotheses: dict[Claim, Sentence]
    primary: Primary
    delta_per_doubling: Share
    outcomes: dict[Outcome, str]
    observations: str
    specifications: dict[str, str]
    experience: str
    baseline: str
    deflator: str
    clusters: str
    intraclass_correlation: float = Field(ge=0, lt=1)
    controls: tuple[Literal["ln_population", "difficulty"], ...]
    fixed_effects: str
    phase_weights: PhaseWeights
    looks: tuple[Look, ...] = Field(min_length=1)
    look_invoiced_share_min: Share
    descriptive_ci_level: Share
    gates: dict[str, Gate]
    decision: tuple[Decision, ...]
    robustness: dict[Outcome, Robustness]
    scale_confirmed_by: Literal["S1_cluster"]
    descriptive_group_min: int = Field(ge=2)
    power: Power

    @model_validator(mode="after")
    def _whole(self) -> Preregistration:
        if set(self.gates) != set(GATES):
            odd = sorted(set(self.gates) ^ set(GATES))
            raise ValueError(f"gates: {', '.join(odd)}: exactly these gates are known: {', '.join(GATES)}")
        if tuple((line.when, line.then) for line in self.decision) != DECISION:
            raise ValueError("decision: differs from the rule that is built; change both or neither")
        named = {name for robustness in self.robustness.values() for name in robustness.specifications}
        if not named <= set(self.specifications):
            raise ValueError(f"robustness: {', '.join(sorted(named - set(self.specifications)))} is not among the specifications")
        if set(self.robustness) != {"cost", "person_days"}:
            raise ValueError("robustness: both outcomes need an entry")
        days = [look.look_on for look in self.looks]
        if days != sorted(set(days)):
            raise ValueError("looks: later looks come later in the file")
        if (self.signed_on is None) != (self.signed_by is None):
            raise ValueError("signed_on and signed_by: both or neither")
        return self


def load(path: Path = PATH) -> Preregistration:
    """The rule. Raises :class:`PreregistrationError` where the file is missing, is not YAML or does not state the whole rule."""
    try:
        content = path.read_bytes()
        raw: Any = yaml.safe_load(content)
    except OSError as error:
        raise PreregistrationError(f"{path}: cannot be read ({error.strerror}). Restore the file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PreregistrationError(f"{path}: not valid YAML ({str(error).splitlines()[0]}). Correct the file.") from error
    if not isinstance(raw, dict) or "sha256" in raw:
        raise PreregistrationError(f"{path}: not a mapping of the rule's parts. Restore the file.")
    try:
        return Preregistration.model_validate({**raw, "sha256": hashlib.sha256(content).hexdigest()})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise PreregistrationError(f"{path}: {place}: {first['msg']}. Correct the entry.") from error
