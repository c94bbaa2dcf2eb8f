"""dbt in this process: parse once per version of the code, build from what was parsed, events for Dagster.

Belongs here: everything that touches dbt's or dagster-dbt's Python API, some of which is undocumented (dagster-dbt is pinned for it
and ``tests/test_orchestration_definitions.py`` watches it). Does not: models (``dbt_project``), judging the result (``expectations``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbt_project import PROJECT_DIR
from orchestration import parts
from orchestration.settings import Settings, code_version

#: The nightly build leaves unit tests out: they test formulas, not tonight's data. Its results are taken from memory.
BUILD = ["--no-write-json", "build", "--exclude-resource-type", "unit_test"]
#: dbt's own name of what it parsed.
PARSED = "partial_parse.msgpack"

_DEFAULTS = {"ROLLIN_THREADS": "2", "ROLLIN_MEMORY": "4GB"}


class DbtError(RuntimeError):
    """dbt itself could not work, whatever the data: a project that does not parse."""


@dataclass
class BuildResult:
    """What a build did. ``failures``: one sentence per failed node or test; ``rebuilt``: names of models built in this run;
    ``tests``: what its data tests found, in the form of the gate's check results."""

    success: bool
    failures: list[str] = field(default_factory=list)
    rebuilt: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)


def prepare(settings: Settings) -> Path:
    """Set dbt's environment for a home and return the path of the manifest, parsed anew where the project changed.

    Raises DbtError where the project does not parse.
    """
    target = settings.build / "dbt"
    target.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target / "logs"),
            "ROLLIN_INPUTS": str(settings.build / "tonight" / "inputs"),
            "ROLLIN_BUILD": str(settings.build / "tonight" / "warehouse.duckdb"),
            **{name: os.environ.get(name, default) for name, default in _DEFAULTS.items()},
        }
    )
    manifest, parsed, stamp = target / "manifest.json", target / PARSED, target / "manifest.version"

    def version() -> str:
        """Of the code and of the bytes that it was parsed to: what a power cut left half is parsed anew."""
        digest = hashlib.sha256()
        for path in (manifest, parsed):
            digest.update(path.read_bytes())
        return f"{code_version()} {digest.hexdigest()}"

    if manifest.is_file() and parsed.is_file() and stamp.is_file() and stamp.read_text() == version():
        return manifest
    parsed.unlink(missing_ok=True)  # dbt would take up what it finds
    result = invoke(["parse"])
    if not result.success:
        raise DbtError(f"The dbt project does not parse: {result.exception}")
    stamp.write_text(version())
    return manifest


