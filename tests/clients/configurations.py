"""Reads the configuration file of an MCP client as that client documents it.

What each client puts in for a variable:
- Cursor (cursor.com/docs/mcp, 'Config interpolation'): ${env:NAME}, ${userHome},
  ${workspaceFolder}, ${workspaceFolderBasename}, ${pathSeparator} and ${/}, in command, args, env,
  url and headers.
- Claude Code (code.claude.com/docs/en/mcp, 'Environment variable expansion'): ${NAME} and
  ${NAME:-default} in the same fields; a variable that is not set and has no default is an error.
- VS Code (code.visualstudio.com/docs/copilot/reference/mcp-configuration): ${input:ID}, for which
  it asks the user what `inputs` describes; ${env:NAME} and ${workspaceFolder}.
- Claude Desktop and mcp-proxy: nothing.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

FIELDS = ("command", "args", "env", "url", "headers")


@dataclass
class Server:
    """How a client reaches a server: by a command, or at an address."""

    command: str | None = None
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    url: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def servers(
    client: str, file: Path, environment: dict[str, str], answers: dict[str, str]
) -> dict[str, Server]:
    """The servers of a file, every variable filled in. `answers` is what the user types where the
    client asks, by the description of what it asks for."""
    written = json.loads(file.read_text())
    entries = written["servers" if client == "vscode" else "mcpServers"]
    folder = file.parent.parent if client in ("cursor", "vscode") else file.parent
    values = {
        "cursor": lambda name: cursor(name, environment, folder),
        "claude-code": lambda name: claude_code(name, environment),
        "vscode": lambda name: vscode(name, written, environment, folder, answers),
    }.get(client)
    read = {}
    for name, entry in entries.items():
        known = {key: entry[key] for key in FIELDS if key in entry}
        beyond = entry.keys() - known.keys() - {"type"}
        assert not beyond, f"{client} does not read {beyond}"
        # Claude Code and VS Code tell an address from a command by `type`.
        if client in ("claude-code", "vscode"):
            assert entry["type"] == ("http" if "url" in entry else "stdio"), entry
        read[name] = Server(**(filled(known, values) if values else known))
    return read


def filled(value, values):
    if isinstance(value, dict):
        return {key: filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, values) for inner in value]
    return re.sub(r"\$\{([^}]*)\}", lambda found: values(found[1]), value)


def cursor(name: str, environment: dict, folder: Path) -> str:
    if name.startswith("env:"):
        return environment[name.removeprefix("env:")]
    return {
        "userHome": environment.get("HOME", ""),
        "workspaceFolder": str(folder),
        "workspaceFolderBasename": folder.name,
        "pathSeparator": "/",
        "/": "/",
    }[name]


def claude_code(name: str, environment: dict) -> str:
    name, has_default, default = name.partition(":-")
    return environment.get(name, default) if has_default else environment[name]


def vscode(name: str, written: dict, environment: dict, folder: Path, answers: dict) -> str:
    if name.startswith("env:"):
        return environment[name.removeprefix("env:")]
    if name == "workspaceFolder":
        return str(folder)
    wanted = name.removeprefix("input:")
    asked = next(asked for asked in written["inputs"] if asked["id"] == wanted)
    assert asked["type"] == "promptString"
    assert asked["password"] == asked["description"].endswith("TOKEN"), asked
    return answers[asked["description"]]
