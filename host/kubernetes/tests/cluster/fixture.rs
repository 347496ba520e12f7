//! A namespace of one test, specifications over the test image, and the tidying up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use wharf_kubernetes::KubernetesBackend;
use wharf_model::kubernetes::{Cluster, KubernetesPlace, Patience, PodSettings};
use wharf_model::launch::{Backend, Caller, EngineEnd, LaunchSpec};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} isn't set: these tests need a cluster"))
}

pub(crate) fn kubeconfig() -> PathBuf {
    variable("WHARF_TEST_KUBECONFIG").into()
}

pub(crate) fn context() -> String {
    variable("WHARF_TEST_CONTEXT")
}

/// One test's own part of the cluster.
pub(crate) struct Fixture {
    pub(crate) backend: Arc<KubernetesBackend>,
    pub(crate) host: String,
    pub(crate) namespace: String,
    kube: kube::Client,
}

impl Fixture {
    pub(crate) async fn new(name: &str) -> Self {
        let cluster = Cluster { kubeconfig: Some(kubeconfig()), context: Some(context()) };
        let options = KubeConfigOptions { context: Some(context()), ..KubeConfigOptions::default() };
        let config = Kubeconfig::read_from(kubeconfig()).unwrap();
        let kube =
            kube::Client::try_from(kube::Config::from_custom_kubeconfig(config, &options).await.unwrap()).unwrap();
        let namespace = format!("wharf-test-{}-{name}", std::process::id());
        let fixture = Self {
            backend: Arc::new(KubernetesBackend::connect(&cluster)),
            host: format!("test-{}-{name}", std::process::id()),
            namespace: namespace.clone(),
            kube,
        };
        fixture
            .post(
                "/api/v1/namespaces",
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            )
            .await;
        // A pod needs it, and a controller makes it in a moment.
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        while fixture.get(&account).await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fixture
    }

    pub(crate) fn script(&self, run: &str, script: &str) -> LaunchSpec {
        LaunchSpec {
            host: self.host.clone(),
            run: run.to_owned(),
            attempt: 1,
            image: variable("WHARF_TEST_IMAGE"),
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: [("WHARF_EXCHANGE".to_owned(), "attach-port:7411".to_owned())].into(),
            secret_env: [("SECRET".to_owned(), "s3cret".to_owned())].into(),
            resources: BTreeMap::new(),
            security: wharf_model::Security::default(),
            labels: BTreeMap::new(),
            runtime: None,
            grace_seconds: 2,
            deadline_seconds: None,
            kubernetes: Some(Box::new(KubernetesPlace {
                cluster: self.backend.cluster().clone(),
                namespace: self.namespace.clone(),
                pod: PodSettings {
                    patience: Patience { unschedulable: 5, image_pull: 5, api: 60, quota: 5 },
                    ..PodSettings::default()
                },
                template: None,
            })),
        }
    }

    /// Launches a run, waits for its end, and records it under a name.
    pub(crate) async fn end_of(&self, spec: &LaunchSpec, record: &str, what: &str) -> (EngineEnd, Arc<Ear>) {
        let id = self.backend.launch(spec, &()).await.unwrap().id;
        let ear = Arc::new(Ear::default());
        let waited = tokio::time::timeout(Duration::from_secs(120), self.backend.wait(&id, ear.as_ref())).await;
        let end = waited.expect("it ends").unwrap();
        self.record(&id, record, what).await;
        self.backend.remove(&id).await.unwrap();
        (end, ear)
    }

