"""What the slices of `jvpn-perf pipeline`, `publish`, `scale` and `jump-load` come to: figures and tables.

A cell is one kind of traffic (BenchCrew::cells()). Its runs have TSC cycles per packet of each slice, of the pipeline
and of the raw AEAD over the same packets: {"pipeline": [], "raw": [], "phases": [where each begins among the slices],
"stages": {name: [of each phase]}, "packets"}.
"""
from collections import namedtuple
from statistics import fmean

from samples import median, percentile, spread

_SHOWN = 0.05  # cycles per packet under which a stage is not in play
_REFERENCE = 1000  # sessions that others are compared with
_INTERRUPTED = 2  # a slice that took so many times the usual was interrupted by something else

_LEAST_OF_PROCESSES = 0.95  # workers of one process carry so much of what as many processes do

Run = namedtuple("Run", "cycles raw overhead ratio")  # medians over the slices of one run


def run_figures(run):
    pairs = list(zip(run["pipeline"], run["raw"]))
    return Run(median(run["pipeline"]), median(run["raw"]), median([worker - raw for worker, raw in pairs]),
               median([worker / raw if raw > 0 else 0 for worker, raw in pairs]))


def _runs(cell):
    """Of those that were begun."""
    return [run_figures(run) for run in cell["runs"] if run["pipeline"]]


def figures_of(cell):
    """Cycles, rates and stages: medians, least and most over the runs."""
    runs = _runs(cell)
    mpps = [cell["workers"] * cell["tsc_hz"] / (1e6 * run.cycles) for run in runs]
    stages = {name: median([cycles for run in cell["runs"] for cycles in run["stages"][name]])
              for name in cell["runs"][0]["stages"]}
    return {**spread("cycles_per_packet", [run.cycles for run in runs]),
            **spread("raw_cycles_per_packet", [run.raw for run in runs]),
            **spread("overhead_cycles", [run.overhead for run in runs]),
            **spread("ratio", [run.ratio for run in runs]),
            **spread("mpps", mpps),
            **spread("gbps", [rate * fmean(cell["sizes"]) * 8 / 1e3 for rate in mpps]),
            "drops": cell["drops"], "tsc_hz": cell["tsc_hz"], "packets": sum(run["packets"] for run in cell["runs"]),
            "stages": {name: cycles for name, cycles in stages.items() if cycles > _SHOWN}}


def scaling(alone, together, processes, workers):
    """Throughput of all workers ÷ that of one, and ÷ that of as many processes, run by run."""
    every = _runs(together)
    of_processes = [apart.cycles / run.cycles for apart, run in zip(_runs(processes), every)]
    return {"workers": workers,
            **spread("gain", [workers * one.cycles / run.cycles for one, run in zip(_runs(alone), every)]),
            **spread("of_processes", of_processes), "least_of_processes": _LEAST_OF_PROCESSES,
            "scales": median(of_processes) >= _LEAST_OF_PROCESSES}


def _phase_cycles(run):
    """Median of the pipeline's cycles in each phase."""
    return [median(run["pipeline"][begin:end])
            for begin, end in zip(run["phases"], run["phases"][1:] + [len(run["pipeline"])])]


def lost_percent(loaded, quiet):
    """1 - throughput of the one run ÷ that of the other, for each two phases of the same round."""
    return [100 * (1 - without / cycles)
            for cycles, without in zip(_phase_cycles(loaded), _phase_cycles(quiet)) if cycles > 0]


def throughput_lost(loaded, quiet):
    """Median over all pairs of phases; least and most of the runs' own medians."""
    of_runs = [lost for runs in zip(loaded["runs"], quiet["runs"]) if (lost := lost_percent(*runs))]
    return spread("throughput_lost_percent", [median(lost) for lost in of_runs]) | {
        "throughput_lost_percent": median([percent for lost in of_runs for percent in lost])}


def undisturbed(slices):
    """Mean of those in which the CPU did nothing else; 0 without slices."""
    usual = median(slices)
    return fmean([cycles for cycles in slices if cycles <= _INTERRUPTED * usual]) if slices else 0


