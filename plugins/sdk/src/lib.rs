//! Skeleton.
#[doc(hidden)]
pub mod bindings;
