//! CUDA: NVIDIA's libraries from its own package repositories, and what GPU runtimes look for in an image.

use crate::image::Step;
use crate::names;

/// Where NVIDIA has a package repository for each distribution: a folder of that name, and one for each kind of machine in it.
///
/// ```
/// use wharf_plugin_sdk::cuda::REPOSITORIES;
///
/// let place = format!("{REPOSITORIES}/debian12");
/// assert!(place.starts_with("https://"));
/// ```
pub const REPOSITORIES: &str = "https://developer.download.nvidia.com/compute/cuda/repos";

/// Sets `machine` to what NVIDIA calls the machine that the script runs on.
///
/// ```
/// use wharf_plugin_sdk::cuda::{MACHINE, REPOSITORIES};
///
/// let script = format!("{MACHINE}curl -fsS {REPOSITORIES}/debian12/$machine/InRelease >/dev/null\n");
/// assert!(script.contains("sbsa"));
/// ```
pub const MACHINE: &str = "case $(uname -m) in\n  \
                             x86_64) machine=x86_64 ;;\n  \
                             aarch64) machine=sbsa ;;\n  \
                             *) echo \"NVIDIA has no CUDA for machines of the kind $(uname -m)\" >&2; exit 1 ;;\n\
                           esac\n";

/// Where NVIDIA's runtimes put the driver's libraries that they bring into a container.
const DRIVER: &str = "/usr/local/nvidia";

/// Where CUDA comes from: a mirror of [`REPOSITORIES`], or NVIDIA itself.
///
/// ```
/// use wharf_plugin_sdk::cuda;
///
/// assert_eq!(cuda::repositories("the mirror", None)?, cuda::REPOSITORIES);
/// assert_eq!(cuda::repositories("the mirror", Some("https://mirror.example.com/cuda/"))?, "https://mirror.example.com/cuda");
/// assert!(cuda::repositories("the mirror", Some("http://mirror.example.com/cuda")).is_err());
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// One sentence: the mirror is no `https://` address, or has a password in it.
pub fn repositories<'a>(what: &str, mirror: Option<&'a str>) -> Result<&'a str, String> {
    let Some(mirror) = mirror else { return Ok(REPOSITORIES) };
    names::trusted_url(what, mirror)?;
    Ok(mirror.trim_end_matches('/'))
}

/// A version of CUDA: a major and a minor number.
///
/// ```
/// use wharf_plugin_sdk::cuda::Cuda;
/// use wharf_plugin_sdk::image::Step;
///
/// fn steps(version: &str) -> Result<Vec<Step>, String> {
///     let cuda = Cuda::new(version)?;
///     let script = format!("apt-get install -y {}\n{}", cuda.package(), cuda.find_libraries());
///     let mut steps = vec![Step::run("install CUDA", script)];
///     steps.extend(cuda.environment());
///     Ok(steps)
/// }
///
/// assert_eq!(steps("12.4")?.len(), 6);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cuda {
    major: String,
    minor: String,
}

impl Cuda {
    /// The version of a spec's `cuda`.
    ///
    /// ```
    /// use wharf_plugin_sdk::cuda::Cuda;
    ///
    /// assert!(Cuda::new("12.4").is_ok());
    /// assert!(Cuda::new("12.4.1").is_err_and(|sentence| sentence.contains("here 12.4")));
    /// ```
    ///
    /// # Errors
    /// One sentence: it has fewer numbers or more, or isn't made of numbers.
    pub fn new(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let number = |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
        match parts[..] {
            [major, minor] if number(major) && number(minor) => {
                Ok(Self { major: major.to_owned(), minor: minor.to_owned() })
            }
            [major, minor, _] if number(major) && number(minor) => Err(format!(
                "the CUDA version {text} is too exact: NVIDIA's packages are named for two numbers, here {major}.{minor}"
            )),
            _ => Err(format!("\"{text}\" is no version of CUDA: it takes two numbers, such as 12.4")),
        }
    }

