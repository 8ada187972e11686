//! `init`: prints or writes the configuration of an MCP client.

mod draft;
mod entry;
mod file;
mod merge;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::{
    entry::{Client, Credential, Form, Wish},
    merge::Merged,
};
use super::{
    Failure,
    output::{note, say},
    places,
};

/// Prints the configuration for a client, or the draft of a platform file; with `--write`, puts it into the client's file.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The program that shall use this server.
    #[arg(long, value_enum, required_unless_present = "platform")]
    client: Option<Client>,
    /// Draft a platform file from this Compose file instead.
    #[arg(long, value_name = "COMPOSE FILE", conflicts_with = "client")]
    platform: Option<PathBuf>,
    /// Cursor keeps one file for the user and one in each project.
    #[arg(long, value_enum, default_value = "project")]
    scope: Scope,
    /// The name of the entry.
    #[arg(long, default_value = "openpolicy")]
    name: String,
    /// Reach a server that runs already: http://HOST:PORT/mcp.
    #[arg(long, value_name = "URL", group = "form")]
    http: Option<String>,
    /// Send the bearer token OPENPOLICY_HTTP_TOKEN (always so beyond this machine).
    #[arg(long, requires = "http")]
    http_token: bool,
    /// Start the binary inside this running container (docker exec).
    #[arg(long, value_name = "NAME", group = "form")]
    container: Option<String>,
    /// Start a container of this image for each session (docker run).
    #[arg(long, value_name = "IMAGE", group = "form")]
    image: Option<String>,
    /// The container network to join.
    #[arg(long, requires = "image")]
    network: Option<String>,
    /// The binary to start [default: this one; in a container /openpolicy-mcp].
    #[arg(long, value_name = "PATH", conflicts_with_all = ["http", "image"])]
    command: Option<String>,
    /// Serve the built-in demo catalog.
    #[arg(long, conflicts_with = "http")]
    demo: bool,
    /// Address of OpenMetadata [default: OPENMETADATA_URL; with --container that of the container].
    #[arg(long, value_name = "URL", conflicts_with_all = ["demo", "http"])]
    url: Option<String>,
    /// A file that holds the OpenMetadata token (with --container a file in the container).
    #[arg(long, value_name = "PATH", conflicts_with_all = ["demo", "http"])]
    token_file: Option<String>,
    /// Write the value of OPENMETADATA_TOKEN into the configuration.
    #[arg(long, conflicts_with_all = ["demo", "http", "token_file"])]
    token_in_clear: bool,
    /// Write into the client's file, or into this one.
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    write: Option<Option<PathBuf>>,
    /// Replace an entry of the same name, or a platform file.
    #[arg(long, requires = "write")]
    force: bool,
    /// Arguments for the server, after `--`.
    #[arg(last = true, value_name = "SERVER ARGUMENTS")]
    extra: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// The file in the folder of the project.
    Project,
    /// The file of the user.
    Global,
}

/// Prints the configuration on stdout and what to do with it on stderr.
pub fn run(arguments: InitArguments) -> Result<(), Failure> {
    let Some(client) = arguments.client else {
        let written = arguments.write.as_ref().map(|path| path.as_deref());
        let compose_file = arguments.platform.unwrap_or_default();
        return draft::run(&compose_file, written, arguments.force);
    };
    let wish = wish(client, &arguments)?;
    let entry = entry::entry(&wish).map_err(|error| Failure::Usage(error.to_string()))?;
    let servers_key = wish.client.servers_key();
    let alone = merge::alone(servers_key, &arguments.name, &entry);
    let usual = usual_file(wish.client, arguments.scope);

    let Some(written) = arguments.write else {
        say(alone)?;
        if let Some(path) = usual {
            let path = path.display();
            note(format_args!(
                "This belongs into {path}; --write puts it there."
            ));
        }
        entry.notes.iter().for_each(note);
        return Ok(());
    };
    let path = written.or(usual).ok_or_else(|| {
        Failure::Usage("the home folder is not known: name the file, --write PATH".into())
    })?;
    let is_private = matches!(wish.credential, Credential::Clear(_));
    let left_alone = |reason: &dyn std::fmt::Display| {
        Failure::Error(format!(
            "{} was not changed: {reason}.\nAdd this by hand:\n{alone}",
            path.display()
        ))
    };
    let before = file::read(&path).map_err(|error| left_alone(&error))?;
    let merged = merge::merge(
        &before,
        servers_key,
        &arguments.name,
        &entry,
        arguments.force,
    )
    .map_err(|error| left_alone(&error))?;
    match merged {
        Merged::Unchanged => say(format_args!("{} has it already.", path.display()))?,
        Merged::Changed(text) => {
            let kept = file::replace(&path, &before, &text, is_private)
                .map_err(|error| left_alone(&error))?;
            let name = &arguments.name;
            say(format_args!("Wrote `{name}` into {}.", path.display()))?;
            if let Some(kept) = kept {
                say(format_args!("The file as it was: {}", kept.display()))?;
            }
        }
    }
    entry.notes.iter().for_each(note);
    Ok(())
}

