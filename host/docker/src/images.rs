//! The daemon as an engine of images.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{BuildInfo, CreateImageInfo, ImageInspect, ImageSummary};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
    TagImageOptionsBuilder,
};
use futures_util::StreamExt;
use wharf_images::{
    BuildRequest, ImageEngine, ImageError, ImportRequest, LocalImage, Login, Progress, Pushed, TarStream,
};

use crate::backend::{DockerBackend, platform};
use crate::carry;
use crate::client::{Failure, no_answer};

/// How long a pull or a push may say nothing: it tells of every piece that arrives and that it unpacks. A build's command may be
/// silent for as long as it likes, and so may an import that unpacks.
pub(crate) const SILENCE: Duration = Duration::from_secs(600);

/// How many of a failed step's last lines an error shows.
const LINES: usize = 30;

#[async_trait]
impl ImageEngine for DockerBackend {
    async fn platform(&self) -> Result<String, ImageError> {
        let version = self.client.again(|docker| async move { docker.version().await }).await;
        let version = version.map_err(|failure| self.client.image("say its version", failure))?;
        Ok(platform(version.os.as_deref(), version.arch.as_deref()))
    }

    async fn find(&self, reference: &str) -> Result<Option<LocalImage>, ImageError> {
        let operation = format!("look for the image {reference}");
        check(reference).map_err(|reason| ImageError::Refused { operation: operation.clone(), reason })?;
        match self.client.again(|docker| async move { docker.inspect_image(reference).await }).await {
            Ok(found) => Ok(Some(inspected(found))),
            Err(Failure::Said(404, _)) => Ok(None),
            Err(failure) => Err(self.client.image(&operation, failure)),
        }
    }

    async fn pull(&self, reference: &str, login: Option<&Login>, progress: &Progress) -> Result<(), ImageError> {
        let failed = |failure| match failure {
            Failure::Said(_, reason) => carry::pull_error(reference, login, reason),
            other => self.client.image("pull", other),
        };
        check(reference).map_err(|reason| ImageError::PullFailed { image: reference.to_owned(), reason })?;
        let mut options = CreateImageOptionsBuilder::new().from_image(reference);
        if !has_tag_or_digest(reference) {
            // Without a tag the daemon would pull every one that there is.
            options = options.tag("latest");
        }
        let docker = self.client.patient().await.map_err(failed)?;
        let mut answers = Box::pin(docker.create_image(Some(options.build()), None, login.map(carry::credentials)));
        while let Some(answer) =
            tokio::time::timeout(SILENCE, answers.next()).await.map_err(|_| failed(no_answer(SILENCE)))?
        {
            if let Some(text) = answer.map(told).map_err(|error| failed(self.client.failure(error)))? {
                progress(text);
            }
        }
        Ok(())
    }

