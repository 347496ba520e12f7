//! The images that wharf made: what there is, what may go, and how one differs from another.

use std::collections::{HashMap, HashSet};

use similar::{ChangeTag, TextDiff};
use wharf_images::{Ingredients, Kind, LABEL_KEY, LABEL_NAME, LocalImage, ingredients};
use wharf_model::{ContentKey, Fault};

use crate::builds::{Target, image_fault};
use crate::conclude::sentence_of;
use crate::host::{Inner, store_fault};
use crate::image_records::ImageRecord;
use crate::message::{ImageDifference, ImageList, ImageSummary, Prune, PruneReport};

/// How many lines that are the same are shown beside one that isn't.
const CONTEXT: usize = 2;

/// What has no tag may be a build's that is under way, until it is so old: in seconds.
const LEFTOVER: u64 = 3_600;

/// What must stay, whatever its age.
#[derive(Default)]
pub(crate) struct Needed {
    /// By content keys: the configurations that need it now.
    pub(crate) keys: HashMap<ContentKey, Vec<String>>,
    /// By the engines' ids, or a registry's digests: the runs that use it.
    pub(crate) runs: HashMap<String, Vec<String>>,
    /// Base images and code environments whose keys can't be told: all of theirs stay.
    names: HashSet<String>,
}

impl Inner {
    /// The images that wharf made, on all engines of the home.
    pub(crate) async fn images(&self) -> Result<ImageList, Fault> {
        let needed = self.needed().await?;
        let mut list = self.listed(&needed).await?;
        list.images.sort_by(|one, other| {
            (&one.engine, &one.name, &one.kind, other.created_at).cmp(&(
                &other.engine,
                &other.name,
                &other.kind,
                one.created_at,
            ))
        });
        Ok(list)
    }

    /// Removes images that weren't used for long. What this home never used stays: it is another home's.
    pub(crate) async fn prune_images(&self, prune: Prune) -> Result<PruneReport, Fault> {
        // What a configuration needs isn't known while its file can't be read.
        for (_, configuration) in self.home().load_configurations()? {
            configuration
                .map_err(|fault| fault.hint("nothing was removed: what it needs isn't known; mend it first"))?;
        }
        let needed = self.needed().await?;
        let ImageList { images, unreachable } = self.listed(&needed).await?;
        let mut report = PruneReport { unreachable, ..PruneReport::default() };
        let (mut going, kept) = chosen(images, &needed, prune, self.store().now());
        report.kept = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        // What is built on another goes before it.
        going.sort_by_key(|image| std::cmp::Reverse(Kind::read(&image.kind)));
        for image in going {
            if prune.dry_run {
                report.removed.push(image);
                continue;
            }
            match self.remove(&image).await {
                Ok(()) => report.removed.push(image),
                Err(fault) => report.refused.push((image, fault)),
            }
        }
        if prune.registries {
            self.prune_registries(prune, &needed, &mut report).await?;
        }
        Ok(report)
    }

    async fn remove(&self, image: &ImageSummary) -> Result<(), Fault> {
        let daemon = self.daemons().into_iter().find(|daemon| daemon.host == image.engine);
        let Some(daemon) = daemon else { return Ok(()) };
        let engine =
            self.engines().docker(&daemon).map_err(|error| Fault::new("engine-unreachable", sentence_of(&error)))?;
        let names = if image.tags.is_empty() { std::slice::from_ref(&image.id) } else { image.tags.as_slice() };
        for name in names {
            engine.images.remove(name).await.map_err(|error| image_fault(&error))?;
        }
        Ok(())
    }

    async fn listed(&self, needed: &Needed) -> Result<ImageList, Fault> {
        let records = self.store().images().map_err(|error| store_fault(&error))?;
        let records: HashMap<ContentKey, ImageRecord> =
            records.into_iter().map(|record| (record.made_of.key.clone(), record)).collect();
        let mut list = ImageList::default();
        for daemon in self.daemons() {
            let found = match self.engines().docker(&daemon) {
                Ok(engine) => engine.images.list().await.map_err(|error| image_fault(&error)),
                Err(error) => Err(Fault::new("engine-unreachable", sentence_of(&error))),
            };
            match found {
                Ok(found) => {
                    list.images.extend(found.iter().filter_map(|image| summary(&daemon.host, image, &records, needed)));
                }
                Err(fault) => list.unreachable.push(fault),
            }
        }
        Ok(list)
    }

    /// What the configurations need now, and what runs use.
    async fn needed(&self) -> Result<Needed, Fault> {
        let mut needed = Needed::default();
        for target in self.all_targets()? {
            match self.made_of(&target).await {
                Some(parts) => {
                    for part in parts {
                        let users = needed.keys.entry(part.key).or_default();
                        let news = target.configurations.iter().filter(|name| !users.contains(name));
                        let news: Vec<String> = news.cloned().collect();
                        users.extend(news);
                    }
                }
                None => {
                    needed.names.insert(target.base.clone());
                    needed.names.extend(target.code_env.clone());
                    needed.names.extend(target.code_env.map(|env| format!("{}-{env}", target.base)));
                }
            }
        }
        for run in self.store().open_runs().map_err(|error| store_fault(&error))? {
            if let Some(launch) = run.launch {
                needed.runs.entry(launch.spec.image).or_default().push(run.summary.run);
            }
        }
        Ok(needed)
    }

