//! Images on their way: to registries, to other daemons, and single files out of them.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bollard::auth::DockerCredentials;
use bollard::models::{ContainerCreateBody, PushImageInfo};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, ImportImageOptionsBuilder,
    ListContainersOptionsBuilder, PushImageOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use wharf_images::{ImageError, Login, Progress, Pushed, TarStream, registry_of};

use crate::client::{ANSWER, Answer, Client, Failure, no_answer};
use crate::images::SILENCE;

/// How often the progress of a push is told.
const TELL: Duration = Duration::from_secs(1);
/// The label of containers that are never started: an image is looked into through them.
const LABEL_LOOK: &str = "wharf.look";
/// A look takes a second. What is older than this was left by a host that was killed.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// What a tar has around a file.
const TAR_AROUND: u64 = 64 << 10;

impl Client {
    pub(crate) async fn push(
        &self,
        name: &str,
        login: Option<&Login>,
        progress: &Progress,
    ) -> Result<Pushed, ImageError> {
        let failed = |failure| match failure {
            Failure::Said(_, reason) => push_error(name, login, reason),
            other => self.image("push", other),
        };
        let (repository, tag) = split_tag(name);
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        let docker = self.patient().await.map_err(failed)?;
        let mut answers = Box::pin(docker.push_image(repository, Some(options), login.map(credentials)));
        let mut push = Push::default();
        let mut told = Instant::now();
        while let Some(answer) =
            tokio::time::timeout(SILENCE, answers.next()).await.map_err(|_| failed(no_answer(SILENCE)))?
        {
            push.read(&answer.map_err(|error| failed(self.failure(error)))?);
            if told.elapsed() >= TELL {
                told = Instant::now();
                progress(push.shown(name));
            }
        }
        push.end(name)
    }

    pub(crate) async fn save(&self, reference: &str) -> Answer<TarStream> {
        let docker = self.patient().await?;
        let mut tar: TarStream = Box::pin(docker.export_image(reference).map(|piece| piece.map_err(io::Error::other)));
        // Whether the daemon has it is known with the first piece.
        match tar.next().await {
            Some(Ok(first)) => Ok(Box::pin(futures_util::stream::once(async { Ok(first) }).chain(tar))),
            Some(Err(error)) => Err(match error.downcast::<bollard::errors::Error>() {
                Ok(error) => self.failure(error),
                Err(error) => Failure::Lost(error.to_string()),
            }),
            None => Err(Failure::Said(0, "the daemon gave nothing".to_owned())),
        }
    }

    pub(crate) async fn load(&self, tar: TarStream, progress: &Progress) -> Answer<()> {
        let docker = self.patient().await?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut answers = Box::pin(docker.import_image(options, bollard::body_try_stream(tar), None));
        while let Some(answer) = answers.next().await {
            let info = answer.map_err(|error| self.failure(error))?;
            if let Some(text) = info.stream.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
                progress(text);
            }
        }
        Ok(())
    }

    /// One file of an image. The inner error says why there is none of that size and kind.
    pub(crate) async fn file(&self, image: &str, path: &str, limit: u64) -> Answer<Result<Option<Vec<u8>>, String>> {
        self.forget_looks().await;
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // Never run; some images name none.
            cmd: Some(vec!["/".to_owned()]),
            labels: Some(HashMap::from([(LABEL_LOOK.to_owned(), "1".to_owned())])),
            ..ContainerCreateBody::default()
        };
        let docker = self.alone().await?;
        let look = Look::new(docker.clone());
        let options = CreateContainerOptionsBuilder::new().name(&look.container).build();
        let file = tokio::time::timeout(ANSWER, async {
            match docker.create_container(Some(options), body).await.map_err(|error| self.failure(error)) {
                Ok(_) => self.file_of(&look, path, limit).await,
                Err(Failure::Said(404, _)) => Ok(Ok(None)),
                Err(failure) => Err(failure),
            }
        })
        .await;
        look.end().await;
        file.map_err(|_| no_answer(ANSWER))?
    }

    async fn file_of(&self, look: &Look, path: &str, limit: u64) -> Answer<Result<Option<Vec<u8>>, String>> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut pieces = Box::pin(look.docker.download_from_container(&look.container, Some(options)));
        let mut tar = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece.map_err(|error| self.failure(error)) {
                Ok(piece) => tar.extend_from_slice(&piece),
                Err(Failure::Said(404, _)) => return Ok(Ok(None)),
                Err(failure) => return Err(failure),
            }
            if tar.len() as u64 > limit.saturating_add(TAR_AROUND) {
                return Ok(Err(too_large(path, limit)));
            }
        }
        Ok(only_file(&tar, path, limit))
    }

    /// Removes what hosts that were killed left of their looks.
    async fn forget_looks(&self) {
        let filters = HashMap::from([("label".to_owned(), vec![LABEL_LOOK.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let list = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.list_containers(Some(options)).await }
        };
        let Ok(found) = self.again(list).await else { return };
        let oldest = chrono::Utc::now().timestamp() - i64::try_from(FORGOTTEN.as_secs()).unwrap_or(i64::MAX);
        for container in found.into_iter().filter(|container| container.created.is_some_and(|created| created < oldest))
        {
            let _ = self.remove(container.id.as_deref().unwrap_or_default()).await;
        }
    }
}

/// A container that is never started. It goes, even when nobody waits any more.
struct Look {
    docker: bollard::Docker,
    /// Its name, which is known before it is there.
    container: String,
    ended: bool,
}

impl Look {
    fn new(docker: bollard::Docker) -> Self {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let number = LOOKS.fetch_add(1, Ordering::Relaxed);
        let moment = chrono::Utc::now().timestamp_micros();
        Self { docker, container: format!("wharf-look-{}-{moment}-{number}", std::process::id()), ended: false }
    }

    async fn end(mut self) {
        self.ended = true;
        let _ = removed(&self.docker, &self.container).await;
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (docker, container) = (self.docker.clone(), std::mem::take(&mut self.container));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // The daemon may be about to create it.
                for _ in 0..10 {
                    if removed(&docker, &container).await {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            });
        }
    }
}

