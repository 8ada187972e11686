"""The MCP Inspector's command line against the real binary: stdio, Streamable HTTP and SSE, in the
newest protocol and in the older ones."""

import json
import os
import re
import subprocess

import pytest

from servers import BINARY, http_server

NODE = os.environ["NODE"]
INSPECTOR = f"{os.environ['NODE_FOLDER']}/node_modules/.bin/mcp-inspector"
BILLS = "openpolicy_pg.openpolicy.core.bills"
WAYS = [
    ("stdio", "legacy"),
    ("stdio", "modern"),
    ("mcp", "legacy"),
    ("mcp", "modern"),
    ("sse", "legacy"),
]


@pytest.fixture(scope="module")
def address():
    with http_server() as address:
        yield address


@pytest.fixture(params=WAYS, ids=" ".join)
def inspect(request, address, tmp_path):
    """Asks with one method, as `inspect(method, flag, …)`; gives the result and what was said."""
    over, era = request.param
    # From a file: flags of the server on the command line would be read as flags of the inspector.
    file = tmp_path / "mcp.json"
    reached = {"command": BINARY, "args": ["demo"]} if over == "stdio" else {}
    if over != "stdio":
        kind = "streamable-http" if over == "mcp" else "sse"
        reached = {"type": kind, "url": f"{address}/{over}"}
    file.write_text(json.dumps({"mcpServers": {"openpolicy": reached}}))

    def ask(method: str, *flags: str):
        command = [NODE, INSPECTOR, "--cli", "--config", str(file), "--server", "openpolicy"]
        command += ["--protocol-era", era, "--format", "json", "-q", "--method", method, *flags]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        assert ended.returncode == 0, f"{ended.returncode}: {ended.stdout}{ended.stderr}"
        return json.loads(ended.stdout)["result"], ended.stderr

    return ask


def test_tools_are_listed_and_their_schemas_are_portable(inspect):
    listed, said = inspect("tools/list", "--strict")
    names = [tool["name"] for tool in listed["tools"]]
    assert "search_entities" in names
    # It warns where a cell of a table, or a body of OpenMetadata, may be anything: so it is.
    assert re.search(r"^0 errors", said, re.MULTILINE), said
    places = re.findall(r"Path: (\S+)", said)
    assert [place for place in places if not place.endswith((".rows.items.items", ".body"))] == []


def test_a_tool_is_called(inspect):
    arguments = json.dumps({"entities": [BILLS], "sections": ["summary"]})
    result, _ = inspect(
        "tools/call", "--tool-name", "get_entity", "--tool-args-json", arguments
    )
    assert not result.get("isError"), result
    assert result["structuredContent"]["source"] == "snapshot"
    assert "bills" in result["content"][0]["text"]


def test_resources_are_read(inspect):
    templates, _ = inspect("resources/templates/list")
    uris = [template["uriTemplate"] for template in templates["resourceTemplates"]]
    assert uris == ["openmetadata://{type}/{fqn}"]
    read, _ = inspect("resources/read", "--uri", f"openmetadata://table/{BILLS}")
    assert "bills" in read["contents"][0]["text"]


def test_prompts_are_filled_in(inspect):
    listed, _ = inspect("prompts/list")
    assert "assess_change" in [prompt["name"] for prompt in listed["prompts"]]
    flags = ["--prompt-name", "assess_change", "--prompt-args", f"entity={BILLS}"]
    prompt, _ = inspect("prompts/get", *flags)
    assert BILLS in prompt["messages"][0]["content"]["text"]
