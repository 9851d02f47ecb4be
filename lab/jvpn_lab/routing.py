"""Routing daemons of a routed cluster: BIRD beside each gateway with the configuration that we ship, fed by `jvpn routes`,
and BIRD on the LAN's host, which is the inside network's router."""
import re

from jvpn_lab import processes
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.programs import Program
from jvpn_lab.run import ROOT, program, run
from jvpn_lab.settings import ROUTING4, SERVER4
from jvpn_lab.topology import in_ns, ip

INSIDE4 = {"gw": "10.99.0.1", "gw2": "10.99.0.3"}  # of the gateways' own ports
INSIDE6 = {"gw": "fd99::1", "gw2": "fd99::3"}
TABLE = 151

_ROUTER = f"""log stderr all;
router id {SERVER4};
protocol device {{ }}
protocol direct {{ ipv4; ipv6; interface "lan"; }}
protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}
protocol kernel {{ ipv6 {{ export where source = RTS_BGP; }}; }}
protocol bfd {{ interface "*" {{ min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }}; }}
template bgp beside {{
  local {SERVER4} as 65001;
  direct;
  hold time 9;
  bfd on;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
""" + "".join(f"protocol bgp to_{host} from beside {{ neighbor {address} as 65001; }}\n"
              for host, address in ROUTING4.items())


def follower(gateway: Program) -> str:
    return f"routes-{gateway.host}"


def start_follower(gateway: Program) -> None:
    """As tools/systemd/jvpn-routes.service has it."""
    processes.spawn(follower(gateway), gateway.host, program("jvpn"), "--socket", gateway.socket, "routes", "--follow",
                    "--retry", "--kernel-table", str(TABLE), keep_log=True)


def _start_bird(host: str, configuration: str) -> None:
    file = LAB_DIR / f"bird-{host}.conf"
    file.write_text(configuration)
    run("bird", "-p", "-c", file)
    processes.spawn(f"bird-{host}", host, "bird", "-f", "-c", file, "-s", LAB_DIR / f"bird-{host}.ctl")


def start(*gateways: Program) -> None:
    for gateway in gateways:
        text = (ROOT / "tools/routing/bird.conf").read_text().replace("log syslog all", "log stderr all")
        for name, value in (("INSIDE4", INSIDE4[gateway.host]), ("INSIDE6", INSIDE6[gateway.host]),
                            ("LOCAL", ROUTING4[gateway.host]), ("NEIGHBOUR", SERVER4)):
            text = re.sub(rf"^define {name} = [^;]*;", f"define {name} = {value};", text, flags=re.M)
        _start_bird(gateway.host, text)
        start_follower(gateway)
    _start_bird("lan", _ROUTER)


def table(host: str) -> str:
    """What `jvpn routes` has put into the kernel's table beside a gateway; one that was never used isn't there."""
    shows = (f"ip {family} route show table {TABLE} 2>/dev/null" for family in ("-4", "-6"))
    return in_ns(host, "sh", "-c", "; ".join((*shows, "true")))


def next_hop(address: str) -> str:
    """By which gateway's inside address the router sends to a client; empty: it has no route."""
    family = "-6" if ":" in address else "-4"
    found = re.search(r" via (\S+) ", ip("lan", f"{family} route show {address}"))
    return found[1] if found else ""
