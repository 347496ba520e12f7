//! Scratch: not kept.
#[test]
fn run() {
    let cases: Vec<[serde_json::Value; 2]> = serde_json::from_str(&std::fs::read_to_string("/tmp/kubernetes/cases.json").unwrap()).unwrap();
    let out: Vec<serde_json::Value> = cases.into_iter().map(|[mut base, patch]| match wharf_kubernetes::template::merge(&mut base, patch) {
        Ok(()) => base,
        Err(error) => serde_json::json!({"error": error}),
    }).collect();
    std::fs::write("/tmp/kubernetes/ours.json", serde_json::to_string(&out).unwrap()).unwrap();
}
