//! Images on their way between two daemons: through a registry, and straight.

use std::fs;

use wharf::message::PruneReport;
use wharf_tests::{Daemon, Far, Home, REGISTRY_PASSWORD, REGISTRY_USER, Registry, Reply, Web};

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

/// A configuration whose images go through this registry.
fn through(home: &Home, registry: &Registry) {
    let line = format!("registry = {:?}\nbase_image", registry.address());
    home.replace("configs/docker-local.toml", "base_image", &line);
}

#[test]
#[ignore = "needs docker (builds images), docker-registry and an index of packages"]
fn a_hook_creates_the_repository_and_says_who_pushes() {
    let home = home();
    let registry = Registry::with_login();
    through(&home, &registry);
    environment(&home, "hooked", &format!("six==1.16.0\n{}", never_before()));
    let cloud = Web::start(|asked| match asked.line.as_str() {
        "POST /login" => {
            Reply::text(200, &format!("{{\"user\": \"{REGISTRY_USER}\", \"token\": \"{REGISTRY_PASSWORD}\"}}"))
        }
        line if line.ends_with("wharf-run/python-r-forbidden") => Reply::text(403, "no more than 100 repositories"),
        _ => Reply::text(201, ""),
    });
    fs::copy(env!("WHARF_REGISTRY_HOOK"), home.path().join("plugins/cloud.wasm")).unwrap();
    let (service, address) = (format!("http://{}", cloud.address()), registry.address());
    home.write(
        "plugins/cloud.toml",
        format!(
            "limits.time_ms = 20000\n[grants]\nhttp = [{service:?}]\nfolder = \"cloud\"\n[settings]\nregistry = {address:?}\n\
             service = {service:?}\n"
        ),
    );
    fs::create_dir(home.path().join("cloud")).unwrap();
    home.write("cloud/key", "k1");
    let build = home.call(["--json", "env", "build", "hooked"]).exits(0);
    let [built] = images(&build).try_into().unwrap();
    assert!(done(&built).iter().filter(|what| **what == "pushed").count() >= 2, "{built:?}");
    let asked: Vec<String> = cloud.asked().into_iter().map(|asked| asked.line).collect();
    assert!(asked.contains(&"PUT /repositories/wharf-run/python-r-hooked".to_owned()), "{asked:?}");

    // The token is nowhere.
    assert!(!build.stdout.contains(&format!("\"{REGISTRY_PASSWORD}\"")), "{build}");
    for file in ["wharf.db", "wharf.db-wal"] {
        let bytes = fs::read(home.path().join(file)).unwrap_or_default();
        let found = bytes.windows(REGISTRY_PASSWORD.len()).any(|window| window == REGISTRY_PASSWORD.as_bytes());
        assert!(!found, "{file} has the password");
    }

    // A hook's no is the push's no, in its words; a run can begin all the same.
    environment(&home, "forbidden", &format!("six==1.16.0\n{}", never_before()));
    let build = home.call(["--json", "env", "build", "forbidden"]);
    let [failed] = images(&build).try_into().unwrap();
    let fault = failed.fault.unwrap();
    assert_eq!(fault.code, "registry-unusable");
    assert!(
        fault.message.contains("the registry hook cloud stops the push to")
            && fault.message.ends_with("answers 403: no more than 100 repositories"),
        "{fault}"
    );
    let run = home.run_python("import six\nprint(six.__version__)", &["--code-env", "forbidden"]).exits(0);
    assert_eq!(log(&run), ["1.16.0"]);

    // One that can't be loaded was put there for something.
    home.write("plugins/cloud.toml", "[settings]\n");
    environment(&home, "hooked", &format!("six==1.16.0\n{}", never_before()));
    let build = home.call(["--json", "env", "build", "hooked"]);
    let [failed] = images(&build).try_into().unwrap();
    let fault = failed.fault.unwrap();
    assert!(fault.message.contains("the registry hook cloud stops the push to"), "{fault}");
    assert!(fault.message.contains("which it wasn't granted"), "{fault}");
}

/// The digests of images, by repository.
type Digests = Vec<(String, String)>;

/// Builds a code environment twice, each time with another key; the digests of the first one's images, by repository.
fn build_twice(home: &Home, name: &str) -> (Digests, Digests) {
    let build = || {
        environment(home, name, &format!("six==1.16.0\n{}", never_before()));
        let build = home.call(["--json", "env", "build", name]).exits(0);
        let [built] = images(&build).try_into().unwrap();
        let pushed = built.made.into_iter().filter_map(|made| {
            let (repository, _) = made.image.rsplit_once(':')?;
            Some((repository.to_owned(), made.digest?))
        });
        pushed.filter(|(repository, _)| repository.contains(name)).collect::<Vec<_>>()
    };
    let (first, second) = (build(), build());
    assert!(first.len() == 2 && second.len() == 2, "{first:?} {second:?}");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    (first, second)
}

