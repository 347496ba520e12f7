//! What may go from registries: of what this home has put there, or used from there.

use std::collections::{HashMap, HashSet};

use wharf_images::{ImageError, Ledger as _, RegistryApi, registry_of};
use wharf_model::{ContentKey, Fault};

use crate::builds::image_fault;
use crate::host::{Inner, store_fault};
use crate::housekeeping::{Needed, chosen};
use crate::image_records::{ImageRecord, PushedImage};
use crate::message::{ImageSummary, Prune, PruneReport};

impl Inner {
    /// Removes images from the registries in which this home has seen them, by the rules for engines.
    ///
    /// What they share with others stays there; a registry frees what nothing uses when it collects its garbage.
    pub(crate) async fn prune_registries(
        &self,
        prune: Prune,
        needed: &Needed,
        report: &mut PruneReport,
    ) -> Result<(), Fault> {
        let records = self.store().images().map_err(|error| store_fault(&error))?;
        let records: HashMap<ContentKey, ImageRecord> =
            records.into_iter().map(|record| (record.made_of.key.clone(), record)).collect();
        let pushed = self.store().pushed().map_err(|error| store_fault(&error))?;
        let images = pushed.iter().filter_map(|image| summary(image, &records, needed)).collect();
        let (going, kept) = chosen(images, needed, prune, self.store().now());
        // Under one digest there may be two keys: then both stay, or both go.
        let shared: HashSet<(&str, &str)> =
            kept.iter().map(|image| (repository_of(image), image.id.as_str())).collect();
        let api = RegistryApi::new(std::sync::Arc::clone(self.logins()), self.home().load_site()?.roots);
        let mut away: HashSet<String> = HashSet::new();
        let mut stay = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        for mut image in going {
            if shared.contains(&(repository_of(&image), image.id.as_str())) {
                stay = stay.saturating_add(1);
                continue;
            }
            if away.contains(&image.engine) {
                continue;
            }
            match api.size(repository_of(&image), &image.id).await {
                Ok(Some(size)) => image.size = size,
                Ok(None) => {
                    if !prune.dry_run {
                        self.forget_in_registry(&image);
                    }
                    continue;
                }
                Err(error) => {
                    away.insert(image.engine.clone());
                    report.unreachable.push(image_fault(&error));
                    continue;
                }
            }
            if prune.dry_run {
                report.removed.push(image);
                continue;
            }
            match self.delete_in_registry(&api, &image).await {
                Ok(()) => report.removed.push(image),
                Err(error) => report.refused.push((image, image_fault(&error))),
            }
        }
        report.kept = report.kept.saturating_add(stay);
        Ok(())
    }

    async fn delete_in_registry(&self, api: &RegistryApi, image: &ImageSummary) -> Result<(), ImageError> {
        api.delete(repository_of(image), &image.id).await?;
        self.forget_in_registry(image);
        Ok(())
    }

    fn forget_in_registry(&self, image: &ImageSummary) {
        if let Some(key) = ContentKey::read(&image.key) {
            self.store().forget(repository_of(image), &key);
        }
    }
}

/// The repository of an image in a registry: what is before its tag.
fn repository_of(image: &ImageSummary) -> &str {
    let tag = image.tags.first().map_or("", String::as_str);
    tag.rsplit_once(':').map_or(tag, |(repository, _)| repository)
}

fn summary(image: &PushedImage, records: &HashMap<ContentKey, ImageRecord>, needed: &Needed) -> Option<ImageSummary> {
    let PushedImage { repository, key, digest } = image;
    let record = records.get(key)?;
    let mut used_by = needed.keys.get(key).cloned().unwrap_or_default();
    // Runs on clusters name their images by digests.
    let runs = needed.runs.get(&format!("{repository}@{digest}"));
    used_by.extend(runs.into_iter().flatten().map(|run| format!("run {run}")));
    Some(ImageSummary {
        engine: registry_of(repository).to_owned(),
        tags: vec![format!("{repository}:{}", key.short())],
        id: digest.clone(),
        kind: record.made_of.kind.as_str().to_owned(),
        name: record.made_of.name.clone(),
        key: key.to_string(),
        size: 0,
        created_at: record.first_seen,
        last_used: Some(record.last_used),
        used_by,
    })
}

#[cfg(test)]
mod tests {
    use wharf_images::{Ingredients, Kind};

    use super::*;

    #[test]
    fn what_a_configuration_or_a_run_needs_is_said() {
        let key = |of: &str| ContentKey::of([("test", of.as_bytes())]);
        let record = |of: &str| ImageRecord {
            made_of: Ingredients { kind: Kind::Run, name: "python-r".to_owned(), key: key(of), lines: Vec::new() },
            first_seen: 1,
            last_used: 2,
        };
        let records = ["a", "b", "c"].map(|of| (key(of), record(of))).into();
        let pushed = |of: &str| PushedImage {
            repository: "r.example:5000/data/wharf-run/python-r".to_owned(),
            key: key(of),
            digest: format!("sha256:{of}"),
        };
        let mut needed = Needed::default();
        needed.keys.insert(key("a"), vec!["docker-local".to_owned()]);
        needed.runs.insert("r.example:5000/data/wharf-run/python-r@sha256:b".to_owned(), vec!["r1".to_owned()]);
        let of = |of: &str| summary(&pushed(of), &records, &needed);
        assert_eq!(of("a").map(|image| image.used_by), Some(vec!["docker-local".to_owned()]));
        assert_eq!(of("b").map(|image| image.used_by), Some(vec!["run r1".to_owned()]));
        let free = of("c").expect("it is known");
        assert_eq!((free.used_by.len(), free.engine.as_str()), (0, "r.example:5000"));
        assert_eq!(repository_of(&free), "r.example:5000/data/wharf-run/python-r");
        // What this home never used isn't its to remove.
        assert_eq!(of("d"), None);
    }
}
