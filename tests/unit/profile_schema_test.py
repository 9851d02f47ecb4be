#!/usr/bin/python3
"""The JSON schemas of profiles know every key of the profiles in tools/profiles, and refuse one that there isn't.

usage: profile_schema_test.py JVPN ROOT
"""
import json
import subprocess
import sys
from pathlib import Path

import yaml

JVPN, ROOT = sys.argv[1], Path(sys.argv[2])


def unfit(value: object, schema: dict, key: str = "") -> list[str]:
    """Keys that the schema doesn't have, those that it misses, and words that are none of its choices."""
    found = []
    if isinstance(value, dict) and "properties" in schema:
        found += [f"{key}{name}: unknown" for name in value if name not in schema["properties"]]
        found += [f"{key}{name}: missing" for name in schema.get("required", []) if name not in value]
        for name in value.keys() & schema["properties"].keys():
            found += unfit(value[name], schema["properties"][name], f"{key}{name}.")
    if isinstance(value, list):
        found += [each for item in value for each in unfit(item, schema.get("items", {}), f"{key}[].")]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{key} {value}: none of {schema['enum']}")
    return found


for role, name in (("client", "client.yaml"), ("gateway", "nic-server.yaml")):
    schema = json.loads(subprocess.run([JVPN, "check", "--schema", role], check=True, capture_output=True).stdout)
    profile = yaml.safe_load((ROOT / "tools/profiles" / name).read_text())
    assert unfit(profile, schema) == [], (name, unfit(profile, schema))
    assert unfit(profile | {"rolle": 1}, schema) == ["rolle: unknown"]
    assert unfit(profile | {"role": "other"}, schema) and unfit({}, schema)
    assert "policy" in schema["required"] and "volatility" in schema["properties"]["policy"]["properties"]
print("both schemas fit")
