//! Several daemons, near and far, and what goes wrong between them and the host.
//!
//! The far daemon is on a machine of its own, as far as namespaces make one: `wharf_tests::Far`. That needs root and Linux. A
//! proxy between the host and a real daemon makes the faults. `docs/faults.md` has a table of them, which is checked here.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod carriers;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod table;
#[cfg(test)]
mod together;
#[cfg(test)]
mod transports;
#[cfg(test)]
mod trial;
