"""Starts the binary under test over HTTP and ends it again."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

BINARY = os.environ["OPENPOLICY_MCP"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, seconds: float = 30.0) -> None:
    """Returns when `url` answers; fails when the process ends or the time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                raise AssertionError(f"the server ended with {process.returncode}") from None
            if time.monotonic() > end:
                raise AssertionError(f"{url} did not answer within {seconds} s") from None
            time.sleep(0.05)


@contextlib.contextmanager
def started(command: list[str], address: str, path: str, environment: dict | None = None):
    """Runs a server until the block ends; gives its address without a path."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), **(environment or {})},
    )
    try:
        wait_for(f"{address}{path}", process)
        yield address
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0, "SIGTERM is a clean end"


@contextlib.contextmanager
def http_server(*arguments: str, token: str | None = None):
    """Runs `demo --http` on a free port; gives the address without a path."""
    port = free_port()
    command = [BINARY, "demo", "--http", f"127.0.0.1:{port}", "--log-level", "warn", *arguments]
    environment = {"OPENPOLICY_HTTP_TOKEN": token} if token else {}
    with started(command, f"http://127.0.0.1:{port}", "/healthz", environment) as address:
        yield address
