#!/usr/bin/env python3
"""A plain satellite as the field has them, written from the published documents alone: none of our
additions, the old field names, unknown fields ignored. Standard library only.

    satellite.py --backend URL --token TOKEN [--again TOKEN] --name NAME [--seconds 600] [--interval 60]

Pairs, and prints {"paired": …} on one line; then polls, executes, reports, sends heartbeats and
events until the time is over or SIGTERM comes, and prints what came of it as JSON. Ends with 1 if a
status, a shape or a promised field was not as documented."""

import argparse
import base64
import http.client
import json
import platform
import signal
import sys
import threading
import time
import urllib.parse

import contract
import events
from contract import DONE, PAIRING_REFUSAL, REFUSAL, REFUSAL_400, problems
from journal import Journal, stamp

parser = argparse.ArgumentParser(description="A plain satellite.")
parser.add_argument("--backend", required=True)
parser.add_argument("--token", required=True, help="the registration token")
parser.add_argument("--again", help="another one, to pair a second time with")
parser.add_argument("--name", required=True)
parser.add_argument("--seconds", type=float, default=600)
parser.add_argument("--interval", type=float, default=60, help="the most seconds between two polls")
options = parser.parse_args()

base = urllib.parse.urlsplit(options.backend)
journal = Journal()
over = threading.Event()


def ask(name, method, path, key, body=None, expect=(200,), shape=None, timeout=10, headers=None):
    """One exchange. A status that is not expected and a reply of another shape go on record. Returns
    status and reply; an exchange that fails altogether goes on record as status 0."""
    link = http.client.HTTPConnection(base.hostname, base.port, timeout=timeout)
    sent = {"Content-Type": "application/json", **(headers or {})}
    if key:
        sent["Authorization"] = f"Bearer {key}"
    payload = None if body is None else json.dumps(body)
    try:
        link.request(method, base.path + path, payload, sent)
        answer = link.getresponse()
        status, text = answer.status, answer.read().decode()
        reply = json.loads(text)
    except (OSError, http.client.HTTPException, ValueError) as error:
        journal.violation(f"{name}: {type(error).__name__}: {error}")
        return 0, {}
    finally:
        link.close()
    journal.count("requests", f"{name} {status}")
    if status not in expect:
        journal.violation(f"{name}: status {status} where {expect} is documented: {text[:300]}")
    elif shape:
        journal.held(name, shape, reply)
    return status, reply


def claims(token):
    """What a registration token says of itself."""
    for scope in ("global", "team"):
        prefix = f"deploystack_satellite_{scope}_"
        if token.startswith(prefix):
            parts = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
                     for part in token.removeprefix(prefix).split(".")[:2]]
            if parts[0] != {"alg": "HS256", "typ": "JWT"}:
                journal.violation(f"registration token: its header is {parts[0]}")
            journal.held("registration token", contract.TOKEN_CLAIMS, parts[1])
            if parts[1]["scope"] != scope or parts[1]["permissions"] != [f"register_{scope}_satellite"]:
                journal.violation(f"registration token: {parts[1]} does not go with {prefix}")
            return parts[1]
    raise SystemExit("error: the registration token has no documented prefix")


def registration():
    return {"name": options.name, "capabilities": ["stdio", "http", "sse"],
            "system_info": {"os": f"{sys.platform} {sys.platform}", "arch": platform.machine(),
                            "node_version": "v20.20.2", "memory_mb": 2048},
            "a_field_of_tomorrow": {"is": ["ignored"]}}


