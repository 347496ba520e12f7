//! Certificates that an image must trust before it fetches anything.

use wharf_plugin_sdk::image::Step;

use crate::names;

/// What tools read that don't ask OpenSSL's own folder: Python's requests and pip bring their own list.
const VARIABLES: [&str; 3] = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const FOLDER: &str = "/usr/local/share/ca-certificates";

/// Copies the certificates and has everything trust them. No steps when there are none.
pub(crate) fn steps(extra_ca: &[String]) -> Result<Vec<Step>, String> {
    if extra_ca.is_empty() {
        return Ok(Vec::new());
    }
    let mut names: Vec<&String> = extra_ca.iter().collect();
    names.sort();
    let mut steps = Vec::new();
    for name in names {
        names::certificate(name)?;
        // update-ca-certificates takes only files that end so.
        let target = if name.ends_with(".crt") { name.clone() } else { format!("{name}.crt") };
        steps.push(Step::copy(name, format!("{FOLDER}/{target}")));
    }
    // A slim image has no ca-certificates yet, and apt may need these to fetch it. When it comes, it makes the bundle anew
    // from the same folder.
    let script = format!(
        "if command -v update-ca-certificates >/dev/null; then\n  \
           update-ca-certificates\n\
         else\n  \
           mkdir -p /etc/ssl/certs\n  \
           cat {FOLDER}/*.crt >>{BUNDLE}\n\
         fi\n"
    );
    steps.push(Step::run("trust the site's certificates", script));
    steps.extend(VARIABLES.map(|variable| Step::variable(variable, BUNDLE)));
    Ok(steps)
}
