"""What `jvpn-perf store` measured: figures and the table."""
from samples import median, median_within, percentile

_TABLE = """\
ms, one commit after the other       p50      p90      p99      max    commits/s, {at_once} at once
embedded (SQLite, FULL)         {embedded}
etcd, three members             {etcd}

what a reattach takes a gateway's engine: {memory_us:.2f} us without a store, {stored_us:.2f} us with the embedded one, {ratio:.3f} times as much
  ({pairs} pairs: half of them {ratio_p25:.3f} to {ratio_p75:.3f}; the median is within {ratio_low:.3f} to {ratio_high:.3f}, 95 %)
takeover of {sessions} sessions of a dead gateway, whose safe time is 3 s
until the first can be taken    {silent_s:>7.1f} s
by calls of the store alone     {took_s:>7.1f} s   {writes_per_s:.0f} writes/s
by an engine, from real clients {engine_s:>7.1f} s   {engine_writes_per_s:.0f} writes/s; {resident_mb} MB
CPU of that: engine {engine_cpu_s:.1f} s, its store's thread {store_cpu_s:.1f} s, clients {clients_cpu_s:.1f} s, etcd's members {etcd_cpu_s:.1f} s

"""
_AT_ONCE = 2048


def _latency(measured):
    each = [1e3 * seconds for seconds in measured["latency_s"]]
    return {f"p{percent}_ms": percentile(each, percent) for percent in (50, 90, 99, 100)} | {
        "commits_per_s": measured["commits_per_s"]}


def _row(figures):
    cells = [figures[f"p{percent}_ms"] for percent in (50, 90, 99, 100)]
    return "".join(f"{cell:>9.2f}" for cell in cells) + f"{figures['commits_per_s']:>14.0f}"


def _reattach(measured):
    memory, stored = measured["memory_s"], measured["stored_s"]
    ratios = [with_it / without for without, with_it in zip(memory, stored)]
    low, high = median_within(ratios)
    return {"sessions": measured["sessions"], "memory_us": 1e6 * median(memory), "stored_us": 1e6 * median(stored),
            "pairs": len(ratios), "ratio": median(ratios), "ratio_p25": percentile(ratios, 25),
            "ratio_p75": percentile(ratios, 75), "ratio_low": low, "ratio_high": high}


def store(measured):
    figures = {name: _latency(measured[name]) for name in ("embedded", "etcd")}
    figures["reattach"] = _reattach(measured["embedded"]["reattach"])
    takeover = dict(measured["etcd"]["takeover"])
    engine = takeover.pop("engine")
    figures["takeover"] = takeover | {
        "took_s": takeover["seconds"] - takeover["silent_s"], "engine_s": engine["seconds"],
        "engine_writes_per_s": takeover["sessions"] / engine["seconds"],
        **{name: engine[name] for name in ("engine_cpu_s", "store_cpu_s", "clients_cpu_s", "etcd_cpu_s", "refused", "resident_mb")}}
    table = _TABLE.format(at_once=_AT_ONCE, embedded=_row(figures["embedded"]), etcd=_row(figures["etcd"]),
                          **figures["reattach"] | figures["takeover"])
    return figures, table
