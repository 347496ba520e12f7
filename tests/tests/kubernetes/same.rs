//! The demo's activities, here and there.

use std::fmt::Write as _;

use wharf_tests::{GROUP, USER};

use crate::home;

/// As many rows as a day has flights, made up.
fn flights() -> String {
    let mut text = "carrier,dep_delay,arr_delay\n".to_owned();
    for n in 0..1000_u32 {
        let carrier = ["AA", "B6", "DL", "UA"][(n % 4) as usize];
        let (delay, late) = match n % 17 {
            0 => (String::new(), String::new()),
            _ => ((n * 37 % 90).to_string(), (n * 53 % 120).to_string()),
        };
        writeln!(text, "{carrier},{delay},{late}").expect("a text takes it");
    }
    text
}

#[test]
#[ignore = "needs kubernetes (runs pods)"]
fn the_demos_activities_give_the_same_bytes() {
    let (cluster, home) = home();
    home.write("data/flights.csv", flights());
    for (activity, outputs) in [
        ("flights-python", ["data/delays_by_carrier.csv", "data/report/summary.html"]),
        ("flights-r", ["data/delays_by_carrier_r.csv", "data/report_r/summary.html"]),
        ("late-flights", ["data/flights_late.csv", "data/flights_late.csv.schema.json"]),
    ] {
        let file = home.path().join(format!("activities/{activity}.toml")).display().to_string();
        let run = |configuration: &str| {
            for output in outputs {
                let _ = std::fs::remove_file(home.path().join(output));
            }
            let arguments = ["--json", "run", &file, "--config", configuration, "--user", USER, "--group", GROUP];
            let _ = home.call(arguments).exits(0);
            outputs.map(|output| std::fs::read(home.path().join(output)).ok())
        };
        let on_docker = run("docker-local");
        assert!(on_docker[0].as_ref().is_some_and(|bytes| bytes.len() > 100), "{activity}: an output");
        assert_eq!(run("k8s-local"), on_docker, "{activity}");
    }
    cluster.nothing_left(&home);
}
