//! Names of images and registries, compared as engines read them.

use wharf_plugin_sdk::pattern::matches;

/// What engines put in front of a name without a registry.
const HUB: &str = "docker.io";

/// Whether an image is one that a pattern stands for. A pattern without a tag or a digest takes all of them.
pub(crate) fn is_one_of(image: &str, pattern: &str) -> bool {
    let (host, path) = split(image);
    let (pattern_host, pattern_path) = split(pattern);
    if !matches(&pattern_host, &host) {
        return false;
    }
    let (name, tag) = cut_tag(&path);
    match cut_tag(&pattern_path) {
        (pattern_name, None) => matches(pattern_name, name) || matches(pattern_name, &path),
        (pattern_name, Some(pattern_tag)) => {
            // The separator belongs to it: `@sha256:` is no tag.
            matches(pattern_name, name) && matches(pattern_tag, tag.unwrap_or(":latest"))
        }
    }
}

/// Whether a registry (and a path in it) is one that a pattern stands for, or is below one.
pub(crate) fn is_below(registry: &str, pattern: &str) -> bool {
    let cut = |text: &str| match text.trim_end_matches('/').split_once('/') {
        Some((host, path)) => (host.to_ascii_lowercase(), path.to_owned()),
        None => (text.trim_end_matches('/').to_ascii_lowercase(), String::new()),
    };
    let ((host, path), (pattern_host, pattern_path)) = (cut(registry), cut(pattern));
    let below = |whole: &str| pattern_path.is_empty() || pattern_path == "*" || matches(&pattern_path, whole);
    matches(&pattern_host, &host) && (below(&path) || path.match_indices('/').any(|(end, _)| below(&path[..end])))
}

/// The name without its tag.
pub(crate) fn without_tag(image: &str) -> &str {
    let name_at = image.rfind('/').map_or(0, |at| at + 1);
    image[name_at..].find([':', '@']).map_or(image, |end| &image[..name_at + end])
}

pub(crate) fn has_digest(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(_, hex)| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The host in the address of a mirror.
pub(crate) fn host_of_url(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// The registry, and the path in it with tag and digest.
fn split(image: &str) -> (String, String) {
    let is_host = |text: &str| text.contains(['.', ':', '*']) || text == "localhost";
    match image.split_once('/') {
        Some((host, path)) if is_host(host) => {
            let host = host.to_ascii_lowercase();
            let host = if host == "index.docker.io" { HUB.to_owned() } else { host };
            let path = if host == HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
            (host, path)
        }
        Some(_) => (HUB.to_owned(), image.to_owned()),
        None => (HUB.to_owned(), format!("library/{image}")),
    }
}

/// A path's name, and its tag or digest with what stands before it.
fn cut_tag(path: &str) -> (&str, Option<&str>) {
    let name_at = path.rfind('/').map_or(0, |at| at + 1);
    // With a digest, the tag before it means nothing.
    if let Some(at) = path.find('@') {
        let name = without_tag(&path[..at]);
        return (name, Some(&path[at..]));
    }
    match path[name_at..].find(':') {
        Some(at) => (&path[..name_at + at], Some(&path[name_at + at..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_compared_as_engines_read_them() {
        for (image, pattern, fits) in [
            ("debian:bookworm-slim", "debian", true),
            ("debian:bookworm-slim", "debian:bookworm*", true),
            ("debian", "debian:latest", true),
            ("debian:12", "docker.io/library/debian", true),
            ("index.docker.io/library/debian:12", "debian:*", true),
            ("docker.io/debian", "debian", true),
            ("debian:12", "debian:1", false),
            ("somebody/debian:12", "debian", false),
            ("registry.example.com/debian:12", "debian", false),
            ("registry.example.com/base/python:3", "registry.example.com/*", true),
            ("registry.example.com/base/python:3", "registry.example.com/base/*:3", true),
            ("registry.example.com.evil.org/base", "registry.example.com/*", false),
            ("evil.org/x.example.com/base", "*.example.com/base", false),
            ("a.example.com/base:1", "*.example.com/base", true),
            ("localhost:5000/base", "localhost:5000/*", true),
            ("localhost:5000/base:1", "localhost:5000/base:2", false),
            ("debian:12@sha256:abc", "debian:12", false),
            ("debian:12@sha256:abc", "debian@sha256:*", true),
            ("Registry.Example.com/base", "registry.example.com/base", true),
        ] {
            assert_eq!(is_one_of(image, pattern), fits, "{image} {pattern}");
        }
    }

    #[test]
    fn a_registry_is_below_another_by_whole_names() {
        for (registry, pattern, fits) in [
            ("registry.example.com", "registry.example.com", true),
            ("registry.example.com/data", "registry.example.com", true),
            ("registry.example.com/data", "registry.example.com/*", true),
            ("registry.example.com/data/team", "registry.example.com/data", true),
            ("registry.example.com/database", "registry.example.com/data", false),
            ("registry.example.com:5000", "registry.example.com", false),
            ("registry.example.com.evil.org", "registry.example.com", false),
            ("evil.org/registry.example.com", "*registry.example.com", false),
        ] {
            assert_eq!(is_below(registry, pattern), fits, "{registry} {pattern}");
        }
    }

    #[test]
    fn parts_of_names_are_found() {
        let digest = format!("debian@sha256:{}", "a".repeat(64));
        assert!(has_digest(&digest) && !has_digest("debian@sha256:abc") && !has_digest("debian:12"));
        assert_eq!(without_tag("localhost:5000/base:1"), "localhost:5000/base");
        assert_eq!(without_tag(&digest), "debian");
        assert_eq!(host_of_url("https://user@mirror.example.com:8443/debian?x=/"), "mirror.example.com:8443");
    }
}