    async fn tag(&self, id: &str, name: &str) -> Result<(), ImageError> {
        let operation = format!("call the image {id} {name}");
        check(id)
            .and_then(|()| check(name))
            .map_err(|reason| ImageError::Refused { operation: operation.clone(), reason })?;
        let (repository, tag) = carry::split_tag(name);
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        let give = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.tag_image(id, Some(options)).await }
        };
        self.client.again(give).await.map_err(|failure| self.client.image(&operation, failure))
    }

    async fn push(&self, name: &str, login: Option<&Login>, progress: &Progress) -> Result<Pushed, ImageError> {
        check(name).map_err(|reason| ImageError::PushFailed { image: name.to_owned(), reason })?;
        self.client.push(name, login, progress).await
    }

    async fn save(&self, reference: &str) -> Result<TarStream, ImageError> {
        let operation = format!("save the image {reference}");
        check(reference).map_err(|reason| ImageError::Refused { operation: operation.clone(), reason })?;
        self.client.save(reference).await.map_err(|failure| self.client.image(&operation, failure))
    }

    async fn load(&self, tar: TarStream, progress: &Progress) -> Result<(), ImageError> {
        self.client.load(tar, progress).await.map_err(|failure| self.client.image("load an image", failure))
    }

    async fn file(&self, image: &str, path: &str, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let operation = format!("read {path} of the image {image}");
        let refused = |reason: String| ImageError::Refused { operation: operation.clone(), reason };
        check(image).map_err(refused)?;
        match self.client.file(image, path, limit).await {
            Ok(file) => file.map_err(refused),
            Err(failure) => Err(self.client.image(&operation, failure)),
        }
    }

    async fn build(&self, request: BuildRequest, progress: &Progress) -> Result<String, ImageError> {
        let operation = format!("build {}", request.image);
        let options =
            BuildImageOptionsBuilder::new().dockerfile("Containerfile").t(&request.tag).rm(true).forcerm(true).build();
        let docker = self.client.patient().await.map_err(|failure| self.client.image(&operation, failure))?;
        let mut answers = Box::pin(docker.build_image(options, None, Some(bollard::body_full(request.context))));
        let mut transcript = Transcript::new(request.titles);
        let mut id = None;
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| match self.client.failure(error) {
                Failure::Said(_, words) => transcript.failed(&request.image, &words),
                other => self.client.image(&operation, other),
            })?;
            let BuildInfo { stream, aux, .. } = answer;
            if let Some(text) = stream {
                transcript.read(&text, progress);
            }
            id = aux.and_then(|aux| aux.id).or(id);
        }
        match id {
            Some(id) => Ok(id),
            // Older builders tell the id in words only.
            None => self
                .find(&request.tag)
                .await?
                .map(|image| image.id)
                .ok_or_else(|| transcript.failed(&request.image, "the daemon ended the build without an image")),
        }
    }

    async fn import(&self, request: ImportRequest, tar: TarStream, progress: &Progress) -> Result<String, ImageError> {
        let operation = format!("import {}", request.image);
        let (repository, tag) = request.tag.rsplit_once(':').unwrap_or((&request.tag, "latest"));
        let options =
            CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).changes(request.changes).build();
        let docker = self.client.patient().await.map_err(|failure| self.client.image(&operation, failure))?;
        let mut answers = Box::pin(docker.create_image(Some(options), Some(bollard::body_try_stream(tar)), None));
        let mut id = None;
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| self.client.image(&operation, self.client.failure(error)))?;
            match told(answer) {
                Some(text) if text.starts_with("sha256:") => id = Some(text),
                Some(text) => progress(text),
                None => {}
            }
        }
        id.ok_or_else(|| ImageError::Refused { operation, reason: "the daemon ended it without an image".to_owned() })
    }

    async fn list(&self, label: &str) -> Result<Vec<LocalImage>, ImageError> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let list = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.list_images(Some(options)).await }
        };
        let found = self.client.again(list).await;
        let found = found.map_err(|failure| self.client.image("list its images", failure))?;
        Ok(found.into_iter().map(summarised).collect())
    }

    async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let operation = format!("remove the image {reference}");
        check(reference).map_err(|reason| ImageError::Refused { operation: operation.clone(), reason })?;
        let options = RemoveImageOptionsBuilder::new().build();
        let remove = |docker: bollard::Docker| {
            let options = options.clone();
            async move { docker.remove_image(reference, Some(options), None).await }
        };
        match self.client.again(remove).await {
            Ok(_) | Err(Failure::Said(404, _)) => Ok(()),
            Err(failure) => Err(self.client.image(&operation, failure)),
        }
    }
}

/// Refuses what isn't an image's name: it becomes part of a request's path.
fn check(reference: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let ok = reference.chars().all(plain)
        && reference.starts_with(|c: char| c.is_ascii_alphanumeric())
        && reference.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if ok { Ok(()) } else { Err(format!("\"{reference}\" isn't the name of an image")) }
}

