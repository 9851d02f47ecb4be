"""jvpn-fallback in the lab: a host of its own on an emulated link, its certificates, and the client's paths by it.

  jvpn-client wan0 ──── [jvpn-net0: bridge] ──── wan0 jvpn-gw
                               │
                         wan0 192.0.2.9:443 jvpn-fallback
"""
from pathlib import Path

from jvpn_lab import processes, topology
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.programs import CLIENT
from jvpn_lab.run import program, require_within, run
from jvpn_lab.settings import PORT, gateway4
from jvpn_lab.traffic import listens

NAME = "jvpn-fallback"
ADDRESS = "192.0.2.9"
TCP_PORT = 443
FOLDER = LAB_DIR / "fallback"
# What a client's profile says of it; another CA's file, to be refused.
TRUSTED = f'{{endpoints: ["{ADDRESS}:{TCP_PORT}"], ca_file: {FOLDER}/ca.pem}}'


def _openssl(*words: object) -> None:
    run("openssl", *words)


def make_certificate(name: str, names: str = f"IP:{ADDRESS}", days: int = 2) -> None:
    """NAME.pem and NAME.key, by the lab's CA, which is made when there is none."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    if not (FOLDER / "ca.pem").exists():
        _openssl("req", "-x509", *new, "-keyout", FOLDER / "ca.key", "-out", FOLDER / "ca.pem", "-subj",
                 "/CN=lab fallback CA", "-days", 2)
    key, request, extensions = (FOLDER / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
    _openssl("req", *new, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    extensions.write_text(f"extendedKeyUsage=serverAuth\nsubjectAltName={names}\n")
    _openssl("x509", "-req", "-in", request, "-CA", FOLDER / "ca.pem", "-CAkey", FOLDER / "ca.key", "-CAcreateserial",
             "-days", days, "-extfile", extensions, "-out", FOLDER / f"{name}.pem")
    key.chmod(0o600)


def add_host() -> None:
    """Beside client and gateway, on wan0, which is emulated. Nothing runs there yet."""
    topology.add_fallback("wan0", ADDRESS)
    make_certificate("server")


def start(*options: object, certificate: str = "server") -> None:
    processes.spawn(NAME, "fallback", program("jvpn-fallback"), "--listen", f"{ADDRESS}:{TCP_PORT}", "--gateway",
                    f"{gateway4('wan0')}:{PORT}", "--certificate", FOLDER / f"{certificate}.pem", "--key",
                    FOLDER / f"{certificate}.key", *map(str, options), keep_log=True)
    require_within(10, lambda: listens("fallback", TCP_PORT), "jvpn-fallback does not listen")


def stop() -> None:
    processes.stop(NAME)


def log() -> Path:
    return processes.log_of(NAME)


def connections() -> int:
    """Established ones."""
    said = topology.in_ns("fallback", "ss", "-tnH", "state", "established", f"sport = :{TCP_PORT}")
    return len(said.strip().splitlines())


def by_tcp() -> bool:
    """The client's session goes by it."""
    return CLIENT.session()["remote"] == f"{ADDRESS}:{TCP_PORT}"