def loss_percent(pairs):
    """Of [Mpps with jumps, Mpps without]: the median of 1 - with ÷ without."""
    return median([100 * (1 - loaded / quiet) for loaded, quiet in pairs if quiet > 0])


def size_of(cell):
    return cell["sizes"][0] if len(cell["sizes"]) == 1 else "imix"


# ---- JSON objects and tables.

_FOOT = """\
run        {runs} runs in {seconds:g} s, seed {seed}; in brackets least and most of the runs
memory     {pages} pages {pages_note}
"""


def join_directions(directions, facts):
    """One direction's figures stand on top, several in objects of their own; then the facts."""
    if len(directions) == 1:
        directions = {**next(iter(directions.values())), "direction": next(iter(directions))}
    return directions | facts


def cell_table(cells):
    """cells: [(name, figures)]."""
    def between(figures, key):
        return f"{figures[key]:.1f} ({figures[f'{key}_min']:.1f}-{figures[f'{key}_max']:.1f})"

    text = (f"{'':<6}{'cycles/packet':>22}{'raw IPsec-MB':>22}{'over raw':>20}{'ratio':>10}{'Mpps':>9}"
            f"{'Gbit/s':>9}\n")
    for name, figures in cells:
        text += (f"{name:<6}{between(figures, 'cycles_per_packet'):>22}{between(figures, 'raw_cycles_per_packet'):>22}"
                 f"{between(figures, 'overhead_cycles'):>20}"
                 "{ratio:>10.3f}{mpps:>9.3f}{gbps:>9.2f}\n".format(**figures))
    return text + "\nstages, cycles/packet\n" + "".join(
        f"{name:<6}" + "".join(f"  {stage} {cycles:.1f}" for stage, cycles in figures["stages"].items()) + "\n"
        for name, figures in cells)


def pipeline(measured):
    """Cells: for each direction all workers and, if there are several, the first of them alone and as many processes."""
    cells, directions = measured["cells"], {}
    facts = {"size": size_of(cells[0]), **measured["facts"]}
    several = facts["workers"] > 1
    for at in range(0, len(cells), 3 if several else 1):
        figures = directions[cells[at]["direction"]] = figures_of(cells[at])
        if several:
            figures["scaling"] = scaling(cells[at + 1], cells[at], cells[at + 2], facts["workers"])
    text = ("{suite}, inner packets of {size} bytes, {sessions} sessions at random, workers: {workers}, lanes a session: "
            "{lanes}\n\n").format(**facts) + cell_table(directions.items()) + "\n"
    for name, figures in directions.items():
        if several:
            text += name + (": {workers} workers carry {gain:.2f} times what one does, and {of_processes:.3f} "
                            "({of_processes_min:.3f}-{of_processes_max:.3f}) of what {workers} processes do; at least "
                            "{least_of_processes} is meant\n").format(**figures["scaling"])
    text += f"drops      {cells[0]['drops']}\n"
    return join_directions(directions, facts), text + _FOOT.format(**facts)


def publish(measured):
    """Cells: for each direction with updates, then without."""
    cells, directions, rows = measured["cells"], {}, []
    facts = {"size": size_of(cells[0]), **measured["facts"]}
    for loaded, quiet in zip(cells[::2], cells[1::2]):
        name = loaded["direction"]
        directions[name] = {**figures_of(loaded), "without_updates": figures_of(quiet),
                            **throughput_lost(loaded, quiet)}
        rows += [(name, directions[name]), (" quiet", directions[name]["without_updates"])]
    text = ("{suite}, inner packets of {size} bytes, {sessions} sessions at random, 1 worker; control core publishes\n"
            "{updates_per_s:.0f} binding updates for each second of the worker's time, {publish_us:.2f} us each\n\n"
            ).format(**facts) + cell_table(rows) + "\n"
    for name, figures in directions.items():
        text += name + (" loses {throughput_lost_percent:.2f} % of its throughput (runs {throughput_lost_percent_min:.2f} "
                        "to {throughput_lost_percent_max:.2f} %)\n").format(**figures)
    text += ("In quiet slices the control core does the same work on tables that nobody reads.\n\n"
             f"drops      {cells[0]['drops']}\n")
    worst = {"throughput_lost_percent": max(figures["throughput_lost_percent"] for figures in directions.values())}
    return join_directions(directions, facts) | worst, text + _FOOT.format(**facts)