    /// NVIDIA's package that brings all libraries of the version, on every distribution.
    ///
    /// ```
    /// use wharf_plugin_sdk::cuda::Cuda;
    ///
    /// assert_eq!(Cuda::new("12.4")?.package(), "cuda-libraries-12-4");
    /// # Ok::<(), String>(())
    /// ```
    #[must_use]
    pub fn package(&self) -> String {
        format!("cuda-libraries-{}-{}", self.major, self.minor)
    }

    /// The end of the script that installs [`package`](Self::package): has programs find the libraries.
    ///
    /// Through the loader's list and not by a variable: a variable would come before the libraries that Python packages bring
    /// along.
    ///
    /// ```
    /// use wharf_plugin_sdk::cuda::Cuda;
    ///
    /// assert!(Cuda::new("12.4")?.find_libraries().starts_with("echo /usr/local/cuda-12.4/lib64 >"));
    /// # Ok::<(), String>(())
    /// ```
    #[must_use]
    pub fn find_libraries(&self) -> String {
        format!(
            "echo {}/lib64 >/etc/ld.so.conf.d/cuda-{}-{}.conf\n\
             ldconfig\n",
            self.folder(),
            self.major,
            self.minor
        )
    }

    /// The variables that GPU runtimes look for, and the version's folder of programs.
    ///
    /// ```
    /// use wharf_plugin_sdk::cuda::Cuda;
    /// use wharf_plugin_sdk::image::Step;
    ///
    /// let steps = Cuda::new("12.4")?.environment();
    /// assert!(matches!(&steps[0], Step::Env(variable) if variable.key == "NVIDIA_VISIBLE_DEVICES"));
    /// # Ok::<(), String>(())
    /// ```
    #[must_use]
    pub fn environment(&self) -> Vec<Step> {
        let at_least = format!("cuda>={}.{}", self.major, self.minor);
        vec![
            Step::variable("NVIDIA_VISIBLE_DEVICES", "all"),
            Step::variable("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
            Step::variable("NVIDIA_REQUIRE_CUDA", at_least),
            // The driver comes when a container starts: the loader's list can't have it.
            Step::variable("LD_LIBRARY_PATH", format!("{DRIVER}/lib:{DRIVER}/lib64")),
            Step::Path(format!("{}/bin", self.folder())),
        ]
    }

    fn folder(&self) -> String {
        format!("/usr/local/cuda-{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!(Cuda::new("12.4").unwrap().package(), "cuda-libraries-12-4");
        for text in ["", "12", "abc", "12.", ".4", "12.4.", "12.x", "12.4; rm", "-1.2", "12.4.1.0"] {
            let error = Cuda::new(text).unwrap_err();
            assert!(error.contains("12.4") || error.contains("two numbers"), "{text}: {error}");
        }
        assert_eq!(
            Cuda::new("12.4.1").unwrap_err(),
            "the CUDA version 12.4.1 is too exact: NVIDIA's packages are named for two numbers, here 12.4"
        );
    }

    #[test]
    fn runtimes_find_what_they_look_for() {
        let steps = Cuda::new("12.4").unwrap().environment();
        assert!(steps.contains(&Step::variable("NVIDIA_REQUIRE_CUDA", "cuda>=12.4")));
        assert_eq!(steps.last(), Some(&Step::Path("/usr/local/cuda-12.4/bin".to_owned())));
    }

    #[test]
    fn keys_come_over_tls_only() {
        assert_eq!(repositories("cuda_mirror", None).unwrap(), REPOSITORIES);
        let mirror = repositories("cuda_mirror", Some("https://mirror.example.org/cuda/")).unwrap();
        assert_eq!(mirror, "https://mirror.example.org/cuda");
        assert!(repositories("cuda_mirror", Some("http://mirror.example.org/cuda")).unwrap_err().contains("TLS"));
    }
}