fn prune(home: &Home, more: &[&str]) -> PruneReport {
    let arguments = [&["--json", "image", "prune", "--older-than", "1s", "--keep", "0"], more].concat();
    home.call(arguments).exits(0).document()
}

#[test]
#[ignore = "needs docker (builds images), docker-registry and an index of packages"]
fn what_nobody_needs_goes_from_the_registry_too() {
    let home = home();
    let registry = Registry::with_login();
    through(&home, &registry);
    let login = serde_json::json!({ "auths": { registry.address(): { "username": REGISTRY_USER, "password": REGISTRY_PASSWORD } } });
    home.write("registries.json", login.to_string());
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(home.path().join("registries.json"), closed).unwrap();
    let (old, new) = build_twice(&home, "pruned");
    let there =
        |images: &[(String, String)]| images.iter().all(|(repository, digest)| registry.has(repository, digest));
    let in_registry = |report: &PruneReport| {
        let images = report.removed.iter().filter(|image| image.engine == registry.address());
        let mut digests: Vec<String> = images.map(|image| image.id.clone()).collect();
        digests.sort();
        digests
    };
    let mut gone: Vec<String> = old.iter().map(|(_, digest)| digest.clone()).collect();
    gone.sort();

    // On engines alone, unless it is asked for; and a dry run only says.
    let dry = prune(&home, &["--registries", "--dry-run"]);
    assert_eq!(in_registry(&dry), gone, "{dry:?}");
    assert!(dry.removed.iter().filter(|image| image.engine == registry.address()).all(|image| image.size > 1_000_000));
    assert!(in_registry(&prune(&home, &[])).is_empty());
    assert!(there(&old) && there(&new));

    // Away, it is said and nothing is forgotten.
    registry.stop();
    let away = prune(&home, &["--registries"]);
    assert!(away.unreachable.iter().any(|fault| fault.code == "registry-unusable"), "{away:?}");
    registry.start_again();

    let report = prune(&home, &["--registries"]);
    assert_eq!((in_registry(&report), &report.refused), (gone, &Vec::new()), "{report:?}");
    assert!(old.iter().all(|(repository, digest)| !registry.has(repository, digest)));
    // What a configuration needs is there, and comes from there.
    assert!(there(&new));
    assert!(in_registry(&prune(&home, &["--registries"])).is_empty());
}

#[test]
#[ignore = "needs docker (builds images), docker-registry and an index of packages"]
fn a_registry_that_deletes_nothing_says_so() {
    let home = home();
    let registry = Registry::without_delete();
    through(&home, &registry);
    let (old, _) = build_twice(&home, "undeleted");
    let report = prune(&home, &["--registries"]);
    let refused: Vec<_> = report.refused.iter().filter(|(image, _)| image.engine == registry.address()).collect();
    assert_eq!(refused.len(), old.len(), "{report:?}");
    for (_, fault) in refused {
        assert_eq!(fault.code, "registry-unusable");
        assert!(fault.message.contains("REGISTRY_STORAGE_DELETE_ENABLED=true"), "{fault}");
    }
    assert!(old.iter().all(|(repository, digest)| registry.has(repository, digest)));
}

#[test]
#[ignore = "needs docker (runs containers) and root (makes a machine)"]
fn what_an_image_starts_from_comes_from_the_daemon_that_has_it() {
    let far = Far::shared();
    let home = home();
    configure(&home, &far, None);
    // A name that nobody can pull, for an image that only the near daemon has.
    let build = home.call(["--json", "base", "build", "python-r"]).exits(0);
    let tag = images(&build).iter().find_map(|image| image.image.clone()).unwrap();
    let name = "registry.invalid/data/python:1";
    let _ = home.daemon().must("POST", &format!("/images/{tag}/tag?repo=registry.invalid%2Fdata%2Fpython&tag=1"), None);
    home.write("base-images/started.toml", format!("from = {name:?}\npost_install = \"RUN true\"\n{}", never_before()));
    home.replace("configs/far.toml", "base_image = \"python-r\"", "base_image = \"started\"");
    // Whether its packages can be had there isn't what this is about.
    let build = home.call(["--json", "base", "build", "started"]);
    assert!(build.stdout.contains(&format!("copying {name} from unix://")), "{build}");
    let id = |daemon: &Daemon| daemon.must("GET", &format!("/images/{name}/json"), None)["Id"].clone();
    assert_eq!(id(home.daemon()), id(far.daemon()));
    // Another call knows it, and asks nobody.
    let again = home.call(["--json", "base", "build", "started"]);
    assert!(!again.stdout.contains("copying ") && !again.stdout.contains("pulling "), "{again}");
    for daemon in [home.daemon(), far.daemon()] {
        let _ = daemon.ask("DELETE", &format!("/images/{name}?force=1"), None);
    }
}