fn wish(client: Client, arguments: &InitArguments) -> Result<Wish, Failure> {
    let form = if let Some(url) = &arguments.http {
        let parsed = url::Url::parse(url).ok();
        let Some(parsed) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Err(Failure::Usage(format!(
                "--http is `{url}`: give the address of a running server, such as \
                 http://127.0.0.1:8765/mcp"
            )));
        };
        let mut parsed = parsed;
        if parsed.path() == "/" {
            parsed.set_path("/mcp");
        }
        Form::Http {
            with_token: arguments.http_token || !is_loopback(&parsed),
            url: parsed.to_string(),
        }
    } else if let Some(container) = &arguments.container {
        Form::Exec {
            container: container.clone(),
            command: arguments
                .command
                .clone()
                .unwrap_or_else(|| "/openpolicy-mcp".to_owned()),
        }
    } else if let Some(image) = &arguments.image {
        Form::Run {
            image: image.clone(),
            network: arguments.network.clone(),
        }
    } else {
        Form::Stdio {
            command: match &arguments.command {
                Some(command) => command.clone(),
                None => own_path()?,
            },
        }
    };
    let credential = if arguments.token_in_clear {
        let token = std::env::var("OPENMETADATA_TOKEN").unwrap_or_default();
        if token.is_empty() {
            return Err(Failure::Usage(
                "--token-in-clear writes the value of OPENMETADATA_TOKEN, which is not set".into(),
            ));
        }
        Credential::Clear(token)
    } else if let Some(path) = &arguments.token_file {
        let path = match &form {
            Form::Exec { .. } => PathBuf::from(path),
            _ => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
        };
        Credential::File(path.display().to_string())
    } else {
        Credential::Reference
    };
    let openmetadata_url = match &form {
        Form::Exec { .. } => arguments.url.clone(),
        _ => arguments
            .url
            .clone()
            .or_else(|| std::env::var("OPENMETADATA_URL").ok()),
    };
    Ok(Wish {
        client,
        form,
        is_demo: arguments.demo,
        openmetadata_url: openmetadata_url.filter(|url| !url.trim().is_empty()),
        credential,
        extra: arguments.extra.clone(),
    })
}

/// Programs with a window do not have the PATH of a terminal: they need the whole path.
fn own_path() -> Result<String, Failure> {
    std::env::current_exe()
        .map(|path| path.display().to_string())
        .map_err(|error| {
            Failure::Usage(format!(
                "the path of this program is not known ({error}): give --command PATH"
            ))
        })
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The file that the client reads.
fn usual_file(client: Client, scope: Scope) -> Option<PathBuf> {
    match client {
        Client::Cursor if scope == Scope::Global => Some(places::home()?.join(".cursor/mcp.json")),
        Client::Cursor => Some(Path::new(".cursor").join("mcp.json")),
        Client::ClaudeDesktop => Some(places::claude_desktop()?.join("claude_desktop_config.json")),
        Client::ClaudeCode => Some(PathBuf::from(".mcp.json")),
        Client::Vscode => Some(Path::new(".vscode").join("mcp.json")),
        Client::McpProxy => Some(PathBuf::from("mcp-proxy.servers.json")),
    }
}
