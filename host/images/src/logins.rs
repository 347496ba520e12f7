//! Who one is at registries: files in the format of Docker's `config.json`, and its credential helpers.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf_model::SecretValue;

use crate::engine::Login;
use crate::error::ImageError;
use crate::sources::Logins;

/// The largest file of logins, and the longest answer of a helper.
const LARGEST: u64 = 1 << 20;
/// How long a helper may take.
const HELPER: Duration = Duration::from_secs(30);
/// How much of a helper's words is shown.
const SHOWN: usize = 300;
/// What Docker calls its public registry in such files.
const PUBLIC: &str = "index.docker.io";
/// The user name that a helper gives with an identity token.
const TOKEN: &str = "<token>";

/// The logins of a home's `registries.json`, and then those of Docker's own `config.json`.
///
/// The files are read at each question: people rotate passwords.
#[derive(Clone, Debug)]
pub struct FileLogins {
    home_file: PathBuf,
    docker_config: Option<PathBuf>,
    /// Where helpers are looked for instead of in PATH.
    search_path: Option<OsString>,
}

impl FileLogins {
    /// Logins of these two files; neither has to be there. Only `home_file` must be closed to others.
    #[must_use]
    pub fn new(home_file: PathBuf, docker_config: Option<PathBuf>) -> Self {
        Self { home_file, docker_config, search_path: None }
    }
}

/// Where Docker's command keeps its logins: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`.
#[must_use]
pub fn docker_config() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

#[async_trait]
impl Logins for FileLogins {
    async fn login(&self, registry: &str) -> Result<Option<Login>, ImageError> {
        let files = [(Some(&self.home_file), true), (self.docker_config.as_ref(), false)];
        for (file, private) in files {
            let Some(file) = file else { continue };
            let failed = |reason: String| ImageError::NoCredentials { registry: registry.to_owned(), reason };
            let Some(config) = read(file, private).map_err(failed)? else { continue };
            if let Some(login) = self.of(&config, registry, file).await.map_err(failed)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

/// The part of Docker's `config.json` that is about logins.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    #[serde(default)]
    username: String,
    secret: String,
}

fn read(file: &Path, private: bool) -> Result<Option<Config>, String> {
    let unreadable = |error: io::Error| format!("{} can't be read: {error}", file.display());
    let about = match std::fs::metadata(file) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !about.is_file() {
        return Err(format!("{} isn't a file", file.display()));
    }
    if about.len() > LARGEST {
        return Err(format!("{} is too large to be a file of logins", file.display()));
    }
    if private && about.permissions().mode() & 0o077 != 0 {
        return Err(format!("others can read {file}; close it with: chmod 600 {file}", file = file.display()));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    // What serde says cites what is there, which may be a password.
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let what = if error.is_data() { "has something of another kind than expected" } else { "isn't JSON" };
        format!("{}:{}: column {} {what}", file.display(), error.line(), error.column())
    })
}

impl FileLogins {
    async fn of(&self, config: &Config, registry: &str, file: &Path) -> Result<Option<Login>, String> {
        let wanted = host(registry);
        if let Some((key, helper)) = config.cred_helpers.iter().find(|(key, _)| host(key) == wanted) {
            return self.ask(helper, key, registry, file).await;
        }
        let entry = config.auths.iter().find(|(key, _)| host(key) == wanted);
        if let Some((_, auth)) = entry
            && let Some(login) = auth.login(registry, file)?
        {
            return Ok(Some(login));
        }
        if config.creds_store.is_empty() {
            return Ok(None);
        }
        // A store knows a registry by the key under which `docker login` left an empty entry.
        let key = entry.map_or(if wanted == PUBLIC { "https://index.docker.io/v1/" } else { registry }, |(key, _)| key);
        self.ask(&config.creds_store, key, registry, file).await
    }

    /// Asks `docker-credential-NAME`.
    async fn ask(&self, name: &str, key: &str, registry: &str, file: &Path) -> Result<Option<Login>, String> {
        let program = format!("docker-credential-{name}");
        let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !sound {
            return Err(format!("{} names the credential helper {name:?}, which can't be one", file.display()));
        }
        let named = |what: String| format!("the credential helper {program}, which {} names, {what}", file.display());
        let output = tokio::time::timeout(HELPER, self.run(&program, key)).await;
        let (success, said) = output
            .map_err(|_| named(format!("took longer than {} s", HELPER.as_secs())))?
            .map_err(|error| named(format!("can't be run: {error}")))?;
        if !success {
            let words = said.trim();
            if words.contains("credentials not found") {
                return Ok(None);
            }
            let shown: String = words.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
            return Err(named(if shown.is_empty() { "failed".to_owned() } else { format!("failed: {shown}") }));
        }
        let answer: HelperAnswer =
            serde_json::from_str(&said).map_err(|_| named("answered something else than a login".to_owned()))?;
        let user = if answer.username == TOKEN { String::new() } else { answer.username };
        Ok(Some(Login { registry: registry.to_owned(), user, secret: SecretValue::new(answer.secret) }))
    }

