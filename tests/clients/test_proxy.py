"""mcp-proxy between a client and the binary, with the servers file that `init` writes."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

from servers import BINARY, free_port, wait_for


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    subprocess.run(
        [BINARY, "init", "--client", "mcp-proxy", "--demo", "--write"], cwd=folder, check=True
    )
    servers = folder / "mcp-proxy.servers.json"
    assert "openpolicy" in json.loads(servers.read_text())["mcpServers"]
    port = free_port()
    program = os.path.join(os.path.dirname(sys.executable), "mcp-proxy")
    process = subprocess.Popen(
        [program, "--port", str(port), "--named-server-config", str(servers)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/status", process)
        yield f"http://127.0.0.1:{port}/servers/openpolicy"
    finally:
        process.terminate()
        process.wait(timeout=20)


async def ask(streams):
    async with asyncio.timeout(60), streams as (reads, writes, *_):
        async with ClientSession(reads, writes) as session:
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            assert "search_entities" in names
            found = await session.call_tool("search_entities", {"query": "bills"})
            assert not found.isError
            assert "bills" in found.content[0].text


def test_over_streamable_http(proxy):
    asyncio.run(ask(streamablehttp_client(f"{proxy}/mcp")))


def test_over_sse(proxy):
    asyncio.run(ask(sse_client(f"{proxy}/sse")))
