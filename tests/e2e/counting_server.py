#!/usr/bin/env python3
"""An MCP server over Streamable HTTP that keeps count of what it carries out, in a file that
outlives it: `counting_server.py PORT FILE [sessions]`. The tool `look` says that it only reads,
`act` says nothing. Each call is written down before it is carried out, which takes a moment.
With `sessions` a client has a session here, and is not known without it."""

import http.server
import json
import os
import secrets
import sys
import time

port, file, with_sessions = int(sys.argv[1]), sys.argv[2], "sessions" in sys.argv[3:]
book = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sessions = set()
schema = {"type": "object", "properties": {"number": {"type": "integer"}}}
TOOLS = [
    {"name": "look", "inputSchema": schema, "annotations": {"readOnlyHint": True}},
    {"name": "act", "inputSchema": schema},
]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = json.loads(body)
        method, id = message.get("method"), message.get("id")
        session = self.headers.get("mcp-session-id")
        if method == "initialize":
            session = secrets.token_hex(8) if with_sessions else None
            sessions.add(session)
            return self.result(id, {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "counting", "version": "1"},
            }, session)
        if with_sessions and session not in sessions:
            return self.answer(404, b"")
        if id is None:
            return self.answer(202, b"")
        if method == "tools/list":
            return self.result(id, {"tools": TOOLS})
        if method == "tools/call":
            params = message["params"]
            number = params["arguments"]["number"]
            os.write(book, f"{params['name']} {number}\n".encode())
            time.sleep(0.05)
            return self.result(id, {"content": [{"type": "text", "text": str(number)}]})
        self.result(id, {})

    def do_GET(self):
        self.answer(405, b"")

    def do_DELETE(self):
        sessions.discard(self.headers.get("mcp-session-id"))
        self.answer(204, b"")

    def result(self, id, result, session=None):
        answer = {"jsonrpc": "2.0", "id": id, "result": result}
        self.answer(200, json.dumps(answer).encode(), session)

    def answer(self, status, body, session=None):
        head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n"
        if session:
            head += f"mcp-session-id: {session}\r\n"
        head += f"content-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", port), Handler).serve_forever()