fn has_tag_or_digest(reference: &str) -> bool {
    // A colon before the last slash belongs to a registry's port.
    reference.contains('@') || reference.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn inspected(image: ImageInspect) -> LocalImage {
    LocalImage {
        id: image.id.unwrap_or_default(),
        tags: image.repo_tags.unwrap_or_default(),
        digests: image.repo_digests.unwrap_or_default(),
        labels: image.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        created: image.created.as_deref().map(seconds).unwrap_or_default(),
    }
}

fn summarised(image: ImageSummary) -> LocalImage {
    // What has no name is listed as `<none>`.
    let named = |texts: Vec<String>| texts.into_iter().filter(|text| !text.contains("<none>")).collect();
    LocalImage {
        id: image.id,
        tags: named(image.repo_tags),
        digests: named(image.repo_digests),
        labels: image.labels.into_iter().collect(),
        size: u64::try_from(image.size).unwrap_or_default(),
        created: u64::try_from(image.created).unwrap_or_default(),
    }
}

/// A moment in RFC 3339, in seconds since 1970.
fn seconds(text: &str) -> u64 {
    let moment = chrono::DateTime::parse_from_rfc3339(text);
    moment.ok().and_then(|moment| u64::try_from(moment.timestamp()).ok()).unwrap_or_default()
}

/// What a pull or an import says that a person wants to read: not every piece of every layer.
fn told(info: CreateImageInfo) -> Option<String> {
    let moves = info.progress_detail.is_some_and(|detail| detail.current.is_some());
    let status = info.status.filter(|status| !status.is_empty() && !moves)?;
    if matches!(status.as_str(), "Pulling fs layer" | "Waiting" | "Verifying Checksum") {
        return None;
    }
    Some(match info.id {
        Some(id) => format!("{id}: {status}"),
        None => status,
    })
}

/// What a builder printed: which step it is at, and that step's last lines.
struct Transcript {
    titles: Vec<String>,
    step: Option<(usize, usize)>,
    /// A line that hasn't ended yet.
    open: String,
    lines: VecDeque<String>,
}

impl Transcript {
    fn new(titles: Vec<String>) -> Self {
        Self { titles, step: None, open: String::new(), lines: VecDeque::new() }
    }

    /// Takes a piece of the builder's output. A step's title goes to the progress as it is, its own lines after two
    /// spaces.
    fn read(&mut self, text: &str, progress: &Progress) {
        self.open.push_str(text);
        while let Some(end) = self.open.find('\n') {
            let line: String = self.open.drain(..=end).collect();
            // Of a line that was written over, the last version counts.
            let line = plain(line.trim_end().rsplit('\r').next().unwrap_or_default());
            if let Some(step) = step_of(&line) {
                self.step = Some(step);
                self.lines.clear();
                progress(self.shown());
            } else if !is_of_the_builder(&line) {
                progress(format!("  {line}"));
                self.lines.push_back(line);
                if self.lines.len() > LINES {
                    self.lines.pop_front();
                }
            }
        }
    }

    fn shown(&self) -> String {
        let Some((number, count)) = self.step else { return "its start".to_owned() };
        match number.checked_sub(1).and_then(|at| self.titles.get(at)) {
            Some(title) => format!("step {number} of {count} ({title})"),
            None => format!("step {number} of {count}"),
        }
    }

    fn failed(&self, image: &str, words: &str) -> ImageError {
        let mut lines: Vec<String> = self.lines.iter().cloned().collect();
        let open = plain(&self.open);
        if !open.trim().is_empty() {
            lines.push(open);
        }
        // The builder repeats the whole command; its script can be pages long, and the step's title says what it was.
        lines.push(match words.rsplit_once("returned a non-zero code: ") {
            Some((_, code)) => format!("the command ended with the exit code {}", code.trim()),
            None => words.to_owned(),
        });
        ImageError::BuildFailed { image: image.to_owned(), step: self.shown(), lines }
    }
}

/// A line without colours (the builder makes errors red) and without anything else that a terminal would obey.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        if c != '\u{1b}' {
            out.extend((c == '\t' || !c.is_control()).then_some(c));
        } else if characters.next() == Some('[') {
            // A control sequence goes on to its first letter.
            let _ = characters.find(|c| ('@'..='~').contains(c));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// `Step 3/7 : RUN ...`
fn step_of(line: &str) -> Option<(usize, usize)> {
    let (numbers, _) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, count) = numbers.split_once('/')?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

/// Lines that say nothing about the image: ids of what the builder makes on its way.
fn is_of_the_builder(line: &str) -> bool {
    line.trim().is_empty()
        || line.starts_with(" ---> ")
        || line.starts_with("Removing intermediate container ")
        || line.starts_with("Successfully built ")
        || line.starts_with("Successfully tagged ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_failure_names_the_step_and_shows_its_last_lines() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let progress: Progress = Arc::new(move |text| sink.lock().unwrap().push(text));
        let mut transcript = Transcript::new(vec!["start".to_owned(), "install R".to_owned()]);
        for piece in [
            "Step 1/2 : FROM sha256:77\n",
            " ---> 77\n",
            "Step 2/2 : RUN [\"/bin/sh\",\"-ec\",\"long\"]\n",
            " ---> Running in 12\nReading package lists... 0%\rReading package ",
            "lists... Done\n\u{1b}[91mE: Unable to locate package r-bas\u{1b}[0m",
        ] {
            transcript.read(piece, &progress);
        }
        let words = "The command '/bin/sh -ec long' returned a non-zero code: 100";
        let ImageError::BuildFailed { image, step, lines } = transcript.failed("the base image x", words) else {
            panic!()
        };
        assert_eq!(image, "the base image x");
        assert_eq!(step, "step 2 of 2 (install R)");
        assert_eq!(
            lines,
            [
                "Reading package lists... Done",
                "E: Unable to locate package r-bas",
                "the command ended with the exit code 100"
            ]
        );
        assert_eq!(
            *heard.lock().unwrap(),
            ["step 1 of 2 (start)", "step 2 of 2 (install R)", "  Reading package lists... Done"]
        );
    }

    #[test]
    fn a_name_stays_a_name() {
        for name in ["debian:12", "localhost:5000/a/b@sha256:12ab", "sha256:12ab", "wharf-run/python-r:12"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", "../containers/x", "a/../b", "a//b", "a?b", "a b", "/a", "a/"] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_a_name_without_a_tag_gets_one() {
        assert!(!has_tag_or_digest("localhost:5000/debian"));
        assert!(has_tag_or_digest("localhost:5000/debian:12"));
        assert!(has_tag_or_digest("debian@sha256:12ab"));
    }
}
