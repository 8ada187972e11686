"""mcp-proxy between a client and the binary, both ways."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import pytest

import older
from catalog import openmetadata
from servers import BINARY, free_port, http_server, wait_for

PROXY = os.path.join(os.path.dirname(sys.executable), "mcp-proxy")
TOKEN = "token-of-a-reader"


@contextlib.contextmanager
def proxied(folder, *arguments: str, flags: tuple = (), **environment: str):
    """Clients over HTTP, the binary over stdio, from the servers file that `init` writes."""
    init = [BINARY, "init", "--client", "mcp-proxy", "--write", *arguments]
    subprocess.run(init, cwd=folder, check=True, stdin=subprocess.DEVNULL)
    servers = folder / "mcp-proxy.servers.json"
    assert "openpolicy" in json.loads(servers.read_text())["mcpServers"]
    assert TOKEN not in servers.read_text()
    port = free_port()
    process = subprocess.Popen(
        [PROXY, "--port", str(port), *flags, "--named-server-config", str(servers)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/status", process)
        yield f"http://127.0.0.1:{port}/servers/openpolicy"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with proxied(tmp_path_factory.mktemp("proxy"), "--demo") as address:
        yield address


def ask(streams):
    async def asking():
        async with older.session(streams) as session:
            await older.asks_of_bills(session)
            wrong = await session.call_tool("get_entity", {"entitis": ["x"]})
            assert wrong.isError
            assert "entities" in wrong.content[0].text
            assert (await session.list_prompts()).prompts

    asyncio.run(asking())


def test_a_client_over_streamable_http(proxy):
    ask(older.over_http(f"{proxy}/mcp"))


def test_a_client_over_sse(proxy):
    ask(older.over_sse(f"{proxy}/sse"))


@pytest.mark.parametrize("sessions", [[], ["--http-sessions"]], ids=["plain", "sessions"])
@pytest.mark.parametrize("transport, path", [("streamablehttp", "mcp"), ("sse", "sse")])
def test_a_client_over_stdio_of_a_server_over_http(transport, path, sessions):
    token = "right-and-long-enough"
    with http_server(*sessions, token=token) as address:
        header = ["--headers", "Authorization", f"Bearer {token}"]
        ask(older.over_stdio(PROXY, "--transport", transport, *header, f"{address}/{path}"))


def test_it_passes_on_address_and_token_that_its_file_does_not_hold(tmp_path):
    with openmetadata(TOKEN) as address:
        environment = {"OPENMETADATA_URL": address, "OPENMETADATA_TOKEN": TOKEN}
        with proxied(tmp_path, flags=("--pass-environment",), **environment) as proxy:
            answers_of_openmetadata(older.over_http(f"{proxy}/mcp"))


def test_the_server_behind_it_reads_a_token_file(tmp_path):
    token = tmp_path / "token of a reader"
    token.write_text(TOKEN)
    with openmetadata(TOKEN) as address:
        with proxied(tmp_path, "--url", address, "--token-file", str(token)) as proxy:
            answers_of_openmetadata(older.over_http(f"{proxy}/mcp"))


def answers_of_openmetadata(streams):
    async def asking():
        async with older.session(streams) as session:
            path = "services/databaseServices/name/openpolicy_pg"
            found = await session.call_tool("read_openmetadata", {"path": path})
            assert not found.isError, found
            assert found.structuredContent["status"] == 200

    asyncio.run(asking())