def marts(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The published models (schemas core, metrics and meta) of a manifest, in the order of their names."""
    nodes = [
        n for n in manifest["nodes"].values() if n["resource_type"] == "model" and n["schema"] in ("core", "metrics", "meta")
    ]
    return sorted(nodes, key=lambda node: (node["schema"], node["name"]))


def masked(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The public tier's own versions of published models (schemas public_*), in the order of their names."""
    nodes = [n for n in manifest["nodes"].values() if n["resource_type"] == "model" and n["schema"].startswith("public_")]
    return sorted(nodes, key=lambda node: (node["schema"], node["name"]))


def inputs(manifest: dict[str, Any]) -> dict[str, frozenset[str]]:
    """By ``schema.table`` the canonical tables of the run that a published model, or its masked version, is made of."""
    nodes = manifest["nodes"]
    known: dict[str, frozenset[str]] = {}

    def of(unique_id: str) -> frozenset[str]:
        if unique_id not in known:
            if unique_id.startswith("source."):
                known[unique_id] = frozenset({unique_id.rpartition(".")[2]})
            else:
                parents = nodes.get(unique_id, {}).get("depends_on", {}).get("nodes", [])
                known[unique_id] = frozenset().union(*(of(parent) for parent in parents))
        return known[unique_id]

    found: dict[str, frozenset[str]] = {}
    for node in [*marts(manifest), *masked(manifest)]:
        table = f"{node['schema'].removeprefix('public_')}.{node['alias']}"
        found[table] = found.get(table, frozenset()) | of(node["unique_id"])
    return found


def build(manifest: dict[str, Any]) -> BuildResult:
    """Run ``dbt build`` in this process and close every connection, so that no ``.wal`` is left and the gate can open the file.

    What its inputs say of usage by month is kept beside the runs where there is much of it (``orchestration/parts.py``).
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from google.protobuf.json_format import MessageToDict

    outcome = BuildResult(success=False)
    inputs = Path(os.environ["ROLLIN_INPUTS"])
    store = inputs.parents[1].resolve() / parts.STORE
    os.environ["ROLLIN_PARTS"] = str(store) if parts.are_months_kept(inputs) else ""

    def remember(event: Any) -> None:
        if event.info.name in ("LogTestResult", "LogModelResult", "NodeFinished", "LogSeedResult"):
            outcome.events.append(MessageToDict(event, preserving_proto_field_name=True))

    try:
        parsed = read_parsed((Path(os.environ["DBT_TARGET_PATH"]) / PARSED).read_bytes())
        result = invoke(BUILD, [remember], parsed)
    finally:
        DuckDBConnectionManager.close_all_connections()
    if result.exception is not None:
        raise DbtError(f"dbt could not run: {result.exception}")
    for node in result.result or []:
        kind, status = str(node.node.resource_type), str(node.status)
        if kind == "model" and status == "success":
            outcome.rebuilt.add(node.node.name)
        if kind == "test":
            outcome.tests.append(_test_result(node, status, manifest))
        if status in ("error", "fail"):
            what = "test" if kind == "test" else kind
            detail = f"{node.failures} rows" if status == "fail" else " ".join((node.message or "").split())[:400]
            outcome.failures.append(f"{what} {node.node.name}: {detail}")
    outcome.success = bool(result.success)
    return outcome


def _test_result(node: Any, status: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """A data test as a check result; its table is the model that it is written at, or the only one that it reads."""
    parents = [node.node.attached_node] if getattr(node.node, "attached_node", None) else node.node.depends_on_nodes
    tested = manifest["nodes"].get(parents[0]) if len(parents) == 1 else None
    return {
        "suite": "dbt",
        "table": f"{tested['schema']}.{tested['name']}" if tested else "",
        "name": node.node.name,
        "column": getattr(node.node, "column_name", None),
        "severity": str(node.node.config.severity).lower(),
        "passed": status == "pass",
        "is_broken": status == "error",
        "observed": f"{node.failures or 0} row(s)",
        "expected": "0 row(s)",
        "unexpected_count": node.failures,
        "description_de": "Datentest von dbt: keine Zeile verletzt die Regel.",
        "description_en": "Data test of dbt: no row breaks the rule.",
        "examples": [],
    }


def dagster_events(outcome: BuildResult, manifest: dict[str, Any], translator: Any, context: Any) -> Iterator[Any]:
    """What dbt did as Dagster materialisations and check results."""
    from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

    for raw in outcome.events:
        yield from DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={}).to_default_asset_events(
            manifest=manifest, dagster_dbt_translator=translator, context=context, target_path=Path(os.environ["DBT_TARGET_PATH"])
        )


def load_manifest(path: Path) -> dict[str, Any]:
    """The manifest as a dictionary."""
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def read_parsed(kept: bytes) -> Any:
    """dbt's manifest from what ``parse`` kept. Handed to a build, the project's files are not compared with it nor read again.

    It names no folder of a home (the profile reads those from the environment when a build begins), so that it holds for any.
    """
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    manifest = Manifest.from_msgpack(kept, extended_mashumuro_decoder)
    manifest.build_flat_graph()
    return manifest


def invoke(arguments: list[str], callbacks: Sequence[Any] = (), parsed: Any = None) -> Any:
    """Run dbt on the project with ``arguments``; ``parsed`` is a manifest of ``read_parsed``."""
    from dbt.cli.main import dbtRunner

    folder = str(PROJECT_DIR)
    return dbtRunner(parsed, list(callbacks)).invoke(
        [
            "--quiet",
            "--log-level",
            "none",
            # what failed is told by the result; a log beside it would cost a tenth of a small build
            "--log-level-file",
            "none",
            *arguments,
            "--project-dir",
            folder,
            "--profiles-dir",
            folder,
        ]
    )
