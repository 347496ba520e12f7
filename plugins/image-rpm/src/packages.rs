//! Packages of the distribution, by dnf or, in minimal images, microdnf.

use wharf_plugin_sdk::image::Step;
use wharf_plugin_sdk::names::{trusted_url, url};
use wharf_plugin_sdk::packages::Packages;

use crate::names;

/// Sets `dnf` to the one that the image has.
const DNF: &str = "dnf=$(command -v dnf || command -v microdnf) || {\n  \
                     echo \"the image has neither dnf nor microdnf, so it is none that image-rpm can start from\" >&2\n  \
                     exit 1\n\
                   }\n";

/// What comes after an installation, in the same step: what dnf fetched would stay in a layer below.
const CLEAN: &str = "\"$dnf\" clean all\nrm -rf /var/cache/dnf /var/cache/libdnf5 /var/cache/yum\n";

/// The places that the mirror of a distribution stands for: AlmaLinux's, Rocky Linux's, and the placeholder in Fedora's files.
const PLACES: &str = "https?://(repo[.]almalinux[.]org/almalinux|dl[.]rockylinux[.]org/([$]contentdir|pub/rocky)\
                      |download[.]example/pub/fedora/linux)";

/// The packages that a spec names.
pub(crate) fn named(system: &[String]) -> Result<Packages, String> {
    system.iter().try_for_each(|package| names::rpm_package(package))?;
    Ok(Packages::new(system))
}

/// A script that installs packages.
pub(crate) fn install(packages: &str) -> String {
    format!("{DNF}{}\n{CLEAN}", command(packages))
}

/// A script that installs packages, and says a sentence when that fails.
pub(crate) fn install_or(packages: &str, otherwise: &str) -> String {
    format!("{DNF}{} || {{\n  echo \"{otherwise}\" >&2\n  exit 1\n}}\n{CLEAN}", command(packages))
}

fn command(packages: &str) -> String {
    format!("\"$dnf\" install -y --setopt=install_weak_deps=0 {packages}")
}

/// Has dnf fetch from a mirror what it would fetch from the distribution. What isn't the distribution's own is switched
/// off: where there is a mirror, the rest often can't be reached.
pub(crate) fn mirror_step(mirror: &str) -> Result<Step, String> {
    url("the mirror of the distribution", mirror)?;
    let mirror = mirror.trim_end_matches('/');
    Ok(Step::run(
        "use the package mirror",
        format!(
            "found=\n\
             for file in /etc/yum.repos.d/*.repo; do\n  \
               [ -f \"$file\" ] || continue\n  \
               if grep -q -E 'baseurl *= *{PLACES}' \"$file\"; then\n    \
                 sed -E -i \\\n      \
                   -e 's,^(mirrorlist|metalink) *=,#&,' \\\n      \
                   -e 's,^#? *baseurl *= *{PLACES},baseurl={mirror},' \\\n      \
                   \"$file\"\n    \
                 found=1\n  \
               else\n    \
                 sed -E -i 's,^enabled *=.*,enabled=0,' \"$file\"\n  \
               fi\n\
             done\n\
             if [ -z \"$found\" ]; then\n  \
               echo \"the image's packages don't come from AlmaLinux, Rocky Linux or Fedora, so what the mirror {mirror} \
               stands for isn't known: leave mirrors.apt out\" >&2\n  \
               exit 1\n\
             fi\n"
        ),
    ))
}

/// Adds EPEL and what it builds on, where the distribution isn't Fedora, which has all that EPEL has.
///
/// `mirrored`: the distribution comes from a mirror, and EPEL can't be expected at its public place.
pub(crate) fn epel_step(epel_mirror: Option<&str>, mirrored: bool) -> Result<Step, String> {
    let mirror = epel_mirror.map(|mirror| mirror.trim_end_matches('/'));
    if let Some(mirror) = mirror {
        trusted_url("epel_mirror", mirror)?;
    }
    let mut script = ". /etc/os-release\n[ \"$ID\" != fedora ] || exit 0\n".to_owned();
    if mirrored && mirror.is_none() {
        script.push_str(
            "echo \"R is in EPEL for this distribution, and where EPEL's mirror is isn't known: say it with epel_mirror in \
             image-rpm's settings\" >&2\n\
             exit 1\n",
        );
        return Ok(Step::run("add EPEL", script));
    }
    script.push_str(DNF);
    script.push_str(&format!(
        "# Packages of EPEL need some of the repository that is called CRB, or PowerTools in release 8.\n\
         sed -E -i '/^\\[(crb|powertools|ubi-[0-9]+-codeready-builder(-rpms)?)\\]/,/^\\[/ s,^enabled *=.*,enabled=1,' /etc/yum.repos.d/*.repo\n\
         # Red Hat has no package for EPEL.\n\
         if [ \"$ID\" = rhel ]; then\n  \
           rpm -q epel-release >/dev/null || rpm -i \"{}/epel-release-latest-${{VERSION_ID%%.*}}.noarch.rpm\"\n\
         else\n  \
           \"$dnf\" install -y epel-release\n\
         fi\n",
        mirror.unwrap_or("https://dl.fedoraproject.org/pub/epel")
    ));
    if let Some(mirror) = mirror {
        script.push_str(&format!(
            "sed -E -i \\\n  \
               -e 's,^(mirrorlist|metalink) *=,#&,' \\\n  \
               -e 's,^#? *baseurl *= *https?://download[a-z.]*/pub/epel,baseurl={mirror},' \\\n  \
               /etc/yum.repos.d/epel*.repo\n"
        ));
    }
    script.push_str(CLEAN);
    Ok(Step::run("add EPEL", script))
}
