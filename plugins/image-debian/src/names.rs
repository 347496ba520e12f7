//! What may stand in a script. Everything that comes from a spec passes one of these before it does.

/// A Debian package: a name, with `=VERSION` or `:ARCHITECTURE`.
pub(crate) fn debian_package(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+:=~_-".contains(&b));
    (first && rest).then_some(()).ok_or_else(|| format!("\"{text}\" is no name of a Debian package, such as libgdal32"))
}

/// A requirement of PyPI: a name, with extras and version specifiers.
pub(crate) fn pip_requirement(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_[],<>=!~*+ ".contains(&b));
    let message =
        || format!("\"{text}\" is no requirement of a Python package, such as polars==1.9 or requests[socks]>=2");
    (first && rest).then_some(()).ok_or_else(message)
}

/// A package of CRAN: letters, digits and dots.
pub(crate) fn cran_package(text: &str) -> Result<(), String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let message = || {
        format!("\"{text}\" is no name of an R package, such as forecast; a Debian package's name begins with r-cran-")
    };
    (first && rest).then_some(()).ok_or_else(message)
}

/// A version of a language: numbers and dots.
pub(crate) fn version(language: &str, text: &str) -> Result<(), String> {
    let fits = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    fits.then_some(()).ok_or_else(|| format!("\"{text}\" is no version of {language}, such as 3.11"))
}

/// A certificate's file name.
pub(crate) fn certificate(text: &str) -> Result<(), String> {
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !text.starts_with(['.', '-']);
    (fits && !text.is_empty())
        .then_some(())
        .ok_or_else(|| format!("\"{text}\" is no name for a certificate's file, such as company-ca.pem"))
}

/// A mirror's address. Without a user in it: it would stay in a layer of the image for everybody to read.
pub(crate) fn url(what: &str, text: &str) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_never_gets_in() {
        for text in [
            "",
            "-y",
            "--index-url",
            "a;b",
            "a b",
            "a$(b)",
            "a`b`",
            "a'b",
            "a\"b",
            "a\nb",
            "a|b",
            "a&b",
            "a>b",
            "a/../b",
        ] {
            assert!(debian_package(text).is_err(), "{text}");
            assert!(cran_package(text).is_err(), "{text}");
            assert!(certificate(text).is_err() || text == "-y", "{text}");
            assert!(
                url("a mirror", &format!("https://host/{text}")).is_err() || !text.contains(['$', ';', '\'', '"', ' '])
            );
        }
        for text in [
            "",
            "-r file",
            "--index-url",
            "a;b",
            "a$(b)",
            "a`b`",
            "a'b",
            "a\"b",
            "a\nb",
            "git@host",
            "./wheel.whl",
            "https://x",
        ] {
            assert!(pip_requirement(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_people_write_passes() {
        for text in ["g++", "libgdal32", "python3=3.11.2-1+b1", "libc6:amd64", "0ad"] {
            debian_package(text).unwrap();
        }
        for text in
            ["pandas", "polars==1.9.*", "requests[socks]>=2,<3", "scikit-learn ~= 1.5", "torch==2.4.0+cpu", "a!=1"]
        {
            pip_requirement(text).unwrap();
        }
        url("a mirror", "https://mirror.example.org:8443/debian/").unwrap();
        assert!(url("a mirror", "https://ana:secret@mirror.example.org/debian").unwrap_err().contains("password"));
        assert!(url("a mirror", "ftp://mirror.example.org/").is_err());
        assert!(
            version("Python", "3.11").is_ok() && version("Python", "3.").is_err() && version("R", "latest").is_err()
        );
    }
}
