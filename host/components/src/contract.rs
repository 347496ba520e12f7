//! Components of each released version of the contracts, called as those of the newest.
//!
//! The version is read from a component's exports when it is loaded, and decides which bindings it is called through. So a call
//! looks at it once, where its bindings are, and everything around the call knows the newest version alone. Worlds that every
//! version has alike need no more than their bindings' indices.

use wasmtime::component::InstancePre;

use crate::bindings::metadata::{self, Info};
use crate::bindings::policy_evaluation::{self as policy, Decision};
use crate::bindings::types;
use crate::call::{Session, within};
use crate::policy::PolicyRole;
use crate::state::State;
use crate::world::Contract;

/// How a component of each version is asked about itself.
#[derive(Clone)]
pub(crate) enum MetadataIndices {
    V0_1(metadata::GuestIndices),
    #[cfg(test)]
    Next(crate::next::MetadataIndices),
}

impl MetadataIndices {
    pub(crate) fn new(contract: Contract, instance: &InstancePre<State>) -> wasmtime::Result<Self> {
        Ok(match contract {
            Contract::V0_1 => Self::V0_1(metadata::GuestIndices::new(instance)?),
            #[cfg(test)]
            Contract::Next => Self::Next(crate::next::MetadataIndices::new(instance)?),
        })
    }

    pub(crate) async fn describe(&self, session: &mut Session) -> wasmtime::Result<Info> {
        let deadline = session.deadline();
        match self {
            Self::V0_1(indices) => {
                let guest = indices.load(&mut session.store, &session.instance)?;
                within(deadline, guest.call_describe(&mut session.store)).await
            }
            #[cfg(test)]
            Self::Next(indices) => crate::next::describe(indices, session).await,
        }
    }

    pub(crate) async fn validate_settings(
        &self,
        session: &mut Session,
        settings: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        let deadline = session.deadline();
        match self {
            Self::V0_1(indices) => {
                let guest = indices.load(&mut session.store, &session.instance)?;
                within(deadline, guest.call_validate_settings(&mut session.store, settings)).await
            }
            #[cfg(test)]
            Self::Next(indices) => crate::next::validate_settings(indices, session, settings).await,
        }
    }
}

/// How a policy of each version is called.
#[derive(Clone)]
pub(crate) enum PolicyIndices {
    V0_1(policy::GuestIndices),
    #[cfg(test)]
    Next(crate::next::PolicyIndices),
}

impl PolicyIndices {
    pub(crate) fn new(contract: Contract, instance: &InstancePre<State>) -> wasmtime::Result<Self> {
        Ok(match contract {
            Contract::V0_1 => Self::V0_1(policy::GuestIndices::new(instance)?),
            #[cfg(test)]
            Contract::Next => Self::Next(crate::next::PolicyIndices::new(instance)?),
        })
    }

    pub(crate) async fn role(&self, session: &mut Session) -> wasmtime::Result<PolicyRole> {
        let deadline = session.deadline();
        let role = match self {
            Self::V0_1(indices) => {
                let guest = indices.load(&mut session.store, &session.instance)?;
                within(deadline, guest.call_role(&mut session.store)).await?
            }
            #[cfg(test)]
            Self::Next(indices) => crate::next::role(indices, session).await?,
        };
        Ok(match role {
            policy::PolicyRole::Mutating => PolicyRole::Mutating,
            policy::PolicyRole::Validating => PolicyRole::Validating,
        })
    }

    pub(crate) async fn evaluate(
        &self,
        session: &mut Session,
        plan: &types::Plan,
        usage: &types::Usage,
    ) -> wasmtime::Result<Decision> {
        let deadline = session.deadline();
        match self {
            Self::V0_1(indices) => {
                let guest = indices.load(&mut session.store, &session.instance)?;
                within(deadline, guest.call_evaluate(&mut session.store, plan, usage)).await
            }
            #[cfg(test)]
            Self::Next(indices) => crate::next::evaluate(indices, session, plan, usage).await,
        }
    }
}
