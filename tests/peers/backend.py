#!/usr/bin/env python3
"""A plain Backend as the field has them, written from the published documents alone: it grants none
of our additions, reads the documented names only, drops fields it does not know and answers 200 to
event types it does not know. Standard library only.

    backend.py --name NAME [--paths flat|scoped|both] [--seconds 600] [--satellite URL]

Prints a line of JSON with its address and a registration token, files commands once a satellite has
paired, prints {"finished": true} when the time is over, serves on until SIGTERM, and then prints what
came of it. With --satellite it also calls tools there. Ends with 1 if anything was not as documented."""

import argparse
import hashlib
import json
import pathlib
import re
import secrets
import signal
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import contract
import events
from administrator import Administrator
from journal import Journal, stamp
from tokens import registration_token

parser = argparse.ArgumentParser(description="A plain Backend.")
parser.add_argument("--name", required=True, help="the satellite that is expected")
parser.add_argument("--paths", choices=["flat", "scoped", "both"], default="both")
parser.add_argument("--scope", choices=["global", "team"], default="team")
parser.add_argument("--seconds", type=float, default=600)
parser.add_argument("--satellite", help="the satellite's own address")
options = parser.parse_args()

journal, lock, over = Journal(), threading.RLock(), threading.Event()
TEAM, USERS = "team_peers", ("user_ada", "user_bob")
USER_TOKEN = secrets.token_urlsafe(32)
PEER = pathlib.Path(__file__).resolve().parents[1] / "e2e/peer.py"
# Mode and interval while a command of a priority waits.
GUIDANCE = {"immediate": ("immediate", 2), "high": ("normal", 10)}


class Refused(Exception):
    """An answer that is no success: status and error."""


