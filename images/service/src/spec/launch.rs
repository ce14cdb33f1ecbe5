//! What the attributes of [`Init`] say, and what a declaration of the
//! configuration file means. The schema has no fields for arguments, fixed
//! environment, working directory and the names of dependencies; they are
//! attributes, so that a node that does not know them keeps them.

use std::collections::BTreeMap;

use super::{Bytes, ConfigurationFile, Container, Descriptor, Init, Service, ServiceId};
use crate::wire::Message;

/// The arguments, each ended by a NUL, without the program's name.
const ARGS: &str = "args";
/// The fixed environment: `NAME=value`, each ended by a NUL, sorted.
const ENV: &str = "env";
/// The working directory, an absolute path.
const WORKDIR: &str = "workdir";
/// Whom an image would be started as: kept, and of no effect in a box.
const USER: &str = "user";
/// Before the alias of a dependency; the value is its id, 32 bytes.
const DEPENDENCY: &str = "dependency.";

/// Most bytes of an alias: it is a host name.
const MAX_ALIAS: usize = 63;

/// Names that mean something else to a guest.
const TAKEN: [&str; 3] = ["gateway", "parent", "localhost"];

/// What an attribute of the start cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitFault {
    /// A list whose last string has no end.
    #[error("its attribute `{0}` is not a list of strings, each ended by a NUL")]
    NotAList(&'static str),
    /// A text that is none.
    #[error("its attribute `{0}` is not UTF-8")]
    NotUtf8(&'static str),
    /// A variable without a value, or given twice.
    #[error("its environment has `{0}`, which is no variable or there twice")]
    BadVariable(String),
    /// An alias that cannot be a host name.
    #[error(
        "`{0}` cannot be the alias of a dependency: write 1 to {MAX_ALIAS} of a-z, 0-9 and `-`, \
         not `-` at an end, and not `gateway`, `parent` or `localhost`"
    )]
    BadAlias(String),
    /// A dependency whose value is no id.
    #[error("its dependency `{0}` is not an id of 32 bytes")]
    BadDependency(String),
}

/// Whether a dependency may have this name.
pub fn check_alias(alias: &str) -> Result<(), InitFault> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=MAX_ALIAS).contains(&alias.len())
        && alias.bytes().all(is_plain)
        && !alias.starts_with('-')
        && !alias.ends_with('-')
        && !TAKEN.contains(&alias);
    if fits {
        Ok(())
    } else {
        Err(InitFault::BadAlias(alias.to_owned()))
    }
}

impl Init {
    /// The program's path from the root; nothing if there is none.
    pub fn entrypoint(&self) -> Option<String> {
        path(&self.entry_path)
    }

    /// Says which program is started.
    pub fn set_entrypoint(&mut self, path: &str) {
        self.entry_path = names(path);
    }

    /// The arguments, without the program's name.
    pub fn args(&self) -> Result<Vec<String>, InitFault> {
        self.list(ARGS)
    }

    /// Says the arguments.
    pub fn set_args(&mut self, args: &[String]) {
        self.set_list(ARGS, args.iter().cloned());
    }

    /// The fixed environment.
    pub fn env(&self) -> Result<BTreeMap<String, String>, InitFault> {
        let mut env = BTreeMap::new();
        for variable in self.list(ENV)? {
            let fault = || InitFault::BadVariable(variable.clone());
            let (name, value) = variable.split_once('=').ok_or_else(fault)?;
            if env.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(fault());
            }
        }
        Ok(env)
    }

    /// Says the fixed environment.
    pub fn set_env(&mut self, env: &BTreeMap<String, String>) {
        self.set_list(
            ENV,
            env.iter().map(|(name, value)| format!("{name}={value}")),
        );
    }

    /// The working directory; nothing if it is not said.
    pub fn workdir(&self) -> Result<Option<String>, InitFault> {
        let Some(workdir) = self.xattrs.get(WORKDIR) else {
            return Ok(None);
        };
        let workdir = str::from_utf8(workdir).map_err(|_| InitFault::NotUtf8(WORKDIR))?;
        Ok(Some(workdir.to_owned()))
    }

    /// Says the working directory.
    pub fn set_workdir(&mut self, workdir: &str) {
        self.xattrs
            .insert(WORKDIR.to_owned(), workdir.as_bytes().into());
    }

    /// Keeps whom an image would be started as.
    pub fn set_user(&mut self, user: &str) {
        self.xattrs.insert(USER.to_owned(), user.as_bytes().into());
    }

    /// The services that it may start by name.
    pub fn dependencies(&self) -> Result<BTreeMap<String, ServiceId>, InitFault> {
        let mut dependencies = BTreeMap::new();
        for (name, value) in &self.xattrs {
            let Some(alias) = name.strip_prefix(DEPENDENCY) else {
                continue;
            };
            check_alias(alias)?;
            let id = <[u8; 32]>::try_from(&value[..])
                .map_err(|_| InitFault::BadDependency(alias.to_owned()))?;
            dependencies.insert(alias.to_owned(), ServiceId::from_bytes(id));
        }
        Ok(dependencies)
    }

    /// Names a service that it may start.
    pub fn add_dependency(&mut self, alias: &str, id: ServiceId) -> Result<(), InitFault> {
        check_alias(alias)?;
        let name = format!("{DEPENDENCY}{alias}");
        self.xattrs.insert(name, id.as_bytes().to_vec().into());
        Ok(())
    }

    fn list(&self, name: &'static str) -> Result<Vec<String>, InitFault> {
        let Some(bytes) = self.xattrs.get(name) else {
            return Ok(Vec::new());
        };
        let text = str::from_utf8(bytes).map_err(|_| InitFault::NotUtf8(name))?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let text = text.strip_suffix('\0').ok_or(InitFault::NotAList(name))?;
        Ok(text.split('\0').map(str::to_owned).collect())
    }

    fn set_list(&mut self, name: &str, list: impl Iterator<Item = String>) {
        let bytes: Vec<u8> = list
            .flat_map(|text| [text.as_bytes(), b"\0"].concat())
            .collect();
        if bytes.is_empty() {
            self.xattrs.remove(name);
        } else {
            self.xattrs.insert(name.to_owned(), Bytes(bytes));
        }
    }
}

