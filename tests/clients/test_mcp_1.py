"""The MCP client of PyPI below 2 against the real binary: stdio, Streamable HTTP and SSE."""

import asyncio

import jsonschema
import pytest
from pydantic import AnyUrl

import older
from servers import BINARY, http_server

BILLS = "openpolicy_pg.openpolicy.core.bills"
TRANSPORTS = ["stdio", "http", "http with sessions", "sse"]


@pytest.fixture(scope="module")
def addresses():
    with http_server() as plain, http_server("--http-sessions") as with_sessions:
        yield {"http": plain, "http with sessions": with_sessions, "sse": plain}


def streams(transport: str, addresses: dict):
    match transport:
        case "stdio":
            return older.over_stdio(BINARY, "demo", "--log-level", "warn")
        case "sse":
            return older.over_sse(f"{addresses[transport]}/sse")
        case _:
            return older.over_http(f"{addresses[transport]}/mcp")


def asks(question):
    """Runs an async question over each transport."""

    @pytest.mark.parametrize("transport", TRANSPORTS)
    def test(transport, addresses):
        async def ask():
            async with older.session(streams(transport, addresses)) as session:
                await question(session)

        asyncio.run(ask())

    test.__doc__ = question.__doc__
    return test


@asks
async def test_answers_match_their_output_schema(session):
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert list(tools) == sorted(tools)
    calls = {
        "search_entities": {"query": "bills"},
        "get_entity": {"entities": [BILLS]},
        "get_lineage": {"entity": BILLS, "depth": 2},
        "analyze_impact": {"entity": BILLS},
        "get_ingestion": {},
    }
    for name, arguments in calls.items():
        result = await session.call_tool(name, arguments)
        assert not result.isError, f"{name}: {result}"
        jsonschema.validate(result.structuredContent, tools[name].outputSchema)


@asks
async def test_errors_are_results_that_say_what_to_do(session):
    wrong = await session.call_tool("get_entity", {"entitis": ["x"]})
    assert wrong.isError
    assert wrong.structuredContent["code"] == "invalid_argument"
    assert "entities" in wrong.content[0].text
    missing = await session.call_tool("get_lineage", {"entity": f"{BILLS}_not_there"})
    assert missing.isError
    assert missing.structuredContent["code"] == "not_found"


@asks
async def test_prompts_resources_and_completions_are_there(session):
    prompts = (await session.list_prompts()).prompts
    prompt = await session.get_prompt("assess_change", {"entity": BILLS})
    assert "assess_change" in [prompt.name for prompt in prompts]
    assert BILLS in prompt.messages[0].content.text
    assert (await session.list_resources()).resources == []
    templates = (await session.list_resource_templates()).resourceTemplates
    assert [template.uriTemplate for template in templates] == ["openmetadata://{type}/{fqn}"]
    read = await session.read_resource(AnyUrl(f"openmetadata://table/{BILLS}"))
    assert "bills" in read.contents[0].text


@asks
async def test_many_calls_at_once_are_all_answered(session):
    call = {"query": "bills", "limit": 3}
    answers = await asyncio.gather(*(session.call_tool("search_entities", call) for _ in range(40)))
    assert len({answer.content[0].text for answer in answers}) == 1
    assert not any(answer.isError for answer in answers)


@asks
async def test_the_connection_stays(session):
    await session.send_ping()
    await older.asks_of_bills(session)
    await session.send_ping()


@pytest.mark.parametrize("over", [older.over_http, older.over_sse])
def test_a_bearer_token_lets_in(over):
    token = "right-and-long-enough"

    async def ask(address, headers):
        path = "sse" if over is older.over_sse else "mcp"
        async with older.session(over(f"{address}/{path}", headers)) as session:
            await older.asks_of_bills(session)

    with http_server(token=token) as address:
        asyncio.run(ask(address, {"Authorization": f"Bearer {token}"}))
        with pytest.raises(BaseException):
            asyncio.run(ask(address, {"Authorization": "Bearer wrong-and-long-enough"}))
