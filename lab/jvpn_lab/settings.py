"""What a caller may choose before the lab comes up, and the addresses that are the same in every lab."""
import os
from collections.abc import Iterable
from dataclasses import dataclass

from jvpn_lab import machine
from jvpn_lab.console import EXIT_USAGE, Failure

LINKS = ("wan0", "wan1", "wan2")
PORT = 51900
SERVER4, SERVER6 = "10.99.0.2", "fd99::2"
CLIENT4, CLIENT6 = "10.77.0.2", "fd77::2"
SITE4, SITE6 = "10.88.0.2", "fd88::2"  # the host behind the second gateway
# The client's outside addresses; the gateway's end in 1.
OUTSIDE4 = {"wan0": "192.0.2.2", "wan1": "198.51.100.2", "wan2": "203.0.113.2"}
OUTSIDE6 = {"wan0": "2001:db8::2", "wan1": "2001:db8:1::2", "wan2": "2001:db8:2::2"}


ETCD = {f"etcd{number}": f"10.66.0.{10 + number}" for number in range(3)}  # on the cluster's own network
MANAGEMENT = {"gw": "10.66.0.1", "gw2": "10.66.0.3"}
ETCD_PORT = 2379
ROUTING4 = {"gw": "10.99.0.11", "gw2": "10.99.0.13"}  # of a routed cluster's daemons beside the gateways


def second_gateway4(link: str) -> str:
    """Of the cluster."""
    return OUTSIDE4[link].removesuffix("2") + "3"


def gateway4(link: str) -> str:
    return OUTSIDE4[link].removesuffix("2") + "1"


def endpoints(*addresses: str) -> str:
    """Of the gateway, as YAML."""
    return ", ".join(f'"{address}:{PORT}"' for address in addresses)


def _chosen_driver() -> str:
    driver = os.environ.get("JVPN_LAB_DRIVER") or machine.port_driver()
    if driver not in ("af_xdp", "af_packet"):
        raise Failure(f"JVPN_LAB_DRIVER: expected af_xdp or af_packet, got {driver}", EXIT_USAGE)
    return driver


@dataclass
class Settings:
    site: bool = False  # a second gateway, which dials the first, instead of the client; all links are emulated
    cluster: bool = False  # a second gateway beside the first, and etcd; all links are emulated
    emulated: Iterable[str] = ()  # links that can be delayed, lost by the frame, attacked
    endpoints: str = endpoints(*(gateway4(link) for link in LINKS))
    allowed: str = '10.99.0.0/24, "fd99::/64"'  # what the client routes into the tunnel
    suite: str = "aes-128-gcm"
    rekey_ms: int = 120_000
    policy: str = "version: 1"  # of both ends
    fallback: str = ""  # the client's gateway.fallback, as YAML (fallback.py)
    hold_packets: int = 0  # of each worker of a gateway, whose policy holds then what it sends for 3 s
    answer_for_peers: bool = False  # on the gateways' LAN; always in a cluster that isn't routed
    routed: bool = False  # of a cluster: a routing daemon beside each gateway, and on the LAN's host (routing.py)
    safe_ms: int = 3_000  # in a cluster
    crowd: int = 0  # further peers of the gateways, which many-clients plays
    state: str = ""  # the gateways' state_dir; by default a folder of the lab for each
    driver: str = ""  # af_xdp or af_packet; by default $JVPN_LAB_DRIVER, else the best there is
    queues: int = 0  # queue pairs, and workers, of a port: 1 or 2; by default $JVPN_LAB_QUEUES

    def __post_init__(self) -> None:
        self.answer_for_peers = self.answer_for_peers or (self.cluster and not self.routed)
        self.emulated = LINKS if self.site or self.cluster else tuple(self.emulated)
        self.driver = self.driver or _chosen_driver()
        # DPDK 22.11 opens only one queue of a veth by AF_XDP, because a veth reports no combined channels.
        self.queues = self.queues or int(os.environ.get("JVPN_LAB_QUEUES") or (1 if self.driver == "af_xdp" else 2))
