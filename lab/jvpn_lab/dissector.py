"""What tshark says of a capture by the dissector of tools/wireshark.

From 4.4 on Wireshark runs no script of a user who is root, and says nothing of it. So root runs it as nobody, on copies
in a folder that nobody may read.
"""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "tools/wireshark"
NOBODY = 65534


def tshark(capture: bytes | Path, *options: str, keys: str | Path | None = None,
           scripts: tuple[str, ...] = ("jvp1.lua", "jvp1_ciphers.lua")) -> subprocess.CompletedProcess[str]:
    """`keys`: a key log's text, or its path. At most a minute."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for script in scripts:
            shutil.copyfile(SCRIPTS / script, folder / script)
        (folder / "x.pcap").write_bytes(capture if isinstance(capture, bytes) else capture.read_bytes())
        if isinstance(keys, str):
            (folder / "keys.log").write_text(keys)
            keys = folder / "keys.log"
        for each in folder.iterdir():
            each.chmod(0o644)
        nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": {**os.environ, "HOME": "/nonexistent"}}
        return subprocess.run(["tshark", "-X", f"lua_script:{folder}/jvp1.lua", "-r", f"{folder}/x.pcap",
                               *(["-o", f"jvp1.keylog:{keys}"] if keys is not None else []), *options], capture_output=True,
                              text=True, timeout=60, **(nobody if os.geteuid() == 0 else {}))