/// Whether there was such a container, and it is gone.
async fn removed(docker: &bollard::Docker, container: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    docker.remove_container(container, Some(options)).await.is_ok()
}

/// The one regular file of a tar.
fn only_file(tar: &[u8], path: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let unreadable = |error: io::Error| format!("the daemon's tar of {path} can't be read: {error}");
    let mut archive = tar::Archive::new(tar);
    let Some(entry) = archive.entries().map_err(unreadable)?.next() else { return Ok(None) };
    let entry = entry.map_err(unreadable)?;
    if !entry.header().entry_type().is_file() {
        return Err(format!("{path} isn't a regular file"));
    }
    if entry.size() > limit {
        return Err(too_large(path, limit));
    }
    let mut contents = Vec::new();
    entry.take(limit).read_to_end(&mut contents).map_err(unreadable)?;
    Ok(Some(contents))
}

fn too_large(path: &str, limit: u64) -> String {
    format!("{path} has more than {limit} bytes")
}

/// What a push said so far. The client library gives no layers' names, so they are counted.
#[derive(Debug, Default)]
struct Push {
    prepared: u32,
    sent: u32,
    skipped: u32,
    digest: Option<String>,
}

impl Push {
    fn read(&mut self, info: &PushImageInfo) {
        let Some(status) = info.status.as_deref().map(str::trim) else { return };
        match status {
            "Preparing" => self.prepared += 1,
            "Pushed" => self.sent += 1,
            "Layer already exists" => self.skipped += 1,
            _ if status.starts_with("Mounted from ") => self.skipped += 1,
            // `0123456789abcdef: digest: sha256:... size: 1234`
            _ => {
                let digest = status.split_once("digest: ").and_then(|(_, rest)| rest.split_whitespace().next());
                self.digest = digest.map(str::to_owned).or(self.digest.take());
            }
        }
    }

    fn shown(&self, name: &str) -> String {
        let done = self.sent + self.skipped;
        format!("pushing {name}: {done} of {} layers", self.prepared.max(done))
    }

    fn end(self, name: &str) -> Result<Pushed, ImageError> {
        match self.digest {
            Some(digest) => Ok(Pushed { digest, sent: self.sent, skipped: self.skipped }),
            None => Err(ImageError::PushFailed {
                image: name.to_owned(),
                reason: "the daemon ended the push without a digest".to_owned(),
            }),
        }
    }
}

