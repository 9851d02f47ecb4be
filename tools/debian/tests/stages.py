"""What the stages share: a gateway and a client as their packages and systemd run them, on links between namespaces.

  jvpn-laptop                              this machine                          jvpn-lan
  jvpn-client@laptop  wan0 192.0.2.2 ───── wan0 [jvpnd.service] lan ───── lan 10.99.0.2
                      jvpn0 10.77.0.1           192.0.2.1  10.99.0.1
"""
import json
import subprocess
import sys
import time
from pathlib import Path

PROFILE = Path("/etc/jvpn/jvpnd.yaml")
EVENTS = Path("/var/log/jvpn/events.jsonl")
SERVER = "10.99.0.2"
UNITS = ("jvpnd.service", "jvpn-client@.service", "jvpn-metrics.service", "jvpn-routes.service",
         "jvpn-fallback.service")
PACKAGES = ("jvpn", "jvpn-client", "jvpnd")
_TRANSFER = Path(__file__).resolve().parents[2] / "lab/jvpn_lab/transfer.py"
_PORT = 7003
_CLIENT_SOCKET = "/run/jvpn/client.sock"
_DROP_IN = Path("/run/systemd/system/jvpn-client@laptop.service.d/namespace.conf")
_GATEWAY = """\
role: gateway
node: gw1
cores: {control: 0, workers: [1], idle: adaptive}
memory: {hugepages: false, megabytes: 256}
eal_args: ["--no-pci", "--iova-mode=va", "--file-prefix=jvpn-packages"]
ports:
  - {name: wan0, vdev: "net_af_packet0,iface=wan0", role: outside, addresses: [192.0.2.1/24]}
  - {name: lan, vdev: "net_af_packet1,iface=lan", role: inside, addresses: [10.99.0.1/24]}
crypto: {private_key_file: keys/gw1.key, suites: [aes-128-gcm]}
limits: {sessions: 16, mbufs: 8192}
enrolment: {pool: [10.77.0.0/24]}
events: {sinks: [{kind: file, path: /var/log/jvpn/events.jsonl}]}
policy: {version: 1}
"""


def fail(what):
    """Says why, as far as the units' logs do."""
    units = ("--unit=jvpnd", "--unit=jvpn-client@laptop")
    subprocess.run(("journalctl", "--no-pager", "--lines=60", *units), timeout=30, check=False)
    sys.exit(f"FAIL: {what}")


def run(*command, text=None, seconds=120):
    """What it said; it has to succeed."""
    done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def holds(condition, within):
    until = time.monotonic() + within
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)  # between two looks
    return True


def expect(what, condition, within=0.0):
    """The condition has to hold, at once or within some seconds."""
    if not (holds(condition, within) if callable(condition) else condition):
        fail(what)
    print(f"ok: {what}", flush=True)


