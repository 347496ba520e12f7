//! The id of an attempt at its cluster.

use std::fmt;

use serde_json::Value;
use wharf_model::launch::BackendError;

/// `NAMESPACE/NAME/UID` of a Job. With the UID, another Job that gets the name later is never taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Id {
    /// Reads what [`Display`](fmt::Display) writes.
    pub(crate) fn parse(text: &str) -> Result<Self, BackendError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(namespace), Some(name), Some(uid), None)
                if ![namespace, name, uid].iter().any(|part| part.is_empty()) =>
            {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
            }
            _ => Err(BackendError::Refused {
                operation: format!("look for {text:?}"),
                reason: "that isn't the id of a Job: expected NAMESPACE/NAME/UID".to_owned(),
            }),
        }
    }

    /// The id of a Job as the API has it.
    pub(crate) fn of(job: &Value) -> Option<Self> {
        let text = |pointer| job.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        Some(Self {
            namespace: text("/metadata/namespace")?.to_owned(),
            name: text("/metadata/name")?.to_owned(),
            uid: text("/metadata/uid")?.to_owned(),
        })
    }

    /// The path of the Job.
    pub(crate) fn job(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs/{}", self.namespace, self.name)
    }

    /// The path of the namespace's pods.
    pub(crate) fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    /// What selects the pods of the Job.
    pub(crate) fn selector(&self) -> String {
        format!("batch.kubernetes.io/controller-uid={}", self.uid)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_three_parts() {
        let id = Id::parse("team-a/wharf-x-1/0b-c").unwrap();
        assert_eq!(id.to_string(), "team-a/wharf-x-1/0b-c");
        assert_eq!(id.job(), "/apis/batch/v1/namespaces/team-a/jobs/wharf-x-1");
        for bad in ["", "a", "a/b", "a//c", "a/b/c/d", "/b/c"] {
            assert!(Id::parse(bad).unwrap_err().to_string().contains("NAMESPACE/NAME/UID"), "{bad}");
        }
    }
}
