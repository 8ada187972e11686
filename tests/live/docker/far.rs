//! An engine that is reached over TCP, with Compose 1 alone: deployed and taken back by the real binary
//! over MCP. And one that says of its machine that it is another.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    client::{
        ask, begin, ends,
        server::{self, Server},
    },
    engine::Docker,
    world::World,
};
use crate::engines::free_port;

const COMPOSE: &str = "
services:
  api:
    image: 'openpolicy/stand-in:1'
    environment: { PORT: '80', VERSION: 'one' }
    ports: ['127.0.0.1:PUBLISHED:80']
    volumes: ['./page.txt:/page.txt:ro']
";

/// A platform in a folder of its own, deployed with Compose 1.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("a file");
        };
        write(
            "compose.yaml",
            &COMPOSE.replace("PUBLISHED", &port.to_string()),
        );
        write("page.txt", "of this machine\n");
        write(
            "platform.yaml",
            &format!(
                "platform: far\nruntime: {{ compose: {{ files: [compose.yaml], project: far }} }}\nservices:\n  \
                   api: {{ probe: {{ http: \"http://127.0.0.1:{port}/health\", interval: 1s, start_period: 30s }} }}\n\
                 phases:\n  \
                   - {{ name: all, steps: [[api]], gate: {{ healthy: all, stable_for: 1s, timeout: 60s }} }}\n"
            ),
        );
        fs::create_dir(folder.path().join("docker")).expect("a folder");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A server that finds the engine by `DOCKER_HOST`, and no plugin.
    fn server(&self, engine: SocketAddr) -> Server {
        let (file, state, docker) = (
            self.path("platform.yaml"),
            self.path("state"),
            self.path("docker"),
        );
        server::trust(&file, &[("OPENPOLICY_STATE", &state)]);
        let host = format!("tcp://{engine}");
        let environment = [
            ("PATH", "/usr/bin:/bin"),
            ("DOCKER_HOST", host.as_str()),
            ("DOCKER_CONFIG", docker.as_str()),
        ];
        let serve = [
            "serve",
            "--platform",
            &file,
            "--state",
            &state,
            "--toolsets",
            "all",
        ];
        let mut server = Server::start(&serve, &environment);
        server.handshake("2025-06-18");
        server
    }

    fn change(&self, from: &str, to: &str) {
        let path = self.folder.path().join("compose.yaml");
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, text.replace(from, to)).expect("a file");
    }
}

/// What the environment of the one container says.
fn version(docker: &Docker) -> String {
    let all = docker.run(&[
        "ps",
        "-q",
        "--filter",
        "label=com.docker.compose.project=far",
    ]);
    let one = all.lines().next().expect("a container");
    let said = docker.run(&["inspect", "--format", "{{json .Config.Env}}", one]);
    let said: Vec<String> = serde_json::from_str(&said).expect("JSON");
    let version = said.iter().find_map(|one| one.strip_prefix("VERSION="));
    version.expect("a version").to_owned()
}

/// An engine on a port of the loopback address.
fn engine() -> (Docker, SocketAddr) {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let docker = Docker::start_with(6, |_| {
        vec![
            "--host".to_owned(),
            format!("tcp://{address}"),
            "--tls=false".to_owned(),
        ]
    });
    docker.make_stand_in();
    (docker, address)
}

