"""The server asks the client while a call runs: over stdio and SSE too, where the suite does not look.

The fixture asks, as the product does not yet; what carries the questions are our transports.
"""

import asyncio
import contextlib
import os

import pytest
from mcp import Client, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from servers import free_port, started

FIXTURE = os.environ["OPENPOLICY_CONFORMANCE_SERVER"]


@pytest.fixture(scope="module")
def address():
    bound = f"127.0.0.1:{free_port()}"
    with started([FIXTURE, bound, "sessions"], f"http://{bound}", "/mcp") as address:
        yield address


async def sampled(_, request):
    said = types.TextContent(type="text", text=f"about {request.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", content=said, model="none")


async def filled_in(_, request):
    content = {"username": "ada", "email": "ada@example.org", "name": "Ada"}
    wanted = request.requested_schema["properties"]
    return types.ElicitResult(action="accept", content={key: content[key] for key in wanted})


async def roots(_):
    return types.ListRootsResult(roots=[types.Root(uri="file:///data", name="data")])


@contextlib.asynccontextmanager
async def connected(over: str, mode: str, address: str, logged: list):
    async def log(message):
        logged.append(message.data)

    targets = {
        "stdio": lambda: StdioServerParameters(command=FIXTURE),
        "http": lambda: f"{address}/mcp",
        "sse": lambda: sse_client(f"{address}/sse"),
    }
    callbacks = {
        "sampling_callback": sampled,
        "elicitation_callback": filled_in,
        "list_roots_callback": roots,
        "logging_callback": log,
    }
    async with asyncio.timeout(60), Client(targets[over](), mode=mode, **callbacks) as client:
        yield client


def text_of(result) -> str:
    assert not result.is_error, result
    return result.content[0].text


@pytest.mark.parametrize("over", ["stdio", "http", "sse"])
def test_an_older_client_is_asked_within_the_call(over, address):
    async def ask():
        logged, told = [], []

        async def progress(done, total, message):
            told.append(done)

        async with connected(over, "legacy", address, logged) as client:
            asks = [client.call_tool("test_sampling", {"prompt": f"q{n}"}) for n in range(5)]
            answers = [text_of(answer) for answer in await asyncio.gather(*asks)]
            assert answers == [f"LLM response: about q{n}" for n in range(5)]
            asked = await client.call_tool("test_elicitation", {"message": "Who?"})
            assert "ada@example.org" in text_of(asked)
            await client.call_tool("test_tool_with_logging", {})
            await client.call_tool("test_tool_with_progress", {}, progress_callback=progress)
        assert logged == [f"Tool execution {step}" for step in ("started", "processing data", "completed")]
        assert told == [0, 50, 100]

    asyncio.run(ask())


@pytest.mark.parametrize("over", ["stdio", "http"])
def test_a_newer_client_is_asked_by_the_answer(over, address):
    async def ask():
        async with connected(over, "auto", address, []) as client:
            ask = "test_input_required_result_"
            assert text_of(await client.call_tool(f"{ask}elicitation", {})) == "Hello, Ada!"
            assert "capital" in text_of(await client.call_tool(f"{ask}sampling", {}))
            assert "file:///data" in text_of(await client.call_tool(f"{ask}list_roots", {}))
            assert "three" in text_of(await client.call_tool(f"{ask}multiple_inputs", {}))

    asyncio.run(ask())
