"""What happened when: the events of all programs and the faults, from the JSON lines in their logs."""
import json
from collections.abc import Iterator
from typing import Any

from jvpn_lab.processes import log_of

LOGS = {"gateway": "jvpnd", "gateway2": "jvpnd2", "client": "jvpn-client", "lab": "faults"}
_SHOWN_ELSEWHERE = {"ts_ms", "seq", "event", "session_id", "node_id", "policy_version", "boot_ms", "peer"}


def events(name: str) -> Iterator[dict[str, Any]]:
    """Those in that program's log; other lines are diagnostics for people."""
    if not log_of(name).exists():
        return
    for line in log_of(name).read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def text_of(event: dict[str, Any]) -> str:
    """One line, without when and who."""
    if event["event"] == "FAULT":
        return f"{event['link']}: {event['fault']}"
    if event["event"] == "STATE_CHANGE":
        detail = f" ({event['detail']})" if "detail" in event else ""
        return f"{event['from']} -> {event['to']}  {event['reason']}{detail}  version {event['state_version']}"
    rest = " ".join(f"{key}={value}" for key, value in event.items() if key not in _SHOWN_ELSEWHERE)
    return f"{event['event']}  {rest}"


def timeline(since_ms: int) -> str:
    """One line for each event since then, in order of time."""
    all_of_them = [(event["ts_ms"], who, event) for who, name in LOGS.items() for event in events(name)
                   if event.get("ts_ms", 0) >= since_ms]
    return "\n".join(f"{(at - since_ms) / 1000:9.3f} s  {who:<8} {text_of(event)}"
                     for at, who, event in sorted(all_of_them, key=lambda entry: entry[0]))