    /// What an image would be made of now; `None` while that can't be known.
    async fn made_of(&self, target: &Target) -> Option<Vec<Ingredients>> {
        let plan = self.plan_of(&target.base, target.code_env.as_deref()).await.ok()?;
        let engine = self.engines().docker(&target.daemon).ok()?;
        let keys = engine.images.keys(&plan).await.ok()??;
        Some(ingredients(&plan, &keys))
    }

    /// What changed between two images: of one name, the newest two; or two content keys.
    pub(crate) async fn compare_images(&self, name: &str, with: Option<&str>) -> Result<Vec<ImageDifference>, Fault> {
        let called = |name: &str| self.store().images_called(name).map_err(|error| store_fault(&error));
        let known: Vec<Ingredients> = called(name)?.into_iter().map(|record| record.made_of).collect();
        if let Some(with) = with {
            let before = called(with)?.into_iter().next().map(|record| record.made_of).ok_or_else(|| unknown(with))?;
            let after = known.into_iter().find(|one| one.kind == before.kind).ok_or_else(|| unknown(name))?;
            return Ok(vec![difference(Some(&before), &after)]);
        }
        let mut newest = self.now_called(name).await?;
        for record in &known {
            if !newest.iter().any(|other| other.kind == record.kind && other.name == record.name) {
                newest.push(record.clone());
            }
        }
        if newest.is_empty() {
            return Err(unknown(name));
        }
        let mut differences = Vec::new();
        for after in newest {
            // A key stands for one image: what came before it has another key and the same name.
            let older = called(&after.name)?.into_iter().map(|record| record.made_of);
            let before = older
                .skip_while(|other| *other != after && known.iter().any(|one| one.key == after.key))
                .find(|other| other.kind == after.kind && other.name == after.name && other.key != after.key);
            differences.push(difference(before.as_ref(), &after));
        }
        Ok(differences)
    }

    /// What the images of a name would be made of now.
    async fn now_called(&self, name: &str) -> Result<Vec<Ingredients>, Fault> {
        let mut found: Vec<Ingredients> = Vec::new();
        for target in self.all_targets()? {
            for part in self.made_of(&target).await.unwrap_or_default() {
                if part.name == name && !found.iter().any(|other| other.key == part.key) {
                    found.push(part);
                }
            }
        }
        Ok(found)
    }
}

fn unknown(name: &str) -> Fault {
    Fault::new("no-such-image", format!("this home knows no image called {name}, and none whose key begins so"))
        .hint("`wharf image list` shows them; of a key, give eight digits at least")
}

fn summary(
    engine: &str,
    image: &LocalImage,
    records: &HashMap<ContentKey, ImageRecord>,
    needed: &Needed,
) -> Option<ImageSummary> {
    let key = ContentKey::read(image.labels.get(LABEL_KEY)?)?;
    let record = records.get(&key);
    let kind = image.tags.iter().find_map(|tag| Kind::of_tag(tag)).or(record.map(|record| record.made_of.kind))?;
    // A leftover has the labels of what it was to be built on, and is nobody's.
    let leftover = image.tags.is_empty();
    let mut used_by = if leftover { Vec::new() } else { needed.keys.get(&key).cloned().unwrap_or_default() };
    used_by.extend(needed.runs.get(&image.id).into_iter().flatten().map(|run| format!("run {run}")));
    let created_at = image.created.saturating_mul(1_000);
    Some(ImageSummary {
        engine: engine.to_owned(),
        tags: image.tags.clone(),
        id: image.id.clone(),
        kind: kind.as_str().to_owned(),
        name: image.labels.get(LABEL_NAME).cloned().unwrap_or_default(),
        key: key.to_string(),
        size: image.size,
        created_at,
        last_used: record.map(|record| if leftover { created_at } else { record.last_used }),
        used_by,
    })
}

/// Those that may go, and those that stay.
pub(crate) fn chosen(
    images: Vec<ImageSummary>,
    needed: &Needed,
    prune: Prune,
    now: u64,
) -> (Vec<ImageSummary>, Vec<ImageSummary>) {
    let mut images = images;
    // Those that were used last first, so that counting keeps them.
    images.sort_by_key(|image| std::cmp::Reverse((image.last_used, image.created_at)));
    let before = |seconds: u64| now.saturating_sub(seconds.saturating_mul(1_000));
    let mut counted: HashMap<(String, String, String), u32> = HashMap::new();
    images.into_iter().partition(|image| {
        let Some(last_used) = image.last_used else { return false };
        let leftover = image.tags.is_empty();
        let newer = counted.entry((image.engine.clone(), image.kind.clone(), image.name.clone())).or_default();
        if !leftover {
            *newer += 1;
        }
        let counts_out = leftover || *newer > prune.keep;
        let oldest = before(if leftover { prune.older_than.max(LEFTOVER) } else { prune.older_than });
        image.used_by.is_empty() && !needed.names.contains(&image.name) && counts_out && last_used < oldest
    })
}