def answers(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode == 0


def in_ns(host, *command):
    return ("ip", "netns", "exec", f"jvpn-{host}", *command)


def version():
    return run("dpkg-query", "--show", "--showformat=${Version}", "jvpnd")


def session():
    """The only session of the gateway; None while there is none."""
    done = subprocess.run(("jvpn", "--json", "show"), text=True, capture_output=True, timeout=30)
    sessions = json.loads(done.stdout).get("sessions", []) if done.returncode == 0 else []
    return sessions[0] if len(sessions) == 1 else None


def attached():
    there = session()
    return there is not None and there["state"] == "ATTACHED"


def unit(name, prop):
    return run("systemctl", "show", name, "--property", prop, "--value").strip()


def pings(count=20):
    said = subprocess.run(in_ns("laptop", "ping", "-n", "-q", "-c", str(count), "-i", "0.05", "-W", "2", SERVER),
                          text=True, capture_output=True, timeout=60).stdout
    return " 0% packet loss" in said


def _wire(host, name, address):
    run("ip", "netns", "add", f"jvpn-{host}")
    run("ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", f"jvpn-{host}")
    run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")  # this end is jvpnd's alone
    for where in ((), in_ns(host)):
        run(*where, "ethtool", "-K", name, "tx", "off")  # DPDK takes packets as they are
        run(*where, "ip", "link", "set", name, "up")
    run(*in_ns(host, "ip", "address", "add", address, "dev", name))


def _forget_earlier_stages():
    """What they have left, also when they failed."""
    for command in ("systemctl stop jvpn-client@laptop jvpnd", "systemctl reset-failed", "ip link delete wan0", "ip link delete lan",
                    "ip netns delete jvpn-laptop", "ip netns delete jvpn-lan"):
        subprocess.run(command.split(), stderr=subprocess.DEVNULL, timeout=60, check=False)
    for folder in (PROFILE.parent, PROFILE.parent / "peers.d", Path("/root"), _DROP_IN.parent):
        for path in folder.glob("laptop.*" if folder != _DROP_IN.parent else "*"):
            path.unlink()


def start():
    """Links, a gateway with one enrolled client, and the client, attached."""
    _forget_earlier_stages()
    _wire("laptop", "wan0", "192.0.2.2/24")
    _wire("lan", "lan", f"{SERVER}/24")
    run(*in_ns("lan", "ip", "route", "add", "default", "via", "10.99.0.1"))
    PROFILE.write_text(_GATEWAY)
    run("systemctl", "start", "jvpnd")
    expect("jvpnd.service is up", unit("jvpnd", "ActiveState") == "active")
    print(run("jvpn", "peer", "add", "laptop", "--out", "/root"))
    print(run(*in_ns("laptop", "jvpn-client", "--import", "/root/laptop.jvpn", "--device", "wan0")))
    # Its links are in a namespace, its unit is the package's.
    _DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    _DROP_IN.write_text("[Service]\nNetworkNamespacePath=/run/netns/jvpn-laptop\n")
    run("systemctl", "daemon-reload")
    print(run("jvpn", "up", "laptop"))
    expect("jvpn-client@laptop.service is up", unit("jvpn-client@laptop", "ActiveState") == "active")
    expect("the session is ATTACHED", attached, 10)
    expect("the tunnel carries pings", pings)


def stop():
    run("jvpn", "down", "laptop")
    run("systemctl", "stop", "jvpnd")
    for name in ("wan0", "lan"):
        run("ip", "link", "delete", name)
    for host in ("laptop", "lan"):
        run("ip", "netns", "delete", f"jvpn-{host}")
    _DROP_IN.unlink()
    _DROP_IN.parent.rmdir()
    run("systemctl", "daemon-reload")


class Transfer:
    """Random bytes from the client to the LAN by one TCP connection."""

    def __init__(self, seconds):
        limit = str(seconds + 60)
        self._receiver = self._begin("lan", "receive", str(_PORT), limit)
        expect("the LAN's host listens", lambda: run(*in_ns("lan", "ss", "-tlnH", f"sport = :{_PORT}")).strip(), 5)
        self._sender = self._begin("laptop", "send", SERVER, str(_PORT), str(seconds), str(seconds), limit)  # 1 MiB/s
        self.received = 0
        self.goes_on("the transfer begins")

    @staticmethod
    def _begin(host, *words):
        return subprocess.Popen(in_ns(host, sys.executable, str(_TRANSFER), *words), stdout=subprocess.PIPE, text=True)

    def _next(self):
        line = self._receiver.stdout.readline()
        if not line:
            fail("the transfer's connection broke")
        return json.loads(line)

    def goes_on(self, what):
        """More bytes than were seen so far arrive; the receiver ends itself when they don't."""
        before = self.received
        while self.received <= before:
            self.received = self._next()["bytes"]
        print(f"ok: {what}: {self.received} bytes", flush=True)

    def finish(self):
        sent = json.loads(self._sender.communicate(timeout=120)[0].splitlines()[-1])
        while "sha256" not in (got := self._next()):
            pass
        expect(f"{got['bytes']} bytes arrived as they were sent, longest pause {got['longest_pause_ms']} ms",
               got["sha256"] == sent["sha256"])
