"""Every configuration that `init` writes: read as its client reads it, used to reach the server,
and a tool called over it. The forms with containers are in test_containers.py."""

import pytest

from catalog import openmetadata
from connecting import (
    FILES,
    REFERRING,
    TOKEN,
    answers_of_openmetadata,
    answers_of_the_demo,
    init,
    the_server,
    told_by_openmetadata,
)
from servers import BINARY, http_server


@pytest.mark.parametrize("client", FILES)
def test_a_command_with_the_demo(client, tmp_path):
    answers_of_the_demo(the_server(client, init(client, tmp_path, "--demo")))


def test_cursor_has_a_file_for_all_projects(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    init("cursor", project, "--demo", "--scope", "global", HOME=str(tmp_path))
    assert not (project / ".cursor").exists()
    answers_of_the_demo(the_server("cursor", tmp_path / FILES["cursor"]))


@pytest.mark.parametrize("client", FILES)
def test_a_command_with_spaces_in_its_path(client, tmp_path):
    place = tmp_path / "My Programs $HOME"
    place.mkdir()
    command = place / "openpolicy mcp"
    command.symlink_to(BINARY)
    file = init(client, tmp_path, "--demo", "--command", str(command))
    answers_of_the_demo(the_server(client, file))


@pytest.mark.parametrize("client", REFERRING)
def test_a_command_that_takes_address_and_token_by_reference(client, tmp_path):
    file = init(client, tmp_path)
    assert TOKEN not in file.read_text()
    with openmetadata(TOKEN) as address:
        environment = {"OPENMETADATA_URL": address, "OPENMETADATA_TOKEN": TOKEN}
        answers_of_openmetadata(the_server(client, file, environment))


@pytest.mark.parametrize("client", FILES)
def test_a_command_with_a_token_file(client, tmp_path):
    token = tmp_path / "token of a reader"
    token.write_text(TOKEN)
    with openmetadata(TOKEN) as address:
        file = init(client, tmp_path, "--url", address, "--token-file", str(token))
        assert TOKEN not in file.read_text()
        answers_of_openmetadata(the_server(client, file))


@pytest.mark.parametrize("client", FILES)
def test_a_command_with_the_token_in_clear(client, tmp_path):
    with openmetadata(TOKEN) as address:
        arguments = ["--url", address, "--token-in-clear"]
        file = init(client, tmp_path, *arguments, OPENMETADATA_TOKEN=TOKEN)
        assert file.stat().st_mode & 0o077 == 0, "others may read the token"
        answers_of_openmetadata(the_server(client, file))


def test_a_wrong_token_is_said_to_be_wrong(tmp_path):
    file = init("cursor", tmp_path)
    with openmetadata(TOKEN) as address:
        environment = {"OPENMETADATA_URL": address, "OPENMETADATA_TOKEN": "of somebody else"}
        told = told_by_openmetadata(the_server("cursor", file, environment))
    assert told["code"] == "unauthorized"


@pytest.mark.parametrize("client", REFERRING)
def test_an_address_without_a_token(client, tmp_path):
    with http_server() as address:
        file = init(client, tmp_path, "--http", address)
        answers_of_the_demo(the_server(client, file))


@pytest.mark.parametrize("client", REFERRING)
def test_an_address_with_a_token_by_reference(client, tmp_path):
    token = "right-and-long-enough"
    with http_server(token=token) as address:
        file = init(client, tmp_path, "--http", f"{address}/mcp", "--http-token")
        assert token not in file.read_text()
        answers_of_the_demo(the_server(client, file, {"OPENPOLICY_HTTP_TOKEN": token}))
