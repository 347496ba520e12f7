//! The whole way: a recipe runs in a real container, from permission to outcome.
//!
//! Each test has a home of its own and calls the real command, or the library where that is the point. They need a Docker
//! daemon, and `WHARF_TEST_FROM` names an image to start from where Debian's packages can't be had.

mod attach;
mod corpus;
mod crashes;
mod crowd;
mod data;
mod decisions;
mod ends;
mod large;
mod library;
mod logs;
mod mistakes;
mod owner;
mod past;
mod recorded;
mod recovery;
mod refusals;
mod secrets;
mod security;
