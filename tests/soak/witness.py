"""A stdio MCP server that notes its own start, and by which command it was started, in the file of
its first argument: one line each, written at once. It lives until its input ends."""

import json
import os
import sys

path, name = sys.argv[1], sys.argv[2]
noted = {"server": name, "pid": os.getpid(), "command": os.environ.get("SATELLITE_COMMAND_ID")}
file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(file, (json.dumps(noted) + "\n").encode())
os.close(file)
print(f"{name} started as {os.getpid()}", file=sys.stderr, flush=True)

TOOLS = [{"name": tool, "description": f"{tool} of the witness", "inputSchema": {"type": "object"}}
         for tool in ("echo", "switched")]

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request or "method" not in request:
        continue
    method, params = request["method"], request.get("params") or {}
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if method == "initialize":
        answer["result"] = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                            "serverInfo": {"name": name, "version": "1"}}
    elif method == "tools/list":
        answer["result"] = {"tools": TOOLS}
    elif method == "tools/call":
        text = str((params.get("arguments") or {}).get("text", ""))
        print(f"{name} says {text}", file=sys.stderr, flush=True)
        answer["result"] = {"content": [{"type": "text", "text": text}], "isError": False}
    elif method == "ping":
        answer["result"] = {}
    else:
        answer["error"] = {"code": -32601, "message": "method not found"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
