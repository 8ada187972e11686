"""A session of the MCP client of PyPI below 2, over each transport."""

import asyncio
import contextlib

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


def over_stdio(command: str, *arguments: str, environment: dict | None = None):
    parameters = StdioServerParameters(command=command, args=[*arguments], env=environment)
    return stdio_client(parameters)


@contextlib.asynccontextmanager
async def over_http(url: str, headers: dict | None = None):
    async with create_mcp_http_client(headers=headers) as client:
        async with streamable_http_client(url, http_client=client) as streams:
            yield streams


def over_sse(url: str, headers: dict | None = None):
    return sse_client(url, headers=headers)


@contextlib.asynccontextmanager
async def session(streams, **callbacks):
    """Begins as the protocol says, ends with the block, and takes a minute at most."""
    async with asyncio.timeout(60), streams as (reads, writes, *_):
        async with ClientSession(reads, writes, **callbacks) as session:
            await session.initialize()
            yield session


async def asks_of_bills(session) -> None:
    """The least that makes a client useful: tools are listed, and one answers."""
    names = [tool.name for tool in (await session.list_tools()).tools]
    assert "search_entities" in names
    found = await session.call_tool("search_entities", {"query": "bills"})
    assert not found.isError, found
    assert "bills" in found.content[0].text
