"""The configurations that `init` writes for containers, used with a real engine.

tests/image/run gives the engine, the image, and the name of a container of it that runs.
"""

import os

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
)

IMAGE = os.environ["OPENPOLICY_IMAGE"]
CONTAINER = os.environ["OPENPOLICY_CONTAINER"]



@pytest.mark.parametrize("client", FILES)
def test_a_container_for_each_session(client, tmp_path):
    file = init(client, tmp_path, "--image", IMAGE, "--demo")
    answers_of_the_demo(the_server(client, file))


@pytest.mark.parametrize("client", FILES)
def test_a_command_in_a_container_that_runs(client, tmp_path):
    file = init(client, tmp_path, "--container", CONTAINER, "--demo")
    answers_of_the_demo(the_server(client, file))


@pytest.mark.parametrize("client", REFERRING)
def test_a_container_that_takes_address_and_token_by_reference(client, tmp_path):
    file = init(client, tmp_path, "--image", IMAGE, "--network", "host")
    with openmetadata(TOKEN) as address:
        environment = {"OPENMETADATA_URL": address, "OPENMETADATA_TOKEN": TOKEN}
        server = the_server(client, file, environment)
        assert TOKEN not in " ".join(server.args), "everybody on the machine sees arguments"
        answers_of_openmetadata(server)


@pytest.mark.parametrize("client", FILES)
def test_a_container_with_a_token_file(client, tmp_path):
    token = tmp_path / "token of a reader"
    token.write_text(TOKEN)
    # The container runs as another user.
    token.chmod(0o444)
    with openmetadata(TOKEN) as address:
        arguments = ["--image", IMAGE, "--network", "host", "--url", address]
        file = init(client, tmp_path, *arguments, "--token-file", str(token))
        answers_of_openmetadata(the_server(client, file))
