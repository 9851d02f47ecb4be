#!/usr/bin/env python3
"""A new user's walk: the commands of docs/GETTING_STARTED.md, "Two hosts of your own", as they stand there, one block
after the other in one shell. Every command has to succeed, and the first ping to have its answers.

  jvpn-home eth0 192.0.2.2 ──── wan0 [jvpn-office: jvpnd, 192.0.2.1] lan0, a TAP, 10.99.0.2
"""
import re
import shutil
import time
from pathlib import Path

from e2e import ROOT, bounded, info, program, run, scenario, step, topology
from jvpn_lab.topology import exists

HOSTS = ("home", "office")


def commands() -> str:
    text = (ROOT / "docs/GETTING_STARTED.md").read_text()
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S))


def left() -> list[str]:
    return [host for host in HOSTS if exists(host)]


with scenario(120) as s:
    topology.lock()
    step("The commands of docs/GETTING_STARTED.md")
    script = s.work / "walk.sh"
    # Whatever fails, what it began ends: the gateway by its number, then the client by its own command.
    script.write_text(f"""set -euo pipefail
export PATH={Path(program("jvpn")).parent}:$PATH
cd {s.work}
trap 'ip netns exec jvpn-home jvpn down {s.work}/my-vpn/home/laptop.yaml || true; kill %1 2> /dev/null || true' ERR
{commands()}""")
    began = time.monotonic()
    said = bounded(90, "bash", script)
    seconds = time.monotonic() - began
    info(said.stdout)
    s.expect(f"every command succeeds ({said.stdout[-500:] if said.returncode else 'none failed'})", said.returncode == 0)
    s.expect("the first ping has its answers", "3 received" in said.stdout)
    s.expect("jvpn shows the session", re.search(r"state: +ATTACHED", said.stdout))
    s.expect("nothing is left", not left() and not (s.work / "my-vpn").exists())
    s.expect(f"all of it within two minutes: {seconds:.1f} s", seconds < 120)
    for host in left():
        run("ip", "netns", "del", f"jvpn-{host}")
    shutil.rmtree(s.work / "my-vpn", ignore_errors=True)
    for log in Path("/run/jvpn").glob(f"{str(s.work)[1:].replace('/', '-')}-*.log"):  # of `jvpn up`
        log.unlink()
