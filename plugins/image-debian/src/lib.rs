//! Makes base images from Debian, or from an image that is based on it, with apt.

mod cuda;
mod names;
mod packages;
mod python;
mod r;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::base::{self, TrustStore};
use wharf_plugin_sdk::image::{ImageMaker, ImageRecipe};
use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, environment};

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The mirror of Debian's security updates, for images that get their packages from a mirror. Without it, the folder
    /// `debian-security` beside the mirror's `debian`.
    security_mirror: Option<String>,
    /// The mirror of NVIDIA's repositories for CUDA: what stands in the place of
    /// `https://developer.download.nvidia.com/compute/cuda/repos`. Without it, NVIDIA's own.
    cuda_mirror: Option<String>,
}

struct ImageDebian;

impl ImageMaker for ImageDebian {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        if let Some(url) = &settings.security_mirror {
            names::url("security_mirror", url)?;
        }
        wharf_plugin_sdk::cuda::repositories("cuda_mirror", settings.cuda_mirror.as_deref()).map(drop)
    }

    fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
        generate(settings, spec)
    }

    fn generate_environment(
        _settings: &Settings,
        base: &ImageSpec,
        environment: &CodeEnvironment,
    ) -> Result<ImageRecipe, String> {
        generate_environment(base, environment)
    }
}

wharf_plugin_sdk::image_recipe!(ImageDebian);

/// What an image starts from, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin<'a> {
    /// An image, whose suite is known when it is there.
    Image,
    /// A suite, whose packages the bootstrap puts in place before any step.
    Bootstrap(&'a str),
}

/// A slim image has no ca-certificates yet, and apt may need the site's to fetch it. When it comes, it makes the bundle anew
/// from the same folder.
const TRUST: TrustStore<'_> = TrustStore {
    folder: "/usr/local/share/ca-certificates",
    bundle: "/etc/ssl/certs/ca-certificates.crt",
    refresh: "if command -v update-ca-certificates >/dev/null; then\n  \
                update-ca-certificates\n\
              else\n  \
                mkdir -p /etc/ssl/certs\n  \
                cat /usr/local/share/ca-certificates/*.crt >>/etc/ssl/certs/ca-certificates.crt\n\
              fi\n",
};

/// In the order in which steps change: what is the same for many images first, labels last. CUDA is the largest.
fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
    let origin = match spec.origin.split_once(':') {
        Some(("from", image)) if !image.is_empty() => Origin::Image,
        Some(("bootstrap", suite)) if !suite.is_empty() => Origin::Bootstrap(suite),
        _ => return Err(format!("the origin \"{}\" is neither from:IMAGE nor bootstrap:SUITE", spec.origin)),
    };
    let languages = base::languages(spec)?;
    let mut packages = packages::named(&spec.system_packages)?;
    let mut language_steps = Vec::new();
    for language in languages {
        match language.name.as_str() {
            "python" => language_steps.extend(python::add(language, origin, &spec.mirrors, &mut packages)?),
            "r" => language_steps.extend(r::add(language, origin, &spec.mirrors, &mut packages)?),
            other => return Err(format!("image-debian has python and r; it can't put {other} into an image")),
        }
    }

    let mut steps = TRUST.steps(&spec.extra_ca)?;
    if let (Origin::Image, Some(mirror)) = (origin, &spec.mirrors.apt) {
        steps.push(packages::mirror_step(mirror, settings.security_mirror.as_deref())?);
    }
    steps.extend(cuda::steps(spec.cuda.as_deref(), origin, settings.cuda_mirror.as_deref())?);
    let mut bootstrap_packages = Vec::new();
    match origin {
        Origin::Bootstrap(_) => bootstrap_packages = packages.all(),
        Origin::Image => steps.extend(packages.steps(packages::install)),
    }
    steps.extend(language_steps);
    steps.extend(base::labels(spec)?);
    Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages })
}

