//! The backend against an API server that a test plays, which needs no service.

#[cfg(test)]
mod launching;
#[cfg(test)]
mod server;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod watching;

#[cfg(test)]
mod fixture {
    //! Specifications, and what a cluster makes of them.

    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use serde_json::{Value, json};
    use wharf_model::kubernetes::{KubernetesPlace, Patience, PodSettings};
    use wharf_model::launch::{Caller, LaunchSpec};

    use crate::server::Server;

    pub(crate) const HOST: &str = "home-1";
    pub(crate) const JOBS: &str = "/apis/batch/v1/namespaces/team-a/jobs";
    pub(crate) const PODS: &str = "/api/v1/namespaces/team-a/pods";
    pub(crate) const SECRETS: &str = "/api/v1/namespaces/team-a/secrets";
    pub(crate) const EVENTS: &str = "/api/v1/namespaces/team-a/events";

    pub(crate) fn spec(run: &str) -> LaunchSpec {
        LaunchSpec {
            host: HOST.to_owned(),
            run: run.to_owned(),
            attempt: 1,
            image: format!("registry.example/demo@sha256:{}", "0".repeat(64)),
            argv: vec!["/opt/wharf/bin/wharf-runner".to_owned()],
            env: [("WHARF_EXCHANGE".to_owned(), "10.0.0.1:7000".to_owned())].into(),
            secret_env: [("WHARF_TICKET".to_owned(), "00ff".to_owned())].into(),
            resources: [].into(),
            security: wharf_model::Security::default(),
            labels: [].into(),
            runtime: None,
            grace_seconds: 1,
            deadline_seconds: None,
            kubernetes: Some(Box::new(KubernetesPlace {
                namespace: "team-a".to_owned(),
                pod: PodSettings {
                    patience: Patience { unschedulable: 3, image_pull: 3, api: 3, quota: 3 },
                    ..PodSettings::default()
                },
                ..KubernetesPlace::default()
            })),
        }
    }

    /// The pod that a controller makes of a Job; its status is for the test to say.
    pub(crate) fn pod(job: &Value, status: Value) -> (String, Value) {
        let text = |pointer: &str| job.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let name = format!("{}-x", text("/metadata/name"));
        let uid = text("/metadata/uid");
        let mut labels = job["metadata"]["labels"].clone();
        labels["batch.kubernetes.io/controller-uid"] = uid.clone().into();
        let mut pod = json!({
            "metadata": {
                "name": name, "namespace": "team-a", "uid": format!("pod-{uid}"), "labels": labels,
                "ownerReferences": [{"kind": "Job", "uid": uid}],
            },
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "wharf", "image": "i", "resources": {"limits": {"memory": "64Mi"}}}],
            },
        });
        pod["status"] = status;
        (format!("{PODS}/{name}"), pod)
    }

    pub(crate) fn running() -> Value {
        json!({"phase": "Running", "containerStatuses": [{"name": "wharf", "ready": true, "state": {"running": {}}}]})
    }

    pub(crate) fn exited(code: i64) -> Value {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        json!({"phase": phase, "containerStatuses": [{
            "name": "wharf", "state": {"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }}},
        }]})
    }

    /// The Job of a run, as the server has it.
    pub(crate) fn job(server: &Server, run: &str) -> Value {
        server.object(&format!("{JOBS}/wharf-{run}-1")).unwrap()
    }

    /// Makes the pod of a run.
    pub(crate) fn make_pod(server: &Server, run: &str, status: Value) -> String {
        let (path, pod) = pod(&job(server, run), status);
        server.put(&path, pod);
        path
    }

    /// Keeps what it hears, and gives up when it is told to.
    #[derive(Default)]
    pub(crate) struct Ear {
        pub(crate) heard: Mutex<Vec<String>>,
        pub(crate) enough: tokio::sync::Notify,
    }

    impl Ear {
        pub(crate) fn new() -> Arc<Self> {
            Arc::default()
        }

        pub(crate) fn has_heard(&self, words: &str) -> bool {
            self.heard.lock().unwrap().iter().any(|text| text.contains(words))
        }
    }

    #[async_trait]
    impl Caller for Ear {
        fn notice(&self, text: String) {
            self.heard.lock().unwrap().push(text);
        }

        async fn given_up(&self) {
            self.enough.notified().await;
        }
    }
}
