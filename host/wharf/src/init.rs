//! Making a home.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use wharf_bundle::ShippedComponent;
use wharf_model::Fault;

use crate::settings::Home;

/// The `wharf.toml` of a new home: every key, commented out, with its default.
const SITE: &str = include_str!("init/wharf.toml");

/// The demo's files, in the folder `demo` of the sources: where each goes, and what is in it.
const DEMO: [(&str, &str); 18] = [
    ("policies/resource-ceiling.toml", include_str!("../../../demo/policies/resource-ceiling.toml")),
    ("policies/defaults-and-labels.toml", include_str!("../../../demo/policies/defaults-and-labels.toml")),
    ("activities/flights-python.toml", include_str!("../../../demo/activities/flights-python.toml")),
    ("activities/flights.py", include_str!("../../../demo/activities/flights.py")),
    ("activities/flights-r.toml", include_str!("../../../demo/activities/flights-r.toml")),
    ("activities/flights.R", include_str!("../../../demo/activities/flights.R")),
    ("code-envs/machine-learning/env.toml", include_str!("../../../demo/code-envs/machine-learning/env.toml")),
    (
        "code-envs/machine-learning/requirements.txt",
        include_str!("../../../demo/code-envs/machine-learning/requirements.txt"),
    ),
    ("activities/tables.toml", include_str!("../../../demo/activities/tables.toml")),
    ("activities/tables.py", include_str!("../../../demo/activities/tables.py")),
    ("activities/wine-train.toml", include_str!("../../../demo/activities/wine-train.toml")),
    ("activities/wine-score.toml", include_str!("../../../demo/activities/wine-score.toml")),
    ("activities/wine-retrain.toml", include_str!("../../../demo/activities/wine-retrain.toml")),
    ("activities/breast-cancer-train.toml", include_str!("../../../demo/activities/breast-cancer-train.toml")),
    ("activities/digits-train.toml", include_str!("../../../demo/activities/digits-train.toml")),
    ("activities/diabetes-train.toml", include_str!("../../../demo/activities/diabetes-train.toml")),
    ("activities/late-flights.toml", include_str!("../../../demo/activities/late-flights.toml")),
    ("activities/late-flights-train.toml", include_str!("../../../demo/activities/late-flights-train.toml")),
];
const DEMO_SITE: &str = include_str!("../../../demo/wharf.toml");
const DEMO_CONFIGURATION: &str = include_str!("../../../demo/configs/docker-local.toml");

/// Where the demo's base image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// An image that the daemon has or can pull, with Debian in it.
    From(String),
    /// Debian's packages.
    Bootstrap,
}

/// What a home for trying things is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Where its base image comes from.
    pub image_source: ImageSource,
    /// Files with certificates that its base image must trust; they are copied into the home.
    pub extra_ca: Vec<PathBuf>,
    /// The Docker daemon; the local one when not said.
    pub docker_host: Option<String>,
    /// A cluster, for a configuration of its own: `k8s-local`.
    pub cluster: Option<DemoCluster>,
}

/// The cluster of a home for trying things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoCluster {
    /// The kubeconfig; the user's own when not said.
    pub kubeconfig: Option<PathBuf>,
    /// The context; the kubeconfig's current one when not said.
    pub context: Option<String>,
    /// The namespace of the runs.
    pub namespace: String,
    /// The registry that this host pushes to and the nodes pull from.
    pub registry: String,
    /// The address of this host that pods reach; without it the host comes to them.
    pub advertise: Option<String>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The home.
    pub home: PathBuf,
    /// Every file, relative to it, in the order in which they were written.
    pub files: Vec<PathBuf>,
}

/// Makes a home, with the components that ship with the host; with `demo`, one that has all that a first run needs.
///
/// `wharf.toml` is written last, so that a folder is a home only when it is whole; one that was interrupted can be made again.
///
/// # Errors
/// The folder is a home already, has another file where one of ours goes, or can't be written.
pub fn init(home: &Path, demo: Option<&DemoOptions>) -> Result<InitReport, Fault> {
    init_with(home, demo, wharf_bundle::components())
}