fn generate_environment(base: &ImageSpec, environment: &CodeEnvironment) -> Result<ImageRecipe, String> {
    let steps = match environment::language(base, environment)?.name.as_str() {
        "python" => environment::python(base, environment)?,
        "r" => r::environment(base, environment)?,
        other => return Err(format!("image-debian makes code environments of python and r, not of {other}")),
    };
    Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() })
}

/// Fails when a suite is known to have another version of a language.
fn check_suite(language: &str, version: &str, origin: Origin<'_>, known: &[(&str, &str)]) -> Result<(), String> {
    let Origin::Bootstrap(suite) = origin else { return Ok(()) };
    let Some((_, has)) = known.iter().find(|(name, _)| *name == suite) else { return Ok(()) };
    if *has == version || has.starts_with(&format!("{version}.")) || version.starts_with(&format!("{has}.")) {
        return Ok(());
    }
    let others: Vec<String> = known
        .iter()
        .filter(|(_, has)| *has == version || has.starts_with(&format!("{version}.")))
        .map(|(suite, has)| format!("{suite} has {has}"))
        .collect();
    let instead = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
    Err(format!("Debian {suite} has {language} {has}, not {version}{instead}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use wharf_plugin_sdk::image::Step;
    use wharf_plugin_sdk::{KeyValue, Language, Mirrors};

    use super::*;

    fn language(name: &str, packages: &[&str]) -> Language {
        let packages = packages.iter().map(|&package| package.to_owned()).collect();
        let version = if name == "r" { "4" } else { "3" };
        Language { name: name.to_owned(), version: Some(version.to_owned()), packages }
    }

    fn spec(origin: &str) -> ImageSpec {
        ImageSpec {
            base_image: "python-r".to_owned(),
            origin: origin.to_owned(),
            languages: vec![language("python", &["polars", "duckdb>=1"]), language("r", &["forecast", "r-cran-dplyr"])],
            cuda: Some("12.4".to_owned()),
            system_packages: vec!["git".to_owned(), "curl".to_owned()],
            mirrors: Mirrors {
                apt: Some("https://mirror.example.org/debian/".to_owned()),
                pip: Some("http://mirror.example.org:8080/simple".to_owned()),
                cran: None,
            },
            extra_ca: vec!["b.pem".to_owned(), "a.crt".to_owned()],
            labels: vec![KeyValue::new("b", "1"), KeyValue::new("a", "2")],
        }
    }

    fn scripts<'a>(recipe: &'a ImageRecipe) -> Vec<&'a str> {
        let script = |step: &'a Step| if let Step::Run(run) = step { Some(run.script.as_str()) } else { None };
        recipe.steps.iter().filter_map(script).collect()
    }

    #[test]
    fn the_order_in_a_spec_means_nothing() {
        for origin in ["from:debian:bookworm-slim", "bootstrap:bookworm"] {
            let one = spec(origin);
            let mut other = one.clone();
            other.languages.reverse();
            other.languages.iter_mut().for_each(|language| language.packages.reverse());
            other.system_packages.reverse();
            other.system_packages.push("git".to_owned());
            other.extra_ca.reverse();
            other.labels.reverse();
            assert_eq!(generate(&Settings::default(), &one), generate(&Settings::default(), &other));
        }
    }

    #[test]
    fn scripts_are_shell() {
        for origin in ["from:debian:bookworm-slim", "bootstrap:bookworm"] {
            let recipe = generate(&Settings::default(), &spec(origin)).unwrap();
            for script in scripts(&recipe) {
                let mut sh = Command::new("/bin/sh").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
                sh.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
                assert!(sh.wait().unwrap().success(), "{script}");
            }
        }
    }

    fn code_environment(language: &str, packages: &[&str]) -> CodeEnvironment {
        CodeEnvironment {
            name: "ml".to_owned(),
            language: language.to_owned(),
            interpreters: Vec::new(),
            packages: packages.iter().map(|&package| package.to_owned()).collect(),
            requirements: None,
            constraints: None,
        }
    }

    #[test]
    fn environments_of_r_take_packages_of_debian_and_of_cran() {
        let base = spec("from:debian:bookworm-slim");
        let recipe = generate_environment(&base, &code_environment("r", &["forecast", "r-cran-dplyr"])).unwrap();
        let scripts = scripts(&recipe);
        assert!(scripts[1].contains("--no-install-recommends r-base-dev r-cran-dplyr\n"), "{}", scripts[1]);
        assert!(scripts[2].contains("wanted <- c(\"forecast\")"), "{}", scripts[2]);
        let recipe = generate_environment(&base, &code_environment("r", &["r-cran-dplyr", "r-x;rm"]));
        assert!(recipe.unwrap_err().contains("Debian package"));
        let none = generate_environment(&base, &code_environment("r", &[])).unwrap();
        assert!(self::scripts(&none).iter().all(|script| !script.contains("apt-get")));
        let other = generate_environment(&base, &code_environment("julia", &[]));
        assert!(other.unwrap_err().contains("doesn't have"));
    }

    #[test]
    fn cuda_is_for_the_suite_that_the_image_has() {
        let recipe = |origin: &str| {
            let spec = ImageSpec { languages: Vec::new(), extra_ca: Vec::new(), ..spec(origin) };
            let mirror = Some("https://mirror.example.org/cuda".to_owned());
            generate(&Settings { cuda_mirror: mirror, ..Settings::default() }, &spec)
        };
        let of_image = recipe("from:debian:bookworm-slim").unwrap();
        assert!(scripts(&of_image)[1].starts_with(". /etc/os-release\n"));
        let of_suite = recipe("bootstrap:trixie").unwrap();
        let script = scripts(&of_suite)[0];
        assert!(script.starts_with("distribution=debian13\n"), "{script}");
        assert!(script.contains("repository=https://mirror.example.org/cuda/$distribution/$machine\n"), "{script}");
        assert!(recipe("bootstrap:sid").unwrap_err().contains("bookworm"));
    }

    #[test]
    fn a_bootstrap_installs_nothing_of_debian_twice() {
        let spec = ImageSpec { cuda: None, ..spec("bootstrap:bookworm") };
        let recipe = generate(&Settings::default(), &spec).unwrap();
        assert!(scripts(&recipe).iter().all(|script| !script.contains("apt-get")));
        for package in ["ca-certificates", "curl", "git", "python3-pandas", "r-base-core", "r-base-dev", "r-cran-dplyr"]
        {
            assert!(recipe.bootstrap_packages.iter().any(|other| other == package), "{package}");
        }
    }

    /// Runs the step's own sed over what Debian's images have.
    #[test]
    fn the_mirror_takes_the_place_of_every_debian_host() {
        let Step::Run(step) = packages::mirror_step("https://mirror.example.org/debian", None).unwrap() else {
            panic!()
        };
        let expressions: Vec<&str> = step.script.split('\'').skip(1).step_by(2).collect();
        assert_eq!(expressions.len(), 2);
        let sed = |line: &str| {
            let mut sed = Command::new("sed")
                .args(["-E", "-e", expressions[0], "-e", expressions[1]])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            sed.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
            String::from_utf8(sed.wait_with_output().unwrap().stdout).unwrap()
        };
        for (before, after) in [
            ("URIs: http://deb.debian.org/debian", "URIs: https://mirror.example.org/debian"),
            ("URIs: http://deb.debian.org/debian-security", "URIs: https://mirror.example.org/debian-security"),
            ("deb http://deb.debian.org/debian/ sid main", "deb https://mirror.example.org/debian sid main"),
            (
                "deb http://security.debian.org/debian-security sid-security main",
                "deb https://mirror.example.org/debian-security sid-security main",
            ),
            ("deb https://other.example.org/debian sid main", "deb https://other.example.org/debian sid main"),
        ] {
            assert_eq!(sed(before), after);
        }
    }
}
