//! Code environments: packages of one language in a layer over a base image. What is the same for every distribution.

use crate::cran::Cran;
use crate::image::Step;
use crate::names;
use crate::pip::{self, Index};
use crate::types::{CodeEnvironment, ImageSpec, Language};

/// The folder of a code environment in an image.
///
/// ```
/// use wharf_plugin_sdk::environment::{FOLDER, LOCK};
///
/// assert!(LOCK.starts_with(FOLDER));
/// ```
pub const FOLDER: &str = "/opt/code-env";
/// What its last step writes: what was installed, one `name==version` a line.
///
/// ```
/// use wharf_plugin_sdk::environment::LOCK;
/// use wharf_plugin_sdk::image::Step;
///
/// let last = Step::run("lock", format!("conda list --export | sed 's/=/==/' >{LOCK}\n"));
/// ```
pub const LOCK: &str = "/opt/code-env/lock.txt";

const PYTHON: &str = "/opt/code-env/bin/python";
const REQUIREMENTS: &str = "/opt/code-env/requirements.txt";
const CONSTRAINTS: &str = "/opt/code-env/constraints.txt";
const LIBRARY: &str = "/opt/code-env/R";

/// The language of the base image that an environment is for.
///
/// ```
/// use wharf_plugin_sdk::image::Step;
/// use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, environment};
///
/// fn steps(base: &ImageSpec, wanted: &CodeEnvironment) -> Result<Vec<Step>, String> {
///     match environment::language(base, wanted)?.name.as_str() {
///         "python" => environment::python(base, wanted),
///         other => Err(format!("there are no code environments of {other} here")),
///     }
/// }
/// ```
///
/// # Errors
/// One sentence: the base image doesn't have it.
pub fn language<'a>(base: &'a ImageSpec, environment: &CodeEnvironment) -> Result<&'a Language, String> {
    let language = &environment.language;
    base.languages.iter().find(|known| known.name == *language).ok_or_else(|| {
        format!(
            "the code environment {} is of the language {language}, which the base image {} doesn't have; add it to the base \
             image's languages",
            environment.name, base.base_image
        )
    })
}

/// The steps of a Python code environment: a venv that comes first in PATH, its packages, and the list of them.
///
/// The image needs a Python with `venv`, and pip comes with that. `uv` installs where the image has it.
///
/// ```
/// use wharf_plugin_sdk::image::ImageRecipe;
/// use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, environment};
///
/// fn recipe(base: &ImageSpec, wanted: &CodeEnvironment) -> Result<ImageRecipe, String> {
///     let steps = environment::python(base, wanted)?;
///     Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() })
/// }
/// ```
///
/// # Errors
/// One sentence: an interpreter, a package or a mirror that can't stand in a script.
pub fn python(base: &ImageSpec, environment: &CodeEnvironment) -> Result<Vec<Step>, String> {
    for interpreter in &environment.interpreters {
        names::interpreter(interpreter)?;
    }
    let index = Index::new(base.mirrors.pip.as_deref())?;
    let packages = pip::quoted(&environment.packages)?;

    // The same for all environments with these interpreters, so that they share the layer.
    let mut steps = vec![
        Step::run("make the environment", make(&environment.interpreters)),
        Step::Path(format!("{FOLDER}/bin")),
        Step::variable("VIRTUAL_ENV", FOLDER),
    ];
    if let Some(file) = &environment.requirements {
        steps.push(Step::copy(file, REQUIREMENTS));
    }
    if let Some(file) = &environment.constraints {
        steps.push(Step::copy(file, CONSTRAINTS));
    }
    let constrained = environment.constraints.is_some();
    let install = match (environment.requirements.is_some(), packages.is_empty()) {
        (false, true) => None,
        (false, false) => Some(together(false, constrained, &packages)),
        (true, _) => Some(hashed_or_together(constrained, &packages)),
    };
    if let Some(install) = install {
        steps.push(Step::run("install packages", installer(index) + &install));
    }
    steps.push(Step::run("lock", list(LOCK)));
    Ok(steps)
}

