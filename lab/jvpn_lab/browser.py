"""A headless Chromium, by the WebDriver protocol: plain HTTP, no library. Debian's chromium and chromium-driver."""
import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from jvpn_lab.console import Failure

PORT = 9515
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-proxy-server",
            "--disable-background-networking", "--disable-component-update", "--no-first-run", "--force-device-scale-factor=1")


def is_there() -> bool:
    return shutil.which("chromium") is not None and shutil.which("chromedriver") is not None


class Browser:
    """`before` is put before the driver's command, for a namespace of its own; its calls go the same way."""

    def __init__(self, before: tuple[str, ...] = (), dark: bool = False) -> None:
        self._before = before
        self._folder = tempfile.mkdtemp(prefix="jvpn-browser.")
        self._driver = subprocess.Popen([*before, "chromedriver", f"--port={PORT}", "--log-level=SEVERE"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        options = [*_OPTIONS, f"--user-data-dir={self._folder}"] + (["--force-dark-mode"] if dark else [])
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": options}, "goog:loggingPrefs": {"browser": "ALL"}}}}
        deadline = time.monotonic() + 20
        while True:
            try:
                self._session = self._ask("POST", "/session", wanted)["sessionId"]
                return
            except (OSError, ValueError):
                if time.monotonic() > deadline or self._driver.poll() is not None:
                    self._driver.kill()
                    raise Failure("chromedriver doesn't answer") from None
                time.sleep(0.1)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        text = json.dumps(body) if body is not None else ""
        address = f"http://127.0.0.1:{PORT}{path}"
        if self._before:
            command = [*self._before, "curl", "-sS", "-m", "60", "-X", method, address]
            done = subprocess.run([*command, "-d", "@-"] if text else command, input=text, capture_output=True, text=True, timeout=70)
            if done.returncode != 0:
                raise OSError(done.stderr)
            answer = json.loads(done.stdout)
        else:
            asked = urllib.request.Request(address, text.encode() or None, {"Content-Type": "application/json"}, method=method)
            with urllib.request.urlopen(asked, timeout=60) as reply:
                answer = json.load(reply)
        value = answer["value"]
        if isinstance(value, dict) and "error" in value:
            raise Failure(f"Chromium: {value['error']}: {value['message'].splitlines()[0]}")
        return value

    def _do(self, what: str, body: Any = None, method: str = "POST") -> Any:
        return self._ask(method, f"/session/{self._session}/{what}", body if method == "GET" else body or {})

    def open(self, address: str) -> None:
        self._do("url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script `return`s."""
        return self._do("execute/sync", {"script": script, "args": list(arguments)})

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """Of the page itself, whatever the window's least width is."""
        self._devtools("Emulation.setDeviceMetricsOverride",
                       {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self._devtools("Emulation.setEmulatedMedia",
                       {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._do("goog/cdp/execute", {"cmd": command, "params": parameters})

    def press(self, *keys: str) -> None:
        for key in keys:
            self._do("actions", {"actions": [{"type": "key", "id": "keys", "actions": [
                {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})

    def picture(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._do("screenshot", method="GET")))

    def complaints(self) -> list[str]:
        """What the browser's console says since the last call: errors of scripts, refusals by the policy."""
        return [entry["message"] for entry in self._do("se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def close(self) -> None:
        try:
            self._ask("DELETE", f"/session/{self._session}")
        except (OSError, ValueError, Failure):
            pass
        self._driver.terminate()
        self._driver.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)
