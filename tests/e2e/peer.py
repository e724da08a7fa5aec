"""A stdio MCP server that behaves as its first argument says.

well     answers; tools: echo, pid, sleep, big, lines (what arrived on its standard input so far)
garbage  as `well`, but with lines that are no JSON-RPC before each answer
silent   reads, never answers
exits    says why on standard error and ends at once
noted    as `well`, and writes what it echoes to standard error too
flood    as `well`, but answers a call of `big` with one line of 100 MB
"""

import json
import os
import sys
import threading
import time

mode = sys.argv[1]
lock = threading.Lock()
received = []


def say(text):
    with lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def text(value):
    return {"content": [{"type": "text", "text": value}], "isError": False}


def tool(name, properties=None):
    return {"name": name, "description": f"{name} of the test peer",
            "inputSchema": {"type": "object", "properties": properties or {}}}


TOOLS = [
    tool("echo", {"text": {"type": "string"}}),
    tool("pid"),
    tool("sleep", {"ms": {"type": "integer"}}),
    tool("big", {"bytes": {"type": "integer"}}),
    tool("lines"),
]


def answer(request, result):
    if mode == "garbage":
        say("npm warn this is no JSON-RPC")
        say('{"jsonrpc": "2.0", "id": 4711000, "result": {}}')
        say("{]")
    say(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))


def later(request, ms):
    time.sleep(ms / 1000)
    answer(request, text("slept"))


if mode == "exits":
    sys.exit("error: API_KEY is not set")

for line in sys.stdin:
    received.append(line)
    if mode == "silent":
        continue
    try:
        request = json.loads(line)
    except ValueError:
        continue
    if "id" not in request or "method" not in request:
        continue
    method, params = request["method"], request.get("params") or {}
    if method == "initialize":
        answer(request, {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                         "serverInfo": {"name": f"peer-{mode}", "version": "1"}})
    elif method == "ping":
        answer(request, {})
    elif method == "tools/list":
        answer(request, {"tools": TOOLS})
    elif method == "tools/call":
        name, arguments = params["name"], params.get("arguments") or {}
        if name == "echo":
            if mode == "noted":
                print(arguments.get("text", ""), file=sys.stderr, flush=True)
            answer(request, text(arguments.get("text", "")))
        elif name == "pid":
            answer(request, text(str(os.getpid())))
        elif name == "sleep":
            threading.Thread(target=later, args=(request, arguments["ms"]), daemon=True).start()
        elif name == "big":
            size = 100_000_000 if mode == "flood" else arguments["bytes"]
            answer(request, text("x" * size))
        elif name == "lines":
            answer(request, text(json.dumps(received)))
        else:
            say(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                            "error": {"code": -32602, "message": f"unknown tool {name}"}}))
    else:
        say(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                        "error": {"code": -32601, "message": "method not found"}}))