fn difference(before: Option<&Ingredients>, after: &Ingredients) -> ImageDifference {
    let old = before.map(|before| before.lines.join("\n") + "\n").unwrap_or_default();
    let new = after.lines.join("\n") + "\n";
    let mut lines = Vec::new();
    if before.is_some() {
        let diff = TextDiff::from_lines(&old, &new);
        for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
            if at > 0 {
                lines.push("...".to_owned());
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                lines.push(format!("{sign} {}", change.value().trim_end_matches('\n')));
            }
        }
    }
    ImageDifference {
        kind: after.kind.as_str().to_owned(),
        name: after.name.clone(),
        before: before.map(|before| before.key.to_string()),
        after: after.key.to_string(),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn image(name: &str, kind: Kind, last_used: Option<u64>) -> ImageSummary {
        ImageSummary {
            engine: "unix:///x".to_owned(),
            tags: vec![format!("wharf-{}/{name}:1", kind.as_str())],
            id: format!("sha256:{name}{last_used:?}"),
            kind: kind.as_str().to_owned(),
            name: name.to_owned(),
            key: String::new(),
            size: 1,
            created_at: 0,
            last_used,
            used_by: Vec::new(),
        }
    }

    fn gone(images: Vec<ImageSummary>, needed: &Needed, keep: u32) -> Vec<Option<u64>> {
        let prune = Prune { older_than: 30 * 86_400, keep, dry_run: false, registries: false };
        let (mut going, _) = chosen(images, needed, prune, 100 * DAY);
        going.sort_by_key(|image| image.last_used);
        going.into_iter().map(|image| image.last_used).collect()
    }

    #[test]
    fn old_ones_go_and_the_newest_of_each_name_stay() {
        let all = || (1..=6).map(|at| image("ml", Kind::Run, Some(at * 10 * DAY))).collect::<Vec<_>>();
        assert_eq!(gone(all(), &Needed::default(), 0).len(), 6);
        assert_eq!(gone(all(), &Needed::default(), 4), [Some(10 * DAY), Some(20 * DAY)]);
        // A recent one isn't old.
        assert_eq!(gone(vec![image("ml", Kind::Run, Some(80 * DAY))], &Needed::default(), 0), []);
        // Each kind of a name counts for itself.
        let two = vec![image("ml", Kind::Run, Some(DAY)), image("ml", Kind::CodeEnv, Some(DAY))];
        assert_eq!(gone(two, &Needed::default(), 1), []);
    }

    #[test]
    fn what_is_needed_or_not_ours_stays() {
        let mut used = image("ml", Kind::Run, Some(DAY));
        used.used_by.push("docker-local".to_owned());
        assert_eq!(gone(vec![used], &Needed::default(), 0), []);
        assert_eq!(gone(vec![image("ml", Kind::Run, None)], &Needed::default(), 0), []);
        let unknown = Needed { names: ["ml".to_owned()].into(), ..Needed::default() };
        assert_eq!(gone(vec![image("ml", Kind::Run, Some(DAY))], &unknown, 0), []);
    }

    #[test]
    fn a_leftover_is_not_one_of_the_newest() {
        let mut leftover = image("ml", Kind::Run, Some(DAY));
        leftover.tags.clear();
        assert_eq!(gone(vec![leftover.clone()], &Needed::default(), 3), [Some(DAY)]);
        let young = ImageSummary { last_used: Some(100 * DAY - 60_000), ..leftover };
        let prune = Prune { older_than: 1, keep: 0, dry_run: false, registries: false };
        assert_eq!(chosen(vec![young], &Needed::default(), prune, 100 * DAY).0, []);
    }

    #[test]
    fn a_difference_is_lines() {
        let made_of = |key: &str, lines: &[&str]| Ingredients {
            kind: Kind::CodeEnv,
            name: "ml".to_owned(),
            key: ContentKey::of([("test", key.as_bytes())]),
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        };
        let before = made_of("a", &["base", "a", "b", "c", "requirements: pandas"]);
        let after = made_of("b", &["base", "a", "b", "c", "requirements: pandas==2.2", "requirements: six"]);
        let found = difference(Some(&before), &after);
        assert_eq!(
            found.lines,
            ["  b", "  c", "- requirements: pandas", "+ requirements: pandas==2.2", "+ requirements: six"]
        );
        assert_eq!(difference(None, &after).before, None);
    }
}
