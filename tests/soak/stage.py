"""What the long runs share: the product as its users start it, with a listener between a satellite
and its Backend that notes every request. Standard library only."""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("SATELLITE", str(ROOT / "target/debug/satellite"))
HANG_SECONDS = 180


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(url, token=None, body=None, headers=None, timeout=60):
    """An HTTP exchange: status, headers, text. No answer at all raises OSError."""
    headers = {"accept": "application/json, text/event-stream", **(headers or {})}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["content-type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()


def eventually(what, probe, seconds=HANG_SECONDS):
    """Waits until `probe` gives something; only a hang reaches the bound."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit(f"error: never came: {what}")


class Session:
    """A stateful MCP session over Streamable HTTP."""

    def __init__(self, url, token):
        self.url, self.token, self.id = url, token, None
        status, headers, text = self.post({
            "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": {"name": "soak", "version": "1"}}})
        if status != 200:
            raise OSError(f"initialize: {status} {text}")
        self.id = headers["mcp-session-id"]
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def post(self, message):
        headers = {}
        if self.id:
            headers = {"mcp-session-id": self.id, "mcp-protocol-version": "2025-06-18"}
        return ask(self.url, self.token, message, headers)

    def call(self, tool, arguments):
        """The text of a tool's result; OSError with the answer if it is no success."""
        status, _, text = self.post({
            "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}})
        data = [line[5:] for line in text.splitlines() if line.startswith("data:")] or [text]
        for part in data:
            try:
                answer = json.loads(part)
            except ValueError:
                continue
            result = answer.get("result") if isinstance(answer, dict) else None
            if result and not result.get("isError"):
                return result["content"][0]["text"]
        raise OSError(f"{status} {text}")


class Gate:
    """A listener in the Backend's place. It passes every request on, noting it; where nobody
    answers behind it, it hangs up as a stopped Backend does."""

    def __init__(self, port, backend_port, rewrite=None):
        gate = self
        self.backend_port, self.rewrite = backend_port, rewrite or (lambda path, reply: reply)
        self.started, self.lock, self.noted, self.watch = time.monotonic(), threading.Lock(), [], None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def pass_on(self):
                attempt = gate.note(self.command, self.path)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                try:
                    link = http.client.HTTPConnection("127.0.0.1", gate.backend_port, timeout=60)
                    link.request(self.command, self.path, body, dict(self.headers))
                    answer = link.getresponse()
                    reply = gate.rewrite(self.path, answer.read())
                except (OSError, http.client.HTTPException):
                    attempt["ended"] = gate.elapsed()
                    self.close_connection = True
                    return
                attempt.update(status=answer.status, reply=reply)
                try:
                    self.send_response_only(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                            self.send_header(name, value)
                    if answer.status not in (204, 304):
                        self.send_header("content-length", str(len(reply)))
                    self.end_headers()
                    self.wfile.write(reply)
                except OSError:
                    self.close_connection = True
                attempt["ended"] = gate.elapsed()

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = pass_on

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def elapsed(self):
        return time.monotonic() - self.started

    def note(self, method, path):
        plain = re.sub(r"/(sat|cmd|team)_[0-9a-f]+", "/{id}", path.split("?")[0])
        attempt = {"at": self.elapsed(), "what": f"{method} {plain}", "path": path}
        with self.lock:
            self.noted.append(attempt)
        if self.watch:
            self.watch(attempt)
        return attempt

    def attempts(self, suffix=""):
        with self.lock:
            return [attempt for attempt in self.noted if attempt["what"].endswith(suffix)]


class Stage:
    """A paired satellite and its Backend as programs of their own, and a gate between them."""

    def __init__(self, name, servers, rewrite=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"satellite-{name}-"))
        self.gate_port, self.port, self.backend_port = free_port(), free_port(), free_port()
        self.state, self.children = self.folder / "state", {}
        config = self.folder / "mcp.json"
        config.write_text(json.dumps({"mcpServers": servers}))
        dev = self.spawn("dev", [
            "dev", "--json", "--dir", str(self.state), "--servers", str(config),
            "--port", str(self.port), "--backend-port", str(self.gate_port)], stdout=subprocess.PIPE)
        self.ready = json.loads(dev.stdout.readline())
        if not self.ready["ready"]:
            raise SystemExit(f"error: {self.ready}")
        self.end("dev")
        self.credentials = next(self.state.rglob("backend.key.json")).parent
        self.start_backend()
        self.gate = Gate(self.gate_port, self.backend_port, rewrite)
        self.start_daemon()

    def spawn(self, name, arguments, stdout=subprocess.DEVNULL, **environment):
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        with open(self.folder / f"{name}.log", "ab") as log:
            child = subprocess.Popen(
                [PROGRAM, *arguments], env={**kept, **environment}, stdin=subprocess.DEVNULL,
                stdout=stdout, stderr=log)
        self.children[name] = child
        return child

    def start_backend(self):
        self.spawn("backend", ["backend", "--database-url", self.ready["database_url"],
                               "--listen", f"127.0.0.1:{self.backend_port}"],
                   SATELLITE_ADMIN_TOKEN=self.ready["admin_token"])
        url = f"http://127.0.0.1:{self.backend_port}/api/health"
        eventually("the Backend", lambda: answers(url))

    def start_daemon(self):
        self.spawn("daemon", ["run", "--state-dir", str(self.credentials)],
                   DEPLOYSTACK_BACKEND_URL=f"http://127.0.0.1:{self.gate_port}",
                   DEPLOYSTACK_SATELLITE_NAME=self.column("SELECT name FROM satellites")[0],
                   HOST="127.0.0.1", PORT=str(self.port), LOG_LEVEL="debug", NODE_ENV="production",
                       SATELLITE_SERVER_JAIL="false")
        eventually("the satellite", lambda: answers(f"http://127.0.0.1:{self.port}/ready"))

    def end(self, name):
        child = self.children.pop(name)
        child.terminate()
        code = child.wait(HANG_SECONDS)
        if code != 0:
            raise SystemExit(f"error: {name} ended with {code}; see {self.folder}/{name}.log")

    def instance(self, server):
        return next(it for it in self.ready["instances"] if it["server"] == server)

    def rows(self, sql, *values):
        import sqlite3
        path = self.ready["database_url"].removeprefix("sqlite:").removeprefix("//")
        link = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
        try:
            return link.execute(sql, values).fetchall()
        finally:
            link.close()

    def column(self, sql, *values):
        return [row[0] for row in self.rows(sql, *values)]

    def manage(self, path, body=None):
        """Asks the Backend's administration about the satellite, past the gate."""
        url = (f"http://127.0.0.1:{self.backend_port}/api/satellites/manage/"
               f"{self.ready['satellite_id']}/{path}")
        status, _, text = ask(url, self.ready["admin_token"], body)
        if status >= 300:
            raise SystemExit(f"error: {path}: {status} {text}")
        return json.loads(text)["data"]


def answers(url):
    try:
        return ask(url)[0] == 200
    except OSError:
        return False
