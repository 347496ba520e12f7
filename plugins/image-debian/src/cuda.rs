//! CUDA, from NVIDIA's own repository for the image's distribution.

use wharf_plugin_sdk::cuda::{self, Cuda};
use wharf_plugin_sdk::image::Step;

use crate::Origin;

/// What NVIDIA calls Debian's suites.
const SUITES: [(&str, &str); 3] = [("bullseye", "debian11"), ("bookworm", "debian12"), ("trixie", "debian13")];

/// The package that brings the repository's address and its key.
const KEYRING: &str = "cuda-keyring_1.1-1_all.deb";

/// Sets `distribution` to what NVIDIA calls the image's.
const OF_THE_IMAGE: &str = ". /etc/os-release\n\
                            case \"$ID$VERSION_ID\" in\n  \
                              debian[0-9]*|ubuntu[0-9]*) distribution=$(echo \"$ID$VERSION_ID\" | tr -d .) ;;\n  \
                              *)\n    \
                                echo \"NVIDIA has no CUDA for $PRETTY_NAME: start from a release of Debian or Ubuntu\" >&2\n    \
                                exit 1 ;;\n\
                            esac\n";

/// The steps that bring CUDA into the image. They need nothing that comes before them but the mirror of Debian.
pub(crate) fn steps(version: Option<&str>, origin: Origin<'_>, mirror: Option<&str>) -> Result<Vec<Step>, String> {
    let Some(version) = version else { return Ok(Vec::new()) };
    let cuda = Cuda::new(version)?;
    let repositories = cuda::repositories("cuda_mirror", mirror)?;
    let mut script = match origin {
        Origin::Image => OF_THE_IMAGE.to_owned(),
        Origin::Bootstrap(suite) => format!("distribution={}\n", of_suite(suite)?),
    };
    script.push_str(cuda::MACHINE);
    script.push_str(&format!(
        "repository={repositories}/$distribution/$machine\n\
         export DEBIAN_FRONTEND=noninteractive\n\
         apt-get update\n\
         apt-get install -y --no-install-recommends ca-certificates\n\
         /usr/lib/apt/apt-helper download-file \"$repository/{KEYRING}\" /tmp/cuda-keyring.deb\n\
         dpkg -i /tmp/cuda-keyring.deb\n\
         rm /tmp/cuda-keyring.deb\n"
    ));
    if mirror.is_some() {
        script.push_str(&format!(
            "sed -i 's#{}#{repositories}#g' /etc/apt/sources.list.d/cuda-*\n",
            cuda::REPOSITORIES.replace('.', "\\.")
        ));
    }
    script.push_str(&format!(
        "apt-get update\n\
         apt-get install -y --no-install-recommends {}\n\
         rm -rf /var/lib/apt/lists/*\n",
        cuda.package()
    ));
    script.push_str(&cuda.find_libraries());
    let mut steps = vec![Step::run(format!("install CUDA {version}"), script)];
    steps.extend(cuda.environment());
    Ok(steps)
}

fn of_suite(suite: &str) -> Result<&'static str, String> {
    SUITES.iter().find(|(name, _)| *name == suite).map(|(_, distribution)| *distribution).ok_or_else(|| {
        let known: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
        format!("NVIDIA has no CUDA for Debian {suite}, as far as is known here; it has for {}", known.join(", "))
    })
}
