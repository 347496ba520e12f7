//! Images: code environments, registries, several daemons, and what is left when something goes wrong.
//!
//! These need a Docker daemon, an index of Python packages, the program `docker-registry`, and some of them root.

#[cfg(test)]
mod built;
#[cfg(test)]
mod environments;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod housekeeping;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod registries;
#[cfg(test)]
mod table;
