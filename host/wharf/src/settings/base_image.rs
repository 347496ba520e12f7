//! `base-images/NAME.toml`: what base images are made from.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_images::check_fragment;
use wharf_model::image::{ContextFile, Fragment, Language, Mirrors, Origin};
use wharf_model::{Fault, ImageSpec, document};

use super::label::check_labels;
use super::name::{is_name, not_a_name};
use super::source::{Source, unreadable};

/// Where Debian's packages come from when nothing else is said.
const DEBIAN: &str = "http://deb.debian.org/debian";

/// The image-recipe component that makes an image when none is said.
const USUAL_RECIPE: &str = "image-debian";

/// More than this isn't a bundle of certificates.
const LARGEST_CERTIFICATES: u64 = 4 << 20;

/// More than this doesn't belong into a build context that is kept in memory.
const LARGEST_FILE: u64 = 16 << 20;

/// Names that a build context has besides.
const RESERVED: [&str; 5] = ["Containerfile", "Dockerfile", "files", "root", "requirements.txt"];

/// The shape of a base image's file. It has either `from` or `[bootstrap]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BaseImageFile {
    /// The image that it starts from: one that the daemon has or can pull, e.g. `debian:bookworm-slim`.
    pub from: Option<String>,
    /// Makes the image from Debian's packages, without any registry.
    pub bootstrap: Option<BootstrapTable>,
    /// The languages that recipes of this image are written in.
    pub languages: LanguagesTable,
    /// The version of CUDA whose libraries it has, e.g. `"12.4"`.
    pub cuda: Option<String>,
    /// Packages of the distribution.
    pub system_packages: Vec<String>,
    /// Containerfile instructions before all others: RUN, ENV, ARG, COPY, ADD, LABEL, USER, WORKDIR, SHELL.
    pub pre_install: Option<String>,
    /// Containerfile instructions after all others.
    pub post_install: Option<String>,
    /// Files that those instructions copy, by the last part of their paths; relative to the home.
    pub files: Vec<String>,
    /// Where packages come from instead of the public places.
    pub mirrors: MirrorsTable,
    /// Files with certificates (PEM) that the image must trust; relative to the home. Those of `wharf.toml` by default.
    pub extra_ca: Option<Vec<String>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The image-recipe component that makes it. `image-debian` by default.
    pub image_recipe: Option<String>,
}

/// An image that is made from Debian's packages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootstrapTable {
    /// The Debian suite, e.g. `bookworm`.
    pub suite: String,
    /// Where its packages come from. `http://deb.debian.org/debian` by default.
    #[serde(default)]
    pub mirror: Option<String>,
}

/// The languages of an image. A table that is there, even an empty one, puts the language in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LanguagesTable {
    /// Python.
    pub python: Option<LanguageTable>,
    /// R.
    pub r: Option<LanguageTable>,
}

/// One language of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LanguageTable {
    /// The version, e.g. `"3.11"`. The distribution's own by default.
    pub version: Option<String>,
    /// Packages of PyPI or CRAN that go into the image.
    pub packages: Vec<String>,
}

/// Where packages come from instead of the public places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MirrorsTable {
    /// A mirror of the distribution's packages: its URL.
    pub apt: Option<String>,
    /// A PyPI index's URL, e.g. `https://pypi.org/simple`.
    pub pip: Option<String>,
    /// A CRAN mirror's URL.
    pub cran: Option<String>,
}

