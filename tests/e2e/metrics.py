#!/usr/bin/env python3
"""Metrics as an operator has them: a Prometheus scrapes the exporters of a gateway and of its client through a jump, a
refused reload, and a gateway that is killed and started again. Every query of the dashboard returns data, and the rules
say what is wrong.

  jvpn-client ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
  in jvpn-gw:  prometheus :9090 ──┬── jvpn metrics :9470 ── jvpnd.sock
                                  └── jvpn metrics :9471 ── jvpn-client.sock
"""
import json
import math
import re
import signal
import socket
from pathlib import Path

from e2e import (CLIENT, GATEWAY, LAB_DIR, ROOT, Failure, Scenario, bounded, in_namespace, info, planned_jump,
                 processes, program, run, scenario, start_gateway, start_transfer, step)

MONITORING = ROOT / "tools/monitoring"
EXPORTERS = {"metrics": ("127.0.0.1:9470", GATEWAY), "metrics-client": ("127.0.0.1:9471", CLIENT)}
PROMETHEUS = "http://127.0.0.1:9090"
CONFIG = """global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%s]
scrape_configs: [{job_name: jvpn, static_configs: [{targets: [%s]}]}]
"""


def curl(*words: str) -> str:
    """What somebody in jvpn-gw answers; empty: nothing."""
    done = bounded(10, *in_namespace("gw", "curl", "-sS", "-f", "-m", "8", *words))
    return done.stdout if done.returncode == 0 else ""


def scrape(exporter: str = "metrics") -> str:
    return curl(f"http://{EXPORTERS[exporter][0]}/metrics")


def value(metric: str, exporter: str = "metrics") -> float:
    """Of one sample, by its name and labels; NaN: there is none."""
    found = re.search(rf"^{re.escape(metric)} (\S+)$", scrape(exporter), re.M)
    return float(found[1]) if found else math.nan


def ask(path: str, *words: str) -> dict:
    """Prometheus' answer; one without data when it has failed."""
    try:
        answer = json.loads(curl("-G", f"{PROMETHEUS}/api/v1/{path}", *words))
    except ValueError:
        return {}
    return answer["data"] if answer["status"] == "success" else {}


def query(expression: str) -> list[float]:
    result = ask("query", "--data-urlencode", f"query={expression}").get("result", [])
    return [float(sample["value"][1]) for sample in result]


def evaluates(expression: str) -> bool:
    return "result" in ask("query", "--data-urlencode", f"query={expression}")


def has_data(expression: str) -> bool:
    return any(not math.isnan(number) for number in query(expression))


def panel_queries() -> list[str]:
    """As Grafana asks them for all instances."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [target["expr"].replace("$instance", ".*").replace("$__rate_interval", "30s")
            for panel in panels for target in panel.get("targets", [])]


def rules() -> dict[str, dict]:
    return {rule["name"]: rule for group in ask("rules").get("groups", []) for rule in group["rules"]}


def alert(name: str) -> str:
    """inactive, pending or firing; empty while it isn't known."""
    return rules().get(name, {}).get("state", "")


def answer_for_exporters() -> dict:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(GATEWAY.socket))
        connection.sendall(b'{"command":"show","sessions":false}\n')
        return json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))


def start_prometheus(work: Path) -> None:
    config = work / "prometheus.yml"
    config.write_text(CONFIG % (MONITORING / "alerts.yml", ", ".join(f'"{at}"' for at, _ in EXPORTERS.values())))
    processes.spawn("prometheus", "gw", "prometheus", f"--config.file={config}", f"--storage.tsdb.path={work}/tsdb",
                    "--storage.tsdb.retention.size=64MB", "--web.listen-address=127.0.0.1:9090", "--log.level=warn")


def start(s: Scenario) -> None:
    for name, (address, end) in EXPORTERS.items():
        processes.spawn(name, "gw", program("jvpn"), "--socket", end.socket, "metrics", "--listen", address)
    for name in EXPORTERS:
        s.expect(f"{name}: the program is up", lambda name=name: value("jvpn_up", name) == 1, within=10)
        s.expect(f"{name}: its events are followed",
                 lambda name=name: value("jvpn_exporter_follows_events", name) == 1, within=10)
    start_prometheus(s.work)
    s.expect("Prometheus has scraped both", lambda: sorted(query("jvpn_up")) == [1, 1], within=30)


