//! Components that turn activities into commands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use wharf_model::image::{CodeEnvironment, PLUGIN_FOLDER};
use wharf_model::{Activity, Job, JobEnvironment, JobFile, JobFolder, Plugin};

use crate::answer;
use crate::bindings::recipe_adaptation::{self, FileContents, GuestIndices};
use crate::call::{Call, within};
use crate::call_error::{CallError, cut};
use crate::folder::{FolderError, GrantedFolder};
use crate::loaded::{Loaded, Offer};
use crate::tree::{Tree, TreeError};
use crate::view;

/// The most files that a job has.
const MAX_FILES: usize = 1_000;
/// The most bytes that all files of a job have together.
const MAX_JOB: usize = 64 * 1024 * 1024;

/// A loaded recipe adapter.
#[derive(Clone)]
pub struct Adapter {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) indices: GuestIndices,
}

impl Adapter {
    /// Its file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.info.name
    }

    /// The kinds of activity that it prepares.
    #[must_use]
    pub fn offers(&self) -> &[Offer] {
        &self.loaded.info.offers
    }

    /// Turns an activity into a job. Files that the component only names are read, through its grant.
    ///
    /// [`CallError::Refused`] is the component's own sentence for the person who started the activity.
    pub async fn prepare(&self, activity: &Activity) -> Call<Job> {
        let started = Instant::now();
        let answer = self.answer(activity).await;
        Call { by: self.loaded.attribution(started), answer }
    }

    async fn answer(&self, activity: &Activity) -> Result<Job, CallError> {
        let activity = view::activity(activity);
        let mut session = self.loaded.session().await?;
        let guest = self.indices.load(&mut session.store, &session.instance);
        let job = match guest {
            Ok(guest) => within(session.deadline(), guest.call_prepare(&mut session.store, &activity)).await,
            Err(error) => Err(error),
        };
        match session.finish(job)? {
            Ok(job) => self.check(job).await,
            Err(problems) => Err(CallError::Refused { message: answer::problems(&problems)? }),
        }
    }

    /// Reads the plugin in a folder below the granted one. `None` when it is none of this component's.
    ///
    /// [`CallError::Refused`] is the component's own sentence about a plugin that nothing can be made of.
    pub async fn read_plugin(&self, folder: &str) -> Call<Option<Plugin>> {
        let started = Instant::now();
        let answer = self.plugin_answer(folder).await;
        Call { by: self.loaded.attribution(started), answer }
    }

    async fn plugin_answer(&self, folder: &str) -> Result<Option<Plugin>, CallError> {
        let mut session = self.loaded.session().await?;
        let guest = self.indices.load(&mut session.store, &session.instance);
        let plugin = match guest {
            Ok(guest) => within(session.deadline(), guest.call_read_plugin(&mut session.store, folder)).await,
            Err(error) => Err(error),
        };
        match session.finish(plugin)? {
            Ok(plugin) => plugin.map(answer::plugin).transpose(),
            Err(message) => Err(CallError::Refused { message: cut(message.trim()) }),
        }
    }

    /// The folder that it was granted, where its plugins are.
    #[must_use]
    pub fn granted_folder(&self) -> Option<&Path> {
        self.loaded.folder.as_ref().map(GrantedFolder::path)
    }

    /// A folder below the granted one, to be read file by file.
    ///
    /// # Errors
    /// It has links in it, or more than an image should get; or it can't be read.
    pub async fn tree(&self, path: &str) -> Result<Tree, TreeError> {
        let folder = self.loaded.folder.clone().ok_or(TreeError::NotGranted)?;
        let path = path.to_owned();
        let look = tokio::task::spawn_blocking(move || Tree::look(&folder, &path));
        look.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn check(&self, job: recipe_adaptation::Job) -> Result<Job, CallError> {
        if job.argv.first().is_none_or(String::is_empty) {
            return Err(CallError::invalid("argv", "there is no command in it"));
        }
        if let Some(number) = job.argv.iter().position(|argument| argument.contains('\0')) {
            return Err(CallError::invalid(format!("argv[{number}]"), "it has a zero byte"));
        }
        let env: BTreeMap<String, String> = answer::variables("env", job.env)?.into_iter().collect();
        let languages = answer::languages("languages", job.languages)?;
        if job.files.len() > MAX_FILES {
            return Err(CallError::invalid("files", format!("there are more than {MAX_FILES}")));
        }
        let mut files: Vec<JobFile> = Vec::new();
        let mut total = 0;
        for (number, file) in job.files.into_iter().enumerate() {
            let at = format!("files[{number}]");
            let path = answer::relative_path(&format!("{at}.path"), file.path)?;
            if files.iter().any(|other| overlaps(&other.path, &path)) {
                return Err(CallError::invalid(format!("{at}.path"), format!("\"{path}\" is there twice")));
            }
            let contents = match file.contents {
                FileContents::Inline(contents) => contents,
                FileContents::Granted(path) => self.granted(&format!("{at}.contents"), path).await?,
            };
            total += contents.len();
            if total > MAX_JOB {
                let problem = format!("they have more than {} MiB together", MAX_JOB >> 20);
                return Err(CallError::invalid("files", problem));
            }
            files.push(JobFile { path, contents, executable: file.executable });
        }
        let parameters = job.parameters.map(|json| answer::object("parameters", &json)).transpose()?;
        let secrets = answer::variables("secrets", job.secrets)?.into_iter().collect();
        let environment = job.environment.map(environment).transpose()?;
        let mut folders: Vec<JobFolder> = Vec::new();
        for folder in answer::list("folders", job.folders, |_, folder| Ok(folder))? {
            let at = format!("folders[{}]", folders.len());
            let folder = self.folder(&at, folder).await?;
            if folders.iter().any(|other| overlaps(&other.target, &folder.target)) {
                return Err(CallError::invalid(
                    format!("{at}.target"),
                    format!("\"{}\" is there twice", folder.target),
                ));
            }
            folders.push(folder);
        }
        Ok(Job {
            argv: job.argv,
            env,
            files,
            languages,
            parameters,
            secrets,
            environment,
            folders,
            keeps_when_stopped: job.keeps_when_stopped,
        })
    }

    async fn folder(&self, at: &str, folder: recipe_adaptation::ImageFolder) -> Result<JobFolder, CallError> {
        let source = answer::relative_path(&format!("{at}.source"), folder.source)?;
        let target = answer::relative_path(&format!("{at}.target"), folder.target)?;
        let tree =
            self.tree(&source).await.map_err(|error| CallError::invalid(format!("{at}.source"), error.to_string()))?;
        Ok(JobFolder { source, target: format!("{PLUGIN_FOLDER}/{target}"), digest: tree.digest().to_owned() })
    }

    async fn granted(&self, at: &str, path: String) -> Result<Vec<u8>, CallError> {
        let Some(folder) = self.loaded.folder.clone() else {
            return Err(CallError::invalid(
                at,
                "no folder was granted; its TOML says `folder = \"PATH\"` under [grants]",
            ));
        };
        let shown = cut(&path);
        let limit = self.loaded.info.limits.bounds().time;
        let read = tokio::task::spawn_blocking(move || GrantedFolder::read(&folder, &path));
        let read = match tokio::time::timeout(limit, read).await {
            Ok(read) => read.unwrap_or_else(|error| Err(FolderError::Other(error.to_string()))),
            Err(_) => return Err(CallError::TimeLimit { limit }),
        };
        read.map_err(|error| CallError::invalid(at, format!("can't read \"{shown}\" of its folder: {error}")))
    }
}