    async fn run(&self, program: &str, key: &str) -> io::Result<(bool, String)> {
        let mut command = tokio::process::Command::new(program);
        if let Some(path) = &self.search_path {
            command.env("PATH", path);
        }
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that doesn't read what it is asked says so with its answer.
            let _ = stdin.write_all(key.as_bytes()).await;
        }
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LARGEST).read_to_end(&mut said).await?;
        }
        let status = child.wait().await?;
        Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Auth {
    fn login(&self, registry: &str, file: &Path) -> Result<Option<Login>, String> {
        let login = |user: &str, secret: &str| {
            let secret = SecretValue::new(secret);
            Some(Login { registry: registry.to_owned(), user: user.to_owned(), secret })
        };
        if !self.identitytoken.is_empty() {
            return Ok(login("", &self.identitytoken));
        }
        if !self.auth.is_empty() {
            let decoded = STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            return match decoded.as_deref().and_then(|text| text.split_once(':')) {
                Some((user, password)) => Ok(login(user, password.trim_end_matches('\0'))),
                None => Err(format!("`auth` of {registry} in {} isn't USER:PASSWORD in base64", file.display())),
            };
        }
        Ok(if self.username.is_empty() { None } else { login(&self.username, &self.password) })
    }
}

/// The registry that a key of such a file stands for: keys may be URLs.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    match key.split('/').next().unwrap_or(key) {
        "docker.io" | "registry-1.docker.io" => PUBLIC,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        fn logins(&self) -> FileLogins {
            let at = |name: &str| self.folder.path().join(name);
            let mut path = self.folder.path().as_os_str().to_owned();
            path.push(":/usr/bin:/bin");
            FileLogins {
                home_file: at("registries.json"),
                docker_config: Some(at("config.json")),
                search_path: Some(path),
            }
        }

        async fn login(&self, registry: &str) -> Option<(String, String)> {
            let login = self.logins().login(registry).await.unwrap()?;
            assert_eq!(login.registry, registry);
            Some((login.user, login.secret.expose().to_owned()))
        }

        async fn error(&self, registry: &str) -> String {
            let error = self.logins().login(registry).await.unwrap_err();
            error.to_string().replace(&self.folder.path().display().to_string(), "FOLDER")
        }
    }

    fn pair(user: &str, secret: &str) -> Option<(String, String)> {
        Some((user.to_owned(), secret.to_owned()))
    }

    #[tokio::test]
    async fn both_files_are_read_the_homes_first() {
        let files = Files::new();
        assert_eq!(files.login("r.example:5000").await, None);
        // "ana:se:cret" and "bob:other".
        files.write("config.json", r#"{"auths": {"https://r.example:5000/v1/": {"auth": "Ym9iOm90aGVy"}}}"#, 0o644);
        assert_eq!(files.login("r.example:5000").await, pair("bob", "other"));
        files.write("registries.json", r#"{"auths": {"r.example:5000": {"auth": "YW5hOnNlOmNyZXQ="}}}"#, 0o600);
        assert_eq!(files.login("r.example:5000").await, pair("ana", "se:cret"));
        assert_eq!(files.login("r.example").await, None);
        files.write(
            "registries.json",
            r#"{"auths": {"a.example": {"username": "ana", "password": "p"}, "https://index.docker.io/v1/": {"identitytoken": "t"}}}"#,
            0o600,
        );
        assert_eq!(files.login("a.example").await, pair("ana", "p"));
        assert_eq!(files.login("docker.io").await, pair("", "t"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_a_secret() {
        let files = Files::new();
        files.write("registries.json", "{}", 0o644);
        assert_eq!(
            files.error("r.example").await,
            "the credentials for the registry r.example can't be had: others can read FOLDER/registries.json; close it with: \
             chmod 600 FOLDER/registries.json"
        );
        for (text, expected) in [
            ("{\"auths\": {\n \"r.example\": {\"auth\": 12secret}}}", "FOLDER/registries.json:2: column"),
            ("{\"auths\": \"secret\"}", "has something of another kind than expected"),
            ("{\"auths\": {\"r.example\": {\"auth\": \"secret\"}}}", "isn't USER:PASSWORD in base64"),
            ("{\"credHelpers\": {\"r.example\": \"../x\"}}", "which can't be one"),
            ("{\"credsStore\": \"absent\"}", "can't be run"),
        ] {
            files.write("registries.json", text, 0o600);
            let error = files.error("r.example").await;
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn helpers_are_asked() {
        let files = Files::new();
        files.write(
            "docker-credential-good",
            "#!/bin/sh\nread registry\n[ \"$1\" = get ] || exit 1\n\
             echo '{\"ServerURL\": \"x\", \"Username\": \"ana\", \"Secret\": \"of '$registry'\"}'\n",
            0o755,
        );
        files.write(
            "docker-credential-token",
            "#!/bin/sh\necho '{\"Username\": \"<token>\", \"Secret\": \"t\"}'\n",
            0o755,
        );
        files.write(
            "docker-credential-none",
            "#!/bin/sh\necho credentials not found in native keychain; exit 1\n",
            0o755,
        );
        files.write("docker-credential-bad", "#!/bin/sh\necho the keyring is locked; exit 1\n", 0o755);
        files.write("docker-credential-odd", "#!/bin/sh\necho hello\n", 0o755);
        files.write(
            "config.json",
            r#"{"credsStore": "good", "auths": {"https://s.example/v2/": {}}, "credHelpers": {"t.example": "token", "n.example": "none",
               "b.example": "bad", "o.example": "odd"}}"#,
            0o644,
        );
        assert_eq!(files.login("r.example").await, pair("ana", "of r.example"));
        assert_eq!(files.login("s.example").await, pair("ana", "of https://s.example/v2/"));
        assert_eq!(files.login("t.example").await, pair("", "t"));
        assert_eq!(files.login("n.example").await, None);
        let error = files.error("b.example").await;
        assert!(
            error.ends_with("docker-credential-bad, which FOLDER/config.json names, failed: the keyring is locked"),
            "{error}"
        );
        assert!(files.error("o.example").await.ends_with("answered something else than a login"));
    }
}
