//! Arguments of `doctor`.

use clap::Args;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Look at every page of the record store, too: takes as long as it is large.
    #[arg(long)]
    pub(crate) deep: bool,
}