/// A code environment, as `code-envs` would have it.
fn environment(asked: recipe_adaptation::Environment) -> Result<JobEnvironment, CallError> {
    let name = |at: &str, text| answer::name(at, text);
    Ok(JobEnvironment {
        file: asked
            .requirements_file
            .map_or_else(|| Ok(asked.name.clone()), |file| name("environment.requirements-file", file))?,
        environment: CodeEnvironment {
            name: answer::word("environment.name", asked.name, "")?,
            language: name("environment.language", asked.language)?,
            interpreters: answer::list("environment.interpreters", asked.interpreters, |at, text| {
                answer::word(at, text, ".")
            })?,
            packages: answer::list("environment.packages", asked.packages, answer::package)?,
            requirements: asked.requirements.map(|text| answer::text("environment.requirements", text)).transpose()?,
            generation: 0,
        },
    })
}

/// Whether two paths can't both be files: the same, or one below the other.
fn overlaps(one: &str, other: &str) -> bool {
    let below =
        |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below(one, other) || below(other, one)
}

#[cfg(test)]
mod tests {
    use super::overlaps;

    #[test]
    fn a_file_has_no_files_below_it() {
        assert!(overlaps("a", "a") && overlaps("a", "a/b") && overlaps("a/b", "a"));
        assert!(!overlaps("a", "ab") && !overlaps("a/b", "a/c"));
    }
}
