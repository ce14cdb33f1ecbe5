//! What is to be run in a box: entrypoint, arguments, environment, working
//! directory, memory.
//!
//! Authors write it as `service.toml` ([`File`]); a package holds it as
//! canonical JSON ([`Manifest::to_json`]), of which there is exactly one for
//! each manifest. Callers may override any part of the file ([`Overrides`]).

mod bounds;
mod file;
mod written;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spec::{Filesystem, InitFault, Level, Service, Sysresources};
pub use bounds::{
    DEFAULT_MEMORY, Fault, MAX_ARGUMENT_LEN, MAX_MEMORY, MAX_STRINGS, MAX_STRINGS_LEN, MEMORY_UNIT,
    parse_memory,
};
pub use file::{File, FileError, MAX_FILE_LEN};

/// Most bytes of a manifest's JSON. Everything within the bounds fits, with
/// every byte escaped.
pub const MAX_JSON_LEN: usize = 2 << 20;

/// What is to be run. A value of this type is within all bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    entrypoint: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    workdir: String,
    memory: u64,
}

/// Parts of a manifest that a caller says differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Instead of the file's entrypoint.
    pub entrypoint: Option<String>,
    /// Instead of all of the file's arguments.
    pub args: Option<Vec<String>>,
    /// Beside the file's variables, and instead of those with the same name.
    pub env: BTreeMap<String, String>,
    /// Instead of the file's working directory.
    pub workdir: Option<String>,
    /// Instead of the file's memory, in bytes.
    pub memory: Option<u64>,
}

/// A manifest could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Nobody said what to run.
    #[error("nothing says what to run: set `entrypoint` in service.toml, or name it when packing")]
    NoEntrypoint,
    /// A value is out of bounds.
    #[error("{field}: {fault}")]
    Value {
        /// Which.
        field: &'static str,
        /// Why.
        fault: Fault,
    },
    /// A specification without a box.
    #[error("the service has no files and nothing to run")]
    NoContainer,
    /// The attributes of the start cannot be read.
    #[error(transparent)]
    Init(#[from] InitFault),
    /// A package's manifest is not what this version writes.
    #[error("it is not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A package's manifest means something, but is not written as it must be.
    #[error("it is not in the canonical form")]
    NotCanonical,
}

impl Manifest {
    /// The manifest that a file and a caller's overrides give together.
    pub fn new(file: &File, overrides: &Overrides) -> Result<Self, ManifestError> {
        let mut env = file.env.clone();
        env.extend(
            overrides
                .env
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let manifest = Self {
            entrypoint: overrides
                .entrypoint
                .clone()
                .or_else(|| file.entrypoint.clone())
                .ok_or(ManifestError::NoEntrypoint)?,
            args: overrides.args.clone().unwrap_or_else(|| file.args.clone()),
            env,
            workdir: overrides
                .workdir
                .clone()
                .or_else(|| file.workdir.clone())
                .unwrap_or_else(|| "/".to_owned()),
            memory: overrides.memory.or(file.memory).unwrap_or(DEFAULT_MEMORY),
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// What a specification says is to be run. Memory is what it needs at the
    /// start, or at most, rounded up to whole MiB.
    pub fn of(service: &Service) -> Result<Self, ManifestError> {
        let container = service
            .container
            .as_ref()
            .ok_or(ManifestError::NoContainer)?;
        let init = container.init.as_ref().ok_or(ManifestError::NoEntrypoint)?;
        let resources = container.resources.as_ref();
        let memory = |of: Option<&Sysresources>| of.and_then(|of| of.mem_limit);
        let at_init = resources.and_then(|resources| memory(resources.at_init.as_ref()));
        let at_most = resources.and_then(|resources| memory(resources.at_most.as_ref()));
        let bytes = at_init.or(at_most).filter(|bytes| *bytes > 0);
        let bytes = bytes.unwrap_or(DEFAULT_MEMORY);
        let manifest = Self {
            entrypoint: init.entrypoint().ok_or(ManifestError::NoEntrypoint)?,
            args: init.args()?,
            env: init.env()?,
            workdir: init.workdir()?.unwrap_or_else(|| "/".to_owned()),
            memory: bytes.checked_next_multiple_of(MEMORY_UNIT).unwrap_or(bytes),
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// The specification of a service that runs this and is otherwise as the
    /// author's file says.
    pub fn specify(&self, file: File, filesystem: Filesystem) -> Service {
        let mut service = file.service;
        let container = service.container.get_or_insert_default();
        container.filesystem = filesystem;
        container
            .architecture
            .get_or_insert_with(|| Level::default().into());
        let init = container.init.get_or_insert_default();
        init.set_entrypoint(&self.entrypoint);
        init.set_args(&self.args);
        init.set_env(&self.env);
        if self.workdir != "/" {
            init.set_workdir(&self.workdir);
        }
        let resources = container.resources.get_or_insert_default();
        let at_init = resources.at_init.get_or_insert_default();
        at_init.mem_limit = Some(self.memory);
        let at_most = resources.at_most.get_or_insert_default();
        at_most.mem_limit = at_most.mem_limit.max(Some(self.memory));
        service
    }

    /// This manifest with a caller's overrides, as for one run of a package.
    pub fn with(self, overrides: &Overrides) -> Result<Self, ManifestError> {
        let file = File {
            entrypoint: Some(self.entrypoint),
            args: self.args,
            env: self.env,
            workdir: Some(self.workdir),
            memory: Some(self.memory),
            service: Service::default(),
        };
        Self::new(&file, overrides)
    }

    /// Reads the JSON of a package. Only the form that [`Manifest::to_json`]
    /// writes is taken.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Json {
            entrypoint: String,
            args: Vec<String>,
            env: BTreeMap<String, String>,
            workdir: String,
            memory: u64,
        }
        let Json {
            entrypoint,
            args,
            env,
            workdir,
            memory,
        } = serde_json::from_slice(json)?;
        let manifest = Self {
            entrypoint,
            args,
            env,
            workdir,
            memory,
        };
        manifest.check()?;
        if manifest.to_json() != json {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// The canonical JSON: fields in the order of this type, variables sorted,
    /// no white space, nothing omitted.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and integers under string keys cannot fail to serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), ManifestError> {
        let at = |field| move |fault| ManifestError::Value { field, fault };
        bounds::path(&self.entrypoint, false).map_err(at("entrypoint"))?;
        bounds::args(&self.args).map_err(at("args"))?;
        bounds::env(&self.env).map_err(at("env"))?;
        bounds::strings(&self.args, &self.env).map_err(at("args and env"))?;
        bounds::path(&self.workdir, true).map_err(at("workdir"))?;
        bounds::memory(self.memory).map_err(at("memory"))
    }

    /// Absolute path in the box of the program that is started.
    pub fn entrypoint(&self) -> &str {
        &self.entrypoint
    }

    /// The program's arguments, without its name.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The program's environment: all of it, nothing is added by the host.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Absolute path in the box of the directory it starts in.
    pub fn workdir(&self) -> &str {
        &self.workdir
    }

    /// Memory in bytes, a multiple of [`MEMORY_UNIT`].
    pub fn memory(&self) -> u64 {
        self.memory
    }
}
