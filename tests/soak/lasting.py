"""A stage whose folder outlives it: a run of `kills` may end and be gone on with. Standard library
only."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from stage import HANG_SECONDS, ROOT, Stage, answers, ask, eventually
from wire import Wire

WITNESS = ROOT / "tests/soak/witness.py"
SERVERS = ("one", "two", "three", "four")


def quiet_ports(count):
    """Ports that nobody is handed by chance, so that they are free again in the next part."""
    found = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 30_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return found


class Lasting(Stage):
    """Backend and daemon on the data of a folder, with a wire between them, restarted when killed."""

    def __init__(self, folder):
        self.folder, self.children, self.lock = folder, {}, threading.Lock()
        self.state, self.effects = folder / "state", folder / "effects.jsonl"
        self.wanted = False
        known = folder / "stage.json"
        if known.exists():
            kept = json.loads(known.read_text())
        else:
            folder.mkdir(parents=True, exist_ok=True)
            kept = self.pair()
            known.write_text(json.dumps(kept))
        self.ready = kept["ready"]
        self.port, self.backend_port, wire_port = kept["ports"]
        self.wire_url = f"http://127.0.0.1:{wire_port}"
        self.backend_url = f"http://127.0.0.1:{self.backend_port}"
        self.credentials = next(self.state.rglob("backend.key.json")).parent
        self.name = self.column("SELECT name FROM satellites")[0]
        self.wire = Wire(wire_port, self.backend_port)

    def pair(self):
        port, backend_port, wire_port = quiet_ports(3)
        config = self.folder / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {name: {
            "command": "python3", "args": ["-I", "-S", str(WITNESS), str(self.effects), name],
        } for name in SERVERS}}))
        dev = self.spawn("dev", [
            "dev", "--json", "--dir", str(self.state), "--servers", str(config),
            "--port", str(port), "--backend-port", str(wire_port)], stdout=subprocess.PIPE)
        ready = json.loads(dev.stdout.readline())
        if not ready["ready"]:
            raise SystemExit(f"error: {ready}")
        self.end("dev")
        return {"ready": ready, "ports": [port, backend_port, wire_port]}

    def start(self, who):
        if who == "backend":
            self.spawn(who, ["backend", "--database-url", self.ready["database_url"],
                             "--listen", f"127.0.0.1:{self.backend_port}"],
                       SATELLITE_ADMIN_TOKEN=self.ready["admin_token"])
        else:
            self.spawn(who, ["run", "--state-dir", str(self.credentials)],
                       DEPLOYSTACK_BACKEND_URL=self.wire_url, DEPLOYSTACK_SATELLITE_NAME=self.name,
                       HOST="127.0.0.1", PORT=str(self.port), LOG_LEVEL="info", NODE_ENV="production",
                       SATELLITE_SERVER_JAIL="false")

    def start_all(self):
        self.start("backend")
        eventually("the Backend", lambda: answers(f"{self.backend_url}/api/health"))
        self.start("daemon")
        eventually("the satellite", lambda: answers(f"http://127.0.0.1:{self.port}/live"))

    def kill(self, who, away=0.0):
        """Kills as nothing else does, and starts again `away` seconds later."""
        child = self.children.pop(who)
        early = child.poll()
        child.kill()
        child.wait()
        time.sleep(away)
        self.start(who)
        if early is not None:
            raise SystemExit(f"error: {who} had ended with {early}; see {self.folder}/{who}.log")

    def file(self, body):
        """Files a command; gives its id, or nothing if the Backend did not say."""
        url = f"{self.backend_url}/api/satellites/manage/{self.ready['satellite_id']}/commands"
        try:
            status, _, text = ask(url, self.ready["admin_token"], body, timeout=10)
        except OSError:
            return None
        except Exception as error:  # an answer cut in its middle
            print(f"filing: {error!r}", file=sys.stderr)
            return None
        if status >= 500:
            return None
        if status >= 300:
            raise SystemExit(f"error: a command was refused: {status} {text}")
        return json.loads(text)["data"]["command"]["id"]

    def witnesses(self):
        """The processes of servers of this folder that run."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                state = (entry / "stat").read_text().rsplit(") ", 1)[-1][:1] if line else "Z"
            except OSError:
                continue
            if str(self.effects).encode() in line and b"witness.py" in line and state not in "ZX":
                found.append(int(entry.name))
        return found

    def stop_all(self):
        for who in ("daemon", "backend"):
            child = self.children.pop(who, None)
            if child is None:
                continue
            child.send_signal(signal.SIGTERM)
            code = child.wait(HANG_SECONDS)
            if code != 0:
                raise SystemExit(f"error: {who} ended with {code}; see {self.folder}/{who}.log")
