//! Plugins: installed, shown, and their recipes run as they are.
//!
//! These need a Docker daemon, and some of them an index of Python packages.

#[cfg(test)]
mod folders;
#[cfg(test)]
mod installing;
#[cfg(test)]
mod kitchen;
#[cfg(test)]
mod own_format;
#[cfg(test)]
mod public;
#[cfg(test)]
mod recipes;
#[cfg(test)]
mod secrets;
