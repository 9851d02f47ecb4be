#!/usr/bin/env python3
"""report.py -o PAGE [--against FILE]… [--baseline FOLDER] FILE…

One HTML page with plots and tables from what `jvpn-perf … --json` printed: a file holds one JSON object, a list of
them, or one a line. Each result is compared with an older one (--against, --baseline) that had the same settings.
"""
import argparse
import html
import json
import math
import pathlib
import re
import sys
from collections import namedtuple

SECTIONS = {"pipeline": "The worker's pipeline", "scale": "Over many sessions",
            "publish": "While bindings are published", "ndr": "Through real ports",
            "jump": "Traffic while a session jumps", "jump-load": "A worker while sessions jump",
            "handshake": "New sessions", "isolation": "Many idle sessions, and one fault", "peers": "Beside other VPNs"}
# What a command was told: these are no figures, but tell which results may be compared.
SETTINGS = ("fault", "cold", "suite", "direction", "size", "bytes", "sessions", "rate", "trial_s", "seed",
            "slice_ms", "runs", "rounds", "seconds", "bound", "burst", "width_percent")
NEVER_COMPARED = ("environment", "tsc_hz")
ROW_NAMES = ("fault", "sessions", "load_percent", "peer", "name", "size", "bytes", "rate")
MOST_ROWS = 64  # a longer list holds samples
SAME_PERCENT = 1  # smaller changes are called the same

# Which direction of a figure is the better one; the first pattern counts that is in `command.key`.
DIRECTIONS = (("over_bound", -1),
              (r"\.raw_[^.]*$|(bound_ms|rtt_ms|offered|count)[^.]*$|\.jumps_per_s$", 0),
              (r"^handshake\b.*\.ratio[^.]*$", 1), (r"\.ratio[^.]*$", -1),
              (r"(_per_s|mpps|gbps|gbit|_kept|jvpn_over_)[^.]*$", 1),
              (r"stages|latency|blocked|loss|lost|drop|overhead|cpu_s|duplicate|gap|failures", -1),
              (r"_us\.|_ms\.|cycles[^.]*$|_(ms|us|ns)$", -1))
HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>jvpn-perf report</title>
<style>
:root { color-scheme: light dark; --c0: #4a82e6; --c1: #d9822b; --c2: #3aa57a; --c3: #a85fc9; --c4: #d0506a;
  --c5: #7a8896; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }
.dim, figcaption { opacity: .7; }
svg { width: 100%; max-width: 760px; font-size: 12px; }
svg text { fill: CanvasText; }
.grid { stroke: CanvasText; opacity: .2; }
.whisker { stroke: CanvasText; fill: none; }
.line { fill: none; stroke-width: 2; }
.legend i { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 1em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem .15rem 0; text-align: left; border-bottom: 1px solid #8884; }
td + td, th + th { text-align: right; }
.better { color: #1c9a52; }
.worse { color: #d9412f; }
</style>
<h1>Jumping VPN: measurements</h1>
"""

Result = namedtuple("Result", "file command json")  # what a command printed

def parse_results(file, text):
    """Raises ValueError, which names the file."""
    try:
        whole = json.loads(text)
        found = whole if isinstance(whole, list) else [whole]
    except ValueError as error:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise ValueError(f"{file}: not JSON: {error}") from None
    if not found:
        raise ValueError(f"{file}: it is empty")
    for data in found:
        if not isinstance(data, dict):
            raise ValueError(f"{file}: expected what `jvpn-perf … --json` prints, got {type(data).__name__}")
    return [Result(file, name if isinstance(name := data.get("command"), str) else "unknown", data) for data in found]

def number(data, key):
    """None without such a number."""
    value = data.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

def child(data, key):
    return data[key] if isinstance(data.get(key), dict) else {}

def rows(data, key):
    return [row for row in data[key] if isinstance(row, dict)] if isinstance(data.get(key), list) else []

def scalar(value):
    return value if isinstance(value, str) else json.dumps(value)

def figures_in(data, prefix=""):
    """Every number but settings, as {"seal.stages.lookup": 3.5, "rows[1000].mpps": 2}."""
    figures = {}
    for name, value in data.items():
        if name in SETTINGS or name in NEVER_COMPARED:
            continue
        if number(data, name) is not None:
            figures[prefix + name] = value
        elif isinstance(value, dict):
            figures.update(figures_in(value, f"{prefix}{name}."))
        elif isinstance(value, list) and len(value) <= MOST_ROWS:
            for row in rows(data, name):
                label = next((key for key in ROW_NAMES if isinstance(row.get(key), (str, int, float))), None)
                if label:
                    figures.update(figures_in(row, f"{prefix}{name}[{scalar(row[label])}]."))
    return figures

def settings_of(result):
    return ", ".join(f"{name}={scalar(value)}" for name, value in result.json.items()
                     if name in SETTINGS and value is not None and name not in ("seed", "bound"))

def better_direction(command, key):
    """-1: lower is better, 1: higher is better, 0: neither."""
    return next((better for pattern, better in DIRECTIONS if re.search(pattern, f"{command}.{key}")), 0)

def compare(before, after):
    """(key, before, after, change in percent or None, verdict) of the figures that both have."""
    old, changes = figures_in(before.json), []
    for key, value in figures_in(after.json).items():
        if key not in old or key.endswith(("_min", "_max")):
            continue
        percent = 100 * (value - old[key]) / abs(old[key]) if old[key] else 0 if value == 0 else None
        gain = (value - old[key]) * better_direction(after.command, key)
        same = percent is not None and abs(percent) < SAME_PERCENT
        changes.append((key, old[key], value, percent,
                        "same" if same else "better" if gain > 0 else "worse" if gain < 0 else ""))
    return changes

def match(before, after):
    """For each of `after` the result to compare it with: the same settings first, then the same command."""
    found, taken = [None] * len(after), set()
    for alike in (lambda a, b: settings_of(a) == settings_of(b), lambda a, b: True):
        for i, result in enumerate(after):
            for j, old in enumerate(before):
                if found[i] is None and j not in taken and old.command == result.command and alike(old, result):
                    found[i] = old
                    taken.add(j)
    return found

# ---- Plots as inline SVG.

WIDTH, LABELS, VALUES, BAR, STEP = 760, 230, 80, 18, 26
LEFT, RIGHT, TOP, BOTTOM = 64, 736, 34, 274

def escape(text):
    return html.escape(str(text))

def number_text(value):
    """Four significant digits; thousands apart."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")

def colour(names, name):
    return f"var(--c{names.setdefault(name, len(names)) % 6})"

def text_at(x, y, anchor, text):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>\n'

def figure(title, height, body, names):
    legend = "".join(f'<span><i style="background:{colour(names, name)}"></i>{escape(name)}</span> ' for name in names)
    return (f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
            f'aria-label="{escape(title)}">\n{body}</svg></figure>\n'
            + (f'<p class="legend">{legend}</p>\n' if len(names) > 1 else ""))

def bar_chart(title, unit, bars):
    """bars: (label, [(part, length)], (min, max) or None). Parts that are not positive are left out."""
    if not bars:
        return ""
    total = lambda parts: sum(max(length, 0) for _, length in parts)
    longest = max(max(total(parts), *(spread or [0])) for _, parts, spread in bars)
    scale = (WIDTH - LABELS - VALUES) / longest if 0 < longest < math.inf else 0
    body, names, y = "", {}, 4
    for label, parts, spread in bars:
        body += text_at(LABELS - 8, y + 13, "end", label)
        x = LABELS
        for name, length in (part for part in parts if part[1] > 0):
            body += (f'<rect x="{x:.1f}" y="{y}" width="{length * scale:.1f}" height="{BAR}" '
                     f'fill="{colour(names, name)}"><title>{escape(name)}: {number_text(length)} {escape(unit)}'
                     "</title></rect>\n")
            x += length * scale
        if spread:
            low, high = (LABELS + end * scale for end in spread)
            body += f'<path class="whisker" d="M{low:.1f} {y + 9}H{high:.1f}m0 -4v8M{low:.1f} {y + 5}v8"/>'
            x = max(x, high)
        body += text_at(x + 6, y + 13, "start", number_text(total(parts)))
        y += STEP
    return figure(f"{title}, {unit}", 8 + STEP * len(bars), body, names)

def axis(values, logarithmic, ends, whole=False):
    """Where a value stands (None: nowhere), and which values are marked. `whole`: decades, or from 0 on."""
    of = math.log10 if logarithmic else float
    shows = lambda value: math.isfinite(value) and (value > 0 or not logarithmic)
    shown = [of(value) for value in values if shows(value)] or [0.0]
    low, high = min(shown), max(shown)
    if whole:
        low, high = (math.floor(low), math.ceil(high)) if logarithmic else (min(low, 0), high * 1.05)
    if high <= low:
        high = low + 1
    step = 1 if logarithmic else 10.0 ** math.floor(math.log10((high - low) / 2))
    step = step / 5 if (high - low) / step < 2.5 and not logarithmic else step
    marks = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    at = lambda value: ends[0] + (of(value) - low) / (high - low) * (ends[1] - ends[0]) if shows(value) else None
    return at, [10.0 ** mark if logarithmic else mark * step for mark in marks]

def line_chart(heading, unit, x_title, lines, log_x=False, log_y=False, x_names=()):
    """lines: {label: [(x, y)]}. Points that a logarithmic axis cannot show are left out."""
    if not lines:
        return ""
    points = [point for line in lines.values() for point in line]
    x_at, x_marks = axis([x for x, _ in points], log_x, (LEFT, RIGHT))
    y_at, y_marks = axis([y for _, y in points], log_y, (BOTTOM, TOP), whole=True)
    body, names = text_at(8, 18, "start", unit) + text_at(WIDTH / 2, BOTTOM + 38, "middle", x_title), {}
    for value in y_marks:
        body += f'<path class="grid" d="M{LEFT} {y_at(value):.1f}H{RIGHT}"/>\n'
        body += text_at(LEFT - 6, y_at(value) + 4, "end", number_text(value))
    for value, name in enumerate(x_names) if x_names else ((mark, number_text(mark)) for mark in x_marks):
        body += text_at(x_at(value), BOTTOM + 18, "middle", name)
    for label, line in lines.items():
        stroke = colour(names, label)
        seen = [(x_at(x), y_at(y), y) for x, y in sorted(line) if x_at(x) is not None and y_at(y) is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in seen)
        body += f'<polyline class="line" stroke="{stroke}" points="{path}"/>\n'
        for x, y, value in seen:
            title = f"<title>{number_text(value)}</title>"
            body += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{stroke}">{title}</circle>'
    return figure(heading, BOTTOM + 48, body, names)

# ---- What is drawn of each command.

def short_name(result):
    words = [scalar(result.json[key]) for key in ("fault", "direction", "suite", "size", "bytes") if key in result.json]
    return " ".join(words) or result.file.rsplit("/", 1)[-1]

def bar_of(label, part, cell, key, factor=1):
    """No bar without the number; its spread, where min and max are there."""
    if number(cell, key) is None:
        return []
    ends = [number(cell, key + end) for end in ("_min", "_max")]
    return [(label, [(part, cell[key] * factor)], None if None in ends else [end * factor for end in ends])]

def directions_of(data):
    """The cell itself, or what it holds of both directions."""
    cells = [("", data)] + [(direction, child(data, direction)) for direction in ("seal", "open")]
    return [(direction, cell) for direction, cell in cells if number(cell, "cycles_per_packet") is not None]

def cycle_bars(result):
    """A worker's cycles by stage, as far as stages are known, and beside them the raw AEAD's."""
    bars = []
    for direction, cell in directions_of(result.json):
        [(label, _, spread)] = bar_of(f"{direction} {short_name(result)}", "", cell, "cycles_per_packet")
        stages = child(cell, "stages")
        parts = [(stage, stages[stage]) for stage in stages if number(stages, stage) is not None]
        rest = cell["cycles_per_packet"] - sum(max(cycles, 0) for _, cycles in parts)
        if rest > 0.5 or not parts:
            parts.append(("other" if parts else "worker", rest))
        bars += [(label, parts, spread)] + bar_of("raw AEAD", "raw AEAD", cell, "raw_cycles_per_packet")
    return bars

def session_lines(result):
    curves = {}
    for row in rows(result.json, "rows"):
        for direction, cell in directions_of(row) if number(row, "sessions") is not None else []:
            for name, key in (("worker", "cycles_per_packet"), ("raw AEAD", "raw_cycles_per_packet")):
                if number(cell, key) is not None:
                    label = f'{name} {direction or scalar(row.get("direction", ""))} {scalar(row.get("size", ""))}'
                    curves.setdefault(label, []).append((row["sessions"], cell[key]))
    title = f"Cycles per packet over sessions, {short_name(result)}"
    return line_chart(title, "cycles", "sessions", curves, log_x=True)

def latency_lines(result):
    names = {"p50": "50 %", "p90": "90 %", "p99": "99 %", "p99_9": "99.9 %", "max": "max"}
    lines = {f'{scalar(row.get("load_percent"))} % of PDR':
             [(i, row[key]) for i, key in enumerate(names) if number(row, key) is not None]
             for row in rows(result.json, "latency_us")}
    return line_chart(f"Latency, {short_name(result)}", "us", "percentile", lines, log_y=True, x_names=names.values())

def bars_of(result, cells, figures):
    """A bar for each (label, key, factor) of each (name, cell)."""
    return [bar for name, cell in cells for label, key, factor in figures
            for bar in bar_of(f"{label} {name} {short_name(result)}", label, cell, key, factor)]

# Command: what its bars show, their unit, the bars.
BARS = {
    "jump": ("Effective blocked time", "jumps", lambda r: bars_of(
        r, [(f'{scalar(b.get("over_ms"))} to {scalar(b.get("up_to_ms"))} ms', b) for b in rows(r.json, "distribution")],
        [("jumps", "jumps", 1)])),
    "jump-load": ("A worker while sessions jump", "Mpps", lambda r: bars_of(
        r, [("", r.json)], [("without jumps", "mpps_without", 1), ("while jumping", "mpps_with", 1)])),
    "ndr": ("Rate without loss (NDR) and with 0.5 % of it (PDR)", "Mpps", lambda r: bars_of(
        r, [("", r.json)], [("NDR", "ndr_mpps", 1), ("PDR", "pdr_mpps", 1)])),
    "handshake": ("Handshakes of one core", "per second", lambda r: bars_of(
        r, [(side, child(r.json, side)) for side in ("responder", "both_sides")], [("", "handshakes_per_s", 1)])
                  + bars_of(r, [("", r.json)], [("raw X25519 / 4", "raw_x25519_per_s", 1 / 4)])),
    "peers": ("One TCP stream through the tunnel", "Gbit/s", lambda r: bars_of(
        r, [(scalar(peer.get("peer")), peer) for peer in rows(r.json, "peers")], [("", "gbps", 1)])),
}

def plots_of(command, results):
    title, unit, bars = BARS.get(command, ("Worker by stage, beside the raw AEAD of the same packets",
                                           "cycles per packet", cycle_bars))
    text = bar_chart(title, unit, [bar for result in results for bar in bars(result)])
    return text + "".join(session_lines(result) + latency_lines(result) for result in results)

# ---- The page.

def table(head, lines):
    """Cells are HTML."""
    return "<table>\n" + "".join(f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in line)}</tr>\n"
                                 for tag, line in [("th", head)] + [("td", line) for line in lines]) + "</table>\n"

def title_of(result):
    return f'{escape(result.file)} <span class="dim">{escape(settings_of(result))}</span>'

def result_html(result):
    stated = " · ".join(f"{name} {scalar(value)}" for name, value in child(result.json, "environment").items())
    text = f'<h3>{title_of(result)}</h3>\n<p class="dim">{escape(stated or "environment not stated")}</p>\n'
    if result.json.get("interrupted") is True:
        text += '<p class="worse">Interrupted: what was done until then.</p>\n'
    if isinstance(result.json.get("failure"), str):
        text += f'<p class="worse">{escape(result.json["failure"])}</p>\n'
    lines = [(escape(key), number_text(value)) for key, value in figures_in(result.json).items()]
    return text + f"<details><summary>All figures</summary>\n{table(('figure', 'value'), lines)}</details>\n"

def comparison_html(before, after):
    text = (f'<h2>Compared</h2>\n<p class="dim">Change from before to after; under {SAME_PERCENT} % it is called the '
            "same. Runs at different times on a shared machine differ by themselves: believe ratios first.</p>\n")
    for old, result in zip(match(before, after), after):
        text += f"<h3>{escape(result.command)}: {title_of(result)}</h3>\n"
        if old is None:
            text += '<p class="dim">Nothing to compare with.</p>\n'
            continue
        text += f'<p class="dim">before: {title_of(old)}</p>\n'
        if settings_of(old) != settings_of(result):
            text += '<p class="worse">Not the same settings.</p>\n'
        text += table(("figure", "before", "after", "change", ""), [
            (escape(key), number_text(was), number_text(now),
             "from 0" if percent is None else f"{percent:+.1f} %", f'<span class="{verdict or "dim"}">{verdict}</span>')
            for key, was, now, percent, verdict in compare(old, result)])
    return text

def report_page(results, before=()):
    text = HEAD
    known = [command for command in SECTIONS if any(result.command == command for result in results)]
    commands = known + [command for command in {result.command: 0 for result in results} if command not in SECTIONS]
    for command in commands:
        of_command = [result for result in results if result.command == command]
        text += f'<h2>{SECTIONS.get(command, "Other results")} <span class="dim">{escape(command)}</span></h2>\n'
        text += plots_of(command, of_command) + "".join(map(result_html, of_command))
    if before:
        text += comparison_html(before, results)
    return text + "</html>\n"

def main():
    parser = argparse.ArgumentParser(prog="jvpn-perf report", allow_abbrev=False,
                                     description="One HTML page with plots from results of the other commands (--json).")
    parser.add_argument("files", nargs="+", help="what they printed")
    older = parser.add_mutually_exclusive_group()
    older.add_argument("--against", metavar="FILE", nargs="+", action="extend", default=[], help="results to compare with")
    older.add_argument("--baseline", metavar="FOLDER", help="a folder of them instead")
    parser.add_argument("-o", "--output", metavar="PAGE", required=True, help="the page")
    options = parser.parse_args()
    try:
        old_files = sorted(map(str, pathlib.Path(options.baseline).glob("*.json"))) if options.baseline else []
        if options.baseline and not old_files:
            raise ValueError(f"{options.baseline}: no .json file in it")
        after, before = ([result for file in files for result in parse_results(file, pathlib.Path(file).read_text())]
                         for files in (options.files, old_files + options.against))
        pathlib.Path(options.output).write_text(report_page(after, before), encoding="utf-8")
    except OSError as error:
        sys.exit(f"jvpn-perf report: {error.filename}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"jvpn-perf report: {error}")

if __name__ == "__main__":
    main()
