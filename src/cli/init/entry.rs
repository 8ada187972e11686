//! What a client's configuration file has to say about this server. Pure.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// A program that reads an MCP configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    Cursor,
    ClaudeDesktop,
    ClaudeCode,
    Vscode,
    McpProxy,
}

/// How the client reaches the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The client starts the binary and speaks over its stdin and stdout.
    Stdio { command: String },
    /// A server that runs already answers at this address.
    Http { url: String, with_token: bool },
    /// The binary is started inside a container that runs already: with its environment, unless
    /// the wish names an address or a token.
    Exec { container: String, command: String },
    /// A container is started for each session.
    Run {
        image: String,
        network: Option<String>,
    },
}

/// How the server gets its OpenMetadata token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// By the client's own way to refer to a value that the file does not hold.
    Reference,
    /// From a file, which the server reads.
    File(String),
    /// Written into the configuration, because the caller asked for it.
    Clear(String),
}

/// Everything that decides an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub client: Client,
    pub form: Form,
    /// Serve the built-in demo catalog instead of an OpenMetadata.
    pub is_demo: bool,
    /// Address of OpenMetadata; by reference where absent.
    pub openmetadata_url: Option<String>,
    pub credential: Credential,
    /// Added to the server's arguments.
    pub extra: Vec<String>,
}

/// What goes into the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The server, to stand under `servers_key`.
    pub server: Value,
    /// Definitions of `${input:…}`, VS Code only.
    pub inputs: Vec<Value>,
    /// What else the person has to do, one sentence each.
    pub notes: Vec<String>,
}

/// Why there is no such entry, and what to ask for instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EntryError(String);

/// Where the token file appears inside a container that `init --image` starts.
const TOKEN_IN_CONTAINER: &str = "/run/secrets/openmetadata-token";

impl Client {
    /// The key that holds the servers.
    pub fn servers_key(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            _ => "mcpServers",
        }
    }

    fn takes_http(self) -> bool {
        matches!(self, Self::Cursor | Self::ClaudeCode | Self::Vscode)
    }

    fn title(self) -> &'static str {
        match self {
            Self::Cursor => "Cursor",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Vscode => "VS Code",
            Self::McpProxy => "mcp-proxy",
        }
    }

    /// How this client refers to a value of the environment; None where it cannot.
    fn reference(self, variable: &str) -> Option<String> {
        match self {
            Self::Cursor => Some(format!("${{env:{variable}}}")),
            Self::ClaudeCode => Some(format!("${{{variable}}}")),
            Self::Vscode => Some(format!("${{input:{}}}", input_id(variable))),
            Self::ClaudeDesktop | Self::McpProxy => None,
        }
    }
}

/// The entry that fulfils the wish.
pub fn entry(wish: &Wish) -> Result<Entry, EntryError> {
    let mut entry = Entry {
        server: Value::Null,
        inputs: Vec::new(),
        notes: Vec::new(),
    };
    entry.server = match &wish.form {
        Form::Http { url, with_token } => http(wish, url, *with_token, &mut entry)?,
        Form::Stdio { command } => {
            let environment = environment(wish, &mut entry)?;
            started(wish.client, command, arguments(wish), environment)
        }
        Form::Exec { container, command } => {
            let (all, environment) = exec(wish, container, command, &mut entry)?;
            started(wish.client, "docker", all, environment)
        }
        Form::Run { image, network } => {
            let (all, environment) = run(wish, image, network.as_deref(), &mut entry)?;
            started(wish.client, "docker", all, environment)
        }
    };
    Ok(entry)
}

fn arguments(wish: &Wish) -> Vec<String> {
    let first = if wish.is_demo { "demo" } else { "serve" };
    [first.to_owned()]
        .into_iter()
        .chain(wish.extra.iter().cloned())
        .collect()
}

fn started(
    client: Client,
    command: &str,
    arguments: Vec<String>,
    environment: Map<String, Value>,
) -> Value {
    let mut server = Map::new();
    if matches!(client, Client::Vscode | Client::ClaudeCode) {
        server.insert("type".into(), "stdio".into());
    }
    server.insert("command".into(), command.into());
    server.insert("args".into(), arguments.into());
    if !environment.is_empty() {
        server.insert("env".into(), environment.into());
    }
    server.into()
}

fn http(wish: &Wish, url: &str, with_token: bool, entry: &mut Entry) -> Result<Value, EntryError> {
    if !wish.client.takes_http() {
        return Err(EntryError(format!(
            "the configuration file of {} takes commands only: leave --http away (stdio), or use \
             --container or --image",
            wish.client.title()
        )));
    }
    let mut server = Map::new();
    if wish.client != Client::Cursor {
        server.insert("type".into(), "http".into());
    }
    server.insert("url".into(), url.into());
    if with_token {
        let token = reference(wish.client, "OPENPOLICY_HTTP_TOKEN", entry)?;
        server.insert(
            "headers".into(),
            json!({"Authorization": format!("Bearer {token}")}),
        );
    }
    Ok(server.into())
}

