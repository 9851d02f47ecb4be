"""jvpnd in a process of its own, for `jvpn-perf ndr`: on two memif ports whose sockets lie in a private folder, one
worker that polls on CPU 1, control on CPU 0, on 2 MB pages if the kernel gives them.

   wan0 192.0.2.1/24  ══ memif ══  the peer, 192.0.2.2, inside it 10.77.0.2
   lan  10.99.0.1/24  ══ memif ══  a LAN host, 10.99.0.2

Answers with its public key and the folder once it is up: a memif client that comes earlier is turned away for good.
Runs until SIGTERM, or until jvpnd ends.
"""
import pathlib
import shutil
import subprocess
import tempfile

import script

from jvpn_lab import machine, topology
from jvpn_lab.console import Failure, show_tail
from jvpn_lab.run import end_process, guarded, program, require_within, run

_MEGABYTES, _MORE_MEGABYTES = 320, 16  # of pages: heaps are cut from whole ones
_PROFILE = """\
role: gateway
node: gw1
state_dir: none
cores: {{control: 0, workers: [1], idle: poll}}
memory: {{hugepages: {hugepages}, megabytes: {megabytes}}}
listen_port: 51900
ports:
  - {{name: wan0, vdev: "net_memif_wan0,role=server,socket={folder}/wan0.sock,socket-abstract=no",
     role: outside, addresses: [192.0.2.1/24], mtu: 1500, queues: 1, rx_descriptors: {ring},
     tx_descriptors: {ring}}}
  - {{name: lan, vdev: "net_memif_lan,role=server,socket={folder}/lan.sock,socket-abstract=no",
     role: inside, addresses: [10.99.0.1/24], mtu: 1500, queues: 1, rx_descriptors: {ring},
     tx_descriptors: {ring}}}
crypto: {{private_key_file: {folder}/gateway.key, suites: [{suite}]}}
lanes: 1
limits: {{sessions: 16, mbufs: {mbufs}}}
peers:
  - {{name: generator, public_key: "{peer}", allowed_ips: [10.77.0.2/32]}}
policy:
  version: 1
  session: {{transport_loss_ttl_ms: 300000}}
  volatility: {{heartbeat_volatile_ms: 60000, transport_dead_ms: 120000, loss_volatile_threshold: 1}}
admin: {{socket: {folder}/jvpnd.sock}}
"""


def main():
    folder, jvpnd = pathlib.Path(tempfile.mkdtemp(prefix="jvpn-perf.")), None  # 0700
    pages, log = folder / "hugepages", folder / "jvpnd.log"

    def clean_up(status):
        if jvpnd:
            end_process(jvpnd, 10)
        if status not in (0, 143):
            show_tail(log)
        machine.restore_hugepages(pages)
        shutil.rmtree(folder)

    script.silence()
    with guarded(clean_up):
        topology.lock()  # a lab beside it would take CPUs, and hugepages when ours go back
        hugepages = machine.reserve_hugepages((_MEGABYTES + _MORE_MEGABYTES) // 2, pages)
        private = run(program("jvpn"), "genkey")
        (folder / "gateway.key").touch(mode=0o600)
        (folder / "gateway.key").write_text(private)
        (folder / "gateway.yaml").write_text(_PROFILE.format(
            hugepages=str(hugepages).lower(), megabytes=_MEGABYTES, folder=folder, mbufs=4 * script.options["ring"],
            **script.options))
        with log.open("wb") as output:
            jvpnd = subprocess.Popen([program("jvpnd"), folder / "gateway.yaml"], stdout=output, stderr=output)
        require_within(30, lambda: jvpnd.poll() is not None or (folder / "jvpnd.sock").exists(),
                       "jvpnd was not up within 30 s")
        if jvpnd.poll() is None:
            script.answer({"public_key": run(program("jvpn"), "pubkey", text=private).strip(), "folder": str(folder),
                           "hugepages": hugepages})
        jvpnd.wait()
        raise Failure("jvpnd ended")


if __name__ == "__main__":
    main()
