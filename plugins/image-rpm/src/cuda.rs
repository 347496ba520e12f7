//! CUDA, from NVIDIA's own repository for the image's distribution.

use wharf_plugin_sdk::cuda::{self, Cuda};
use wharf_plugin_sdk::image::Step;

use crate::packages::install;

/// Sets `distribution` to what NVIDIA calls the image's.
const DISTRIBUTION: &str = ". /etc/os-release\n\
                            case \"$ID $ID_LIKE \" in\n  \
                              \"fedora \"*) distribution=fedora$VERSION_ID ;;\n  \
                              *rhel\\ *|*centos\\ *) distribution=rhel${VERSION_ID%%.*} ;;\n  \
                              *) echo \"NVIDIA has no CUDA for $PRETTY_NAME, as far as image-rpm knows\" >&2; exit 1 ;;\n\
                            esac\n";

/// The steps that bring CUDA into the image. They need nothing that comes before them but the mirror of the distribution.
pub(crate) fn steps(version: Option<&str>, mirror: Option<&str>) -> Result<Vec<Step>, String> {
    let Some(version) = version else { return Ok(Vec::new()) };
    let cuda = Cuda::new(version)?;
    let repositories = cuda::repositories("cuda_mirror", mirror)?;
    let mut script = format!(
        "{DISTRIBUTION}{}\
         curl -fsSL \"{repositories}/$distribution/$machine/cuda-$distribution.repo\" -o /etc/yum.repos.d/cuda.repo\n",
        cuda::MACHINE
    );
    if mirror.is_some() {
        script.push_str(&format!(
            "sed -i 's,{},{repositories},g' /etc/yum.repos.d/cuda.repo\n",
            cuda::REPOSITORIES.replace('.', "[.]")
        ));
    }
    script.push_str(&install(&cuda.package()));
    script.push_str(&cuda.find_libraries());
    let mut steps = vec![Step::run(format!("install CUDA {version}"), script)];
    steps.extend(cuda.environment());
    Ok(steps)
}
