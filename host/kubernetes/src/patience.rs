//! How long a run waits for what.

use std::time::Duration;

use wharf_model::kubernetes::{Patience, PodSettings, WhenQuotaFull};

use crate::end;
use crate::end::view::JobView;

/// The annotation of a Job with how long its run waits: a host that is started again, and finds the Job, goes on so.
pub(crate) const ANNOTATION: &str = "wharf.patience";

/// What the annotation says.
pub(crate) fn annotation(pod: &PodSettings) -> String {
    serde_json::to_string(&of_settings(pod)).unwrap_or_default()
}

/// The patience of settings; a run that ends at a full quota has none for it.
pub(crate) fn of_settings(pod: &PodSettings) -> Patience {
    let quota = match pod.when_quota_full {
        WhenQuotaFull::Wait => pod.patience.quota,
        WhenQuotaFull::Fail => 0,
    };
    Patience { quota, ..pod.patience }
}

/// The patience of a Job; the usual one when it doesn't say.
pub(crate) fn of_job(job: Option<&JobView>) -> Patience {
    job.and_then(|job| serde_json::from_str(job.patience.as_deref()?).ok()).unwrap_or_default()
}

/// How long that is for one kind of waiting; none is for ever.
pub(crate) fn span(patience: &Patience, kind: end::Patience) -> Option<Duration> {
    Some(match kind {
        end::Patience::None => Duration::ZERO,
        end::Patience::Short => end::MOMENT,
        end::Patience::Unschedulable => Duration::from_secs(patience.unschedulable),
        end::Patience::ImagePull => Duration::from_secs(patience.image_pull),
        end::Patience::Quota => Duration::from_secs(patience.quota),
        end::Patience::Endless => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_says_is_what_was_set() {
        let pod = PodSettings {
            patience: Patience { unschedulable: 1, image_pull: 2, api: 3, quota: 4 },
            when_quota_full: WhenQuotaFull::Fail,
            ..PodSettings::default()
        };
        let job = JobView { patience: Some(annotation(&pod)), ..JobView::default() };
        assert_eq!(of_job(Some(&job)), Patience { unschedulable: 1, image_pull: 2, api: 3, quota: 0 });
        assert_eq!(
            of_job(Some(&JobView { patience: Some("?".to_owned()), ..JobView::default() })),
            Patience::default()
        );
        assert_eq!(of_job(None), Patience::default());
    }
}
