"""What the lab needs of the machine: kernel features, hugepages, a DPDK driver for kernel interfaces."""
import contextlib
import json
import socket
from pathlib import Path

from jvpn_lab.console import EXIT_NO_FEATURE, Failure, warn
from jvpn_lab.run import bounded, run, succeeds

HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
_HUGETLBFS = Path("/dev/hugepages")

# Each is tried in a namespace of its own, which is gone with the process.
_FEATURES = {
    "netns": (["true"], "the kernel has no network namespaces (CONFIG_NET_NS), or this container may not make them"),
    "veth": ("ip link add jvpn-probe0 type veth peer name jvpn-probe1".split(),
             "the kernel has no veth pairs (CONFIG_VETH; try: modprobe veth)"),
    "bridge": ("ip link add jvpn-probe0 type bridge".split(),
               "the kernel has no bridges (CONFIG_BRIDGE; try: modprobe bridge)"),
    "tun": ("ip tuntap add dev jvpn-probe0 mode tun".split(),
            "the kernel has no TUN devices (CONFIG_TUN, /dev/net/tun; try: modprobe tun)"),
}


def require_kernel(*features: str) -> None:
    if "tun" in features and not Path("/dev/net/tun").is_char_device():
        bounded(10, "modprobe", "tun")
    for feature in features:
        attempt, lacking = _FEATURES[feature]
        if not succeeds("unshare", "--net", "--", *attempt):
            raise Failure(lacking, EXIT_NO_FEATURE)


def port_driver() -> str:
    """Which DPDK driver can open a kernel interface here."""
    try:
        socket.socket(44, socket.SOCK_RAW, 0).close()  # 44 is AF_XDP, which Python has no name for
    except OSError:
        return "af_packet"
    return "af_xdp"


def _pages(which: str) -> int:
    return int((HUGEPAGES / f"{which}_hugepages").read_text())


def reserve_hugepages(wanted: int, state: Path) -> bool:
    """At least so many free 2 MiB pages and a hugetlbfs; False, with nothing changed, when there are too few.

    What was changed is noted in the file `state`, so that any later run can put it back.
    """
    if not HUGEPAGES.is_dir():
        return False
    mount = f" {_HUGETLBFS} hugetlbfs " not in Path("/proc/mounts").read_text()
    state.write_text(json.dumps([_pages("nr"), mount, not _HUGETLBFS.is_dir()]))
    if mount:
        _HUGETLBFS.mkdir(exist_ok=True)
        run("mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", _HUGETLBFS)
    if _pages("free") < wanted:
        (HUGEPAGES / "nr_hugepages").write_text(str(_pages("nr") + wanted - _pages("free")))
    if _pages("free") < wanted:
        restore_hugepages(state)
        return False
    return True


def restore_hugepages(state: Path) -> None:
    """Puts back what reserve_hugepages() changed; does nothing a second time."""
    try:
        pages, mounted, made = json.loads(state.read_text())
    except (OSError, ValueError, TypeError):
        return
    state.unlink()
    if mounted and not succeeds("umount", _HUGETLBFS):
        warn(f"{_HUGETLBFS} stays mounted")
    if made:
        with contextlib.suppress(OSError):
            _HUGETLBFS.rmdir()
    (HUGEPAGES / "nr_hugepages").write_text(str(pages))
