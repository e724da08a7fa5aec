"""A server that speaks MCP and misbehaves: how is its argument. Standard library only.

    server.py double_fork      leaves a process that init inherits
    server.py setsid           leaves one in a session of its own
    server.py deaf             ignores SIGTERM and the end of its input, and so does what it started
    server.py leaves_child     ends when told, and leaves a child that does not
    server.py exits            ends by itself a moment after it is online, and leaves a child
    server.py killed           is killed by SIGKILL a moment after it is online, and leaves a child
    server.py hung             stops for good a moment after it is online
    server.py forks            has forty children, and they have some
    server.py hangs_up         closes its input and output a moment after it is online, and stays
    server.py anonymous        leaves a process in a new session with nothing in its environment
"""

import json
import os
import signal
import sys
import threading
import time

HOW = sys.argv[1]
MOMENT_SECONDS = 0.3


def child(deaf=True, session=False, then=None, bare=False):
    """Forks a process that stays until it is killed."""
    if os.fork():
        return
    if session:
        os.setsid()
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if then:
        then()
    if bare:
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1e6)",
                                   os.path.abspath(__file__)], {})
    while True:
        time.sleep(1_000)


def twice():
    """Forks a process whose parent has ended."""
    middle = os.fork()
    if middle == 0:
        child()
        os._exit(0)
    os.waitpid(middle, 0)


def misbehave():
    time.sleep(MOMENT_SECONDS)
    if HOW == "exits":
        os._exit(3)
    if HOW == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if HOW == "hung":
        os.kill(os.getpid(), signal.SIGSTOP)
    if HOW == "hangs_up":
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        time.sleep(1e6)


if HOW == "double_fork":
    twice()
elif HOW == "setsid":
    child(session=True)
elif HOW == "anonymous":
    child(session=True, bare=True)
elif HOW == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child()
elif HOW == "forks":
    for number in range(40):
        child(deaf=number % 2 == 0, session=number % 4 == 1, then=twice if number % 10 == 0 else None)
elif HOW in ("leaves_child", "exits", "killed"):
    child(deaf=HOW != "killed")

for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        if asked.get("method") == "notifications/initialized":
            threading.Thread(target=misbehave, daemon=True).start()
        continue
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] == "initialize":
        answer["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                            "serverInfo": {"name": HOW, "version": "1"}}
    elif asked["method"] == "tools/list":
        answer["result"] = {"tools": [{"name": "wait", "inputSchema": {"type": "object"}}]}
    elif asked["method"] == "ping":
        answer["result"] = {}
    else:
        answer["error"] = {"code": -32601, "message": "Method not found"}
    print(json.dumps(answer), flush=True)

if HOW == "deaf":
    time.sleep(1e6)