    /// Writes down what the API server says of a run, if that is wanted.
    pub(crate) async fn record(&self, id: &str, name: &str, what: &str) {
        if std::env::var_os("WHARF_RECORD").is_none() {
            return;
        }
        let (job_name, uid) = (id.split('/').nth(1).unwrap(), id.split('/').nth(2).unwrap());
        let namespace = &self.namespace;
        let job = self.get(&format!("/apis/batch/v1/namespaces/{namespace}/jobs/{job_name}")).await;
        let selector = format!("batch.kubernetes.io%2Fcontroller-uid%3D{uid}");
        let pods = self.get(&format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")).await.unwrap();
        let pod = pods["items"].as_array().unwrap().first().cloned();
        let mut events = Vec::new();
        for about in [Some(uid.to_owned()), pod.as_ref().map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned())]
        {
            let Some(about) = about else { continue };
            let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.uid%3D{about}");
            events.extend(self.get(&path).await.unwrap()["items"].as_array().unwrap().clone());
        }
        let version = self.get("/version").await.unwrap()["gitVersion"].as_str().unwrap().to_owned();
        let mut recorded = json!({
            "what": what, "recorded": format!("Kubernetes {version}"),
            "job_gone": job.is_none(), "events": events.iter().map(tidy).collect::<Vec<_>>(),
        });
        for (name, object) in [("job", job), ("pod", pod)] {
            if let Some(object) = object {
                recorded[name] = tidy(&object);
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ends").join(format!("{name}.json"));
        std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(&recorded).unwrap())).unwrap();
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value, kube::Error> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.kube.request(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        self.send(Method::GET, path, Value::Null).await.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, body).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.send(Method::DELETE, path, json!({"propagationPolicy": "Background"})).await.unwrap();
    }

    /// The pods of this test.
    pub(crate) async fn pods(&self) -> Vec<Value> {
        let list = self.get(&format!("/api/v1/namespaces/{}/pods", self.namespace)).await.unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// The path of a run's pod, once its container runs.
    pub(crate) async fn running_pod(&self) -> String {
        for _ in 0..600 {
            for pod in self.pods().await {
                if pod["status"]["containerStatuses"][0]["state"]["running"].is_object() {
                    return format!(
                        "/api/v1/namespaces/{}/pods/{}",
                        self.namespace,
                        pod["metadata"]["name"].as_str().unwrap()
                    );
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no pod runs");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A test's runtime can't be blocked on here, so the tidying has one of its own.
        let namespace = self.namespace.clone();
        let tidying = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options = KubeConfigOptions { context: Some(context()), ..KubeConfigOptions::default() };
                let config = Kubeconfig::read_from(kubeconfig()).unwrap();
                let config = kube::Config::from_custom_kubeconfig(config, &options).await.unwrap();
                let kube = kube::Client::try_from(config).unwrap();
                let request = Request::builder().method(Method::DELETE).uri(format!("/api/v1/namespaces/{namespace}"));
                kube.request_text(request.body(Vec::new()).unwrap()).await.unwrap();
            });
        });
        if tidying.join().is_err() && !std::thread::panicking() {
            panic!("couldn't remove what the test made");
        }
    }
}

/// What the corpus keeps of an object.
fn tidy(object: &Value) -> Value {
    const METADATA: [&str; 9] = [
        "name",
        "namespace",
        "uid",
        "labels",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
    ];
    const SPEC: [&str; 4] = ["activeDeadlineSeconds", "backoffLimit", "suspend", "nodeName"];
    const EVENT: [&str; 8] =
        ["involvedObject", "reason", "message", "type", "count", "firstTimestamp", "lastTimestamp", "source"];
    if object["involvedObject"].is_object() {
        return kept(object, &EVENT);
    }
    let mut spec = kept(&object["spec"], &SPEC);
    if let Some(containers) = object["spec"]["containers"].as_array() {
        spec["containers"] = containers.iter().map(|one| kept(one, &["name", "image", "resources"])).collect();
    }
    json!({"metadata": kept(&object["metadata"], &METADATA), "spec": spec, "status": object["status"]})
}

fn kept(object: &Value, names: &[&str]) -> Value {
    let fields = names.iter().filter(|name| !object[**name].is_null());
    Value::Object(fields.map(|name| ((*name).to_owned(), object[*name].clone())).collect())
}

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Ear(pub(crate) Mutex<Vec<String>>);

impl Ear {
    pub(crate) fn has_heard(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|text| text.contains(words))
    }
}

#[async_trait]
impl Caller for Ear {
    fn notice(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    async fn given_up(&self) {
        std::future::pending::<()>().await;
    }
}
