//! Components that turn activities into commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use wharf_model::{Activity, Job, JobFile};

use crate::answer;
use crate::bindings::recipe_adaptation::{self, FileContents, GuestIndices};
use crate::call::{Call, within};
use crate::call_error::{CallError, cut};
use crate::folder::{FolderError, GrantedFolder};
use crate::loaded::{Loaded, Offer};
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
            Err(message) => Err(CallError::Refused { message: cut(message.trim()) }),
        }
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
        Ok(Job { argv: job.argv, env, files, languages })
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