fn init_with(home: &Path, demo: Option<&DemoOptions>, components: &[ShippedComponent]) -> Result<InitReport, Fault> {
    let home = Home::at(home);
    if home.check_exists().is_ok() {
        return Err(Fault::new("home-exists", format!("the folder {} is a home already", home.root().display()))
            .hint("use it as it is, or choose another folder with --home"));
    }
    let mut files = Files { root: home.root(), written: Vec::new() };
    // Whoever can open a home is its administrator, so nobody else gets in.
    private_folder(home.root())?;
    private_folder(&home.state_dir())?;
    private_folder(&home.secrets_dir())?;
    for folder in [
        home.configs_dir(),
        home.base_images_dir(),
        home.policies_dir(),
        home.plugins_dir(),
        home.dss_plugins_dir(),
        home.activities_dir(),
        home.certs_dir(),
    ] {
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    }
    for component in components {
        let folder = component.home_folder();
        files.write(&format!("{folder}/{}.wasm", component.name), component.wasm)?;
        let own = format!("{folder}/{}.toml", component.name);
        let replaced = demo.is_some() && DEMO.iter().any(|(path, _)| *path == own);
        if let Some(toml) = component.toml.filter(|_| !replaced) {
            files.write(&own, toml.as_bytes())?;
        }
    }
    match demo {
        None => files.write("wharf.toml", SITE.as_bytes())?,
        Some(options) => {
            for (path, text) in DEMO {
                files.write(path, text.as_bytes())?;
            }
            let mut certificates = Vec::new();
            for file in &options.extra_ca {
                certificates.push(files.copy_certificate(file)?);
            }
            files.write("base-images/python-r.toml", demo_image(&options.image_source, &certificates).as_bytes())?;
            files.write("configs/docker-local.toml", demo_configuration(options.docker_host.as_deref()).as_bytes())?;
            if let Some(cluster) = &options.cluster {
                let text = demo_cluster(cluster, options.docker_host.as_deref())?;
                files.write("configs/k8s-local.toml", text.as_bytes())?;
            }
            files.write("wharf.toml", DEMO_SITE.as_bytes())?;
        }
    }
    Ok(InitReport { home: home.root().to_owned(), files: files.written })
}

/// The demo's base image: Python with pandas, and R.
fn demo_image(source: &ImageSource, certificates: &[String]) -> String {
    let mut text = "# The base image of the demo: Python with pandas, and R.\n\n".to_owned();
    if let ImageSource::From(image) = source {
        let _ = writeln!(text, "from = {}", quote(image));
    }
    if !certificates.is_empty() {
        let names: Vec<String> = certificates.iter().map(|name| quote(name)).collect();
        let _ = writeln!(text, "extra_ca = [{}]", names.join(", "));
    }
    if *source == ImageSource::Bootstrap {
        text.push_str("[bootstrap]\nsuite = \"bookworm\"\n");
    }
    text.push_str("\n[languages.python]\n\n[languages.r]\n");
    text
}

fn demo_configuration(docker_host: Option<&str>) -> String {
    match docker_host {
        None => DEMO_CONFIGURATION.to_owned(),
        Some(host) => DEMO_CONFIGURATION.replace("base_image =", &format!("host = {}\nbase_image =", quote(host))),
    }
}

fn demo_cluster(cluster: &DemoCluster, docker_host: Option<&str>) -> Result<String, Fault> {
    let mut text =
        "# The same runs on a Kubernetes cluster.\n\ntype = \"kubernetes\"\nbase_image = \"python-r\"\n".to_owned();
    let mut key = |name: &str, value: &str| {
        let _ = writeln!(text, "{name} = {}", quote(value));
    };
    if let Some(file) = &cluster.kubeconfig {
        let file = std::path::absolute(file).map_err(|error| unwritable(file, &error))?;
        key("kubeconfig", &file.display().to_string());
    }
    if let Some(context) = &cluster.context {
        key("context", context);
    }
    key("namespace", &cluster.namespace);
    key("registry", &cluster.registry);
    if let Some(host) = docker_host {
        key("builder", host);
    }
    text.push_str("time_limit = \"30m\"\n\n[exchange]\n");
    let _ = match &cluster.advertise {
        Some(address) => writeln!(text, "advertise = {}", quote(address)),
        None => writeln!(text, "mode = \"attach\""),
    };
    text.push_str("\n[permissions]\nallowed_groups = [\"analysts\"]\n\n[resources.requests]\ncpu = \"250m\"\nmemory = \"512Mi\"\n\n");
    text.push_str("[resources.limits]\ncpu = 1\nmemory = \"2Gi\"\n");
    Ok(text)
}

