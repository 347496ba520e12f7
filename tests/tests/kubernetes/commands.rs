//! `wharf cluster`, `wharf config test` and `wharf doctor` on a cluster.

use wharf_tests::{GROUP, USER};

use crate::{home, there};

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn a_cluster_is_checked_from_outside_and_from_inside() {
    let (cluster, home) = home();
    let check = home.call(["cluster", "check", "k8s-local"]).exits(0);
    for said in ["the API server", "jobs.batch", "a node has pulled it", "a pod reaches it", "GPUs"] {
        assert!(check.stdout.contains(said), "{said}: {check}");
    }
    cluster.nothing_left(&home);
    home.replace("configs/k8s-local.toml", "namespace = ", "namespace = \"default\" # ");
    let check = home.call(["cluster", "check", "--no-pod", "k8s-local"]).exits(1);
    assert!(check.stdout.contains("add to the role") && check.stdout.contains("verbs"), "{check}");
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn the_printed_role_is_enough_and_no_more() {
    let (cluster, home) = home();
    let role = home.call(["cluster", "role", "k8s-local", "--service-account", "least"]).exits(0).stdout;
    cluster.apply(&role);
    let token = cluster.admin(&["create", "token", "least"]);
    let text = std::fs::read_to_string(&cluster.kubeconfig).expect("the kubeconfig");
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("a server").to_owned();
    home.write(
        "kubeconfig",
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
             clusters: [{{name: a, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: a, user: {{token: '{}'}}}}]\n",
            token.trim()
        ),
    );
    home.replace("configs/k8s-local.toml", "kubeconfig = ", "kubeconfig = \"kubeconfig\" # ");
    home.replace("configs/k8s-local.toml", "context = ", "context = \"a\" # ");
    let _ = home.run_python("print(1)", &there(&[])).exits(0);
    cluster.nothing_left(&home);
    let _ = cluster.admin(&["delete", "serviceaccount", "least"]);
    let _ = cluster.admin(&["delete", "role,rolebinding", "wharf-least"]);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn the_host_comes_to_pods_that_cannot_reach_it() {
    let (cluster, home) = home();
    home.replace("configs/k8s-local.toml", "advertise = ", "mode = \"attach\" # ");
    home.write_data("rows.csv", "n\n1\n2\n3\n");
    let code = "import dataiku\n\
                frame = dataiku.Dataset('rows').get_dataframe()\n\
                dataiku.Dataset('out').write_with_schema(frame)\nprint(len(frame), 'rows')";
    let rows = home.bind("rows", "rows.csv");
    let out = home.bind("out", "out.csv");
    let run = home.run_python(code, &there(&["--input", &rows, "--output", &out])).exits(0);
    assert_eq!(run.log(), [(0, "3 rows".to_owned())]);
    assert_eq!(home.read_data("out.csv").lines().count(), 4);
    let _ = home.call(["config", "test", "k8s-local", "--user", USER, "--group", GROUP]).exits(0);
    cluster.nothing_left(&home);
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn explain_shows_the_exact_job_and_doctor_the_cluster() {
    let (_, home) = home();
    let arguments = home.python("print(1)", &there(&[]));
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments[1] = "explain";
    let explained = home.call(arguments).exits(0).stdout;
    for said in ["\"kind\":\"Job\"", "backoffLimit", "runAsNonRoot", "wharf.run"] {
        assert!(explained.contains(said), "{said}: {explained}");
    }
    let doctor = home.call(["doctor"]).stdout;
    assert!(doctor.contains("Kubernetes v1."), "{doctor}");
}
