//! `service.toml`, as authors write it. Its schema is told in
//! `docs/service-toml.md`.

use std::collections::BTreeMap;

use super::written::Written;
use crate::spec::Service;

/// Most bytes of a `service.toml`.
pub const MAX_FILE_LEN: usize = 512 << 10;

/// The contents of a `service.toml`; everything may be missing.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Absolute path of the program.
    pub entrypoint: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Absolute path of the directory it starts in.
    pub workdir: Option<String>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// All else, as it goes into the specification.
    pub service: Service,
}

/// A fault in a `service.toml`, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct FileError {
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl File {
    /// Reads the file; `name` is what errors call it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let fail = |text: &[u8], at: usize, message: String| {
            let (line, column) = position(text, at);
            FileError {
                file: name.to_owned(),
                line,
                column,
                message,
            }
        };
        if bytes.len() > MAX_FILE_LEN {
            let message = format!("the file is larger than {MAX_FILE_LEN} bytes");
            return Err(fail(&[], 0, message));
        }
        let text = str::from_utf8(bytes)
            .map_err(|e| fail(bytes, e.valid_up_to(), "this is not UTF-8".to_owned()))?;
        let written: Written = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            fail(bytes, at, error.message().to_owned())
        })?;
        written
            .checked()
            .map_err(|fault| fail(bytes, fault.at, format!("{}: {}", fault.key, fault.what)))
    }
}