/// A text as TOML writes it.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The files of a new home.
struct Files<'a> {
    root: &'a Path,
    written: Vec<PathBuf>,
}

impl Files<'_> {
    /// Writes a file; one that is there must be the same, left by an attempt that was interrupted.
    fn write(&mut self, path: &str, contents: &[u8]) -> Result<(), Fault> {
        let file = self.root.join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        }
        match fs::read(&file) {
            Ok(there) if there == contents => {}
            // The host's own, from another version, or cut off in the middle.
            Ok(_) if path.ends_with(".wasm") => {
                fs::write(&file, contents).map_err(|error| unwritable(&file, &error))?;
            }
            Ok(_) => {
                return Err(Fault::new(
                    "home-exists",
                    format!("{} is there already, and isn't what a new home has", file.display()),
                )
                .hint("move it away, or choose another folder with --home"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::write(&file, contents).map_err(|error| unwritable(&file, &error))?;
            }
            Err(error) => return Err(unwritable(&file, &error)),
        }
        self.written.push(PathBuf::from(path));
        Ok(())
    }

    /// Copies a certificate file into `certs/`; the answer is its path relative to the home.
    fn copy_certificate(&mut self, file: &Path) -> Result<String, Fault> {
        let contents = fs::read(file).map_err(|error| {
            Fault::new("file-unreadable", format!("the certificates can't be read: {error}"))
                .at(file, None)
                .hint("correct the path, or leave it out")
        })?;
        let name = file.file_name().map_or("ca.pem".into(), |name| name.to_string_lossy());
        let path = format!("certs/{name}");
        self.write(&path, &contents)?;
        Ok(path)
    }
}