/// An absolute path, name by name; nothing of no names.
fn path(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("/{}", names.join("/")))
}

/// The names of an absolute path.
pub(crate) fn names(path: &str) -> Vec<String> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

impl Service {
    /// The services that it may start, by alias.
    pub fn dependencies(&self) -> Result<BTreeMap<String, ServiceId>, InitFault> {
        let init = self
            .container
            .as_ref()
            .and_then(|container| container.init.as_ref());
        init.map_or(Ok(BTreeMap::new()), Init::dependencies)
    }
}

/// The formats of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFormat {
    /// The message in proto3: what other nodes write.
    Proto3,
    /// JSON.
    Json,
}

/// A format of the configuration file that this node does not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service wants its configuration file as {0}; known are `proto3` and `json`")]
pub struct UnknownFormat(pub String);

impl Container {
    /// Where the configuration file goes.
    pub fn config_path(&self) -> String {
        let declared = self.config.as_ref().and_then(|config| path(&config.path));
        declared.unwrap_or_else(|| ConfigurationFile::DEFAULT_PATH.to_owned())
    }

    /// The format of the configuration file: proto3 if none is declared.
    pub fn config_format(&self) -> Result<ConfigFormat, UnknownFormat> {
        let declared = self
            .config
            .as_ref()
            .and_then(|config| config.format.as_ref());
        let Some(format) = declared else {
            return Ok(ConfigFormat::Proto3);
        };
        let known = [
            ("proto3", ConfigFormat::Proto3),
            ("json", ConfigFormat::Json),
        ];
        known
            .into_iter()
            .find(|(tag, _)| format.matches(&Descriptor::tag(tag)))
            .map(|(_, format)| format)
            .ok_or_else(|| UnknownFormat(format.tags.join(", ")))
    }
}

impl ConfigurationFile {
    /// The file's bytes.
    pub fn encode(&self, format: ConfigFormat) -> Vec<u8> {
        match format {
            ConfigFormat::Proto3 => self.to_bytes(),
            // Text, numbers and text keys cannot fail to be written.
            ConfigFormat::Json => serde_json::to_vec_pretty(self).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_give_back_what_was_set() {
        let mut init = Init::default();
        init.set_entrypoint("/usr/bin/x");
        init.set_args(&["".to_owned(), "a b".to_owned()]);
        let env = [("A", "1=2"), ("B", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        init.set_env(&env.clone().into());
        init.set_workdir("/srv");
        let id = ServiceId::from_bytes([7; 32]);
        init.add_dependency("sorter", id).unwrap();
        assert_eq!(init.entry_path, ["usr", "bin", "x"]);
        assert_eq!(init.entrypoint().unwrap(), "/usr/bin/x");
        assert_eq!(init.args().unwrap(), ["", "a b"]);
        assert_eq!(init.env().unwrap(), env.into());
        assert_eq!(init.workdir().unwrap().unwrap(), "/srv");
        assert_eq!(
            init.dependencies().unwrap(),
            [("sorter".to_owned(), id)].into()
        );
        assert_eq!(&*init.xattrs["args"], b"\0a b\0");
        assert_eq!(&*init.xattrs["env"], b"A=1=2\0B=\0");
    }

    #[test]
    fn aliases_are_host_names_that_mean_nothing_else() {
        assert_eq!(check_alias("map-reduce-2"), Ok(()));
        for alias in [
            "",
            "a.b",
            "A",
            "-a",
            "a-",
            "gateway",
            "parent",
            &"a".repeat(64),
        ] {
            assert_eq!(
                check_alias(alias),
                Err(InitFault::BadAlias(alias.to_owned()))
            );
        }
    }

    #[test]
    fn attributes_that_are_none_are_told() {
        let init = |name: &str, value: &[u8]| Init {
            xattrs: [(name.to_owned(), value.into())].into_iter().collect(),
            ..Init::default()
        };
        assert_eq!(init("args", b"a").args(), Err(InitFault::NotAList("args")));
        assert_eq!(
            init("args", b"\xff\0").args(),
            Err(InitFault::NotUtf8("args"))
        );
        let bad = InitFault::BadVariable("A".to_owned());
        assert_eq!(init("env", b"A\0").env(), Err(bad));
        let bad = InitFault::BadDependency("a".to_owned());
        assert_eq!(init("dependency.a", b"").dependencies(), Err(bad));
    }
}