def scale(measured):
    """Cells: for each number of sessions (measured["rigs"]) and each size both directions."""
    cells, facts, rows = measured["cells"], measured["facts"], []
    reference = {}  # size and direction: cycles of each run with _REFERENCE sessions
    for cell in cells:
        if measured["rigs"][cell["rig"]]["sessions"] == _REFERENCE:
            reference.setdefault((size_of(cell), cell["direction"]), _runs(cell))
    for cell in cells:
        rig, figures = measured["rigs"][cell["rig"]], figures_of(cell)
        known = reference.get((size_of(cell), cell["direction"]))
        figures |= {"over_1000": None} if known is None else spread(
            "over_1000", [run.cycles / of.cycles for run, of in zip(_runs(cell), known)])
        if cell["direction"] == "seal":
            rows.append({"sessions": rig["sessions"], "size": size_of(cell), "seal": figures})
        else:
            rows[-1] |= {"open": figures, "bytes_per_session": rig["table_bytes"] / rig["sessions"],
                         "setup_sessions_per_s": rig["setup_sessions_per_s"]}
    return {"rows": rows} | facts, _scale_table(facts["suite"], rows) + _FOOT.format(**facts)


def _scale_table(suite, rows):
    direction = "{:>9}{:>9}{:>8}{:>11}"
    text = (f"{suite}, 1 worker, TSC cycles per packet\n\n{'sessions':>9}{'bytes':>7}"
            + "".join(direction.format(name, "raw", "ratio", "over 1000") for name in ("seal", "open"))
            + f"{'B/session':>11}{'set up/s':>11}{'drops':>7}\n")
    for row in rows:
        text += f"{row['sessions']:>9}{row['size']:>7}"
        for figures in (row["seal"], row["open"]):
            over = "-" if figures["over_1000"] is None else f"{figures['over_1000']:.3f}"
            text += direction.format(f"{figures['cycles_per_packet']:.1f}", f"{figures['raw_cycles_per_packet']:.1f}",
                                     f"{figures['ratio']:.3f}", over)
        text += f"{row['bytes_per_session']:>11.0f}{row['setup_sessions_per_s']:>11.0f}{row['seal']['drops']:>7}\n"
    return text + "\n"


_LOAD_TABLE = """\
{sessions} sessions, {jumps_per_s:.0f} jumps/s, inner packets of {bytes} bytes, AES-128-GCM, half sealed, half opened

without jumps  {mpps_without:.3f} Mpps of one worker
with jumps     {mpps_with:.3f} Mpps
loss           {throughput_loss_percent:.2f} %, median over pairs of slices (p10 {loss_percent_p10:.2f} %, \
p90 {loss_percent_p90:.2f} %)
publishing     {publish_us:.1f} us of the control core for a jump

In slices without jumps the control core spins on the same pacing loop, so that only the
publishing differs: the two CPUs may share one core. Order of slices: seed {seed}.

"""


def jump_load(measured):
    """Cells: for sealing and for opening with jumps, then without. Half of the packets are sealed, half opened."""
    cells, pairs = measured["cells"], []  # of each run: Mpps with jumps, and without
    for runs in zip(*([run["pipeline"] for run in cell["runs"]] for cell in cells)):
        if not all(runs):
            break
        cycles = [undisturbed(slices) for slices in runs]
        pairs.append([2 * cells[0]["tsc_hz"] / 1e6 / (cycles[jumps] + cycles[jumps + 2]) for jumps in (0, 1)])
    losses = [loss_percent([pair]) for pair in pairs]  # how far they spread
    figures = {"throughput_loss_percent": loss_percent(pairs), "loss_percent_p10": percentile(losses, 10),
               "loss_percent_p90": percentile(losses, 90), "mpps_with": median([loaded for loaded, _ in pairs]),
               "mpps_without": median([quiet for _, quiet in pairs]), "pairs": pairs, **measured["facts"]}
    return figures, _LOAD_TABLE.format(**figures)
