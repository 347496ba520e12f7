//! Components come into a home: from files, web servers and registries; trusted or not, held back, granted and taken back.
//!
//! These need the command itself, Debian's `docker-registry` and `minisign`, and no Docker daemon; `wkg::` and `cosign::` those tools.

#[cfg(test)]
mod cosign;
#[cfg(test)]
mod house;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod wkg;