/// Makes the venv with the first of the interpreters that the image has.
fn make(interpreters: &[String]) -> String {
    let own = ["python3".to_owned()];
    let asked = if interpreters.is_empty() { &own } else { interpreters };
    format!(
        "python=\n\
         for name in {}; do\n  \
           if command -v \"$name\" >/dev/null; then python=$name; break; fi\n\
         done\n\
         if [ -z \"$python\" ]; then\n  \
           have=$(ls /usr/bin/python3* /usr/local/bin/python3* 2>/dev/null | grep -E '/python3([.][0-9]+)?$' | tr '\\n' ' ')\n  \
           echo \"the environment asks for {}, which the image doesn't have; it has ${{have:-no Python at all}}\" >&2\n  \
           exit 1\n\
         fi\n\
         \"$python\" -m venv {FOLDER}\n",
        asked.join(" "),
        asked.join(" or ")
    )
}

/// A function of the shell that installs its arguments. What pip and uv say goes out as it is: the host finds the line of the
/// requirements by it.
fn installer(index: Index<'_>) -> String {
    format!(
        "if command -v uv >/dev/null; then\n  \
           add() {{ {} \"$@\"; }}\n\
         else\n  \
           add() {{ {} \"$@\"; }}\n\
         fi\n",
        index.uv_install(PYTHON),
        index.pip_install(PYTHON)
    )
}

/// One command, so that all of it is resolved at once.
fn together(required: bool, constrained: bool, packages: &[String]) -> String {
    let mut command = "add".to_owned();
    if required {
        command.push_str(&format!(" -r {REQUIREMENTS}"));
    }
    if constrained {
        command.push_str(&format!(" -c {CONSTRAINTS}"));
    }
    for package in packages {
        command.push_str(&format!(" {package}"));
    }
    command + "\n"
}

/// With hashes, pip takes nothing that has none, neither a constraint nor a package beside the requirements. Whether there are
/// any, the image sees.
fn hashed_or_together(constrained: bool, packages: &[String]) -> String {
    // uv checks the hashes that are there, and asks for all of them only when it is told to.
    let mut hashed = format!("  add --require-hashes -r {REQUIREMENTS}\n");
    if !packages.is_empty() {
        let installed = format!("{FOLDER}/installed.txt");
        hashed.push_str("  # What has no hash comes after it, and changes nothing that has one.\n");
        for line in list(&installed).lines() {
            hashed.push_str(&format!("  {line}\n"));
        }
        if constrained {
            // Of two constraints for one package, the older one would be in the way.
            hashed.push_str(&format!(
                "  sed -E 's/^(.*)==.*/^\\1==/' {installed} >{installed}.names\n  \
                   grep -v -i -f {installed}.names {CONSTRAINTS} >>{installed} || true\n  \
                   rm {installed}.names\n"
            ));
        }
        hashed.push_str(&format!("  add -c {installed} {}\n  rm {installed}\n", packages.join(" ")));
    }
    format!(
        "if sed -E 's/(^|[[:space:]])#.*//' {REQUIREMENTS} | grep -q -E -e '--(hash[= ]|require-hashes)'; then\n\
         {hashed}\
         else\n  \
           {}\
         fi\n",
        together(true, constrained, packages)
    )
}

/// Lists what is installed. Without what every venv has: it isn't the environment's own, and the next build's venv may have other
/// versions of it.
fn list(target: &str) -> String {
    format!(
        "list=$({PYTHON} -m pip list --disable-pip-version-check --format=freeze)\n\
         printf '%s\\n' \"$list\" | sed -E -e '/^(pip|setuptools|wheel)==/d' -e '/^$/d' | LC_ALL=C sort >{target}\n"
    )
}

/// The steps of an R code environment: a library that R looks at before those of the base image, its packages, and the list of
/// what R finds.
///
/// `system` are the steps that install the environment's packages of the distribution, and what those of CRAN need to be
/// compiled; `cran` are the names of the latter, as [`cran::split`](crate::cran::split) returns them.
///
/// ```
/// use wharf_plugin_sdk::image::Step;
/// use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, cran, environment};
///
/// fn steps(base: &ImageSpec, wanted: &CodeEnvironment) -> Result<Vec<Step>, String> {
///     let (system, cran) = cran::split(&wanted.packages, "r-cran-");
///     let install = Step::run("install system packages", format!("apt-get install -y {}\n", system.join(" ")));
///     environment::r(base, wanted, vec![install], &cran)
/// }
/// ```
///
/// # Errors
/// One sentence: something that only Python has, or a package or a mirror that can't stand in a script.
pub fn r(
    base: &ImageSpec,
    environment: &CodeEnvironment,
    system: Vec<Step>,
    cran: &[String],
) -> Result<Vec<Step>, String> {
    let name = &environment.name;
    if !environment.interpreters.is_empty() {
        return Err(format!(
            "the code environment {name} is of R, of which an image has one, and names interpreters; leave them out"
        ));
    }
    if environment.requirements.is_some() {
        return Err(format!(
            "the code environment {name} is of R and has requirements, which are for Python; list its packages instead"
        ));
    }
    let mirror = Cran::new(base.mirrors.cran.as_deref())?;
    let mut steps = vec![
        Step::run("make the environment", format!("mkdir -p {LIBRARY}\n")),
        // Before R's libraries of the site and not in their place: the base image's packages are found, too.
        Step::variable("R_LIBS", LIBRARY),
    ];
    steps.extend(system);
    if !cran.is_empty() {
        steps.push(Step::run("install packages", mirror.install(cran)?));
    }
    steps.push(Step::run("lock", list_r()));
    Ok(steps)
}