#[test]
fn compose_1_and_an_engine_over_tcp_deploy_and_take_back() {
    let (docker, address) = engine();
    let site = Site::new();
    let mut server = site.server(address);
    let first = begin(&mut server, json!({}));
    ends(&mut server, &first, "succeeded");
    assert_eq!(version(&docker), "one");

    site.change("'one'", "'two'");
    let mut server = site.server(address);
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["phases"]["rows"][0][2], "replace", "{plan}");
    // The engine is on this machine: a mounted file is kept.
    assert!(!plan.to_string().contains("page.txt"), "{plan}");
    let second = begin(&mut server, json!({}));
    ends(&mut server, &second, "succeeded");
    assert_eq!(version(&docker), "two");
    fs::write(site.folder.path().join("page.txt"), "changed since\n").expect("a file");
    let back = ask(&mut server, "roll_back", json!({"run": second}));
    let digest = json!({"digest": back["digest"]});
    let run = ask(&mut server, "deploy_phase", digest)["run"].clone();
    ends(&mut server, &run, "rolled_back");
    assert_eq!(version(&docker), "one");
    let page = fs::read_to_string(site.folder.path().join("page.txt")).expect("a file");
    assert_eq!(page, "of this machine\n");

    let used = ask(&mut server, "get_resources", json!({}));
    let capacity = &used["capacity"];
    assert_eq!(capacity["machine"], Value::Null, "{used}");
    assert_eq!(capacity["measured"], json!(["memory", "cpu"]), "{used}");
    assert!(capacity["memory_free_on_machine"].is_string(), "{used}");
    drop(server);

    // The same engine, which says that its machine has 8 GiB.
    let other = saying_other(address);
    let mut server = site.server(other);
    let used = ask(&mut server, "get_resources", json!({}));
    let capacity = &used["capacity"];
    assert_eq!(capacity["memory"], "8Gi", "{used}");
    assert!(capacity["machine"].is_string(), "{used}");
    assert!(capacity["cpu"].to_string().contains('9'), "{used}");
    assert_eq!(capacity["memory_free_on_machine"], Value::Null, "{used}");
    let share = capacity["memory_used"].as_str().expect("a share");
    assert!(share.ends_with('%'), "{used}");
    site.change("'two'", "'three'");
    let mut server = site.server(other);
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(
        plan.to_string()
            .contains("page.txt is mounted and not kept: it is on another machine"),
        "{plan}"
    );
    let third = begin(&mut server, json!({}));
    ends(&mut server, &third, "succeeded");
    // What this machine has under that name is not what the other had: it is left alone.
    fs::write(site.folder.path().join("page.txt"), "mine\n").expect("a file");
    let back = ask(&mut server, "roll_back", json!({"run": third}));
    let digest = json!({"digest": back["digest"]});
    let run = ask(&mut server, "deploy_phase", digest)["run"].clone();
    ends(&mut server, &run, "rolled_back");
    assert_eq!(version(&docker), "one");
    let page = fs::read_to_string(site.folder.path().join("page.txt")).expect("a file");
    assert_eq!(page, "mine\n");
    World::clear(&docker, "far");
}

/// A way to the engine on which it says other things of its machine.
fn saying_other(engine: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(engine) = TcpStream::connect_timeout(&engine, Duration::from_secs(10)) else {
                return;
            };
            let ways = [
                (client.try_clone(), engine.try_clone(), false),
                (Ok(engine), Ok(client), true),
            ];
            for (from, to, is_rewritten) in ways {
                let (from, to) = (from.expect("a stream"), to.expect("a stream"));
                std::thread::spawn(move || hand_on(from, to, is_rewritten));
            }
        }
    });
    address
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, is_rewritten: bool) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if is_rewritten {
            rewrite(&mut buffer[..count], b"\"MemTotal\":", b"8589934592");
            rewrite(&mut buffer[..count], b"\"NCPU\":", b"9");
        }
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    // Either side may be gone.
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Another number in the place of one that is as long or longer.
fn rewrite(text: &mut [u8], name: &[u8], number: &[u8]) {
    let at = text.windows(name.len()).position(|part| part == name);
    let Some(begin) = at.map(|at| at + name.len()) else {
        return;
    };
    let digits = text[begin..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let length = digits.count();
    assert!(length >= number.len(), "a machine of more than 1 GiB");
    text[begin..begin + length].fill(b' ');
    text[begin..begin + number.len()].copy_from_slice(number);
}
