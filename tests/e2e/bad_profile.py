#!/usr/bin/env python3
"""Broken profiles: both programs refuse them with exit code 2, before anything is opened, and say where:
`file:line:column: key: expected …, got …`. A table: edit the lab's good profile, expect a key.

  gateway.yaml ─ edit → broken.yaml → jvpnd          no namespaces are needed
  client.yaml  ─ edit → broken.yaml → jvpn-client
"""
import re
import shutil

from e2e import Failure, Scenario, Settings, bounded, info, profiles, program, scenario, step

# what, the key in the message (a regular expression), what is replaced (one as well), by what
GATEWAY = [
    ("unknown key", r"peer_list", r"^peers:", "peer_list:"),
    ("unknown nested key", r"limits\.session_count", r"limits: \{sessions:", "limits: {session_count:"),
    ("wrong type", r"listen_port", r"^listen_port: .*", "listen_port: many"),
    ("list instead of map", r"memory", r"^memory: .*", "memory: [true, 384]"),
    ("out of range", r"listen_port", r"^listen_port: .*", "listen_port: 70000"),
    ("negative", r"crypto\.rekey_after_ms", r"rekey_after_ms: .*", "rekey_after_ms: -1"),
    ("not a prefix", r"ports\[0\]\.addresses\[0\]", r"192\.0\.2\.1/24", "192.0.2.1/33"),
    ("missing port list", r"ports", r"^ports:\n([ ].*\n)+", ""),
    ("missing key of a port", r"ports\[0\](\.role)?", r"\A((?s:.*?))    role: outside\n", r"\1"),
    ("two ports with one address", r"ports\[1\]\.addresses\[0\]", r"198\.51\.100\.1/24", "192.0.2.1/24"),
    ("two ports with one name", r"ports\[1\]\.name", r"- name: wan1", "- name: wan0"),
    ("unknown suite", r"crypto\.suites(\[0\])?", r"suites: .*", "suites: [rot13]"),
    ("bad public key", r"peers\[0\]\.public_key", r'public_key: "[^"]*"', 'public_key: "abc"'),
    ("missing key file", r"crypto\.private_key_file", r"gateway\.key", "nowhere.key"),
    ("world-readable key file", r"crypto\.private_key_file", r"gateway\.key", "open.key"),
    ("empty preshared key file", r"peers\[0\]\.preshared_key_file", r"shared\.psk", "empty.key"),
    ("policy without version", r"policy\.version", r"^policy: .*", "policy: {}"),
    ("unknown policy key", r"policy\.sesion", r"^policy: .*", "policy: {version: 1, sesion: {}}"),
    ("not YAML", r".+", r"^limits: .*", "limits: {sessions: ["),
]
CLIENT = [
    ("unknown key", r"gatewai", r"^gateway:", "gatewai:"),
    ("wrong type", r"underlays", r"^underlays:\n(  - \{name: wan.*\n)+", "underlays: none\n"),
    ("bad endpoint", r"gateway\.endpoints\[0\]", r"endpoints: .*", 'endpoints: ["192.0.2.1:0"]'),
    ("missing public key", r"gateway(\.public_key)?", r"^.*public_key:.*\n", ""),
    ("missing key file", r"crypto\.private_key_file", r"client\.key", "nowhere.key"),
    ("world-readable key file", r"crypto\.private_key_file", r"client\.key", "open.key"),
    ("a gateway's role", r"role", r"^role: client", "role: gateway"),
]


def refused(s: Scenario, name: str, key: str) -> bool:
    """Exit code 2, at once, and a message of the form for that key."""
    profile = s.work / "broken.yaml"
    done = bounded(10, program(name), profile)
    message = rf"^(error: )?{re.escape(str(profile))}:[0-9]+:[0-9]+: {key}: expected .+, got .+"
    met = done.returncode == 2 and re.search(message, done.stdout, re.M) is not None
    if not met:
        info(f"exit code {done.returncode}, and it said:\n{done.stdout}")
    return met


with scenario(120) as s:
    profiles.write_keys(s.work)
    profiles.write_profiles(Settings(), s.work)
    keys = s.work / "keys"
    shutil.copy(keys / "client.key", keys / "open.key")
    (keys / "open.key").chmod(0o644)
    (keys / "empty.key").touch(mode=0o600)
    for name, profile, table in (("jvpnd", "gateway.yaml", GATEWAY), ("jvpn-client", "client.yaml", CLIENT)):
        step(f"The profile of {name}")
        good = (s.work / profile).read_text()
        for what, key, pattern, replacement in table:
            broken = re.sub(pattern, replacement, good, flags=re.M)
            if broken == good:
                raise Failure(f"the edit for '{what}' changes nothing")
            (s.work / "broken.yaml").write_text(broken)
            s.expect(f"{name}: {what}", refused(s, name, key))