/// Lists what R finds, without what R itself is made of.
fn list_r() -> String {
    format!(
        "Rscript -e 'found <- installed.packages()' \\\n  \
           -e 'own <- !found[, \"Priority\"] %in% \"base\" & !duplicated(found[, \"Package\"])' \\\n  \
           -e 'lines <- sprintf(\"%s==%s\", found[own, \"Package\"], found[own, \"Version\"])' \\\n  \
           -e 'writeLines(sort(lines, method = \"radix\"), \"{LOCK}\")'\n"
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::types::Mirrors;

    fn base() -> ImageSpec {
        let python = Language { name: "python".to_owned(), version: None, packages: Vec::new() };
        ImageSpec {
            base_image: "python-r".to_owned(),
            origin: "from:debian:bookworm-slim".to_owned(),
            languages: vec![python],
            cuda: None,
            system_packages: Vec::new(),
            mirrors: Mirrors { apt: None, pip: Some("http://mirror.example.org/simple".to_owned()), cran: None },
            extra_ca: Vec::new(),
            labels: Vec::new(),
        }
    }

    fn environment(packages: &[&str], requirements: bool, constraints: bool) -> CodeEnvironment {
        CodeEnvironment {
            name: "forecasting".to_owned(),
            language: "python".to_owned(),
            interpreters: vec!["python3.11".to_owned(), "python3.12".to_owned()],
            packages: packages.iter().map(|&package| package.to_owned()).collect(),
            requirements: requirements.then(|| "requirements.txt".to_owned()),
            constraints: constraints.then(|| "constraints.txt".to_owned()),
        }
    }

    fn scripts<'a>(steps: &'a [Step]) -> Vec<(&'a str, &'a str)> {
        let script = |step: &'a Step| match step {
            Step::Run(run) => Some((run.title.as_str(), run.script.as_str())),
            _ => None,
        };
        steps.iter().filter_map(script).collect()
    }

    #[test]
    fn scripts_are_shell() {
        for packages in [&[][..], &["polars==1.9.*", "requests[socks]>=2"]] {
            for (requirements, constraints) in [(false, false), (true, false), (false, true), (true, true)] {
                let steps = python(&base(), &environment(packages, requirements, constraints)).unwrap();
                for (_, script) in scripts(&steps) {
                    let mut sh = Command::new("/bin/sh").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
                    sh.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
                    assert!(sh.wait().unwrap().success(), "{script}");
                }
            }
        }
    }

    #[test]
    fn the_venv_is_first_and_the_lock_last() {
        let steps = python(&base(), &environment(&["polars"], true, true)).unwrap();
        let titles: Vec<&str> = scripts(&steps).into_iter().map(|(title, _)| title).collect();
        assert_eq!(titles, ["make the environment", "install packages", "lock"]);
        assert_eq!(steps[1], Step::Path("/opt/code-env/bin".to_owned()));
        assert!(scripts(&steps[steps.len() - 1..])[0].1.ends_with(&format!(">{LOCK}\n")));
        let empty = python(&base(), &environment(&[], false, false)).unwrap();
        assert_eq!(scripts(&empty).len(), 2);
    }

    #[test]
    fn the_order_of_packages_means_nothing() {
        let one = python(&base(), &environment(&["polars", "duckdb"], true, true));
        assert_eq!(one, python(&base(), &environment(&["duckdb", "polars", "duckdb"], true, true)));
    }

    /// Runs the script's choice with a file that has hashes and with one that has none, and an installer that only says
    /// what it is asked for.
    #[test]
    fn nothing_is_mixed_with_hashes() {
        let asked = |requirements: &str| {
            let script = hashed_or_together(true, &["'polars'".to_owned()]);
            let script = script
                .replace(REQUIREMENTS, "\"$requirements\"")
                .replace(CONSTRAINTS, "/dev/null")
                .replace(&format!("{PYTHON} -m pip list"), "listed")
                .replace("/opt/code-env/installed.txt", "\"$installed\"");
            let folder =
                std::env::temp_dir().join(format!("wharf-hashes-{}-{}", std::process::id(), requirements.len()));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("requirements.txt"), requirements).unwrap();
            let output = Command::new("/bin/sh")
                .args(["-ec", &format!("add() {{ echo \"$#\" \"$1\"; }}\nlisted() {{ echo numpy==2.0; }}\n{script}")])
                .env("requirements", folder.join("requirements.txt"))
                .env("installed", folder.join("installed.txt"))
                .output()
                .unwrap();
            std::fs::remove_dir_all(&folder).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for hashed in [
            "numpy==2.0 --hash=sha256:00\n",
            "--require-hashes\n",
            "numpy==2.0 \\\n    --hash sha256:00\n",
            "numpy @ https://example.org/numpy.whl#egg=numpy --hash=sha256:00\n",
        ] {
            assert_eq!(asked(hashed), ["3 --require-hashes", "3 -c"], "{hashed}");
        }
        for plain in ["numpy==2.0\n", "numpy==2.0 # without --hash=\n", "# --require-hashes\nnumpy\n"] {
            assert_eq!(asked(plain), ["5 -r"], "{plain}");
        }
    }

    /// Runs the script with a PATH of interpreters that only say their names.
    #[test]
    fn the_first_interpreter_that_is_there_makes_the_environment() {
        let folder = std::env::temp_dir().join(format!("wharf-interpreters-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["other8.2", "other8.3"] {
            let file = folder.join(name);
            std::fs::write(&file, "#!/bin/sh\necho \"${0##*/} $*\"\n").unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", folder.display());
        let run = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
            Command::new("/bin/sh").args(["-ec", &make(&asked)]).env("PATH", &path).output().unwrap()
        };
        let output = run(&["other8.1", "other8.3", "other8.2"]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("other8.3 -m venv {FOLDER}\n"));
        let output = run(&["other8.1", "other8.4"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.lines().count() == 1, "{said}");
        assert!(
            said.starts_with("the environment asks for other8.1 or other8.4, which the image doesn't have; it has "),
            "{said}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(make(&[]).contains("for name in python3; do"));
    }

    #[test]
    fn r_has_a_library_of_its_own() {
        let mut asked = environment(&[], false, false);
        asked.language = "r".to_owned();
        assert!(r(&base(), &asked, Vec::new(), &[]).unwrap_err().contains("interpreters"));
        asked.interpreters.clear();
        let system = vec![Step::run("install Debian packages", "true\n")];
        let steps = r(&base(), &asked, system, &["forecast".to_owned()]).unwrap();
        let titles: Vec<&str> = scripts(&steps).into_iter().map(|(title, _)| title).collect();
        assert_eq!(titles, ["make the environment", "install Debian packages", "install packages", "lock"]);
        assert_eq!(steps[1], Step::variable("R_LIBS", "/opt/code-env/R"));
        asked.requirements = Some("requirements.txt".to_owned());
        assert!(r(&base(), &asked, Vec::new(), &[]).unwrap_err().contains("for Python"));
    }

    #[test]
    fn what_cannot_be_made_is_a_sentence() {
        let with = |change: fn(&mut CodeEnvironment)| {
            let mut asked = environment(&[], false, false);
            change(&mut asked);
            python(&base(), &asked).unwrap_err()
        };
        assert!(with(|asked| asked.interpreters.push("python3; rm".to_owned())).contains("interpreter"));
        assert!(with(|asked| asked.packages = vec!["-r x".to_owned()]).contains("requirement"));
        let mut other = environment(&[], false, false);
        other.language = "r".to_owned();
        assert_eq!(
            language(&base(), &other).unwrap_err(),
            "the code environment forecasting is of the language r, which the base image python-r doesn't have; add it to \
             the base image's languages"
        );
    }
}
