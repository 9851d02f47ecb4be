#!/usr/bin/env python3
"""timeline.py LOG_DIRECTORY SINCE_MS: one line for each event of both programs and each fault since then,
from the JSON lines in jvpnd.log, jvpn-client.log and faults.log, in order of time."""
import json
import os
import sys

LOGS = (("gateway", "jvpnd.log"), ("gateway2", "jvpnd2.log"), ("client", "jvpn-client.log"),
        ("lab", "faults.log"))
SHOWN_ELSEWHERE = {"ts_ms", "seq", "event", "session_id", "node_id", "policy_version", "boot_ms", "peer"}


def events(directory, since):
    for who, name in LOGS:
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            continue
        for number, line in enumerate(open(path, errors="replace")):
            try:
                event = json.loads(line)
            except ValueError:
                continue  # diagnostics for people
            if isinstance(event, dict) and event.get("ts_ms", 0) >= since and "event" in event:
                yield event["ts_ms"], who, number, event


def text(event):
    kind = event["event"]
    if kind == "FAULT":
        return f"{event['link']}: {event['fault']}"
    if kind == "STATE_CHANGE":
        detail = f" ({event['detail']})" if "detail" in event else ""
        return (f"{event['from']} -> {event['to']}  {event['reason']}{detail}  "
                f"version {event['state_version']}")
    rest = " ".join(f"{key}={value}" for key, value in event.items() if key not in SHOWN_ELSEWHERE)
    return f"{kind}  {rest}"


def main():
    since = int(sys.argv[2])
    for at, who, _, event in sorted(events(sys.argv[1], since), key=lambda entry: entry[:3]):
        print(f"{(at - since) / 1000:9.3f} s  {who:<8} {text(event)}")


if __name__ == "__main__":
    main()
