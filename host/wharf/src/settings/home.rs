//! The home: the folder that an administrator keeps.

use std::path::{Path, PathBuf};

use wharf_model::{Activity, ExecutionConfiguration, Fault, Identity, ImageSpec};

use super::name::{is_name, not_a_name, not_found};
use super::site::Site;
use super::source::{Source, unreadable};
use super::{CodeEnvSettings, activity, base_image, code_env, configuration, security, site};

/// The folder that an administrator keeps, and where in it everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home in this folder. Nothing is read yet; [`Home::check_exists`] sees whether there is one.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // Components and daemons are given paths below the home, which must mean the same everywhere.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `wharf.toml`, which makes a folder a home.
    #[must_use]
    pub fn site_file(&self) -> PathBuf {
        self.root.join("wharf.toml")
    }

    /// The execution configurations.
    #[must_use]
    pub fn configs_dir(&self) -> PathBuf {
        self.root.join("configs")
    }

    /// The base images.
    #[must_use]
    pub fn base_images_dir(&self) -> PathBuf {
        self.root.join("base-images")
    }

    /// The code environments.
    #[must_use]
    pub fn code_envs_dir(&self) -> PathBuf {
        self.root.join("code-envs")
    }

    /// What the last build of a code environment over a base image got. The host writes it.
    #[must_use]
    pub fn code_env_lock(&self, name: &str, base: &str) -> PathBuf {
        self.code_envs_dir().join(name).join("locks").join(format!("{base}.toml"))
    }

    /// What the last build of a plugin's own code environment over a base image got. The host writes it.
    #[must_use]
    pub fn plugin_lock(&self, name: &str, base: &str) -> PathBuf {
        self.root.join("plugin-locks").join(name).join(format!("{base}.toml"))
    }

    /// Plugins written for DSS: what `plugins/dss-plugin.toml` grants that component.
    #[must_use]
    pub fn dss_plugins_dir(&self) -> PathBuf {
        self.root.join("dss-plugins")
    }

    /// Components that judge.
    #[must_use]
    pub fn policies_dir(&self) -> PathBuf {
        self.root.join("policies")
    }

    /// Components that make something.
    #[must_use]
    pub fn plugins_dir(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// What is installed, and what was granted to it: `wharf component` writes it.
    #[must_use]
    pub fn components_lock(&self) -> PathBuf {
        self.root.join("components.lock")
    }

    /// The versions of components that were in force.
    #[must_use]
    pub fn kept_components_dir(&self) -> PathBuf {
        self.state_dir().join("components")
    }

    /// What came of the trials of components with `canary = true`.
    #[must_use]
    pub fn canary_file(&self) -> PathBuf {
        self.state_dir().join("canary.json")
    }

    /// Activity files; they may be anywhere else, too.
    #[must_use]
    pub fn activities_dir(&self) -> PathBuf {
        self.root.join("activities")
    }

    /// The values of secrets, one file each.
    #[must_use]
    pub fn secrets_dir(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Who the host is at registries: a file in the format of Docker's `config.json`.
    #[must_use]
    pub fn registries_file(&self) -> PathBuf {
        self.root.join("registries.json")
    }

    /// Certificates that images must trust.
    #[must_use]
    pub fn certs_dir(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// What the host itself writes. Nobody else needs to look in there.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The record store.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.state_dir().join("wharf.db")
    }

    /// The logs of the runs.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.state_dir().join("logs")
    }

    /// Compiled components and whatever else can be made again.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.state_dir().join("cache")
    }

    /// The exchange's key, port and tickets.
    #[must_use]
    pub fn exchange_dir(&self) -> PathBuf {
        self.state_dir().join("exchange")
    }

    /// The lock that the owner of the home holds.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.state_dir().join("lock")
    }

    /// The socket at which the owner of the home answers others.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("host.sock")
    }

    /// Sees whether the folder is a home.
    ///
    /// # Errors
    /// It isn't there, or has no `wharf.toml`.
    pub fn check_exists(&self) -> Result<(), Fault> {
        if self.site_file().is_file() {
            return Ok(());
        }
        let what = if self.root.is_dir() { "has no wharf.toml, so it isn't a home" } else { "isn't there" };
        Err(Fault::new("home-not-found", format!("the folder {} {what}", self.root.display()))
            .hint("make one with: wharf init --home DIR"))
    }

    /// Reads `wharf.toml`.
    ///
    /// # Errors
    /// There is none, or something in it is wrong.
    pub fn load_site(&self) -> Result<Site, Fault> {
        self.check_exists()?;
        let file = self.site_file();
        let source = Source::open("site-invalid", &file)?;
        site::resolve(&source, &self.root, source.parse()?)
    }

    /// The names of the execution configurations, sorted.
    ///
    /// # Errors
    /// Their folder can't be read.
    pub fn configuration_names(&self) -> Result<Vec<String>, Fault> {
        names(&self.configs_dir())
    }

    /// The names of the base images, sorted.
    ///
    /// # Errors
    /// Their folder can't be read.
    pub fn base_image_names(&self) -> Result<Vec<String>, Fault> {
        names(&self.base_images_dir())
    }

    /// Reads an execution configuration.
    ///
    /// # Errors
    /// There is none of that name, something in it is wrong, or its base image isn't there.
    pub fn load_configuration(&self, name: &str) -> Result<ExecutionConfiguration, Fault> {
        if !is_name(name) {
            return Err(Fault::new("config-not-found", not_a_name("an execution configuration", name)));
        }
        let file = self.configs_dir().join(format!("{name}.toml"));
        if !file.is_file() {
            return Err(not_found(
                "config-not-found",
                "execution configuration",
                "configs",
                name,
                &self.configuration_names().unwrap_or_default(),
            ));
        }
        let source = Source::open("config-invalid", &file)?;
        let configuration = configuration::resolve(&source, &self.root, name, source.parse()?)?;
        if !self.base_images_dir().join(format!("{}.toml", configuration.base_image)).is_file() {
            let fault = self.no_base_image(&configuration.base_image);
            return Err(source.place(&["base_image"], fault));
        }
        Ok(configuration)
    }

    /// What opens the containers of an execution configuration wide, each as a warning with its place in the file.
    ///
    /// # Errors
    /// The configuration can't be read.
    pub fn security_warnings(&self, name: &str) -> Result<Vec<Fault>, Fault> {
        let security = self.load_configuration(name)?.security;
        let file = self.configs_dir().join(format!("{name}.toml"));
        let source = Source::open("security-open", &file)?;
        Ok(security::openings(&security)
            .into_iter()
            .map(|(key, message)| source.fault(&["security", key], message).hint("wharf error security-open"))
            .collect())
    }

    /// Reads all execution configurations, by name.
    ///
    /// # Errors
    /// Their folder can't be read. A configuration with an error doesn't hide the others.
    #[expect(clippy::type_complexity, reason = "a name and what it stands for, nothing to name")]
    pub fn load_configurations(&self) -> Result<Vec<(String, Result<ExecutionConfiguration, Fault>)>, Fault> {
        Ok(self
            .configuration_names()?
            .into_iter()
            .map(|name| {
                let configuration = self.load_configuration(&name);
                (name, configuration)
            })
            .collect())
    }

    /// Reads a base image's file, and the certificates that it names.
    ///
    /// # Errors
    /// There is none of that name, or something in it is wrong.
    pub fn load_base_image(&self, name: &str) -> Result<ImageSpec, Fault> {
        if !is_name(name) {
            return Err(Fault::new("base-image-not-found", not_a_name("a base image", name)));
        }
        let file = self.base_images_dir().join(format!("{name}.toml"));
        if !file.is_file() {
            return Err(self.no_base_image(name));
        }
        let source = Source::open("base-image-invalid", &file)?;
        base_image::resolve(&source, &self.root, name, source.parse()?, || Ok(self.load_site()?.extra_ca))
    }

    /// The names of the code environments, sorted.
    ///
    /// # Errors
    /// Their folder can't be read.
    pub fn code_env_names(&self) -> Result<Vec<String>, Fault> {
        let folder = self.code_envs_dir();
        let mut names = entries(&folder)?;
        names.retain(|name| is_name(name) && code_env::layout(&folder.join(name)).is_some());
        names.sort();
        Ok(names)
    }

    /// Reads a code environment: `env.toml` and `requirements.txt`, or the files of a plugin's code environment.
    ///
    /// # Errors
    /// There is none of that name, or something in its files is wrong.
    pub fn load_code_env(&self, name: &str) -> Result<CodeEnvSettings, Fault> {
        if !is_name(name) {
            return Err(Fault::new("code-env-not-found", not_a_name("a code environment", name)));
        }
        let folder = self.code_envs_dir().join(name);
        let Some(layout) = code_env::layout(&folder) else {
            let there = self.code_env_names().unwrap_or_default();
            let mut fault = not_found("code-env-not-found", "code environment", "code-envs", name, &there);
            fault.hint = fault.hint.map(|hint| hint.replace(&format!("{name}.toml"), &format!("{name}/env.toml")));
            return Err(fault);
        };
        code_env::load(&folder, name, &layout)
    }

    /// Reads an activity's file and the code that it names. The file may be anywhere.
    ///
    /// # Errors
    /// It can't be read, something in it is wrong, its code or an input isn't there.
    pub fn load_activity(&self, path: &Path, requester: Identity) -> Result<Activity, Fault> {
        let source = Source::open("activity-invalid", path)?;
        activity::resolve(&source, source.parse()?, requester)
    }

    /// Reads every file of the home except activities, and says all that is wrong.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let site = self.load_site().map_err(|fault| faults.push(fault)).ok();
        match self.configuration_names() {
            Ok(names) => faults.extend(names.iter().filter_map(|name| self.load_configuration(name).err())),
            Err(fault) => faults.push(fault),
        }
        match self.base_image_names() {
            Ok(names) => faults.extend(names.iter().filter_map(|name| self.load_base_image(name).err())),
            Err(fault) => faults.push(fault),
        }
        match self.code_env_names() {
            Ok(names) => faults.extend(names.iter().flat_map(|name| self.check_code_env(name))),
            Err(fault) => faults.push(fault),
        }
        if let Some(site) = site {
            faults.extend(self.check_defaults(&site));
        }
        faults
    }

    /// Whether a code environment can be read, and the configurations that it names are there.
    fn check_code_env(&self, name: &str) -> Vec<Fault> {
        let settings = match self.load_code_env(name) {
            Ok(settings) => settings,
            Err(fault) => return vec![fault],
        };
        let there = self.configuration_names().unwrap_or_default();
        let file = self.code_envs_dir().join(name).join("env.toml");
        let Ok(source) = Source::open(code_env::CODE, &file) else { return Vec::new() };
        let named = settings.available.names().unwrap_or_default();
        let lost = named.iter().enumerate().filter(|(_, name)| !there.contains(name));
        lost.map(|(at, name)| {
            let fault = not_found("config-not-found", "execution configuration", "configs", name, &there);
            source.place(&["configurations", &at.to_string()], fault)
        })
        .collect()
    }

    /// Whether the default configurations of `wharf.toml` are there.
    fn check_defaults(&self, site: &Site) -> Vec<Fault> {
        let there = self.configuration_names().unwrap_or_default();
        let file = self.site_file();
        let Ok(source) = Source::open("site-invalid", &file) else { return Vec::new() };
        let projects = site.projects.iter().filter_map(|(project, table)| {
            let path = vec!["projects", project.as_str(), "default_configuration"];
            table.default_configuration.as_ref().map(|name| (path, name))
        });
        site.default_configuration
            .iter()
            .map(|name| (vec!["default_configuration"], name))
            .chain(projects)
            .filter(|(_, name)| !there.contains(name))
            .map(|(path, name)| {
                let fault = not_found("config-not-found", "execution configuration", "configs", name, &there);
                source.place(&path, fault)
            })
            .collect()
    }

    fn no_base_image(&self, name: &str) -> Fault {
        not_found(
            "base-image-not-found",
            "base image",
            "base-images",
            name,
            &self.base_image_names().unwrap_or_default(),
        )
    }
}

