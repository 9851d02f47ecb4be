#!/usr/bin/env python3
"""Events as syslog messages at a real rsyslogd, by TCP and by UDP: it reads each field that the event's JSON has. The
collector dies and comes back; what happened meanwhile arrives by TCP.

  jvpnd ─┬─ file
         ├─ collector, tcp ── rsyslogd in jvpn-gw ── one JSON object for each message that it could read
         └─ collector, udp ──┘
"""
import json

from e2e import GATEWAY, LAB_DIR, LOGS, Failure, planned_jump, processes, scenario, step

PORT = 10514
EVENTS = LOGS / "gateway-events"
SPOOL = LAB_DIR / "rsyslog"
CONFIG = f"""\
module(load="imtcp")
module(load="imudp")
module(load="mmpstrucdata")
global(workDirectory="{SPOOL}")
template(name="fields" type="list") {{
  constant(value="{{\\"program\\":\\"") property(name="app-name") constant(value="\\",\\"event\\":\\"") property(name="msgid")
  constant(value="\\",\\"severity\\":") property(name="syslogseverity") constant(value=",\\"fields\\":")
  property(name="$!rfc5424-sd!jvpn@32473") constant(value="}}\\n") }}
ruleset(name="tcp") {{ action(type="mmpstrucdata") action(type="omfile" file="{SPOOL}/tcp" template="fields") }}
ruleset(name="udp") {{ action(type="mmpstrucdata") action(type="omfile" file="{SPOOL}/udp" template="fields") }}
input(type="imtcp" address="127.0.0.1" port="{PORT}" ruleset="tcp")
input(type="imudp" address="127.0.0.1" port="{PORT}" ruleset="udp")
"""


def start_collector() -> None:
    SPOOL.mkdir(exist_ok=True)
    (SPOOL / "config").write_text(CONFIG)
    processes.spawn("rsyslogd", "gw", "rsyslogd", "-n", "-f", SPOOL / "config", "-i", SPOOL / "pid")


def messages(protocol: str) -> list[dict]:
    """What the collector read; a line that is being written isn't one yet."""
    path = SPOOL / protocol
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def written() -> dict[str, dict[str, str]]:
    """The file's events by number, each value as a parameter has it."""
    events = [json.loads(line) for line in EVENTS.read_text().splitlines()]
    return {str(event["seq"]): {key: value if isinstance(value, str) else json.dumps(value)
                                for key, value in event.items()} for event in events}


def arrived(protocol: str) -> bool:
    """Each event of the file."""
    return {message["fields"]["seq"] for message in messages(protocol)} >= set(written())


def same(protocol: str) -> bool:
    there = written()
    for message in messages(protocol):
        event = there[message["fields"]["seq"]]
        if message["fields"] != event or message["event"] != event["event"] or message["program"] != "jvpnd":
            raise Failure(f"{protocol}: {message} of {event}")
    return True


def sink(target: str) -> dict:
    return next(each for each in GATEWAY.show()["events"]["sinks"] if each["target"].startswith(target))


with scenario(120) as s:
    step("A collector, and a gateway that sends to it")
    s.prepare()
    start_collector()
    with (LAB_DIR / GATEWAY.profile).open("a") as profile:
        profile.write(f"events: {{sinks: [{{kind: file, path: {EVENTS}}}, {{kind: collector, to: \"127.0.0.1:{PORT}\"}}, "
                      f"{{kind: collector, to: \"127.0.0.1:{PORT}\", protocol: udp}}]}}\n")
    s.start()
    planned_jump("wan1")
    for protocol in ("tcp", "udp"):
        s.expect(f"all events arrive by {protocol}", lambda protocol=protocol: arrived(protocol), within=10)
        s.expect(f"the collector reads their fields as they are ({protocol})", same(protocol))
    severities = {message["fields"]["reason"]: message["severity"] for message in messages("tcp")}
    s.expect("a jump is information", severities.get("TRANSPORT_SWITCH_OK") == 6)

    step("The collector dies, the session jumps, the collector comes back")
    processes.stop("rsyslogd")
    planned_jump("wan2")
    s.expect("the sink is shown as ill", lambda: not sink("tcp://")["healthy"], within=10)
    start_collector()
    s.expect("it is well again", lambda: sink("tcp://")["healthy"], within=20)
    s.expect("the jump of that time arrives by tcp, and all else", lambda: arrived("tcp"), within=20)
    s.expect("two jumps were told", sum(message["event"] == "TRANSPORT_SWITCH" for message in messages("tcp")) == 2)
    s.expect("the collector reads their fields as they are", same("tcp"))
