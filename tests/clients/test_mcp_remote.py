"""mcp-remote between a client over stdio and the binary over HTTP."""

import asyncio
import os

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from servers import http_server

TOKEN = "right-and-long-enough"


@pytest.mark.parametrize(
    "path, flags",
    [
        ("mcp", ["--transport", "http-only"]),
        ("mcp", ["--transport", "http-only", "--protocol", "auto"]),
        ("sse", ["--transport", "sse-only"]),
    ],
    ids=["http", "http auto", "sse"],
)
@pytest.mark.parametrize("sessions", [[], ["--http-sessions"]], ids=["plain", "sessions"])
def test_a_client_asks_through_it(path, flags, sessions, tmp_path):
    async def ask(address):
        server = StdioServerParameters(
            command=os.environ["NODE"],
            args=[
                f"{os.environ['NODE_FOLDER']}/node_modules/.bin/mcp-remote",
                f"{address}/{path}",
                *flags,
                "--header",
                # Without a space: the clients that need mcp-remote do not quote.
                "Authorization:Bearer ${TOKEN}",
            ],
            env={"MCP_REMOTE_CONFIG_DIR": str(tmp_path), "TOKEN": TOKEN},
        )
        async with asyncio.timeout(120), Client(server) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert "search_entities" in names
            found = await client.call_tool("search_entities", {"query": "bills"})
            assert not found.is_error, found
            assert found.structured_content["total"] > 0
            wrong = await client.call_tool("get_entity", {"entitis": ["x"]})
            assert wrong.is_error

    with http_server(*sessions, token=TOKEN) as address:
        asyncio.run(ask(address))
