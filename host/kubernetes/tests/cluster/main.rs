//! The backend on a real cluster: `WHARF_TEST_KUBECONFIG`, `WHARF_TEST_CONTEXT` (one that may do all), and `WHARF_TEST_IMAGE`, an
//! image with a shell in a registry that its nodes reach, by digest. Every test has a namespace of its own, and removes it.
//!
//! `WHARF_RECORD=1` records how the runs ended, for the corpus in `tests/ends`.

#[cfg(test)]
mod ends;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod life;