/// Line and column of a byte, both counted from 1.
fn position(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (
        line,
        String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count()
            + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Overrides};
    use crate::spec::{Descriptor, Filesystem, Interface};
    use crate::wire::Message;

    fn error(text: &str) -> String {
        File::parse("service.toml", text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn whole_file_is_read() {
        let file = File::parse(
            "service.toml",
            br#"
entrypoint = "/usr/bin/python3"
args = ["-m", "http.server"]
workdir = "/srv"
memory = "512M"

[env]
PATH = "/usr/bin"
"#,
        )
        .unwrap();
        assert_eq!(file.entrypoint.as_deref(), Some("/usr/bin/python3"));
        assert_eq!(file.args, ["-m", "http.server"]);
        assert_eq!(file.env["PATH"], "/usr/bin");
        assert_eq!(file.workdir.as_deref(), Some("/srv"));
        assert_eq!(file.memory, Some(512 << 20));
        let empty = File::parse("service.toml", b"").unwrap();
        assert_eq!(empty.entrypoint, None);
        assert_eq!(empty.service.to_bytes(), b"\x12\x00");
    }

    /// Everything that can be said, and what it becomes.
    #[test]
    fn every_key_reaches_the_specification() {
        let id = "07".repeat(32);
        let text = format!(
            r#"
prose = "sorts"
entrypoint = "/bin/sort"
args = ["-n"]
workdir = "/srv"
memory = "64M"
architecture = "x86-64-v2"
expected_gateway = ["unicell-http"]
env = {{ A = "1" }}

[config]
path = "/etc/unicell/config"
format = "json"

[variables]
LOG_LEVEL = {{ prose = "how much to say", tags = ["text"] }}

[resources]
at_init = {{ cpu_quota = 50000, cpu_period = 100000, disk = "1G" }}
at_most = {{ memory = "512M", blkio_weight = 100 }}

[[slots]]
port = 8080
protocols = ["http", {{ tags = ["openapi"], formal = "openapi: 3.1.0" }}]
prices = {{ sort = "10" }}
methods.sort = {{ prose = "sorts", input = "lines", output = "lines" }}
cost = "10 a call"

[[slots]]
port = 8080
transport = "udp"

[[networks]]
tags = ["bitcoin-mainnet"]
formal = {{ base64 = "AAE=" }}
protocols = ["bitcoin"]

[dependencies]
worker = {{ id = "{id}", count = 3, memory = "32M" }}

[[payments]]
ledger = {{ tags = ["ergo"] }}
xattrs = {{ address = "9f" }}
mu_per_unit = "1000000000000000000000"
"#
        );
        let file = File::parse("service.toml", text.as_bytes()).unwrap();
        let manifest = Manifest::new(&file, &Overrides::default()).unwrap();
        let service = manifest.specify(file, Filesystem::default());
        assert_eq!(Manifest::of(&service).unwrap(), manifest);
        let json = serde_json::to_value(&service).unwrap();
        let container = &json["container"];
        assert_eq!(json["prose"], "sorts");
        assert_eq!(container["architecture"]["tags"][0], "x86-64-v2");
        assert_eq!(
            container["config"]["path"],
            serde_json::json!(["etc", "unicell", "config"])
        );
        assert_eq!(container["config"]["format"]["tags"][0], "json");
        assert_eq!(
            container["environment"]["LOG_LEVEL"]["prose"],
            "how much to say"
        );
        assert_eq!(container["expected_gateway"][0]["tags"][0], "unicell-http");
        assert_eq!(
            container["resources"],
            serde_json::json!({
                "at_init": {
                    "cpu_period": 100_000, "cpu_quota": 50_000,
                    "mem_limit": 64 << 20, "disk_space": 1 << 30
                },
                "at_most": { "blkio_weight": 100, "mem_limit": 512 << 20 }
            })
        );
        let slot = &service.slots()[0];
        assert_eq!(slot.transport, Some(Descriptor::tag("tcp")));
        assert_eq!(
            slot.protocol_stack[1].formal,
            b"openapi: 3.1.0".as_slice().into()
        );
        assert_eq!(slot.price_per_call["sort"].n, "10");
        let interface = Interface::of(slot).unwrap();
        assert_eq!(interface.methods["sort"].input, "lines");
        assert_eq!(interface.cost.as_deref(), Some("10 a call"));
        assert_eq!(service.slots()[1].transport, Some(Descriptor::tag("udp")));
        assert_eq!(service.network[0].formal, [0, 1].into());
        assert_eq!(
            service.network[0].protocol_stack,
            [Descriptor::tag("bitcoin")]
        );
        let worker = service.dependencies().unwrap()["worker"];
        assert_eq!(worker.to_string(), id);
        let workload = &service.descendants[0].workloads[0];
        assert_eq!(workload.count, 3);
        assert_eq!(
            workload.dependency.as_ref().unwrap().hash[0].service_id(),
            Some(worker)
        );
        let payment = &json["api"]["payment_contracts"][0];
        assert_eq!(payment["mu_per_unit"]["n"], "1000000000000000000000");
        assert_eq!(payment["contract"]["xattrs"]["address"], "OWY=");
    }

    #[test]
    fn values_are_checked_where_they_stand() {
        for (text, expected) in [
            (
                "architecture = \"arm\"",
                "1:16: architecture: `arm` is no level of x86-64",
            ),
            ("[[slots]]\nport = 0", "2:8: port: 0 is not a port"),
            ("[[slots]]\nport = 65536", "2:8: "),
            (
                "[[slots]]\nport = 1\ntransport = \"sctp\"",
                "3:13: transport: `sctp` is not",
            ),
            (
                "[[slots]]\nport = 1\n[[slots]]\nport = 1",
                "3:1: slots: there are two slots for",
            ),
            (
                "[[slots]]\nport = 1\nprices.x = \"1.5\"",
                "3:12: prices: `1.5` is not an amount",
            ),
            ("[[slots]]\nprotocols = []", "1:1: missing field `port`"),
            (
                "[[networks]]\nprose = \"x\"",
                "1:1: networks: a network needs",
            ),
            (
                "[dependencies]\nx = { id = \"1\" }",
                "2:12: id: an id is 64 hexadecimal digits",
            ),
            (
                "[dependencies]\ngateway = { id = \"ID\" }",
                "2:11: dependencies: `gateway` cannot be the alias",
            ),
            (
                "config.path = \"etc\"",
                "1:15: config.path: `etc` is not an absolute path",
            ),
            (
                "[resources]\nat_init.memory = \"1\"",
                "2:18: memory: `1` is not a size",
            ),
            (
                "[[networks]]\ntags = [\"x\"]\nformal = 3",
                "3:10: invalid type: integer `3`",
            ),
            (
                "expected_gateway = [{ tag = \"x\" }]",
                "1:23: unknown field `tag`",
            ),
        ] {
            let error = error(&text.replace("ID", &"0".repeat(64)));
            assert!(
                error.starts_with(&format!("service.toml:{expected}")),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn errors_point_at_line_and_column() {
        assert_eq!(
            error("args = []\nentrypont = \"/x\"\n"),
            "service.toml:2:1: unknown field `entrypont`, expected one of `prose`, `entrypoint`, \
             `args`, `env`, `workdir`, `memory`, `architecture`, `config`, `variables`, \
             `expected_gateway`, `resources`, `slots`, `networks`, `dependencies`, `payments`"
        );
        assert_eq!(
            error("# ü\n  memory = \"lots\""),
            "service.toml:2:12: memory: `lots` is not a size: write a number of MiB or GiB such \
             as \"256M\" or \"2G\""
        );
        assert_eq!(
            error("entrypoint = \"bin/sh\""),
            "service.toml:1:14: entrypoint: `bin/sh` is not an absolute path without `.`, `..`, \
             `//` or a `/` at its end"
        );
        assert_eq!(
            error("args = [\"a\", 3]"),
            "service.toml:1:14: invalid type: integer `3`, expected a string"
        );
        assert!(error("env = { \"a=b\" = \"\" }").starts_with("service.toml:1:7: env: `a=b`"));
        assert_eq!(
            error("args = []\nargs = []"),
            "service.toml:2:1: duplicate key"
        );
        let error = File::parse("x", b"a = 1 # \xff").unwrap_err();
        assert_eq!(error.to_string(), "x:1:9: this is not UTF-8");
    }
}
