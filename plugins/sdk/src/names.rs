//! What may stand in a script of an image recipe. Everything that comes from a spec passes one of these before it does.
//!
//! Each says in one sentence what is wrong with a text, and shows one that would be right.

/// A requirement of PyPI: a name, with extras and version specifiers.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::pip_requirement("polars==1.9").is_ok());
/// assert!(names::pip_requirement("--index-url=x").is_err());
/// ```
///
/// # Errors
/// The text is an option, a path, an address, or has something in it that a shell would read.
pub fn pip_requirement(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_[],<>=!~*+ ".contains(&b));
    let message =
        || format!("\"{text}\" is no requirement of a Python package, such as polars==1.9 or requests[socks]>=2");
    (first && rest).then_some(()).ok_or_else(message)
}

/// A package of CRAN: letters, digits and dots.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::cran_package("data.table").is_ok());
/// assert!(names::cran_package("a b").is_err());
/// ```
///
/// # Errors
/// The text has other characters.
pub fn cran_package(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    (first && rest).then_some(()).ok_or_else(|| format!("\"{text}\" is no name of an R package, such as forecast"))
}

/// A version of a language: numbers and dots.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::version("Python", "3.11").is_ok());
/// assert!(names::version("Python", "3.x").is_err());
/// ```
///
/// # Errors
/// The text is something else.
pub fn version(language: &str, text: &str) -> Result<(), String> {
    let fits = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    fits.then_some(()).ok_or_else(|| format!("\"{text}\" is no version of {language}, such as 3.11"))
}

/// A Python interpreter: a name that is looked for in PATH, or an absolute path.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::interpreter("python3.11").is_ok());
/// assert!(names::interpreter("../python").is_err());
/// ```
///
/// # Errors
/// The text is something else.
pub fn interpreter(text: &str) -> Result<(), String> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let place = last == text || text.starts_with('/');
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b));
    let dots = text.split('/').any(|part| part == "..");
    (place && rest && !dots && last.starts_with(|c: char| c.is_ascii_alphabetic()))
        .then_some(())
        .ok_or_else(|| format!("\"{text}\" is no Python interpreter, such as python3.11 or /usr/local/bin/python3"))
}

/// A certificate's file name.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::certificate("company-ca.pem").is_ok());
/// assert!(names::certificate("../key.pem").is_err());
/// ```
///
/// # Errors
/// The text is a path, or has characters that no such name needs.
pub fn certificate(text: &str) -> Result<(), String> {
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !text.starts_with(['.', '-']);
    (fits && !text.is_empty())
        .then_some(())
        .ok_or_else(|| format!("\"{text}\" is no name for a certificate's file, such as company-ca.pem"))
}

/// A mirror's address. Without a user in it: it would stay in a layer of the image for everybody to read.
///
/// `what` begins the sentence, e.g. `the pip mirror`.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::url("the pip mirror", "http://pypi.example.com/simple").is_ok());
/// assert!(names::url("the pip mirror", "https://ana:secret@pypi.example.com/simple").is_err());
/// ```
///
/// # Errors
/// The text is no address, or has a user in it.
pub fn url(what: &str, text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Err(format!("{what} is \"{text}\", which doesn't begin with http:// or https://"));
    };
    if rest.contains('@') {
        return Err(format!(
            "{what} has a user or a password in it, which would stay in the image; take a mirror without"
        ));
    }
    let fits = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~:/%+=-".contains(&b));
    let host = rest.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    (fits && host)
        .then_some(())
        .ok_or_else(|| format!("{what} is \"{text}\", which has characters that no mirror's address needs"))
}

/// The address of something that brings the keys which everything after it is checked with: only over TLS.
///
/// ```
/// use wharf_plugin_sdk::names;
///
/// assert!(names::trusted_url("the CUDA mirror", "https://mirror.example.com/cuda").is_ok());
/// assert!(names::trusted_url("the CUDA mirror", "http://mirror.example.com/cuda").is_err());
/// ```
///
/// # Errors
/// As [`url`], and the text begins with `http://`.
pub fn trusted_url(what: &str, text: &str) -> Result<(), String> {
    if text.starts_with("http://") {
        return Err(format!(
            "{what} is \"{text}\", and keys come from there which nothing vouches for but TLS; take an https:// address"
        ));
    }
    url(what, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_never_gets_in() {
        for text in ["", "-y", "--index-url", "a;b", "a$(b)", "a`b`", "a'b", "a\"b", "a\nb", "a|b", "a&b"] {
            assert!(pip_requirement(text).is_err(), "{text}");
            assert!(cran_package(text).is_err(), "{text}");
            assert!(interpreter(text).is_err(), "{text}");
            assert!(certificate(text).is_err(), "{text}");
            assert!(version("R", text).is_err(), "{text}");
            assert!(url("a mirror", text).is_err(), "{text}");
        }
        for text in ["-r file", "git@host", "./wheel.whl", "https://x"] {
            assert!(pip_requirement(text).is_err(), "{text}");
        }
        for text in ["a b", "a>b", "a/../b"] {
            assert!(cran_package(text).is_err(), "{text}");
            assert!(interpreter(text).is_err(), "{text}");
            assert!(certificate(text).is_err(), "{text}");
        }
        for text in ["a b", "a$b", "a;b", "a'b", "a\"b", "a\\b", "a#b", "a&b"] {
            assert!(url("a mirror", &format!("https://host/{text}")).is_err(), "{text}");
        }
        for text in ["bin/python3", "/usr/../python3", "/usr/bin/", "3.11", "-c"] {
            assert!(interpreter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_people_write_passes() {
        for text in
            ["pandas", "polars==1.9.*", "requests[socks]>=2,<3", "scikit-learn ~= 1.5", "torch==2.4.0+cpu", "a!=1"]
        {
            pip_requirement(text).unwrap();
        }
        for text in ["python3", "python3.11", "pypy3", "/usr/local/bin/python3.12", "/opt/python-3.12/bin/python"] {
            interpreter(text).unwrap();
        }
        cran_package("data.table").unwrap();
        url("a mirror", "https://mirror.example.org:8443/debian/").unwrap();
        trusted_url("a mirror", "https://mirror.example.org/cuda").unwrap();
        assert!(trusted_url("a mirror", "http://mirror.example.org/cuda").unwrap_err().contains("https://"));
        assert!(url("a mirror", "https://ana:secret@mirror.example.org/debian").unwrap_err().contains("password"));
        assert!(url("a mirror", "ftp://mirror.example.org/").is_err());
        assert!(
            version("Python", "3.11").is_ok() && version("Python", "3.").is_err() && version("R", "latest").is_err()
        );
    }
}