def jump(s: Scenario) -> None:
    before = s.noted
    planned_jump("wan1")
    s.expect("jumped", before.jumped, within=5)
    for name in EXPORTERS:
        s.expect(f"{name}: its time is in the histogram",
                 lambda name=name: value('jvpn_jump_seconds_count{cause="planned"}', name) == 1, within=10)
        s.expect(f"{name}: counted", lambda name=name: value('jvpn_jumps_total{cause="planned"}', name) == 1)
        s.expect(f"{name}: the stay in RECOVERING, too",
                 lambda name=name: value('jvpn_state_seconds_count{state="RECOVERING"}', name) >= 1, within=10)
        s.expect(f"{name}: no event was missed", value("jvpn_exporter_events_missed_total", name) == 0)
        s.expect(f"{name}: one session is ATTACHED", value('jvpn_sessions{state="ATTACHED"}', name) == 1)


def check_names(s: Scenario) -> None:
    for name in EXPORTERS:
        checked = bounded(10, "promtool", "check", "metrics", text=scrape(name))
        s.expect(f"{name}: promtool finds nothing wrong with names and texts", checked.returncode == 0)
        if checked.returncode != 0:
            info(checked.stdout)


def refuse_reload(s: Scenario) -> None:
    profile = LAB_DIR / GATEWAY.profile
    good = profile.read_text()
    profile.write_text(good + "nonsense: 1\n")
    refused = bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "reload")
    profile.write_text(good)
    s.expect("the reload is refused", refused.returncode == 1)
    s.expect("the rule fires", lambda: alert("JvpnReloadRefused") == "firing", within=10)
    GATEWAY.jvpn("reload")
    s.expect("after a good one it doesn't", lambda: alert("JvpnReloadRefused") == "inactive", within=10)


def kill_gateway(s: Scenario) -> None:
    written = value('jvpn_jump_seconds_count{cause="planned"}')
    GATEWAY.stop(signal.SIGKILL)
    s.expect("the exporter says so", lambda: value("jvpn_up") == 0, within=5)
    s.expect("it has nothing of the gateway", lambda: "jvpn_sessions{" not in scrape())
    s.expect("it keeps what it has counted", value('jvpn_jump_seconds_count{cause="planned"}') == written == 1)
    s.expect("the rule waits for its time", lambda: alert("JvpnGatewayDown") == "pending", within=10)
    start_gateway()
    s.expect("up again", lambda: value("jvpn_up") == 1, within=10)
    s.expect("its events are followed again", lambda: value("jvpn_exporter_follows_events") == 1, within=10)
    s.expect("the session goes on, and is counted", lambda: value('jvpn_sessions{state="ATTACHED"}') == 1, within=30)
    s.expect("its claim is timed or counted, as a jump of that cause",
             lambda: value('jvpn_jumps_total{cause="resume"}') == 1, within=5)
    s.expect("nothing of the new run was missed", value("jvpn_exporter_events_missed_total") == 0)
    s.expect("the rule is at rest", lambda: alert("JvpnGatewayDown") == "inactive", within=10)


with scenario(280) as s:
    s.session()
    start_transfer(64, 120)
    step("Exporters and a Prometheus")
    start(s)
    check_names(s)
    answer = answer_for_exporters()
    s.expect("the gateway looks at no session for them", "sessions" not in answer and "next" not in answer)

    step("A planned jump")
    jump(s)

    step("The dashboard and the rules")
    if not (queries := panel_queries()):
        raise Failure("the dashboard has no queries")
    for expression in queries:
        s.expect(f"data for {expression}", lambda expression=expression: has_data(expression), within=20)
    s.expect("all rules are evaluated without an error",
             lambda: rules() and all(rule["health"] == "ok" for rule in rules().values()), within=10)
    for name, rule in rules().items():
        s.expect(f"{name}: evaluates, and is at rest", evaluates(rule["query"]) and rule["state"] == "inactive")

    step("A refused reload")
    refuse_reload(s)

    step("kill -9 of jvpnd, and a start")
    kill_gateway(s)

    step("The end")
    for name in (*EXPORTERS, "prometheus"):
        processes.send(name, signal.SIGTERM)
        s.expect(f"{name} ends by SIGTERM", lambda name=name: processes.ended(name), within=10)
    s.expect("the exporters with exit code 0", all(processes.exit_code(name) == 0 for name in EXPORTERS))
    run("promtool", "check", "rules", MONITORING / "alerts.yml")