class Backend:
    def __init__(self):
        self.token, self.token_used = registration_token(options.scope, TEAM), False
        self.satellite, self.commands, self.seen_events = None, [], set()
        self.paired, self.last_heartbeat = threading.Event(), {}
        self.statuses, self.polled, self.url_is_known = {}, None, False
        self.instances = []
        for user in USERS:
            token = "ds_inst_" + secrets.token_hex(32)
            self.instances.append({"user_id": user, "path": f"calm-{user[5:]}-{secrets.token_hex(2)}", "token": token})

    # What a satellite asks for. Each takes the path's parts, the query and the body; returns a reply.

    def register(self, token, body):
        codes = {"instructions": "Ask an administrator for a token.", "message": "The pairing is refused."}
        if not token:
            raise Refused(401, "registration_token_required", codes)
        if token != self.token or self.token_used:
            raise Refused(401, "invalid_registration_token", codes)
        if not journal.held("registration", contract.REGISTRATION, body):
            raise Refused(400, "Bad Request", {})
        if body["name"] != options.name:
            journal.violation(f"registration: the name is {body['name']}")
        self.token_used = True
        self.satellite = {
            "id": "sat_" + secrets.token_hex(6), "name": body["name"], "satellite_type": options.scope,
            "team_id": TEAM if options.scope == "team" else None, "status": "inactive",
            "api_key": f"deploystack_satellite_api_{options.scope}_{secrets.token_urlsafe(24)}"}
        journal.note("satellite", "registered", {key: body.get(key) for key in ("capabilities", "system_info", "satellite_url")})
        self.paired.set()
        return {"success": True, "satellite": self.satellite, "message": "Welcome."}

    def heartbeat(self, body):
        journal.gap("heartbeats")
        journal.held("heartbeat", contract.HEARTBEAT, body)
        journal.count("heartbeats", body.get("status"))
        if body.get("satellite_url") is not None and self.url_is_known:
            journal.violation("heartbeat: satellite_url comes again after a success")
        self.url_is_known = True
        self.satellite["status"], self.last_heartbeat = "active", body
        return {"success": True, "message": "Stored."}

    def config(self):
        servers = {}
        for instance in self.instances:
            for slug, installation in (("files", "installation_files"), ("ends", "installation_ends")):
                if slug == "ends" and instance is not self.instances[0]:
                    continue
                user = instance["user_id"]
                servers[f"{slug}-peers-{user}-{installation}"] = {
                    "installation_id": installation, "instance_id": f"inst_{slug}_{user}", "team_id": TEAM,
                    "team_slug": "peers", "server_name": slug.title(), "server_slug": slug,
                    "installation_name": f"Our {slug}", "transport_type": "stdio", "enabled": True,
                    "user_id": user, "user_slug": user, "requires_oauth": False, "source": "manual",
                    "instance_status": self.statuses.get((installation, user), "provisioning"),
                    "runtime": "python", "command": "python3",
                    "args": [str(PEER), "noted" if slug == "files" else "exits"],
                    "env": {"API_KEY": "plain secret"}, "secret_metadata": {"env": ["API_KEY"]},
                    "settings": {"request_logging_enabled": True}, "a_field_of_tomorrow": [None],
                    **({"instance_path": instance["path"],
                        "instance_token_hash": hashlib.sha256(instance["token"].encode()).hexdigest()}
                       if slug == "files" else {})}
        reply = {"mcp_servers": servers, "satellite_config": {
            "polling_intervals": {"normal": 30, "immediate": 2, "error_backoff_max": 300},
            "resource_limits": {"max_processes": 50, "max_memory_per_process": "1GB", "max_cpu_percent": 80},
            "team_settings": {"allowed_servers": ["*"], "security_policies": [], "isolation_level": "none"},
            "logging": {"level": "info", "enable_audit": True, "retention_days": 30},
            "network": {"timeout_seconds": 30, "retry_attempts": 3}}}
        journal.held("own config", contract.CONFIG, reply)
        return reply

    def poll(self, scoped, query, last_poll):
        name = "scoped" if scoped else "flat"
        known = {"limit", "last_poll"}
        if set(query) - known:
            journal.violation(f"poll: {sorted(set(query) - known)} is asked for, and was never granted")
        last = last_poll if scoped else query.get("last_poll", [None])[0]
        if last is not None and not contract.is_timestamp(last):
            journal.violation(f"poll: the last poll is {last}")
        if last is None and self.polled:
            journal.violation(f"poll {name}: comes without the time of the last one")
        if last and self.polled and last > stamp():
            journal.violation(f"poll {name}: its last poll {last} is yet to come")
        limit = query.get("limit", ["10"])[0]
        if not limit.isdigit() or not 1 <= int(limit) <= 50:
            raise Refused(400, "Bad Request", {})
        with lock:
            waiting = [it for it in self.commands if it["status"] == "pending"][:int(limit)]
            if self.satellite["status"] != "active":
                waiting = []
            for command in waiting:
                command["deliveries"] += 1
        priorities = {it["priority"] for it in waiting}
        mode, interval = next((GUIDANCE[it] for it in GUIDANCE if it in priorities),
                              ("normal", 30) if waiting else ("slow", 60))
        journal.gap("polls", guidance=interval)
        journal.count("polls", name)
        self.polled = stamp()
        keys = ("id", "command_type", "priority", "payload", "correlation_id")
        return {"commands": [{key: it[key] for key in keys} for it in waiting],
                "polling_mode": mode, "next_poll_interval": interval, "a_field_of_tomorrow": {"x": 1}}

    def command_result(self, body):
        journal.held("result", contract.RESULT, body)
        with lock:
            command = next((it for it in self.commands if it["id"] == body.get("command_id")), None)
            if command is None or not command["deliveries"]:
                journal.violation(f"result: of the command {body.get('command_id')}, which was never handed out")
                raise Refused(404, "Command not found", {})
            if body["status"] not in ("completed", "failed"):
                journal.violation(f"result: {body['status']} is reported, and leases were never granted")
            command["results"] += 1
            # The one field that a Backend of the field reads; `error` is dropped.
            command.update(status=body["status"], result=body.get("result"), error=body.get("error_message"))
        return {"success": True, "message": "Stored."}

    def events(self, body):
        wrong = contract.problems(events.BATCH, body, "events")
        if wrong:
            for text in wrong:
                journal.violation(text)
            raise Refused(400, "validation failed (400)", {})
        journal.count("batches", "batches")
        processed, failures = [], []
        for index, event in enumerate(body["events"]):
            journal.count("events", event["type"])
            for key in set(event) - {"type", "timestamp", "data"}:
                # An event's id is documented as safe to add; whatever else is not.
                if key in ("id", "seq"):
                    journal.count("keys dropped", f"{key} of an event")
                else:
                    journal.violation(f"event: {key} is sent, and is in no document")
            whole = json.dumps(event, sort_keys=True)
            if whole in self.seen_events:
                journal.violation(f"event: comes twice: {whole[:300]}")
            self.seen_events.add(whole)
            shape = events.HANDLED.get(event["type"]) or events.DECLARED.get(event["type"])
            fits = shape is None or journal.held(event["type"], shape, event["data"])
            if event["type"] not in events.HANDLED:
                journal.count("events without a handler", event["type"])
                failures.append({"index": index, "type": event["type"],
                                 "error": f"Unknown event type: {event['type']}"})
            elif not fits:
                failures.append({"index": index, "type": event["type"], "error": "data does not fit"})
            else:
                processed.append(f"evt_{secrets.token_hex(6)}")
                self.take(event)
        return {"success": True, "processed": len(processed), "failed": len(failures),
                "event_ids": processed, **({"failures": failures} if failures else {})}

    def take(self, event):
        if event["type"] == "mcp.server.status_changed":
            data = event["data"]
            self.statuses[data["installation_id"], data["user_id"]] = data["status"]
            journal.count("statuses", data["status"])

    def introspect(self, body):
        if body.get("token") != USER_TOKEN:
            return {"active": False}
        return {"active": True, "scope": "mcp:read mcp:tools:execute", "client_id": "client_1", "username": "ada",
                "sub": USERS[0], "aud": [f"deploystack:team:{TEAM}"], "iss": options_url(), "exp": 4102444800,
                "iat": 1700000000, "team_id": TEAM, "team_name": "Peers", "team_role": "team_admin",
                "team_permissions": []}

    # Routing.

    def answer(self, method, path, query, headers, read):
        if (method, path) == ("GET", "/api/health"):
            return {"status": "ok"}
        key = (headers.get("authorization") or "").removeprefix("Bearer ")
        if (method, path) == ("POST", "/api/satellites/register"):
            return self.register(key, read())
        if not self.satellite or not secrets.compare_digest(key, self.satellite["api_key"]):
            raise Refused(401, "Invalid API key", {})
        own = self.satellite["id"]
        scoped = (f"/api/teams/{TEAM}/satellites/{own}/commands" if options.scope == "team"
                  else f"/api/satellites/global/{own}/commands")
        flat = f"/api/satellites/{own}/commands"
        if method == "GET" and path in (scoped, flat):
            name = "scoped" if path == scoped else "flat"
            if options.paths not in (name, "both"):
                journal.count("polls", f"{name}, which is not served")
                if journal.counts["polls"][f"{name}, which is not served"] > 1:
                    journal.violation(f"poll: {name} is asked for again after a 404")
                raise Refused(404, "Route not found", {})
            return self.poll(path == scoped, query, headers.get("x-last-poll"))
        rest = {("GET", "config"): self.config, ("POST", "heartbeat"): lambda: self.heartbeat(read()),
                ("POST", "events"): lambda: self.events(read()),
                ("POST", "command-result"): lambda: self.command_result(read())}
        served = rest.get((method, path.removeprefix(f"/api/satellites/{own}/")))
        if served:
            return served()
        if (method, path) == ("POST", "/api/oauth2/introspect"):
            return self.introspect(read())
        journal.violation(f"{method} {path}: no document has such a request")
        raise Refused(404, "Route not found", {})


