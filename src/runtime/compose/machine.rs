//! The machine that the engine runs on: this one, or another, with what the engine says of it.

use bollard::models::SystemInfo;

use super::{ComposeRuntime, engine::Address};
use crate::{
    answer::clean,
    platform::{Bytes, MilliCpu},
    runtime::{Host, Problem},
};

/// Of the name of a machine.
const LONGEST_NAME: usize = 80;

impl ComposeRuntime {
    /// Asked once: a machine does not change under its engine. Of one that does not answer its address
    /// says where it would be.
    pub(super) async fn machine(&self) -> Result<Host, Problem> {
        let known = self.asked_machine().await;
        match self.engine.address() {
            Ok(address) if known.is_err() && is_near(address) => Ok(Host::Here),
            _ => known,
        }
    }

    async fn asked_machine(&self) -> Result<Host, Problem> {
        let asked = self.host.get_or_try_init(|| async {
            let address = self.engine.address()?;
            let client = self.engine.client().await?;
            let what = "asking the engine what its machine has";
            let info = self.engine.asked(what, client.info()).await?;
            let own = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
            let (meminfo, kernel) = (own("/proc/meminfo"), own("/proc/sys/kernel/osrelease"));
            Ok(host(address, &info, &meminfo, &kernel))
        });
        asked.await.cloned()
    }

    /// Whether files that containers mount are files of this machine.
    pub(super) async fn is_here(&self) -> bool {
        self.machine().await.is_ok_and(|host| host == Host::Here)
    }
}

/// An engine on a socket or a loopback address may be another machine's too: Docker's own desktop
/// machine, or a socket that `ssh` forwards. Such a machine has other memory or another kernel.
fn host(address: &Address, info: &SystemInfo, meminfo: &str, kernel: &str) -> Host {
    let memory = info
        .mem_total
        .and_then(|bytes| u64::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0);
    let total = meminfo.lines().find_map(|line| {
        let kibibytes = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        kibibytes.trim().parse::<u64>().ok()
    });
    let has_same_memory = memory == total.map(|kibibytes| kibibytes * 1024);
    let has_same_kernel = info.kernel_version.as_deref() == Some(kernel.trim());
    if is_near(address) && has_same_memory && has_same_kernel {
        return Host::Here;
    }
    let name = info.name.as_deref().unwrap_or(&address.host);
    Host::Another {
        name: clean::text(name, LONGEST_NAME),
        memory: memory.map(Bytes),
        cpu: info
            .ncpu
            .and_then(|count| u64::try_from(count).ok())
            .filter(|count| *count > 0)
            .map(|count| MilliCpu(count * 1_000)),
    }
}

fn is_near(address: &Address) -> bool {
    let Some((scheme, rest)) = address.host.split_once("://") else {
        return false;
    };
    let name = rest.split('/').next().unwrap_or_default();
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    let name = name.trim_matches(['[', ']']);
    scheme == "unix"
        || name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16384 kB\nMemFree: 1 kB\n";

    fn of(address: &str, memory: i64, kernel: &str) -> Host {
        let address = Address {
            host: address.into(),
            certificates: None,
        };
        let info = SystemInfo {
            mem_total: Some(memory),
            ncpu: Some(64),
            kernel_version: Some(kernel.into()),
            name: Some("big\u{1b}box".into()),
            ..SystemInfo::default()
        };
        host(&address, &info, MEMINFO, "6.1.0\n")
    }

    #[test]
    fn a_machine_is_this_one_only_where_all_says_so() {
        let own = 16 << 20;
        for near in [
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "http://localhost:2375/",
            "tcp://[::1]:2375",
        ] {
            assert_eq!(of(near, own, "6.1.0"), Host::Here, "{near}");
            assert_ne!(of(near, 1 << 30, "6.1.0"), Host::Here, "{near}");
            assert_ne!(of(near, own, "6.10.14-linuxkit"), Host::Here, "{near}");
        }
        let far = Host::Another {
            name: "bigbox".into(),
            memory: Some(Bytes(16 << 20)),
            cpu: Some(MilliCpu(64_000)),
        };
        for address in [
            "tcp://10.0.0.9:2376",
            "https://docker.example:2376",
            "nonsense",
        ] {
            assert_eq!(of(address, own, "6.1.0"), far, "{address}");
        }
        let Host::Another { memory, .. } = of("tcp://10.0.0.9:2376", 0, "6.1.0") else {
            panic!("another");
        };
        assert_eq!(memory, None, "an engine that does not say");
    }
}
