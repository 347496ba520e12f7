//! Images on their way between two daemons: through a registry, and straight.

use wharf_tests::{Far, Home, Registry};

use crate::built::{done, environment, home, images, log, never_before};

/// A configuration for the far daemon, and a registry for both.
fn configure(home: &Home, far: &Far, registry: Option<&Registry>) {
    let line = |address: String| format!("registry = \"{address}\"\n");
    let near = registry.map_or_else(String::new, |registry| line(registry.address()));
    // The same registry, as the other machine sees it.
    let there = |registry: &Registry| line(format!("{}:{}", far.machine().near_address(), registry.port()));
    let there = registry.map_or_else(String::new, there);
    home.replace("configs/docker-local.toml", "base_image", &format!("{near}base_image"));
    let far = format!(
        "base_image = \"python-r\"\nhost = \"{}\"\n{there}\n[permissions]\nallowed_groups = [\"analysts\"]\n\n\
         [exchange]\nmode = \"attach\"\n",
        far.daemon().address()
    );
    home.write("configs/far.toml", far);
}

#[test]
#[ignore = "needs docker (runs containers), docker-registry and root (makes a machine)"]
fn a_daemon_that_lacks_an_image_pulls_it() {
    let far = Far::shared();
    let home = home();
    let registry = Registry::start();
    configure(&home, &far, Some(&registry));
    environment(&home, "shared", &format!("six==1.16.0\n{}", never_before()));
    let build = home.call(["--json", "env", "build", "shared"]).exits(0);
    let built = images(&build);
    let of = |engine: &str| built.iter().find(|image| image.engine == engine).unwrap();
    let (near, there) = (of(&home.daemon().address()), of(&far.daemon().address()));
    println!("{near:?}\n{there:?}");
    assert!(near.built && done(near).contains(&"pushed"));
    // The whole is there under its key, so the parts aren't needed.
    assert_eq!(done(there), ["pulled"]);
    assert_eq!((&near.key, &near.image), (&there.key, &there.image));
    let names = registry.repositories();
    assert!(names.contains(&"wharf-env/shared".to_owned()), "{names:?}");
    let run = home.run_python("import six\nprint(six.__version__)", &["--code-env", "shared", "--config", "far"]);
    assert_eq!(log(&run.exits(0)), ["1.16.0"]);
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn without_a_registry_daemons_get_images_from_each_other() {
    let far = Far::shared();
    let home = home();
    configure(&home, &far, None);
    environment(&home, "copied", &format!("six==1.16.0\n{}", never_before()));
    let more = ["--code-env", "copied"];
    let _ = home.run_python("print(1)", &more).exits(0);
    let begun = std::time::Instant::now();
    let run =
        home.run_python("import six\nprint(six.__version__)", &[&more[..], &["--config", "far"]].concat()).exits(0);
    assert_eq!(log(&run), ["1.16.0"]);
    println!("copied and run in {:?}", begun.elapsed());
    let told = crate::built::progress(&run.events());
    assert!(told.iter().any(|text| text.starts_with("copied wharf-run/python-r-copied:")), "{told:?}");
    assert!(!told.iter().any(|text| text.contains("building")), "{told:?}");
}
