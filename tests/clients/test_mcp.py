"""The MCP client of PyPI against the real binary: stdio, Streamable HTTP and SSE.

Each transport is asked in the newest protocol that the client offers and in the `initialize`
handshake of the older ones.
"""

import asyncio
import contextlib

import jsonschema
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from servers import BINARY, http_server

BILLS = "openpolicy_pg.openpolicy.core.bills"
TRANSPORTS = ["stdio", "http", "sse"]


@pytest.fixture(scope="module")
def address():
    with http_server() as address:
        yield address


@contextlib.asynccontextmanager
async def connected(transport: str, address: str, mode: str = "auto"):
    if transport == "stdio":
        server = StdioServerParameters(command=BINARY, args=["demo", "--log-level", "warn"])
    elif transport == "http":
        server = f"{address}/mcp"
    else:
        server = sse_client(f"{address}/sse")
    async with asyncio.timeout(60), Client(server, mode=mode) as client:
        yield client


def asks(question):
    """Runs an async question for each transport and each way to begin."""

    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    @pytest.mark.parametrize("transport", TRANSPORTS)
    def test(transport, mode, address):
        async def ask():
            async with connected(transport, address, mode) as client:
                await question(client)

        asyncio.run(ask())

    test.__doc__ = question.__doc__
    return test


async def tool(client, name):
    tools = (await client.list_tools()).tools
    return next(tool for tool in tools if tool.name == name)


def text_of(result) -> str:
    return "\n".join(part.text for part in result.content if part.type == "text")


@asks
async def test_introduces_itself_and_lists_sorted_tools(client):
    assert client.server_info.name == "openpolicy-mcp"
    listed = await client.list_tools()
    names = [tool.name for tool in listed.tools]
    assert names == sorted(names)
    assert listed.next_cursor is None
    for wanted in ["search_entities", "get_entity", "get_lineage", "update_entity"]:
        assert wanted in names
    for tool in listed.tools:
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        assert tool.annotations.read_only_hint is not None
        assert tool.title and tool.description


@asks
async def test_answers_match_their_output_schema(client):
    calls = {
        "search_entities": {"query": "bills"},
        "get_entity": {"entities": [BILLS]},
        "get_lineage": {"entity": BILLS, "depth": 2},
        "find_lineage_path": {
            "from": "openpolicy_pg.openpolicy.scrapers.raw_bills",
            "to": BILLS,
        },
        "analyze_impact": {"entity": BILLS},
        "find_root_cause": {"entity": BILLS},
        "get_data_quality": {"entity": BILLS},
        "get_ingestion": {},
        "get_changes": {"entity": BILLS},
    }
    for name, arguments in calls.items():
        result = await client.call_tool(name, arguments)
        assert not result.is_error, f"{name}: {text_of(result)}"
        schema = (await tool(client, name)).output_schema
        jsonschema.validate(result.structured_content, schema)
        assert text_of(result), name
        assert result.structured_content["source"] == "snapshot", name


@asks
async def test_errors_are_results_that_say_what_to_do(client):
    unknown = await client.call_tool("get_entity", {"entitis": ["x"]})
    assert unknown.is_error
    assert unknown.structured_content["code"] == "invalid_argument"
    assert "entities" in text_of(unknown)
    schema = (await tool(client, "get_entity")).output_schema
    jsonschema.validate(unknown.structured_content, schema)

    missing = await client.call_tool("get_lineage", {"entity": f"{BILLS}_not_there"})
    assert missing.is_error
    assert missing.structured_content["code"] == "not_found"


@asks
async def test_an_unknown_tool_is_an_error_and_the_session_goes_on(client):
    try:
        result = await client.call_tool("get_linage", {})
        assert result.is_error
    except Exception as error:  # a protocol error is right as well: the client raises it
        assert "get_linage" in str(error)
    assert (await client.list_tools()).tools


@asks
async def test_many_calls_at_once_are_all_answered(client):
    answers = await asyncio.gather(
        *(client.call_tool("search_entities", {"query": "bills", "limit": 3}) for _ in range(40))
    )
    assert len({text_of(answer) for answer in answers}) == 1
    assert not any(answer.is_error for answer in answers)


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_wrong_bearer_token_is_refused(transport):
    async def ask(address):
        async with connected(transport, address) as client:
            await client.list_tools()

    with http_server(token="right-and-long-enough") as address:
        with pytest.raises(BaseException):
            asyncio.run(ask(address))