backend = Backend()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read(self):
        if not (self.headers.get("content-type") or "").startswith("application/json"):
            journal.violation(f"{self.command} {self.path}: content-type is {self.headers.get('content-type')}")
        if self.headers.get("content-encoding"):
            journal.violation(f"{self.command} {self.path}: the body is {self.headers['content-encoding']}")
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused(400, "Bad Request", {}) from None

    def serve(self):
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urllib.parse.urlsplit(self.path)
        name = re.sub(r"/(sat|team)_[^/]+", "/{id}", url.path)
        try:
            status, reply = 200, backend.answer(
                self.command, url.path, urllib.parse.parse_qs(url.query), self.headers, self.read)
        except Refused as refusal:
            status, error, more = refusal.args
            reply = {"success": False, "error": error, **more}
        except Exception as error:
            journal.violation(f"{self.command} {name}: {type(error).__name__}: {error}")
            status, reply = 500, {"success": False, "error": "Internal Server Error"}
        journal.count("requests", f"{self.command} {name} {status}")
        payload = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True


def options_url():
    return f"http://127.0.0.1:{server.server_address[1]}"


def main():
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": options_url(), "registration_token": backend.token, "user_token": USER_TOKEN}), flush=True)
    administrator = Administrator(backend, journal, lock, over, options.satellite, USER_TOKEN)
    administrator.work(options.seconds)
    print(json.dumps({"finished": True}), flush=True)
    over.wait()
    server.shutdown()
    administrator.judge()
    summary = journal.summary(paths=options.paths, scope=options.scope)
    print(json.dumps(summary), flush=True)
    sys.exit(1 if summary["violations"] else 0)


main()
