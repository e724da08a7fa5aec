"""Who sits at the plain Backend: files commands, one round after the other, has tools called, ends a
server's process now and then, and judges at the end what became of it all."""

import json
import os
import secrets
import signal
import time
import urllib.error
import urllib.request

from contract import RESULTS

FILES, ENDS, TEAM, ADA = "installation_files", "installation_ends", "team_peers", "user_ada"
AT = {"installation_id": FILES, "team_id": TEAM}
TOGGLE = {"action": "update_tool_status", **AT, "server_slug": "files", "tool_name": "echo"}

# A round of commands: type, priority, payload, what must come of it, and the shape of its result.
ROUND = [
    ("configure", "immediate", {"event": "mcp_installation_created", **AT, "user_id": ADA}, "completed", "configure"),
    ("health_check", "normal", {}, "completed", "health_check"),
    ("health_check", "immediate", {"check_type": "credential_validation", **AT}, "completed", "credential_validation"),
    ("configure", "immediate", {**TOGGLE, "is_disabled": True}, "completed", "update_tool_status"),
    ("configure", "immediate", {**TOGGLE, "is_disabled": False}, "completed", "update_tool_status"),
    ("invalidate_user_token_cache", "immediate",
     {"event": "user_deleted", "user_id": "user_gone", "user_email": "gone@example.com"}, "completed",
     "invalidate_user_token_cache"),
    ("configure", "high", {"event": "mcp_recovery", **AT}, "completed", None),
    ("configure", "immediate", {"event": "team_member_removed", "team_id": TEAM, "user_id": "user_gone"}, "completed", None),
    ("configure", "low", {"event": "tides_turned", "depth": [[{"of": None}]], "installation_id": None}, "completed", "configure"),
    ("configure", "normal", {}, "completed", "configure"),
    ("defragment", "normal", {"drive": "c"}, "failed", None),
    ("kill", "normal", {"installation_id": "installation_of_nobody"}, "failed", None),
    ("restart", "normal", {"installation_id": "installation_of_nobody"}, "failed", None),
    ("configure", "immediate", {"event": "mcp_redeploy", **AT, "commit_sha": "abc", "branch": "main"}, "completed", "mcp_redeploy"),
    ("restart", "high", AT, "completed", None),
]
PATIENCE_SECONDS = 150


class Administrator:
    def __init__(self, backend, journal, lock, over, satellite, user_token):
        self.backend, self.journal, self.lock, self.over = backend, journal, lock, over
        self.satellite, self.user_token = satellite, user_token
        self.crashes = 0

    def file(self, kind, priority, payload, expected, shape):
        command = {"id": f"cmd_{secrets.token_hex(6)}", "command_type": kind, "priority": priority,
                   "payload": payload, "correlation_id": f"corr_{secrets.token_hex(4)}", "status": "pending",
                   "deliveries": 0, "results": 0, "expected": expected, "shape": shape}
        with self.lock:
            self.backend.commands.append(command)

    def until(self, what, holds):
        """Waits for something; that it never comes goes on record."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if self.over.wait(0.2) or time.monotonic() > end:
                self.journal.violation(f"never came: {what}")
                return False
        return True

    def online(self):
        return all(self.backend.statuses.get((FILES, it["user_id"])) == "online" for it in self.backend.instances)

    def reported(self):
        with self.lock:
            return all(it["status"] != "pending" for it in self.backend.commands)

    def work(self, seconds):
        """Round after round until the time is over; at least one. The first one waits already when the
        satellite asks for the first time, with its servers still to be started."""
        if not self.until("a pairing", self.backend.paired.is_set):
            return
        ends = time.monotonic() + seconds
        while True:
            for command in ROUND:
                self.file(*command)
            self.until("a result of every command", self.reported)
            self.until("servers that are online", self.online)
            self.call_tools()
            self.until("a heartbeat with processes", self.processes)
            self.crash()
            if self.over.is_set() or time.monotonic() >= ends:
                return
            self.over.wait(min(20, max(0, ends - time.monotonic())))

    def processes(self):
        """Processes of servers that run, as the last heartbeat has them."""
        heartbeat = self.backend.last_heartbeat.get("mcp_status") or {}
        return [it["pid"] for it in heartbeat.get("instances", ())
                if it["installation_id"] == FILES and it["status"] == "running" and "pid" in it]

    # What a satellite's own users do, and what happens to its servers.

    def call_tools(self):
        if not self.satellite:
            return
        for instance in self.backend.instances:
            url = f"{self.satellite}/i/{instance['path']}/mcp"
            self.call(url, instance["token"], "echo", {"text": "peers"})
        self.call(f"{self.satellite}/mcp", self.user_token, "execute_mcp_tool",
                  {"tool_path": "files:echo", "arguments": {"text": "peers"}})

    def call(self, url, token, tool, arguments):
        try:
            status, headers, _ = post(url, token, None, {
                "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "peer", "version": "1"}}})
            session = headers.get("mcp-session-id")
            post(url, token, session, {"jsonrpc": "2.0", "method": "notifications/initialized"})
            status, _, text = post(url, token, session, {
                "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
            if "peers" not in text or '"isError":true' in text:
                self.journal.violation(f"call of {tool}: {status} {text[:300]}")
            self.journal.count("calls", tool)
        except OSError as error:
            self.journal.violation(f"call of {tool}: {error}")

    def crash(self):
        """Ends one server's process as its own fault would, twice in all: more would be a lesson in
        restarts. What a heartbeat says of it tells which process that is."""
        if self.crashes == 2:
            return
        before = self.journal.counts["events"]["mcp.server.crashed"]
        for pid in self.processes()[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                return  # It was restarted since that heartbeat.
            self.crashes += 1
            self.until("the event of a crash", lambda: self.journal.counts["events"]["mcp.server.crashed"] > before)
            self.until("a server that is online after a crash", self.online)

    # In the end.

    def judge(self):
        for command in self.backend.commands:
            payload = command["payload"]
            name = " ".join(filter(None, [command["command_type"], payload.get("event") or payload.get("action")
                                          or payload.get("check_type")]))
            self.journal.count("commands", f"{name}: {command['status']}")
            self.journal.count("deliveries", str(command["deliveries"]))
            if command["status"] != command["expected"]:
                self.journal.violation(f"{name}: {command['status']} ({command.get('error')}), "
                                       f"documented is {command['expected']}")
            if command["results"] > 1:
                self.journal.violation(f"{name}: has {command['results']} results")
            if command["status"] == "failed" and not command.get("error"):
                self.journal.violation(f"{name}: failed without error_message")
            if command["status"] == "completed" and command["shape"]:
                self.journal.held(f"result of {name}", RESULTS[command["shape"]], command.get("result"))
            elif command["status"] == "completed" and not isinstance(command.get("result"), dict):
                self.journal.violation(f"result of {name}: {json.dumps(command.get('result'))}")
            self.journal.note("results", name, command.get("result") or command.get("error"))


def post(url, token, session, body):
    """An exchange with an MCP endpoint: status, headers, text."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json",
               "accept": "application/json, text/event-stream"}
    if session:
        headers.update({"mcp-session-id": session, "mcp-protocol-version": "2025-06-18"})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()
