"""An MCP server over Streamable HTTP that keeps a diary: `remote.py PORT DIARY [STATUS]`.

tools:  count (a call's `id` is noted before it is answered, so that a reader can tell what ran),
        look (the same, and said to be read-only)
diary:  one JSON object a line, appended at once: {"at": ms, "pid": ..., "did": ..., "id": ...}
STATUS  a file; while it holds a number, every request but the handshake is refused with it
"""

import json
import os
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, diary = int(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
refusal = sys.argv[3] if len(sys.argv) > 3 else None
sessions = set()


def note(did, **more):
    line = {"at": time.time_ns() // 1_000_000, "pid": os.getpid(), "did": did, **more}
    os.write(diary, (json.dumps(line) + "\n").encode())


def tool(name, **hints):
    schema = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    return {"name": name, "description": f"{name} a call", "inputSchema": schema, **hints}


TOOLS = [tool("count"), tool("look", annotations={"readOnlyHint": True})]


def refused():
    try:
        with open(refusal, encoding="utf-8") as file:
            return int(file.read())
    except (TypeError, OSError, ValueError):
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body=None, **headers):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.say(405)

    def do_DELETE(self):
        sessions.discard(self.headers.get("mcp-session-id"))
        self.say(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, params = message.get("method"), message.get("params") or {}
        headers = {}
        if method == "initialize":
            session = secrets.token_hex(8)
            sessions.add(session)
            headers["mcp_session_id"] = session
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "diary", "version": "1"}}
        elif self.headers.get("mcp-session-id") not in sessions:
            return self.say(404)
        elif (status := refused()) is not None:
            return self.say(status)
        elif method == "tools/list":
            result = {"tools": TOOLS}
        elif method == "tools/call":
            ran = params["arguments"]["id"]
            note(params["name"], id=ran)
            result = {"content": [{"type": "text", "text": ran}], "isError": False}
        else:
            result = {}
        if "id" not in message:
            return self.say(202)
        if method != "tools/call":
            note(method)
        self.say(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, **headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", port), Handler)
note("listening")
server.serve_forever()