/// Checks a parsed file and reads the certificates that it names; `home` is what their paths are relative to.
///
/// `site_ca` has the certificates that an image trusts which names none.
pub(super) fn resolve(
    source: &Source<'_>,
    home: &Path,
    name: &str,
    file: BaseImageFile,
    site_ca: impl FnOnce() -> Result<Vec<ContextFile>, Fault>,
) -> Result<ImageSpec, Fault> {
    let made_by = file.image_recipe.unwrap_or_else(|| USUAL_RECIPE.to_owned());
    if !is_name(&made_by) {
        return Err(source.fault(&["image_recipe"], not_a_name("an image-recipe component", &made_by)));
    }
    for (at, package) in file.system_packages.iter().enumerate() {
        let sound = package.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && package.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-:=~_".contains(&byte));
        if !sound {
            return Err(source.fault(
                &["system_packages", &at.to_string()],
                format!("`system_packages` has \"{package}\", which can't be the name of a Debian package"),
            ));
        }
    }
    for (key, url) in [("apt", &file.mirrors.apt), ("pip", &file.mirrors.pip), ("cran", &file.mirrors.cran)] {
        if let Some(url) = url {
            check_url(source, &["mirrors", key], url)?;
        }
    }
    check_labels(source, &file.labels)?;
    if let Some(cuda) = &file.cuda {
        check_cuda(source, cuda)?;
    }
    let extra_ca = match &file.extra_ca {
        Some(written) => certificates(source, home, written)?,
        None => site_ca()?,
    };
    let files = files(source, home, &file.files, &extra_ca)?;
    let fragment = |key: &str, text: Option<String>| fragment(source, name, key, text, &files);
    let pre_install = fragment("pre_install", file.pre_install)?;
    let post_install = fragment("post_install", file.post_install)?;
    Ok(ImageSpec {
        name: name.to_owned(),
        origin: origin(source, file.from, file.bootstrap)?,
        languages: languages(source, file.languages)?,
        cuda: file.cuda,
        system_packages: file.system_packages,
        pre_install,
        post_install,
        files,
        mirrors: Mirrors { apt: file.mirrors.apt, pip: file.mirrors.pip, cran: file.mirrors.cran },
        extra_ca,
        labels: file.labels,
        made_by,
    })
}

fn origin(source: &Source<'_>, from: Option<String>, bootstrap: Option<BootstrapTable>) -> Result<Origin, Fault> {
    match (from, bootstrap) {
        (Some(image), None) => {
            if image.is_empty() || image.chars().any(|c| c.is_whitespace() || c.is_control()) || image.contains("://") {
                return Err(source.fault(
                    &["from"],
                    format!("`from` is \"{image}\"; expected an image such as \"debian:bookworm-slim\""),
                ));
            }
            Ok(Origin::From(image))
        }
        (None, Some(bootstrap)) => {
            let suite = bootstrap.suite;
            if !suite.starts_with(|c: char| c.is_ascii_lowercase())
                || !suite.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
            {
                return Err(source.fault(
                    &["bootstrap", "suite"],
                    format!("`suite` in [bootstrap] is \"{suite}\"; expected a Debian suite such as \"bookworm\""),
                ));
            }
            let mirror = bootstrap.mirror.unwrap_or_else(|| DEBIAN.to_owned());
            check_url(source, &["bootstrap", "mirror"], &mirror)?;
            Ok(Origin::Bootstrap { suite, mirror })
        }
        (Some(_), Some(_)) => Err(source
            .fault(&["bootstrap"], "the image starts from two things: `from` and [bootstrap]")
            .hint("keep `from` if the daemon has or can pull that image, [bootstrap] if there is no registry")),
        (None, None) => Err(source
            .fault(&[], "the image starts from nothing: `from` or [bootstrap] is missing")
            .hint("write from = \"debian:bookworm-slim\", or [bootstrap] with suite = \"bookworm\"")),
    }
}

fn languages(source: &Source<'_>, table: LanguagesTable) -> Result<Vec<Language>, Fault> {
    let mut languages = Vec::new();
    for (name, table) in [("python", table.python), ("r", table.r)] {
        let Some(table) = table else { continue };
        for (at, package) in table.packages.iter().enumerate() {
            // A package is an argument of pip or of R: it must not be read as an option there, nor be two of them.
            if package.is_empty() || package.starts_with('-') || package.chars().any(char::is_control) {
                return Err(source.fault(
                    &["languages", name, "packages", &at.to_string()],
                    format!("`packages` in [languages.{name}] has \"{package}\", which can't be the name of a package"),
                ));
            }
        }
        if let Some(version) = &table.version
            && (version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        {
            return Err(source.fault(
                &["languages", name, "version"],
                format!(
                    "`version` in [languages.{name}] is \"{version}\"; expected numbers and dots, such as \"3.11\""
                ),
            ));
        }
        languages.push(Language { name: name.to_owned(), version: table.version, packages: table.packages });
    }
    Ok(languages)
}

fn check_cuda(source: &Source<'_>, version: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = version.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    if (2..=3).contains(&parts.len()) && parts.iter().all(number) {
        return Ok(());
    }
    Err(source.fault(&["cuda"], format!("`cuda` is \"{version}\"; expected a version such as \"12.4\"")))
}

