"""Writes a configuration with `init`, reads it as its client does, and asks the server in it."""

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

import configurations
from servers import BINARY

TOKEN = "token-of-a-reader"
FILES = {
    "cursor": ".cursor/mcp.json",
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".mcp.json",
    "vscode": ".vscode/mcp.json",
}
# Those that can refer to a value that the file does not hold.
REFERRING = ["cursor", "claude-code", "vscode"]


def init(client: str, folder: Path, *arguments: str, **environment: str) -> Path:
    """Writes the configuration where the client looks for it."""
    subprocess.run(
        [BINARY, "init", "--client", client, "--write", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return folder / FILES[client]


@contextlib.asynccontextmanager
async def connected(server: configurations.Server):
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(60))
        if server.url:
            own = create_mcp_http_client(headers=server.headers)
            http = await stack.enter_async_context(own)
            target = streamable_http_client(server.url, http_client=http)
        else:
            target = StdioServerParameters(
                command=server.command,
                args=server.args,
                # The programs of a container engine look for it in the environment of the client.
                env={**engine(), **server.env},
            )
        yield await stack.enter_async_context(Client(target))


def engine() -> dict:
    names = ("DOCKER_HOST", "DOCKER_CONFIG")
    return {name: os.environ[name] for name in names if name in os.environ}


def called(server: configurations.Server, tool: str, arguments: dict) -> dict:
    async def call():
        async with connected(server) as client:
            assert tool in [listed.name for listed in (await client.list_tools()).tools]
            return await client.call_tool(tool, arguments)

    return asyncio.run(call()).structured_content


def answers_of_the_demo(server: configurations.Server) -> None:
    found = called(server, "search_entities", {"query": "bills"})
    assert found.get("source") == "snapshot", found
    assert found["total"] > 0


def told_by_openmetadata(server: configurations.Server) -> dict:
    """Only who has the token is told."""
    path = "services/databaseServices/name/openpolicy_pg"
    return called(server, "read_openmetadata", {"path": path})


def answers_of_openmetadata(server: configurations.Server) -> None:
    found = told_by_openmetadata(server)
    assert found.get("status") == 200, found
    assert found["body"]["name"] == "openpolicy_pg"


def the_server(client: str, file: Path, environment: dict | None = None) -> configurations.Server:
    environment = environment or {}
    # The user types into VS Code what others take from the environment.
    read = configurations.servers(client, file, environment, answers=environment)
    return read["openpolicy"]
