//! The backend against a real daemon, `WHARF_TEST_DOCKER` or else the local one: every such test has a home label of its own,
//! and removes what it made. And against daemons that a test plays, which needs no service.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod images;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod played;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod ways;