/// A piece of a Containerfile, with its place in the file.
fn fragment(
    source: &Source<'_>,
    name: &str,
    key: &str,
    text: Option<String>,
    files: &[ContextFile],
) -> Result<Option<Fragment>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let line = document::text_line_of(&source.text, key).unwrap_or(1);
    let fragment = Fragment { file: format!("base-images/{name}.toml"), line, text };
    match check_fragment(&fragment, files) {
        Ok(()) => Ok(Some(fragment)),
        Err(problem) => Err(Fault::new(source.code, format!("`{key}`: {}", problem.message))
            .at(source.file, Some(problem.line))
            .hint(
                "every line is a Containerfile instruction; a backslash at its end goes on with it in the next line",
            )),
    }
}

/// Reads the files that fragments copy.
fn files(
    source: &Source<'_>,
    home: &Path,
    written: &[String],
    others: &[ContextFile],
) -> Result<Vec<ContextFile>, Fault> {
    let mut files: Vec<ContextFile> = Vec::new();
    for (at, text) in written.iter().enumerate() {
        let at = at.to_string();
        let fault = |message: String| source.fault(&["files", &at], message);
        let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
        let name = Path::new(text).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let sound = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if text.is_empty() || !inside || !sound {
            return Err(fault(format!(
                "`files` names \"{text}\"; expected a path below the home, whose last part has only letters, digits, dots, \
                 underscores and dashes"
            )));
        }
        if RESERVED.contains(&name) {
            return Err(fault(format!("`files` names \"{text}\": a build has a {name} of its own; rename the file")));
        }
        if files.iter().chain(others).any(|other| other.name == name) {
            return Err(fault(format!("`files` or `extra_ca` name two files called \"{name}\"; rename one")));
        }
        let path = home.join(text);
        let contents = match std::fs::metadata(&path) {
            Ok(about) if !about.is_file() => return Err(fault(format!("{} isn't a file", path.display()))),
            Ok(about) if about.len() > LARGEST_FILE => {
                return Err(fault(format!("{} is larger than 16 MiB: get it with RUN or ADD", path.display())));
            }
            Ok(_) => std::fs::read(&path),
            Err(error) => Err(error),
        }
        .map_err(|error| {
            let message = unreadable(&path, &error).to_string();
            fault(format!("`files` names \"{text}\": {message}")).hint("paths are relative to the home")
        })?;
        files.push(ContextFile { name: name.to_owned(), contents });
    }
    Ok(files)
}

fn check_url(source: &Source<'_>, path: &[&str], url: &str) -> Result<(), Fault> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let sound = rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\`$;<>|".contains(&byte))
    });
    if sound {
        return Ok(());
    }
    let (key, table) = path.split_last().unwrap_or((&"", &[]));
    let mut message =
        format!("`{key}` in [{}] is \"{url}\"; expected a URL that begins with http:// or https://", table.join("."));
    if rest.is_none() && !url.contains("://") && !url.is_empty() {
        message.push_str(&format!("; did you mean \"https://{url}\"?"));
    }
    Err(source.fault(path, message))
}