class Satellite:
    def __init__(self, token):
        token_claims = claims(token)
        self.scope, self.team = token_claims["scope"], token_claims.get("team_id")
        self.id = self.key = None
        self.started, self.servers, self.queue = time.monotonic(), {}, []
        self.lock, self.seen, self.last_poll, self.config_held = threading.Lock(), {}, None, False

    # Pairing.

    def pair(self, token):
        status, reply = ask("register", "POST", "/api/satellites/register", token, registration(),
                            shape=contract.registered(self.scope, self.team))
        if status != 200:
            raise SystemExit(f"error: not paired: {reply}")
        satellite = reply["satellite"]
        if self.id not in (None, satellite["id"]):
            journal.violation(f"register: {self.id} became {satellite['id']} by pairing again")
        if satellite["name"] != options.name:
            journal.violation(f"register: the satellite is called {satellite['name']}")
        self.id, self.key = satellite["id"], satellite["api_key"]

    def refused_pairings(self, used):
        """What a Backend must refuse before and after a pairing, each with its code."""
        path, spent = "/api/satellites/register", ("invalid_registration_token", "token_already_used")
        for name, token, codes in [
            ("without a token", None, ("registration_token_required",)),
            ("with no token of ours", "deploystack_satellite_team_e30.e30.AAAA", ("invalid_registration_token",)),
            ("with a spent token", used, spent),
        ]:
            _, reply = ask(f"register {name}", "POST", path, token, registration(), (401,), PAIRING_REFUSAL)
            if reply.get("error") not in codes:
                journal.violation(f"register {name}: error is {reply.get('error')}, documented is {codes}")

    # The rest of the conversation.

    def own(self, name, method, path, body=None, **rest):
        return ask(name, method, f"/api/satellites/{self.id}/{path}", self.key, body, **rest)

    def heartbeat(self):
        uptime = int(time.monotonic() - self.started)
        processes = {self.team or "team_none": [{
            "installation_id": "installation_1", "installation_name": "files-acme-u1-i1", "status": "running",
            "pid": 4711, "uptime_seconds": uptime, "message_count": 9, "error_count": 0,
            "health_status": "unknown", "last_activity": stamp()}]}
        body = {
            "status": "active",
            "system_metrics": {"cpu_usage_percent": 0, "memory_usage_mb": 93.5, "disk_usage_percent": 0,
                               "uptime_seconds": uptime},
            "processes": [], "processes_by_team": processes, "error_count": 0, "version": "0.1.0",
            "mcp_status": {
                "summary": {"total_instances": 1, "active_instances": 1, "dormant_instances": 0,
                            "total_tools": 1, "online_servers": 1, "offline_servers": 0, "error_servers": 0},
                "instances": [{
                    "installation_id": "installation_1", "installation_name": "files-acme-u1-i1",
                    "instance_id": "unknown", "user_id": "unknown", "team_id": self.team or "team_none",
                    "status": "running", "transport_type": "stdio", "uptime_seconds": uptime,
                    "message_count": 9, "error_count": 0, "health_status": "unknown", "pid": 4711}],
                "tool_names": [{"namespaced_name": "files:read", "server_slug": "files", "transport": "stdio"}],
                "server_status_counts": {"online": 1, "offline": 0, "error": 0, "requires_reauth": 0}},
            "normalized_data": {"timestamp": stamp(), "satellite_info": {
                "satellite_id": "unknown", "version": "1.0.0", "uptime_ms": uptime * 1000},
                "summary": {"total_teams": 1, "total_servers": 1, "total_tools": 1, "running_servers": 1,
                            "healthy_servers": 1}, "teams": {}, "servers": {}, "tools": {}},
            "a_field_of_tomorrow": [1, 2, 3],
        }
        journal.held("own heartbeat", contract.HEARTBEAT, body)
        _, reply = self.own("heartbeat", "POST", "heartbeat", body, shape=DONE)
        if "capabilities" in reply and reply["capabilities"]:
            journal.violation(f"heartbeat: grants {reply['capabilities']}, and none was offered")

    def configure(self):
        status, config = self.own("config", "GET", "config", shape=contract.CONFIG)
        if status != 200:
            return False
        for name, server in config["mcp_servers"].items():
            needs = ("command", "args") if server.get("transport_type") == "stdio" else ("url", "timeout")
            journal.missing(f"config: {name}", server, needs)
            expected = "{server_slug}-{team_slug}-{user_id}-{installation_id}".format_map(server)
            if name != expected:
                journal.violation(f"config: a server is called {name}, documented is {expected}")
            if self.team and server["team_id"] != self.team:
                journal.violation(f"config: {name} is of {server['team_id']}, the satellite of {self.team}")
        self.servers = config["mcp_servers"]
        return True

    def poll(self, flat):
        """Asks for commands on one of both paths, in the way of that path; returns the interval."""
        last, self.last_poll, headers = self.last_poll, stamp(), None
        if flat:
            name, query = "poll flat", {"limit": "10"}
            path = f"/api/satellites/{self.id}/commands"
            if last:
                query["last_poll"] = last
            path += "?" + urllib.parse.urlencode(query)
        else:
            name = "poll scoped"
            path = (f"/api/teams/{self.team}/satellites/{self.id}/commands" if self.team
                    else f"/api/satellites/global/{self.id}/commands")
            headers = {"X-Last-Poll": last} if last else None
        status, reply = ask(name, "GET", path, self.key, shape=contract.COMMANDS, timeout=15, headers=headers)
        if status != 200 or problems(contract.COMMANDS, reply, ""):
            return 30
        commands, interval = reply["commands"], reply["next_poll_interval"]
        urgent = {command["priority"] for command in commands}
        guided = 2 if "immediate" in urgent else 10 if "high" in urgent else 30 if commands else 60
        # A Backend that has just handed out an urgent command may go on guiding as if it waited.
        if interval > guided:
            journal.violation(f"{name}: {urgent} is guided to {interval} s, documented is {guided}")
        journal.gap("polls", guidance=interval)
        for command in commands:
            self.execute(command)
        return min(interval, options.interval)

    # Commands.

    def execute(self, command):
        """Executes and reports, once per delivery, as a plain satellite does."""
        before = self.seen.get(command["id"], 0)
        self.seen[command["id"]] = before + 1
        if before:
            journal.count("commands", "delivered again")
        payload, result, error = command["payload"], None, None
        kind = command["command_type"]
        journal.count("commands", kind)
        if kind == "configure" and payload.get("action") == "update_tool_status":
            result = {"tool_name": payload["tool_name"], "is_disabled": payload["is_disabled"], "message": "flipped"}
        elif kind == "configure":
            if self.configure():
                enabled = sum(server["enabled"] for server in self.servers.values())
                result = {"configuration_applied": True, "total_servers": len(self.servers),
                          "enabled_servers": enabled, "startup_time_ms": 0}
            else:
                error = "configuration could not be fetched"
        elif kind == "health_check" and payload.get("check_type") == "credential_validation":
            result = {"credential_validation": {"installation_id": payload["installation_id"], "valid": True,
                                                "skipped": True, "reason": "stdio_transport"}}
        elif kind == "health_check":
            result = {"health_check_results": [], "total_servers": 0, "healthy_servers": 0}
        elif kind == "invalidate_user_token_cache":
            result = {"user_id": payload["user_id"], "user_email": payload.get("user_email"),
                      "invalidated_count": 0, "message": "nothing was cached"}
        else:
            error = f"No process found for {kind}: {payload.get('installation_id')}"
        body = {"command_id": command["id"], "status": "failed" if error else "completed"}
        body.update({"error": error} if error else {"result": result})
        self.own("command-result", "POST", "command-result", body, shape=DONE)
        journal.count("results", body["status"])
        journal.note("reported", command["id"], body)
        for server in self.servers.values():
            self.emit("mcp.server.status_changed", installation_id=server["installation_id"],
                      team_id=server["team_id"], user_id=server["user_id"], status="online", timestamp=stamp())

    # Events.

    def emit(self, event_type, **data):
        shape = events.HANDLED.get(event_type)
        if shape:
            journal.held(f"own {event_type}", shape, data)
        with self.lock:
            self.queue.append({"type": event_type, "timestamp": stamp(), "data": data})

    def emit_round(self):
        """One of each type that has a handler, for each server, and three that have none."""
        for server in self.servers.values():
            team, user, installation = server["team_id"], server["user_id"], server["installation_id"]
            slug, name = server["server_slug"], server["installation_name"]
            at = {"installation_id": installation, "team_id": team, "user_id": user}
            born = {"server_id": installation, "server_slug": name, "team_id": team, "user_id": user}
            for status in ("connecting", "discovering_tools", "online"):
                self.emit("mcp.server.status_changed", **at, status=status, status_message=status, timestamp=stamp())
            self.emit("mcp.server.started", **born, process_id=4711, transport="stdio", tool_count=0,
                      spawn_duration_ms=412)
            self.emit("mcp.server.crashed", **born, process_id=4711, exit_code=1, signal="none",
                      uptime_seconds=3, crash_count=1, will_restart=True)
            self.emit("mcp.server.restarted", **born, old_process_id=4711, new_process_id=4712,
                      restart_reason="crash", attempt_number=1)
            self.emit("mcp.server.dormant", **born, process_id=4712, idle_duration_seconds=181,
                      last_activity_at=stamp())
            self.emit("mcp.server.respawned", **born, process_id=4713, dormant_duration_seconds=5,
                      respawn_duration_ms=300)
            self.emit("mcp.server.logs", **at, logs=[
                {"level": "info", "message": "listening", "metadata": {"line": 1}, "timestamp": stamp()},
                {"level": "error", "message": "ENOENT", "timestamp": stamp()}])
            self.emit("mcp.request.logs", installation_id=installation, team_id=team, requests=[{
                "user_id": user, "tool_name": "read", "tool_params": {"path": "/etc/hosts"},
                "tool_response": {"content": []}, "response_time_ms": 12, "success": True, "timestamp": stamp()}])
            self.emit("mcp.tools.discovered", installation_id=installation, installation_name=name, team_id=team,
                      server_slug=slug, tool_count=1, total_tokens=40, discovered_at=stamp(), tools=[{
                          "tool_name": "read", "description": "Reads a file", "token_count": 40,
                          "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}])
            self.emit("mcp.tool.executed", tool_name="read", server_id=installation, team_id=team,
                      duration_ms=12, success=False, error_message="ENOENT")
            self.emit("mcp.client.activity", user_id=user, team_id=team, oauth_client_id="client_1",
                      client_name="Claude", user_agent="claude/1", ip_address="127.0.0.1", session_id="s1",
                      request_count=3, tool_call_count=1, last_activity_at=stamp())
        self.emit("config.error", error_type="network", error_message="timeout", status_code=None, retry_in=60)
        self.emit("mcp.server.stopped", server_id="s", server_name="n", team_id="t", reason="asked")
        self.emit("weather.changed", sky="blue")

    def send_events(self):
        """Empties the queue, batch by batch."""
        while True:
            with self.lock:
                batch = self.queue[:100]
            if not batch:
                return
            status, reply = self.own("events", "POST", "events", {"events": batch}, shape=events.PROCESSED)
            if status != 200 or problems(events.PROCESSED, reply, ""):
                return
            with self.lock:
                del self.queue[:len(batch)]
            failed = {failure["index"]: failure for failure in reply.get("failures", [])}
            if (reply["processed"] + reply["failed"], len(failed)) != (len(batch), reply["failed"]):
                journal.violation(f"events: {len(batch)} were sent, the reply counts {reply}"[:300])
            if len(reply["event_ids"]) != reply["processed"]:
                journal.violation(f"events: {len(reply['event_ids'])} ids for {reply['processed']} events")
            for index, event in enumerate(batch):
                journal.count("events", event["type"])
                if index in failed:
                    journal.count("events failed", event["type"])
                    if failed[index]["type"] != event["type"]:
                        journal.violation(f"events: failure {failed[index]} is of a {event['type']}")
                    if event["type"] in events.HANDLED:
                        journal.violation(f"events: {event['type']} was refused: {failed[index]['error']}")
                elif event["type"] == "weather.changed":
                    journal.violation("events: a type that no document names was processed")

    # What must be refused.

    def refusals(self):
        spoiled = dict(expect=(400,), shape=REFUSAL_400)
        for query in ("limit=many", "last_poll=yesterday"):
            self.own(f"poll with {query}", "GET", f"commands?{query}", **spoiled)
        # What is out of bounds may also be brought within them: nobody is hurt by that.
        for query in ("limit=0", "limit=51"):
            self.own(f"poll with {query}", "GET", f"commands?{query}", expect=(200, 400))
        metrics = {"cpu_usage_percent": 0, "memory_usage_mb": 1}
        for name, body in [
            ("no status", {"system_metrics": metrics}), ("no metrics", {"status": "active"}),
            ("an unknown status", {"status": "splendid", "system_metrics": metrics}),
            ("a cpu of 101", {"status": "active", "system_metrics": {**metrics, "cpu_usage_percent": 101}}),
            ("a negative memory", {"status": "active", "system_metrics": {**metrics, "memory_usage_mb": -1}}),
            ("a process without id", {"status": "active", "system_metrics": metrics, "processes": [{}]}),
        ]:
            self.own(f"heartbeat with {name}", "POST", "heartbeat", body, **spoiled)
        self.own("the least heartbeat", "POST", "heartbeat", {"status": "active", "system_metrics": metrics}, shape=DONE)
        whole = {"type": "weather.changed", "timestamp": stamp(), "data": {}}
        for name, batch in [("none", {"events": []}), ("101", {"events": [whole] * 101}), ("no list", {})]:
            _, reply = self.own(f"events: {name}", "POST", "events", batch, **spoiled)
            text = json.dumps(reply).lower()
            if "400" not in text and "validation" not in text:
                journal.violation(f"events: {name}: a plain satellite cannot tell from {text} that it is a 400")
        for name, event in [("no type", {"type": ""}), ("no time", {"timestamp": "now"}), ("no data", {"data": 7}),
                            ("data of another shape", {"type": "mcp.server.started", "data": {"server_id": "x"}})]:
            # A batch with an event that cannot be read may be refused as a whole, or but for that event.
            status, reply = self.own(f"events: {name}", "POST", "events", {"events": [{**whole, **event}]}, expect=(200, 400))
            if status == 200 and journal.held(f"events: {name}", events.PROCESSED, reply) and reply["failed"] != 1:
                journal.violation(f"events: {name}: counts as processed: {reply}")
        self.own("result of no command", "POST", "command-result", {"command_id": "cmd_none", "status": "completed"},
                 expect=(404,), shape=REFUSAL)
        self.own("result of no status", "POST", "command-result", {"command_id": "cmd_none", "status": "done"}, **spoiled)
        ours = [("GET", "commands", None), ("GET", "config", None), ("POST", "events", {"events": [whole]}),
                ("POST", "heartbeat", {"status": "active", "system_metrics": metrics}),
                ("POST", "command-result", {"command_id": "c", "status": "completed"})]
        for method, path, body in ours:
            for name, key in [("no key", None), ("a wrong key", self.key[:-4] + "AAAA")]:
                ask(f"{path} with {name}", method, f"/api/satellites/{self.id}/{path}", key, body, (401,), REFUSAL)
            ask(f"{path} of another", method, f"/api/satellites/sat_another/{path}", self.key, body, (403, 404), REFUSAL)
        about = {"installation_id": "installation_none", "user_id": "user_none", "team_id": self.team or "team_none"}
        self.own("tokens/status", "POST", "tokens/status", about, expect=(200, 403), shape=None)
        self.own("tokens/retrieve", "POST", "tokens/retrieve", about, expect=(403, 404), shape=REFUSAL)
        _, reply = ask("introspect", "POST", "/api/oauth2/introspect", self.key, {"token": "of nobody"})
        if reply != {"active": False}:
            journal.violation(f"introspect: an unknown token is {reply}")
        status = contract.record({
            "satellite": contract.record({"id": contract.NAME, "name": contract.NAME, "status": contract.one_of("active"),
                                          "last_heartbeat?": contract.TIME}),
            "processes": contract.record({name: contract.COUNT for name in ("total", "healthy", "unhealthy")}),
            "system_metrics?": contract.OBJECT})
        self.own("status", "GET", "status", shape=status)


def every(seconds, name, action):
    """Runs an action at once and then at a fixed rate, in a thread of its own, until it is over."""
    def run():
        due = time.monotonic()
        while not over.is_set():
            journal.gap(name)
            try:
                action()
            except Exception as error:
                journal.violation(f"{name}: {type(error).__name__}: {error}")
            due += seconds
            over.wait(max(0, due - time.monotonic()))
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def main():
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    ask("health", "GET", "/api/health", None, timeout=5)
    ask("register status", "GET", "/api/satellites/register/status", None, shape=contract.REGISTRATION_STATUS)
    satellite = Satellite(options.token)
    short = {**registration(), "name": "short"}
    ask("register with a short name", "POST", "/api/satellites/register", options.token, short, (400,), REFUSAL_400)
    satellite.pair(options.token)
    satellite.refused_pairings(options.token)
    if options.again:
        first = satellite.key
        satellite.pair(options.again)
        ask("config with the key of before", "GET", f"/api/satellites/{satellite.id}/config", first, None, (401,), REFUSAL)
    satellite.heartbeat()
    # Before anybody can file a command: a poll among these would take it.
    satellite.refusals()
    print(json.dumps({"paired": {"id": satellite.id, "scope": satellite.scope, "team_id": satellite.team}}), flush=True)
    satellite.configure()
    threads = [every(30, "heartbeats", satellite.heartbeat), every(15, "rounds of events", satellite.emit_round),
               every(3, "batch windows", satellite.send_events)]
    ends, flat, due = time.monotonic() + options.seconds, False, time.monotonic()
    while not over.is_set() and time.monotonic() < ends:
        try:
            due = time.monotonic() + satellite.poll(flat)
        except Exception as error:
            journal.violation(f"poll: {type(error).__name__}: {error}")
            due = time.monotonic() + 30
        flat = not flat
        over.wait(max(0, min(due, ends) - time.monotonic()))
    over.set()
    for thread in threads:
        thread.join()
    satellite.send_events()
    summary = journal.summary(id=satellite.id, scope=satellite.scope, servers=sorted(satellite.servers),
                              events_unsent=len(satellite.queue))
    print(json.dumps(summary), flush=True)
    sys.exit(1 if summary["violations"] else 0)


main()
