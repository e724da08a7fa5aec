"""Carries out a job with the official MCP Python SDK: reads it as JSON on stdin, prints what came of it.

job:    {"url": ..., "token": ..., "type": "sse" for HTTP+SSE}
        or {"command": ..., "args": [...], "env": {...}},
        "mode" (the SDK's way to connect; "legacy" asks for the stateful revisions),
        "calls": [{"tool": ..., "arguments": {...}, "progress": true}],
        "reads": [URI, ...]
report: {"protocol", "server", "tools": [...], "calls": [{"result" or "error", "progress": [...]}],
         "reads": [{"result" or "error"}]}
"""

import asyncio
import contextlib
import json
import sys

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def attempt(awaitable):
    try:
        return {"result": plain(await awaitable)}
    except MCPError as error:
        return {"error": plain(error.error)}


async def main():
    job = json.load(sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        if job.get("type") == "sse":
            server = sse_client(job["url"])
        elif job.get("url"):
            headers = {"Authorization": f"Bearer {job['token']}"} if job.get("token") else {}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            # The SDK's own bound for one event is 1 MiB.
            server = streamable_http_client(job["url"], http_client=http, max_sse_event_size=64 << 20)
        else:
            server = StdioServerParameters(
                command=job["command"], args=job.get("args", []), env=job.get("env")
            )
        client = await stack.enter_async_context(
            Client(server, mode=job.get("mode", "auto"), read_timeout_seconds=120)
        )
        report = {"protocol": client.protocol_version, "server": plain(client.server_info), "calls": [], "reads": []}
        tools, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [plain(tool) for tool in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
        report["tools"] = tools
        for call in job.get("calls", []):
            seen = []

            async def progressed(progress, total, message):
                seen.append([progress, total, message])

            outcome = await attempt(
                client.call_tool(
                    call["tool"],
                    call.get("arguments", {}),
                    progress_callback=progressed if call.get("progress") else None,
                )
            )
            outcome["progress"] = seen
            report["calls"].append(outcome)
        for uri in job.get("reads", []):
            report["reads"].append(await attempt(client.read_resource(uri)))
    json.dump(report, sys.stdout)


asyncio.run(main())