/// Reads the certificate files. A private key in one of them would end up in a layer for everybody to read.
pub(super) fn certificates(source: &Source<'_>, home: &Path, written: &[String]) -> Result<Vec<ContextFile>, Fault> {
    let mut files: Vec<ContextFile> = Vec::new();
    for (at, text) in written.iter().enumerate() {
        let at = at.to_string();
        let place = ["extra_ca", at.as_str()];
        let path = home.join(text);
        let contents = match std::fs::metadata(&path) {
            Ok(about) if about.len() > LARGEST_CERTIFICATES => {
                return Err(source.fault(&place, format!("{} is too large to be certificates", path.display())));
            }
            Ok(_) => std::fs::read(&path),
            Err(error) => Err(error),
        }
        .map_err(|error| {
            let message = unreadable(&path, &error).to_string();
            source
                .fault(&place, format!("`extra_ca` names \"{text}\": {message}"))
                .hint("paths are relative to the home; put certificates into its folder certs/")
        })?;
        let pem = String::from_utf8_lossy(&contents);
        if !pem.contains("-----BEGIN CERTIFICATE-----") || !pem.contains("-----END CERTIFICATE-----") {
            return Err(source
                .fault(&place, format!("{} has no certificate in PEM form", path.display()))
                .hint("a PEM file has a line -----BEGIN CERTIFICATE-----; openssl x509 -inform der converts others"));
        }
        if pem.contains("PRIVATE KEY-----") {
            return Err(source
                .fault(&place, format!("{} has a private key in it, which must not get into an image", path.display()))
                .hint("keep only the certificates in the file"));
        }
        let name: String = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
            .collect();
        if files.iter().any(|other| other.name == name) {
            return Err(source.fault(&place, format!("`extra_ca` names two files called \"{name}\"")));
        }
        files.push(ContextFile { name, contents });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::Fixture;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    #[test]
    fn reads_everything() {
        let fixture = Fixture::new();
        fixture.write("certs/corp ca.pem", CERTIFICATE);
        fixture.write(
            "base-images/a.toml",
            r#"
system_packages = ["git", "libgdal-dev"]
extra_ca = ["certs/corp ca.pem"]

[bootstrap]
suite = "bookworm"

[languages.python]
version = "3.11"
packages = ["polars==1.0"]

[languages.r]

[mirrors]
pip = "https://pypi.example.com/simple"

[labels]
team = "data"
"#,
        );
        let image = fixture.home().load_base_image("a").expect("sound");
        assert_eq!(image.origin, Origin::Bootstrap { suite: "bookworm".to_owned(), mirror: DEBIAN.to_owned() });
        let languages: Vec<&str> = image.languages.iter().map(|language| language.name.as_str()).collect();
        assert_eq!(languages, ["python", "r"]);
        assert_eq!(image.languages[0].version.as_deref(), Some("3.11"));
        assert_eq!(
            image.extra_ca,
            [ContextFile { name: "corp-ca.pem".to_owned(), contents: CERTIFICATE.as_bytes().to_vec() }]
        );
        assert_eq!(image.made_by, "image-debian");
        assert_eq!(image.mirrors.pip.as_deref(), Some("https://pypi.example.com/simple"));
    }

    #[test]
    fn who_names_no_authority_trusts_the_sites() {
        let fixture = Fixture::new();
        let site = wharf_exchange::TlsIdentity::generate().expect("a certificate").cert_pem;
        fixture.write("certs/site.pem", &site);
        fixture.write("certs/own.pem", CERTIFICATE);
        fixture.write("wharf.toml", "extra_ca = [\"certs/site.pem\"]\n");
        for (written, expected) in
            [("", vec!["site.pem"]), ("extra_ca = [\"certs/own.pem\"]\n", vec!["own.pem"]), ("extra_ca = []\n", vec![])]
        {
            fixture.write("base-images/a.toml", &format!("from = \"a\"\n{written}"));
            let image = fixture.home().load_base_image("a").expect("sound");
            let names: Vec<&str> = image.extra_ca.iter().map(|file| file.name.as_str()).collect();
            assert_eq!(names, expected, "{written}");
        }
        let loaded = fixture.home().load_site().expect("sound");
        assert_eq!(loaded.extra_ca[0].contents, site.as_bytes());
        assert_ne!(loaded.roots, wharf_fetch::Roots::default());
        fixture.write("certs/site.pem", CERTIFICATE);
        let fault = fixture.home().load_site().expect_err("half a certificate");
        let shown = fixture.spell(&fault);
        assert!(
            shown.starts_with("wharf.toml:1: `extra_ca` names \"certs/site.pem\", which has a broken certificate"),
            "{shown}"
        );
    }

    #[test]
    fn fragments_know_their_lines_and_their_files() {
        let fixture = Fixture::new();
        fixture.write("files/krb5.conf", "[libdefaults]\n");
        fixture.write(
            "base-images/a.toml",
            "from = \"a\"\ncuda = \"12.4\"\nfiles = [\"files/krb5.conf\"]\npost_install = '''\nCOPY krb5.conf /etc/\nRUN a \\\n && b\n'''\n",
        );
        let image = fixture.home().load_base_image("a").expect("sound");
        let fragment = image.post_install.expect("a fragment");
        assert_eq!((fragment.file.as_str(), fragment.line), ("base-images/a.toml", 5));
        assert_eq!(image.files[0].name, "krb5.conf");
        assert_eq!(image.cuda.as_deref(), Some("12.4"));
        for (text, expected) in [
            ("post_install = '''\nRUN true\nRNU false\n'''\n", "4: `post_install`: \"RNU\" is no instruction"),
            ("pre_install = \"COPY x /etc/\"\n", "2: `pre_install`: COPY names \"x\", which isn't one"),
            ("cuda = \"twelve\"\n", "2: `cuda` is \"twelve\"; expected a version such as \"12.4\""),
            ("files = [\"../secret\"]\n", "2: `files` names \"../secret\"; expected a path below the home"),
            ("files = [\"files/Containerfile\"]\n", "2: `files` names \"files/Containerfile\": a build has"),
            ("files = [\"files/none\"]\n", "2: `files` names \"files/none\":"),
        ] {
            fixture.write("base-images/a.toml", &format!("from = \"a\"\n{text}"));
            let fault = fixture.home().load_base_image("a").expect_err(text);
            let shown = fixture.spell(&fault);
            assert!(shown.starts_with(&format!("base-images/a.toml:{expected}")), "{shown}");
        }
    }

    #[test]
    fn each_slip_has_its_line_and_its_nearest_spelling() {
        let fixture = Fixture::new();
        fixture.write("certs/key.pem", &format!("{CERTIFICATE}-----BEGIN PRIVATE KEY-----\n"));
        fixture.write("certs/text.pem", "hello\n");
        fixture.write("certs/a.pem", CERTIFICATE);
        fixture.write("other/a.pem", CERTIFICATE);
        for (text, expected) in [
            ("", "1: the image starts from nothing: `from` or [bootstrap] is missing"),
            (
                "from = \"a\"\n[bootstrap]\nsuite = \"bookworm\"\n",
                "2: the image starts from two things: `from` and [bootstrap]",
            ),
            ("form = \"a\"\n", "1: unknown key `form`; did you mean `from`?"),
            (
                "from = \"https://a\"\n",
                "1: `from` is \"https://a\"; expected an image such as \"debian:bookworm-slim\"",
            ),
            ("[bootstrap]\n", "1: `suite` is missing in [bootstrap]"),
            (
                "[bootstrap]\nsuite = \"Book Worm\"\n",
                "2: `suite` in [bootstrap] is \"Book Worm\"; expected a Debian suite such as \"bookworm\"",
            ),
            (
                "[bootstrap]\nsuite = \"bookworm\"\nmirror = \"deb.debian.org/debian\"\n",
                "3: `mirror` in [bootstrap] is \"deb.debian.org/debian\"; expected a URL that begins with http:// or https://; did you mean \"https://deb.debian.org/debian\"?",
            ),
            ("from = \"a\"\n[languages.pyhton]\n", "2: unknown key `pyhton` in [languages]; did you mean `python`?"),
            (
                "from = \"a\"\n[languages.python]\nversion = 3.11\n",
                "3: `languages.python.version` is the number 3.11; expected a text in quotes",
            ),
            (
                "from = \"a\"\n[languages.r]\npackages = [\"--repo\"]\n",
                "3: `packages` in [languages.r] has \"--repo\", which can't be the name of a package",
            ),
            (
                "from = \"a\"\nsystem_packages = [\n\"git\",\n\"git; rm\"]\n",
                "4: `system_packages` has \"git; rm\", which can't be the name of a Debian package",
            ),
            (
                "from = \"a\"\n[mirrors]\npip = \"http://x/$(id)\"\n",
                "3: `pip` in [mirrors] is \"http://x/$(id)\"; expected a URL that begins with http:// or https://",
            ),
            (
                "from = \"a\"\nextra_ca = [\"certs/none.pem\"]\n",
                "2: `extra_ca` names \"certs/none.pem\": certs/none.pem: can't be read: No such file or directory (os error 2)",
            ),
            ("from = \"a\"\nextra_ca = [\"certs/text.pem\"]\n", "2: certs/text.pem has no certificate in PEM form"),
            (
                "from = \"a\"\nextra_ca = [\"certs/key.pem\"]\n",
                "2: certs/key.pem has a private key in it, which must not get into an image",
            ),
            (
                "from = \"a\"\nextra_ca = [\"certs/a.pem\", \"other/a.pem\"]\n",
                "2: `extra_ca` names two files called \"a.pem\"",
            ),
            ("from = \"a\"\n[labels]\n\"wharf.image.key\" = \"\"\n", "3: the label `wharf.image.key` is wharf's own"),
        ] {
            fixture.write("base-images/a.toml", text);
            let fault = fixture.home().load_base_image("a").expect_err(text);
            assert_eq!(fixture.spell(&fault), format!("base-images/a.toml:{expected}"), "{text}");
        }
    }
}
