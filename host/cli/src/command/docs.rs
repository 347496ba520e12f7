//! `wharf docs`: the generated part of the documentation.

use clap::CommandFactory;

use super::Ending;
use crate::arguments::Arguments;
use crate::console::Console;
use crate::exit_code;
use crate::reference;

pub(super) fn cli(console: &mut Console) -> Ending {
    console.line(reference::render(&Arguments::command()).trim_end())?;
    Ok(exit_code::SUCCEEDED)
}