/// The names of the `.toml` files of a folder, sorted. A folder that isn't there has none.
fn names(folder: &Path) -> Result<Vec<String>, Fault> {
    // Editors leave `.NAME.toml.swp` and the like; those aren't names.
    let name = |entry: String| entry.strip_suffix(".toml").filter(|name| is_name(name)).map(str::to_owned);
    let mut names: Vec<String> = entries(folder)?.into_iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// What is in a folder. One that isn't there has nothing.
fn entries(folder: &Path) -> Result<Vec<String>, Fault> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| unreadable(folder, &error))?.file_name();
        found.extend(name.to_str().map(str::to_owned));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    #[test]
    fn a_folder_is_a_home_when_it_has_a_wharf_toml() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fault = Home::at(folder.path()).load_site().expect_err("no home");
        assert_eq!(fault.code, "home-not-found");
        assert!(fault.message.ends_with("has no wharf.toml, so it isn't a home"), "{fault}");
        let fault = Home::at(folder.path().join("none")).check_exists().expect_err("no folder");
        assert!(fault.message.ends_with("isn't there"), "{fault}");
        assert_eq!(Fixture::new().home().check_exists(), Ok(()));
    }

    #[test]
    fn what_is_not_there_says_what_is() {
        let fixture = Fixture::new();
        let fault = fixture.home().load_configuration("docker-local").expect_err("there is none");
        assert_eq!(fault.hint.as_deref(), Some("there is none yet: write configs/docker-local.toml"));
        fixture.write("configs/docker-local.toml", "base_image = \"python-r\"\n");
        fixture.write("configs/big.toml", "base_image = \"python-r\"\n");
        let fault = fixture.home().load_configuration("docker-locl").expect_err("misspelt");
        assert_eq!(fault.code, "config-not-found");
        assert_eq!(
            fault.message,
            "there is no execution configuration \"docker-locl\"; did you mean \"docker-local\"?"
        );
        assert_eq!(fault.hint.as_deref(), Some("there are: big, docker-local; or write configs/docker-locl.toml"));
        let fault = fixture.home().load_base_image("pythn-r").expect_err("misspelt");
        assert_eq!(fault.code, "base-image-not-found");
        assert!(fault.message.ends_with("did you mean \"python-r\"?"), "{fault}");
    }

    #[test]
    fn what_opens_a_container_is_named_with_its_line() {
        let fixture = Fixture::new();
        fixture.write("configs/strict.toml", "base_image = \"python-r\"\n");
        assert_eq!(fixture.home().security_warnings("strict"), Ok(Vec::new()));
        fixture.write(
            "configs/open.toml",
            "base_image = \"python-r\"\n\n[security]\nprivileged = true\nuser = \"0\"\nhost_mounts = [\"/srv:/srv\"]\n\
             network = \"host\"\nadd_capabilities = [\"NET_ADMIN\"]\nread_only_root = true\n",
        );
        let warnings = fixture.home().security_warnings("open").expect("sound");
        let shown: Vec<String> = warnings.iter().map(|warning| fixture.spell(warning)).collect();
        assert_eq!(
            shown,
            [
                "configs/open.toml:4: `privileged = true`: a recipe has all rights on the daemon's machine",
                "configs/open.toml:5: `user = \"0\"`: recipes run as root in their containers",
                "configs/open.toml:6: `host_mounts`: recipes see folders of the daemon's machine: /srv:/srv",
                "configs/open.toml:7: `network = \"host\"`: recipes reach all that listens on the daemon's machine, this host included",
                "configs/open.toml:8: `add_capabilities`: containers have rights of root: NET_ADMIN",
            ]
        );
        // What is written down leads to a page that explains it.
        assert!(crate::catalogue::page(&warnings[0].code).is_some());
    }

    #[test]
    fn names_cannot_lead_out_of_the_home() {
        let home = Fixture::new().home();
        for name in ["../wharf", "/etc/passwd", "", ".hidden", "a/b", "a\0"] {
            assert_eq!(home.load_configuration(name).expect_err(name).code, "config-not-found");
            assert_eq!(home.load_base_image(name).expect_err(name).code, "base-image-not-found");
        }
    }

    #[test]
    fn one_bad_configuration_does_not_hide_the_others() {
        let fixture = Fixture::new();
        fixture.write("configs/good.toml", "base_image = \"python-r\"\n");
        fixture.write("configs/bad.toml", "base_image = 5\n");
        fixture.write("configs/.good.toml.swp", "x");
        let all = fixture.home().load_configurations().expect("the folder can be read");
        let names: Vec<_> = all.iter().map(|(name, result)| (name.as_str(), result.is_ok())).collect();
        assert_eq!(names, [("bad", false), ("good", true)]);
    }

    #[test]
    fn check_says_all_that_is_wrong() {
        let fixture = Fixture::new();
        assert_eq!(fixture.home().check(), []);
        fixture
            .write("wharf.toml", "default_configuration = \"god\"\n\n[projects.A]\ndefault_configuration = \"none\"\n");
        fixture.write("configs/good.toml", "base_image = \"python-r\"\n");
        fixture.write("configs/bad.toml", "base_image = \"none\"\n");
        fixture.write("base-images/worse.toml", "");
        let faults: Vec<String> = fixture.home().check().iter().map(|fault| fixture.spell(fault)).collect();
        assert_eq!(
            faults,
            [
                "configs/bad.toml:1: there is no base image \"none\"",
                "base-images/worse.toml:1: the image starts from nothing: `from` or [bootstrap] is missing",
                "wharf.toml:1: there is no execution configuration \"god\"; did you mean \"good\"?",
                "wharf.toml:4: there is no execution configuration \"none\"",
            ]
        );
    }
}