/// `REPOSITORY:TAG`, apart.
pub(crate) fn split_tag(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        // A colon before the last slash belongs to a registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

pub(crate) fn credentials(login: &Login) -> DockerCredentials {
    let secret = Some(login.secret.expose().to_owned());
    let serveraddress = Some(login.registry.clone());
    if login.user.is_empty() {
        DockerCredentials { identitytoken: secret, serveraddress, ..DockerCredentials::default() }
    } else {
        let username = Some(login.user.clone());
        DockerCredentials { username, password: secret, serveraddress, ..DockerCredentials::default() }
    }
}

/// What the daemon's words about a pull mean.
pub(crate) fn pull_error(image: &str, login: Option<&Login>, reason: String) -> ImageError {
    let words = reason.to_lowercase();
    // Docker's public registry says the last one of what isn't there.
    let absent =
        ["manifest unknown", "name unknown", "repository name not known", "not found: manifest", "pull access denied"];
    if absent.iter().any(|part| words.contains(part)) {
        return ImageError::NotInRegistry { image: image.to_owned(), reason };
    }
    match refused_login(image, login, &words, &reason) {
        Some(error) => error,
        None => ImageError::PullFailed { image: image.to_owned(), reason },
    }
}

fn push_error(image: &str, login: Option<&Login>, reason: String) -> ImageError {
    match refused_login(image, login, &reason.to_lowercase(), &reason) {
        Some(error) => error,
        None => ImageError::PushFailed { image: image.to_owned(), reason },
    }
}

fn refused_login(image: &str, login: Option<&Login>, words: &str, reason: &str) -> Option<ImageError> {
    let refused =
        ["unauthorized", "no basic auth credentials", "authentication required", "incorrect username or password"];
    let denied = words.starts_with("denied") || words.contains(": denied") || words.contains("requested access");
    if !denied && !refused.iter().any(|part| words.contains(part)) {
        return None;
    }
    let registry = registry_of(image).to_owned();
    let who = match login {
        Some(login) if login.user.is_empty() => "the holder of its token".to_owned(),
        Some(login) => login.user.clone(),
        None => "somebody without a login".to_owned(),
    };
    Some(ImageError::LoginRefused { registry, who, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &str) -> PushImageInfo {
        PushImageInfo { status: Some(status.to_owned()), ..PushImageInfo::default() }
    }

    #[test]
    fn layers_are_counted_and_the_digest_is_found() {
        let mut push = Push::default();
        for status in [
            "The push refers to repository [localhost:5000/data/wharf-env/ml]",
            "Preparing",
            "Preparing",
            "Preparing",
            "Waiting",
            "Layer already exists",
            "Mounted from wharf-base/python-r",
            "Pushing",
            "Pushed",
        ] {
            push.read(&said(status));
        }
        assert_eq!(push.shown("ml"), "pushing ml: 3 of 3 layers");
        let none = Push { digest: None, ..Push::default() };
        assert!(matches!(none.end("ml"), Err(ImageError::PushFailed { .. })));
        push.read(&said("0123456789abcdef: digest: sha256:77 size: 1234"));
        assert_eq!(push.end("ml").unwrap(), Pushed { digest: "sha256:77".to_owned(), sent: 1, skipped: 2 });
    }

    #[test]
    fn a_registrys_no_is_told_apart() {
        let error = |reason: &str| pull_error("r.example:5000/a:1", None, reason.to_owned());
        for absent in [
            "manifest for r.example:5000/a:1 not found: manifest unknown: manifest unknown",
            "name unknown: repository name not known to registry",
            "pull access denied for nope, repository does not exist or may require 'docker login': denied: requested access to \
             the resource is denied",
        ] {
            assert!(matches!(error(absent), ImageError::NotInRegistry { .. }), "{absent}");
        }
        for refused in [
            "unauthorized: authentication required",
            "Head \"http://r.example:5000/v2/a/manifests/1\": no basic auth credentials",
            "denied: requested access to the resource is denied",
        ] {
            let error = error(refused);
            assert!(matches!(&error, ImageError::LoginRefused { .. }), "{refused}");
            assert!(
                error.to_string().starts_with("the registry r.example:5000 doesn't let somebody without a login in: ")
            );
        }
        let other = "Get \"http://r.example:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused";
        assert!(matches!(error(other), ImageError::PullFailed { .. }), "{other}");
    }

    #[test]
    fn a_tag_comes_after_the_last_slash() {
        assert_eq!(split_tag("localhost:5000/a/b:12"), ("localhost:5000/a/b", "12"));
        assert_eq!(split_tag("localhost:5000/a"), ("localhost:5000/a", "latest"));
    }

    #[test]
    fn only_a_regular_file_of_a_size_is_taken() {
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "lock.txt", &b"a==1"[..3]).unwrap();
        let tar = builder.into_inner().unwrap();
        assert_eq!(only_file(&tar, "/lock.txt", 10), Ok(Some(b"a==".to_vec())));
        assert!(only_file(&tar, "/lock.txt", 2).unwrap_err().contains("more than 2 bytes"));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "lock.txt", &b""[..]).unwrap();
        let tar = builder.into_inner().unwrap();
        assert!(only_file(&tar, "/lock.txt", 10).unwrap_err().contains("regular file"));
    }
}
