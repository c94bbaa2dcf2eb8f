"""``make bench``: a night at three sizes, beside what else could do its work, and the page that tells it.

Belongs here: which world each size runs on, what is measured of it, the tables and the picture of ``docs/speed.md``. Does not: the
worlds (``benchmarks.workloads``, ``ingest.sample``), the measuring (``benchmarks.night``, ``analysts``, ``cleaning``, ``rivals``, ``meter``), the page's
words, which stand in the page; what is between its marks ``<!-- measured -->`` and ``<!-- /measured -->`` is overwritten.

``python -m benchmarks.speed [--size S|M|L] [--share X] [--folder DIR] [--keep]``: S is the sample, M and L are all of Germany, or the share
X of the Kreise of every Land. Results go to ``benchmarks/speed.json``, a size for itself, and from there into the page; a share of a size is
told on the terminal only. M in full needs about 40 GB below DIR, L about 100 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks import analysts, cleaning, meter, night, rivals

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "speed.json"
PAGE = ROOT / "docs" / "speed.md"
PICTURE = ROOT / "docs" / "pictures" / "speed.svg"
_MARKS = re.compile(r"(<!-- measured -->\n).*?(<!-- /measured -->)", re.DOTALL)

#: The Land that the rivals do M's work for: they would not end, or not fit, on the whole. And the one whose files are read twice.
SLICE = "06"

_NIGHTS = {
    "first_night": "First night",
    "unchanged_night": "Nothing changed",
    "full_night": "Full rebuild",
    "quiet_night": "The next day, nothing delivered",
    "next_day_night": "One more day, 1 % corrections",
}
#: In this order, whatever the order in the kept results.
_LEGS = (
    "fetch",
    "clean",
    "competences",
    "inputs",
    "build",
    "gate",
    "publish",
    "workbook",
    "report",
    "start-up and the rest",
    "models",
    "copies",
)
#: Legs whose cost is told per row, beside that of other sizes.
_PER_ROW = ("build", "gate", "publish")
_RIVALS = {
    "pipeline": "this pipeline, its models",
    "duckdb": "DuckDB alone",
    "pandas": "pandas",
    "postgres": "dbt on PostgreSQL",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", choices=("S", "M", "L"), default="S")
    parser.add_argument("--share", type=float, default=1.0, help="of the Kreise of every Land (M and L)")
    parser.add_argument(
        "--days",
        type=int,
        help="so many days only, the last ones (M and L); with fewer than 120 no wave has its costs, and the gate refuses",
    )
    parser.add_argument("--folder", type=Path, help="where worlds and homes go (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="leave them there")
    parser.add_argument("--page", action="store_true", help="measure nothing: write the page from the kept results")
    arguments = parser.parse_args()
    kept: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    if not arguments.page:
        folder = Path(tempfile.mkdtemp(prefix="rollin-bench-", dir=arguments.folder))
        try:
            measured = measure(arguments.size, arguments.share, arguments.days, folder)
        except (night.BenchmarkError, meter.CommandError) as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            if not arguments.keep:
                shutil.rmtree(folder, ignore_errors=True)
        print("\n".join(told(arguments.size, measured)))
        if arguments.share != 1 or arguments.days:
            return 0
        kept[arguments.size] = measured
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_page(kept)
    return 0


# -- measuring -------------------------------------------------------------------------------------------------------------------


def measure(size: str, share: float, days: int | None, folder: Path) -> dict[str, Any]:
    """Make the world of a size below ``folder`` and measure all that is measured of it."""
    home, scratch, world = folder / "home", folder / "scratch", folder / "world"
    scratch.mkdir()
    night.say(f"the world of size {size} is written")
    made = meter.Cost()
    with meter.leg(made):
        environ, rows, next_day = _sample(world) if size == "S" else _germany(size, share, days, world, home)
    options = ["--laender", str(world / "laender")]
    # an hour of a night of L is not spent five times
    measured = night.measure(home, scratch, options, environ, next_day, nights_only=size == "L")
    inputs = Path(measured.pop("inputs", ""))
    found: dict[str, Any] = {
        "machine": night.machine(),
        "world": {"usage_rows": rows, "share": share, "days": days, "cost": made.to_dict()},
        "nights": measured,
    }
    night.say("analysts")
    found["analysts"] = analysts.measure(home / "published" / "current", environ)
    if size == "M":
        found["history"] = history(share, days, folder, measured)
        night.say("reading and cleaning")
        found["cleaning"] = cleaning.measure(world, home, scratch, SLICE, environ)
    if size != "L":
        os.environ.update(environ)
        found["rivals"] = rivals.measure(inputs, scratch / "rivals", [SLICE] if size == "M" else None, night.say)
    return found


def history(share: float, days: int | None, folder: Path, nights: Mapping[str, Any]) -> dict[str, Any]:
    """The night with the next day once more, in a world that began a year before its last day."""
    home, world, scratch = folder / "short-home", folder / "short-world", folder / "scratch"
    night.say("the same world with one year of history is written")
    environ, rows, next_day = _germany("M", share, min(days or 365, 365), world, home)
    options = ["--laender", str(world / "laender")]
    night.say("its first night")
    night.night(home, scratch, options, environ)
    after = night.next_nights(home, scratch, options, environ, next_day)
    seconds = after["next_day_night"]["process"]["seconds"]
    shutil.rmtree(home)
    shutil.rmtree(world)
    return {
        "usage_rows": rows,
        "next_day_night": after["next_day_night"]["process"],
        "three_years_to_one": round(nights["next_day_night"]["process"]["seconds"] / seconds, 3),
    }


def _sample(world: Path) -> tuple[dict[str, str], int, Any]:
    from ingest.sample import Parameters, write_sample

    parameters = Parameters()
    rows = write_sample(world, parameters).usage_versions.height

    def next_day() -> dict[str, str]:
        later = Parameters(end=parameters.end + timedelta(days=1))
        write_sample(world, later)
        return {"ROLLIN_NOW": later.night.isoformat()}

    return {"ROLLIN_NOW": parameters.night.isoformat()}, rows, next_day


def _germany(size: str, share: float, days: int | None, world: Path, home: Path) -> tuple[dict[str, str], int, Any]:
    """All of Germany in a process of its own: what it holds in memory is not the nights'. L's usage is written clean."""
    whole = workloads_of(size, share, days)
    environ = {"ROLLIN_SERVICES": str(world / "services.csv")}
    command = [sys.executable, "-m", "benchmarks.workloads", size, "--out", world, "--share", str(share)]
    if days:
        command += ["--first", str(whole.last - timedelta(days=days - 1))]

    def write(*more: str | Path) -> dict[str, Any]:
        listed = environ if (world / "services.csv").is_file() else {}  # read by every process that begins
        meter.run([*command, *more], {**os.environ, "PYTHONPATH": str(ROOT), **listed}, ROOT)
        record: dict[str, Any] = json.loads((world / "workload.json").read_text(encoding="utf-8"))
        return record

    if size == "L":
        # the services must be there before the process that cleans by them begins
        write("--usage", "none")
        record = write("--usage", "clean", "--home", home)
    else:
        record = write()

    def next_day() -> dict[str, str]:
        return {"ROLLIN_NOW": write("--next-day")["night"]}

    return {**environ, "ROLLIN_NOW": record["night"]}, record["usage_rows"], next_day


def workloads_of(size: str, share: float, days: int | None) -> Any:
    """The workload of a size, of its last days where so many are asked for."""
    from benchmarks import workloads

    whole = workloads.SIZES[size]
    first: date = whole.last - timedelta(days=days - 1) if days else whole.first
    return workloads.workload(size, share=share, first=first)


# -- the page --------------------------------------------------------------------------------------------------------------------


def told(size: str, measured: Mapping[str, Any]) -> Iterator[str]:
    """One size as Markdown."""
    nights, world = measured["nights"], measured["world"]
    bare = nights.get("bare_duckdb")
    part = f", {world['share']:.3g} of every Land" if world["share"] != 1 else ""
    part += f", {world['days']} days" if world["days"] else ""
    yield f"### {size}: {world['usage_rows']:,} delivered rows of usage{part}"
    yield ""
    heads = ("seconds", "× bare", "CPU s", "peak MB", "read MB", "written MB")
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'---:|' * len(heads)}"

    def line(name: str, cost: Mapping[str, float]) -> str:
        peak = f"{cost['peak_mb']:,.0f}" if cost["peak_mb"] else ""
        times = f"{cost['seconds'] / bare['seconds']:.2f}" if bare else ""
        cells = [f"{cost['seconds']:,.1f}", times, f"{cost['cpu_seconds']:,.1f}", peak]
        cells += [f"{cost['read_mb']:,.0f}", f"{cost['written_mb']:,.0f}"]
        return f"| {name} | {' | '.join(cells)} |"

    for key, title in _NIGHTS.items():
        if key in nights:
            yield line(f"**{title}** ({nights[key]['outcome']})", nights[key]["process"])
            for leg, cost in _in_order(nights[key]["legs"]):
                yield line(f"– {leg}", cost)
    if bare:
        yield line("**Bare DuckDB script**, the same SQL", bare["process"])
        for leg, cost in _in_order(bare["legs"]):
            yield line(f"– {leg}", cost)
        yield line("**Start-up of a night**", nights["startup"]["process"])
        yield line("**dbt parses the project** (first night only)", nights["dbt_parse"]["process"])
    yield ""
    if bare:
        yield f"Start-up, seconds: {', '.join(f'{name} {value:g}' for name, value in nights['startup']['legs'].items())}."
        ratios = [f"{name} {value:g}" for name, value in nights["ratios"].items()]
        yield f"Ratios: {', '.join(ratios).replace('_', ' ')}."
    rebuilt = nights.get("full_night") or nights["first_night"]
    legs = {leg: [1e6 * rebuilt["legs"][leg][of] / world["usage_rows"] for of in ("seconds", "cpu_seconds")] for leg in _PER_ROW}
    per_row = ", ".join(f"{leg} {wall:.2f} ({cpu:.2f})" for leg, (wall, cpu) in legs.items())
    yield f"Microseconds (of CPU) per delivered row of usage, everything computed anew: {per_row}."
    asked = measured["analysts"]
    yield (
        f"{asked['analysts']} analysts at once, {asked['answers']} answers to the ten worked questions: median {asked['median_seconds']:g} s, "
        f"95 % within {asked['p95_seconds']:g} s, the longest {asked['longest_seconds']:g} s."
    )
    yield ""
    if "history" in measured:
        past = measured["history"]
        yield (
            f"With one year of history ({past['usage_rows']:,} rows) the night with one more day takes "
            f"{past['next_day_night']['seconds']:,.1f} s; with three years {past['three_years_to_one']:g} times as long."
        )
    if "cleaning" in measured:
        clean = measured["cleaning"]
        yield ""
        yield (
            f"Reading and cleaning the usage of Land {clean['land']} ({clean['product']['rows']:,} rows, "
            f"{clean['product']['delivered_mb']:,.0f} MB of CSV): {clean['product']['rows_per_second']:,} rows a second, bare Polars "
            f"{clean['bare']['rows_per_second']:,}: {clean['throughput_to_bare']:.2f} of its throughput."
        )
    if "rivals" in measured:
        yield ""
        yield from _rivals(measured["rivals"])
    of = measured["machine"]
    yield ""
    yield (
        f"{of['cores']} cores ({of['processor']}, load {of['load']}), {of['memory_gib']} GiB, {of['system']}, Python {of['python']}, "
        f"bytecode {'compiled' if of['bytecode_compiled'] else 'NOT compiled'}; "
        f"{', '.join(f'{name} {version}' for name, version in of['versions'].items())}."
    )
    yield ""


def _in_order(legs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(legs.items(), key=lambda leg: _LEGS.index(leg[0]))


def _rivals(measured: Mapping[str, Any]) -> Iterator[str]:
    which = "all Länder" if measured["laender"] == "all" else f"Land {', '.join(measured['laender'])}"
    yield f"From clean rows to monthly facts, coverage and adoption, {which}, {measured['usage_rows']:,} rows of usage:"
    yield ""
    yield "| | load s | build s | × DuckDB | CPU s | peak MB | differing rows |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    duckdb = measured["rivals"]["duckdb"].get("legs", {}).get("build", {}).get("seconds")
    for name, title in _RIVALS.items():
        one = measured["rivals"][name]
        if "left_out" in one:
            yield f"| {title} | {one['left_out'].splitlines()[0]} | | | | | |"
            continue
        build, server = one["legs"]["build"], one.get("server", {})
        load = f"{one['legs']['load']['seconds']:,.1f}" if "load" in one["legs"] else ""
        cpu = build["cpu_seconds"] + server.get("cpu_seconds", 0.0)
        peak = max(build["peak_mb"], server.get("peak_mb", 0.0))
        times = f"{build['seconds'] / duckdb:.1f}" if duckdb else ""
        differing = ", ".join(f"{table} {count:,}" for table, count in one.get("differing_rows", {}).items() if count) or "0"
        yield f"| {title} | {load} | {build['seconds']:,.1f} | {times} | {cpu:,.1f} | {peak:,.0f} | {differing} |"


def write_page(kept: Mapping[str, Any]) -> None:
    """Fill the page from the kept results, and draw its picture (needs ``altair`` and ``vl-convert-python``)."""
    if not kept:
        return
    text = "\n".join(line for size in ("S", "M", "L") if size in kept for line in told(size, kept[size]))
    page = PAGE.read_text(encoding="utf-8")
    text = "![Seconds by leg of the night, beside the bare DuckDB script](pictures/speed.svg)\n\n" + text
    PAGE.write_text(_MARKS.sub(lambda marks: marks[1] + "\n" + text + "\n" + marks[2], page), encoding="utf-8")
    chart = _picture(kept)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    chart.save(str(PICTURE))


def _picture(kept: Mapping[str, Any]) -> Any:
    import altair
    import polars as pl

    rows = []
    for size, measured in kept.items():
        nights = measured["nights"]
        parts = [(title, nights[key]["legs"]) for key, title in _NIGHTS.items() if key in nights]
        if "bare_duckdb" in nights:
            parts.append(("Bare DuckDB script", nights["bare_duckdb"]["legs"]))
        for order, (title, legs) in enumerate(parts):
            for leg, cost in _in_order(legs):
                rank = _LEGS.index(leg)
                rows.append({"size": size, "what": title, "order": order, "leg": leg, "rank": rank, "seconds": cost["seconds"]})
    frame = pl.DataFrame(rows)
    bars = (
        altair.Chart(frame, width=560, height=130)
        .mark_bar()
        .encode(
            altair.X("seconds:Q", title="seconds"),
            altair.Y("what:N", title=None, sort=altair.SortField("order")),
            altair.Color(
                "leg:N",
                title=None,
                sort=altair.SortField("rank"),
                scale=altair.Scale(scheme="tableau20"),
                legend=altair.Legend(orient="bottom", columns=7),
            ),
            altair.Order("rank:Q"),
            altair.Row("size:N", title=None, sort=["S", "M", "L"]),
        )
    )
    return bars.resolve_scale(x="independent").configure_view(stroke=None)


if __name__ == "__main__":
    sys.exit(main())
