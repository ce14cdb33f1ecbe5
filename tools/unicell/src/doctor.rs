//! `unicell doctor`.

use std::process::ExitCode;

use crate::cli::DoctorArguments;
use crate::failure::{Failure, Result};

/// Says what this host offers.
pub(crate) fn doctor(_: &DoctorArguments) -> Result<ExitCode> {
    Err(Failure::internal("not yet"))
}
