"""The three members of etcd that a lab's cluster shares: certificates, and processes that faults can befall."""
import json
from pathlib import Path

from jvpn_lab import processes
from jvpn_lab.processes import LAB_DIR, in_namespace
from jvpn_lab.run import bounded, require_within, run
from jvpn_lab.settings import ETCD, ETCD_PORT

_FOLDER = LAB_DIR / "etcd"
_PEER_PORT = 2380


def _openssl(*words: str | Path) -> None:
    run("openssl", *words)


def _certificate(name: str, subject: str, names: str = "") -> None:
    """Signed by the lab's CA."""
    key, request, extensions = (_FOLDER / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
             "-subj", f"/CN={subject}")
    extensions.write_text("extendedKeyUsage=serverAuth,clientAuth\n" + (f"subjectAltName={names}\n" if names else ""))
    _openssl("x509", "-req", "-in", request, "-CA", _FOLDER / "ca.pem", "-CAkey", _FOLDER / "ca.key", "-CAcreateserial",
             "-days", "2", "-extfile", extensions, "-out", _FOLDER / f"{name}.pem")
    key.chmod(0o600)


def _make_certificates() -> None:
    _FOLDER.mkdir(mode=0o700, exist_ok=True)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             _FOLDER / "ca.key", "-out", _FOLDER / "ca.pem", "-subj", "/CN=lab etcd CA", "-days", "2")
    _certificate("server", "etcd", ",".join(f"IP:{address}" for address in (*ETCD.values(), "127.0.0.1")))
    _certificate("client", "gateway")


def start_member(name: str) -> None:
    address = ETCD[name]
    tls = [f"--{kind}={_FOLDER}/{file}" for kind, file in (
        ("cert-file", "server.pem"), ("key-file", "server.key"), ("trusted-ca-file", "ca.pem"),
        ("peer-cert-file", "server.pem"), ("peer-key-file", "server.key"), ("peer-trusted-ca-file", "ca.pem"))]
    members = ",".join(f"{member}=https://{at}:{_PEER_PORT}" for member, at in ETCD.items())
    processes.spawn(name, name, "env", "-u", "ETCD_CONFIG_FILE", "etcd", "--name", name, "--data-dir", _FOLDER / name,
                    "--client-cert-auth", "--peer-client-cert-auth", *tls,
                    "--listen-client-urls", f"https://{address}:{ETCD_PORT}",
                    "--advertise-client-urls", f"https://{address}:{ETCD_PORT}",
                    "--listen-peer-urls", f"https://{address}:{_PEER_PORT}",
                    "--initial-advertise-peer-urls", f"https://{address}:{_PEER_PORT}",
                    "--initial-cluster", members, "--initial-cluster-state", "new", "--log-level", "warn",
                    keep_log=True)


def _ask(name: str, path: str, body: object) -> str:
    """What a member answers to a request of its JSON gateway; empty: nothing within a moment."""
    done = bounded(5, *in_namespace(name, "curl", "-s", "-m", "2", "--cacert", _FOLDER / "ca.pem", "--cert",
                                    _FOLDER / "client.pem", "--key", _FOLDER / "client.key", "-d", json.dumps(body),
                                    f"https://{ETCD[name]}:{ETCD_PORT}{path}"))
    return done.stdout


def member_answers(name: str) -> bool:
    """It takes part in a quorum: a linearizable read succeeds."""
    return '"revision"' in _ask(name, "/v3/kv/range", {"key": "AA=="})


def leader() -> str:
    """The member that leads; empty: nobody says so."""
    for name in ETCD:
        try:
            status = json.loads(_ask(name, "/v3/maintenance/status", {}))
            if status["leader"] == status["header"]["member_id"]:
                return name
        except (ValueError, KeyError):
            continue
    return ""


def start() -> None:
    _make_certificates()
    for name in ETCD:
        start_member(name)
    require_within(30, lambda: all(member_answers(name) for name in ETCD), "etcd does not answer within 30 s")
