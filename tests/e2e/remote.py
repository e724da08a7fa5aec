"""An MCP server over Streamable HTTP that keeps a diary, which outlives it:
`remote.py PORT DIARY [--sessions] [--slow] [--refusal FILE]`.

tools:       act (a call's `id` is noted before it is answered, so that a reader can tell what
             ran), look (the same, and said to be read-only)
diary:       one JSON object a line, appended at once: {"at": ms, "pid": ..., "did": ..., "id": ...}
--sessions   a client has a session here, and is not known without it
--slow       what a call does takes a moment
--refusal    a file; while it holds a number, every request but the handshake is refused with it
"""

import argparse
import json
import os
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("diary")
parser.add_argument("--sessions", action="store_true")
parser.add_argument("--slow", action="store_true")
parser.add_argument("--refusal")
options = parser.parse_args()
diary = os.open(options.diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sessions = set()


def note(did, **more):
    line = {"at": time.time_ns() // 1_000_000, "pid": os.getpid(), "did": did, **more}
    os.write(diary, (json.dumps(line) + "\n").encode())


def tool(name, **hints):
    schema = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    return {"name": name, "description": f"{name} once", "inputSchema": schema, **hints}


TOOLS = [tool("act"), tool("look", annotations={"readOnlyHint": True})]


def refused():
    try:
        with open(options.refusal, encoding="utf-8") as file:
            return int(file.read())
    except (TypeError, OSError, ValueError):
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def say(self, status, body=None, session=None):
        data = b"" if body is None else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n"
        if session:
            head += f"mcp-session-id: {session}\r\n"
        head += f"content-length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)

    def do_GET(self):
        self.say(405)

    def do_DELETE(self):
        sessions.discard(self.headers.get("mcp-session-id"))
        self.say(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, params = message.get("method"), message.get("params") or {}
        session = None
        if method == "initialize":
            if options.sessions:
                session = secrets.token_hex(8)
                sessions.add(session)
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "diary", "version": "1"}}
        elif options.sessions and self.headers.get("mcp-session-id") not in sessions:
            return self.say(404)
        elif (status := refused()) is not None:
            return self.say(status)
        elif method == "tools/list":
            result = {"tools": TOOLS}
        elif method == "tools/call":
            ran = params["arguments"]["id"]
            note(params["name"], id=ran)
            if options.slow:
                time.sleep(0.05)
            result = {"content": [{"type": "text", "text": ran}], "isError": False}
        else:
            result = {}
        if "id" not in message:
            return self.say(202)
        if method != "tools/call":
            note(method)
        self.say(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, session)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server(("127.0.0.1", options.port), Handler)
note("listening")
server.serve_forever()