fn private_folder(folder: &Path) -> Result<(), Fault> {
    if folder.is_dir() {
        return Ok(());
    }
    // The folders above it aren't ours: they get the usual mode.
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    }
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| unwritable(folder, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new("home-unwritable", format!("can't be written: {error}"))
        .at(path, None)
        .hint("choose a folder that you may write to, on a disk with room")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use wharf_model::image::Origin;
    use wharf_model::{ActivityKind, Identity};

    use super::*;

    const COMPONENTS: [ShippedComponent; 2] = [
        ShippedComponent { folder: "policies", name: "resource-ceiling", wasm: b"\0asm", toml: Some("# shipped\n") },
        ShippedComponent { folder: "plugins", name: "recipe-python", wasm: b"\0asm", toml: None },
    ];

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn new_home(demo: Option<&DemoOptions>) -> (tempfile::TempDir, Home, InitReport) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("deep/home");
        let report = init_with(&root, demo, &COMPONENTS).expect("a new home");
        (folder, Home::at(root), report)
    }

    #[test]
    fn a_plain_home_is_sound_and_private() {
        let (_folder, home, report) = new_home(None);
        assert_eq!(home.check(), []);
        assert_eq!(home.load_site(), Ok(crate::settings::Site::default()));
        let mode = fs::metadata(home.root()).expect("the folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for file in &report.files {
            assert!(home.root().join(file).is_file(), "{}", file.display());
        }
        assert_eq!(report.files.last(), Some(&PathBuf::from("wharf.toml")));
        assert_eq!(fs::read(home.policies_dir().join("resource-ceiling.toml")).expect("its settings"), b"# shipped\n");
    }

    #[test]
    fn every_key_that_a_new_home_shows_is_one() {
        let (_folder, home, _report) = new_home(None);
        let shown: String = SITE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(if line.starts_with('#') { "" } else { line }))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(shown.contains("default_configuration"), "{shown}");
        fs::write(home.site_file(), &shown).expect("written");
        home.load_site().expect("every shown key is valid");
    }

    #[test]
    fn a_demo_home_is_sound() {
        let certificates = tempfile::NamedTempFile::with_suffix(".pem").expect("a temporary file");
        fs::write(certificates.path(), CERTIFICATE).expect("written");
        let options = DemoOptions {
            image_source: ImageSource::Bootstrap,
            extra_ca: vec![certificates.path().to_owned()],
            docker_host: Some("unix:///run/\"odd\".sock".to_owned()),
            cluster: Some(DemoCluster {
                kubeconfig: Some("/etc/kube \"config\"".into()),
                context: Some("test".to_owned()),
                namespace: "runs".to_owned(),
                registry: "localhost:5000/data".to_owned(),
                advertise: None,
            }),
        };
        let (_folder, home, _report) = new_home(Some(&options));
        assert_eq!(home.check(), []);
        let site = home.load_site().expect("sound");
        assert_eq!(site.default_configuration.as_deref(), Some("docker-local"));
        assert_eq!(site.required_policies, ["resource-ceiling"]);
        let configuration = home.load_configuration("docker-local").expect("sound");
        assert_eq!(configuration.allowed_groups, ["analysts"]);
        let on_cluster = home.load_configuration("k8s-local").expect("sound");
        assert_eq!(on_cluster.engine.address().to_string(), "the context test of /etc/kube \"config\"");
        assert_eq!(on_cluster.engine.builder().host, "unix:///run/\"odd\".sock");
        assert_eq!(on_cluster.resources["memory"], wharf_model::Quantity::Bytes(2 << 30));
        assert_eq!(configuration.engine.builder().host, "unix:///run/\"odd\".sock");
        let image = home.load_base_image("python-r").expect("sound");
        assert!(matches!(image.origin, Origin::Bootstrap { .. }));
        assert_eq!(image.extra_ca.len(), 1);
        assert_eq!(image.languages.len(), 2);
        let ceiling = fs::read_to_string(home.policies_dir().join("resource-ceiling.toml")).expect("its settings");
        assert!(ceiling.contains("[settings.ceilings]"), "{ceiling}");
    }

    #[test]
    fn the_demos_activities_can_be_loaded() {
        let options = DemoOptions {
            image_source: ImageSource::From("debian:bookworm".to_owned()),
            extra_ca: vec![],
            docker_host: None,
            cluster: None,
        };
        let (_folder, home, _report) = new_home(Some(&options));
        assert_eq!(home.load_base_image("python-r").expect("sound").origin, Origin::From("debian:bookworm".to_owned()));
        let load = |name: &str| home.load_activity(&home.activities_dir().join(name), Identity::default());
        assert_eq!(load("flights-python.toml").expect_err("no data yet").code, "input-missing");
        fs::create_dir(home.root().join("data")).expect("the folder");
        fs::write(home.root().join("data/flights.csv"), "carrier\nAA\n").expect("written");
        assert_eq!(load("flights-python.toml").expect("sound").kind, ActivityKind::Python);
        assert_eq!(load("flights-r.toml").expect("sound").code_name.as_deref(), Some("flights.R"));
    }

    #[test]
    fn a_home_is_not_made_twice_and_nothing_is_overwritten() {
        let (_folder, home, _report) = new_home(None);
        assert_eq!(init_with(home.root(), None, &COMPONENTS).expect_err("there is one").code, "home-exists");
        // Without its wharf.toml it is one that was interrupted.
        fs::remove_file(home.site_file()).expect("removed");
        fs::write(home.policies_dir().join("resource-ceiling.wasm"), b"cut o").expect("written");
        init_with(home.root(), None, &COMPONENTS).expect("made whole");
        fs::remove_file(home.site_file()).expect("removed");
        fs::write(home.policies_dir().join("resource-ceiling.toml"), "mine").expect("written");
        let fault = init_with(home.root(), None, &COMPONENTS).expect_err("somebody's file");
        assert!(fault.message.contains("resource-ceiling.toml is there already"), "{fault}");
        assert_eq!(fs::read(home.policies_dir().join("resource-ceiling.toml")).expect("still there"), b"mine");
    }
}