/// The environment of a server that the client starts.
fn environment(wish: &Wish, entry: &mut Entry) -> Result<Map<String, Value>, EntryError> {
    let mut environment = Map::new();
    if wish.is_demo {
        return Ok(environment);
    }
    match &wish.openmetadata_url {
        Some(url) => {
            environment.insert("OPENMETADATA_URL".into(), url.as_str().into());
        }
        None if wish.client == Client::McpProxy => {}
        None => {
            let url = reference(wish.client, "OPENMETADATA_URL", entry)?;
            environment.insert("OPENMETADATA_URL".into(), url.into());
        }
    }
    match &wish.credential {
        Credential::File(path) => {
            environment.insert("OPENMETADATA_TOKEN_FILE".into(), path.as_str().into());
        }
        Credential::Clear(token) => {
            environment.insert("OPENMETADATA_TOKEN".into(), token.as_str().into());
            entry
                .notes
                .push("The file holds the token in clear: keep it out of version control.".into());
        }
        Credential::Reference if wish.client == Client::McpProxy => entry.notes.push(
            "Start mcp-proxy with --pass-environment and OPENMETADATA_URL and OPENMETADATA_TOKEN \
             set: its file cannot refer to them."
                .into(),
        ),
        Credential::Reference => {
            let token = reference(wish.client, "OPENMETADATA_TOKEN", entry)?;
            environment.insert("OPENMETADATA_TOKEN".into(), token.into());
        }
    }
    Ok(environment)
}

/// Arguments of `docker` and the environment that it passes on by name.
fn run(
    wish: &Wish,
    image: &str,
    network: Option<&str>,
    entry: &mut Entry,
) -> Result<(Vec<String>, Map<String, Value>), EntryError> {
    let mut environment = environment(wish, entry)?;
    let mut all: Vec<String> = ["run", "-i", "--rm"].map(str::to_owned).into();
    if let Some(network) = network {
        all.extend(["--network".to_owned(), network.to_owned()]);
    }
    if let Some(Value::String(path)) = environment.remove("OPENMETADATA_TOKEN_FILE") {
        all.extend([
            "-v".to_owned(),
            format!("{path}:{TOKEN_IN_CONTAINER}:ro"),
            "-e".to_owned(),
            format!("OPENMETADATA_TOKEN_FILE={TOKEN_IN_CONTAINER}"),
        ]);
    }
    all.extend(passed_on(wish, &environment));
    all.push(image.to_owned());
    all.extend(arguments(wish));
    Ok((all, environment))
}

fn exec(
    wish: &Wish,
    container: &str,
    command: &str,
    entry: &mut Entry,
) -> Result<(Vec<String>, Map<String, Value>), EntryError> {
    let mut all = vec!["exec".to_owned(), "-i".into()];
    let mut own = Map::new();
    if wish.openmetadata_url.is_some() || wish.credential != Credential::Reference {
        own = environment(wish, entry)?;
        if let Some(Value::String(path)) = own.remove("OPENMETADATA_TOKEN_FILE") {
            all.extend(["-e".to_owned(), format!("OPENMETADATA_TOKEN_FILE={path}")]);
        }
        all.extend(passed_on(wish, &own));
    } else if !wish.is_demo {
        entry.notes.push(format!(
            "OPENMETADATA_URL and the token are those of the container `{container}`."
        ));
    }
    all.extend([container.to_owned(), command.to_owned()]);
    all.extend(arguments(wish));
    Ok((all, own))
}

/// `-e NAME` for each variable that `docker` finds in its own environment.
fn passed_on(wish: &Wish, environment: &Map<String, Value>) -> Vec<String> {
    let mut names: Vec<&str> = environment.keys().map(String::as_str).collect();
    if wish.client == Client::McpProxy && !wish.is_demo {
        // Its file cannot refer to them: they come with --pass-environment.
        if wish.openmetadata_url.is_none() {
            names.push("OPENMETADATA_URL");
        }
        if wish.credential == Credential::Reference {
            names.push("OPENMETADATA_TOKEN");
        }
    }
    let pairs = names
        .into_iter()
        .map(|name| ["-e".to_owned(), name.to_owned()]);
    pairs.flatten().collect()
}

fn reference(client: Client, variable: &str, entry: &mut Entry) -> Result<String, EntryError> {
    let Some(reference) = client.reference(variable) else {
        return Err(EntryError(match variable {
            "OPENMETADATA_URL" => format!(
                "{} reads no variables in its file: give the address of OpenMetadata with --url",
                client.title()
            ),
            _ => format!(
                "{} reads no variables in its file: give --token-file PATH (a file that holds the \
                 token), or --token-in-clear to write the value of {variable} into it",
                client.title()
            ),
        }));
    };
    if client == Client::Vscode {
        entry.inputs.push(json!({
            "type": "promptString",
            "id": input_id(variable),
            "description": variable,
            "password": variable.ends_with("TOKEN"),
        }));
    } else {
        entry.notes.push(format!(
            "Set {variable} in the environment that {} starts from.",
            client.title()
        ));
    }
    Ok(reference)
}

fn input_id(variable: &str) -> String {
    variable.to_lowercase().replace('_', "-")
}
