//! Debian packages.

use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::packages::Packages;

use crate::names;

/// The packages that a spec names.
pub(crate) fn named(system: &[String]) -> Result<Packages, String> {
    system.iter().try_for_each(|package| names::debian_package(package))?;
    Ok(Packages::new(system))
}

/// A script that installs packages. The lists go in the same step, or they would stay in a layer below.
pub(crate) fn install(packages: &str) -> String {
    format!(
        "export DEBIAN_FRONTEND=noninteractive\n\
         apt-get update\n\
         apt-get install -y --no-install-recommends {packages}\n\
         rm -rf /var/lib/apt/lists/*\n"
    )
}

/// Has apt fetch from a mirror what it would fetch from Debian's own hosts.
pub(crate) fn mirror_step(mirror: &str, security: Option<&str>) -> Result<Step, String> {
    names::url("the apt mirror", mirror)?;
    let mirror = mirror.trim_end_matches('/');
    let security = match (security, mirror.strip_suffix("/debian")) {
        (Some(security), _) => security.trim_end_matches('/').to_owned(),
        (None, Some(parent)) => format!("{parent}/debian-security"),
        (None, None) => {
            return Err(format!(
                "the apt mirror {mirror} doesn't end in /debian, so where its security updates are isn't known: say it with \
                 security_mirror in image-debian's settings"
            ));
        }
    };
    Ok(Step::run(
        "use the package mirror",
        format!(
            "for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do\n  \
               [ -f \"$file\" ] || continue\n  \
               sed -E -i \\\n    \
                 -e 's#https?://[a-z0-9.]+\\.debian\\.org/debian-security/?( |$)#{security}\\1#g' \\\n    \
                 -e 's#https?://[a-z0-9.]+\\.debian\\.org/debian/?( |$)#{mirror}\\1#g' \\\n    \
                 \"$file\"\n\
             done\n"
        ),
    ))
}
