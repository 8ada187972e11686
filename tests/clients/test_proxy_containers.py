"""mcp-proxy and the containers of docs/containers.md, with a real engine and a recorded OpenMetadata.

tests/image/run gives the engine, the image, and the command of Compose.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import older
from catalog import openmetadata
from servers import BINARY, free_port, wait_for

IMAGE = os.environ["OPENPOLICY_IMAGE"]
COMPOSE = os.environ["COMPOSE"].split()
PROXY = os.path.join(os.path.dirname(sys.executable), "mcp-proxy")
SHIPPED = Path(__file__).parent.parent.parent / "docker"
TOKEN = "token-of-a-reader"


def run(*command: str, **environment: str) -> str:
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout.strip()


def answers_of_openmetadata(streams) -> None:
    async def asking():
        async with older.session(streams) as session:
            path = "services/databaseServices/name/openpolicy_pg"
            found = await session.call_tool("read_openmetadata", {"path": path})
            assert not found.isError, found
            assert found.structuredContent["body"]["name"] == "openpolicy_pg"

    asyncio.run(asking())


@contextlib.contextmanager
def proxy(*arguments: str, **environment: str):
    port = free_port()
    process = subprocess.Popen(
        [PROXY, "--port", str(port), *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/status", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def name():
    return f"openpolicy-proxy-test-{secrets.token_hex(4)}"


@pytest.fixture
def container_of_openmetadata(name, tmp_path):
    """In the place of OpenMetadata's own container: it runs, and has a folder /opt."""
    shutil.copy(BINARY, tmp_path / "runs")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY runs /runs\nCOPY Dockerfile /opt/kept\n")
    image = f"{name}-image"
    run("docker", "build", "-q", "-t", image, str(tmp_path), DOCKER_BUILDKIT="0")
    try:
        # The network of this machine: `localhost` in the container is where the catalog listens.
        sleeps = ["/runs", "demo", "--http", f"127.0.0.1:{free_port()}"]
        run("docker", "run", "-d", "--name", name, "--network", "host", image, *sleeps)
        yield name
    finally:
        run("docker", "rm", "-f", name)
        run("docker", "image", "rm", image)


def test_the_binary_inside_the_container_of_openmetadata(container_of_openmetadata, tmp_path):
    """docs/containers.md, 3: as the file that is shipped, with another name and port."""
    run("docker", "cp", BINARY, f"{container_of_openmetadata}:/opt/openpolicy-mcp")
    with openmetadata(TOKEN) as address:
        shipped = (SHIPPED / "mcp-proxy.servers.json").read_text()
        adapted = shipped.replace("mergev2-openmetadata-server", container_of_openmetadata)
        adapted = adapted.replace("http://localhost:8585", address)
        assert adapted.count(container_of_openmetadata) == adapted.count(address) == 1
        file = tmp_path / "mcp-proxy.servers.json"
        file.write_text(adapted)
        flags = ["--pass-environment", "--named-server-config", str(file)]
        with proxy(*flags, OPENMETADATA_TOKEN=TOKEN) as proxied:
            answers_of_openmetadata(older.over_http(f"{proxied}/servers/openpolicy/mcp"))
            answers_of_openmetadata(older.over_sse(f"{proxied}/servers/openpolicy/sse"))


def test_what_init_writes_is_the_file_that_is_shipped(tmp_path):
    flags = ["--container", "mergev2-openmetadata-server", "--command", "/opt/openpolicy-mcp"]
    file = tmp_path / "servers.json"
    write = ["--url", "http://localhost:8585", "--write", str(file)]
    run(BINARY, "init", "--client", "mcp-proxy", *flags, *write)
    assert json.loads(file.read_text()) == json.loads((SHIPPED / "mcp-proxy.servers.json").read_text())


@pytest.fixture
def network(name):
    """A network, and the address of this machine in it: nothing outside of the machine sees it."""
    run("docker", "network", "create", name)
    try:
        told = json.loads(run("docker", "network", "inspect", name))
        yield name, told[0]["IPAM"]["Config"][0]["Gateway"]
    finally:
        run("docker", "network", "rm", name)


@pytest.fixture
def beside_openmetadata(network, tmp_path):
    """docs/containers.md, 1: the Compose fragment in the network of an OpenMetadata."""
    name, gateway = network
    http_token, port = secrets.token_urlsafe(32), free_port()
    for file, token in [("catalog", TOKEN), ("http", http_token)]:
        (tmp_path / file).write_text(token)
        (tmp_path / file).chmod(0o444)
    # The container is another user.
    tmp_path.chmod(0o755)
    with openmetadata(TOKEN, host=gateway) as address:
        settings = {
            "OPENMETADATA_NETWORK": name,
            "OPENMETADATA_URL": address,
            "OPENMETADATA_TOKEN_PATH": str(tmp_path / "catalog"),
            "OPENPOLICY_HTTP_TOKEN_PATH": str(tmp_path / "http"),
            "OPENPOLICY_IMAGE": IMAGE,
            "OPENPOLICY_CONTAINER": f"{name}-beside",
            "OPENPOLICY_PORT": str(port),
        }
        compose = [*COMPOSE, "-p", name, "-f", str(SHIPPED / "compose.openmetadata.yaml")]
        run(*compose, "up", "-d", **settings)
        try:
            served = f"http://127.0.0.1:{port}"
            logs = subprocess.Popen(
                ["docker", "logs", "-f", f"{name}-beside"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # It ends when the container does.
            wait_for(f"{served}/healthz", logs)
            yield f"{name}-beside", served, http_token
        finally:
            run(*compose, "down", **settings)
            logs.wait(timeout=20)


def test_the_service_beside_openmetadata_answers_from_it(beside_openmetadata):
    container, served, token = beside_openmetadata
    headers = {"Authorization": f"Bearer {token}"}
    answers_of_openmetadata(older.over_http(f"{served}/mcp", headers))
    answers_of_openmetadata(older.over_sse(f"{served}/sse", headers))
    # The program of the container engine looks for it in the environment.
    engine = {key: os.environ[key] for key in ("DOCKER_HOST",) if key in os.environ}
    command = ["docker", "exec", "-i", container, "/openpolicy-mcp", "serve"]
    answers_of_openmetadata(older.over_stdio(*command, environment=engine))


def test_mcp_proxy_before_the_service(beside_openmetadata):
    _, served, token = beside_openmetadata
    reached = [f"{served}/mcp", "--transport", "streamablehttp"]
    header = ["--headers", "Authorization", f"Bearer {token}"]
    answers_of_openmetadata(older.over_stdio(PROXY, *reached, *header))
