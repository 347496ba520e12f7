//! The backend against a real daemon: `WHARF_TEST_DOCKER`, or else the local one.
//!
//! Every test has a home label of its own, and removes what it made.

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod images;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod runs;
