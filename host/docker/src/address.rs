//! Addresses of Docker daemons.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use wharf_model::configuration::Daemon;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A Unix socket of this machine: `unix:///var/run/docker.sock`.
    Unix(PathBuf),
    /// A port: `tcp://HOST:PORT`.
    Tcp {
        /// A name or an address; an IPv6 one without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The default daemon of a machine that ssh leads to: `ssh://[USER@]HOST[:PORT]`.
    Ssh {
        /// The user to log in as; what ssh's configuration says by default.
        user: Option<String>,
        /// A name, an address or a `Host` of ssh's configuration.
        host: String,
        /// The port; what ssh's configuration says by default.
        port: Option<u16>,
    },
}

/// Why a text isn't the address of a daemon that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon's address is \"{address}\", {problem}; {advice}")]
pub struct AddressError {
    /// The address.
    pub address: String,
    /// What is wrong with it, as the end of a sentence that begins with the address.
    pub problem: String,
    /// What to write.
    pub advice: String,
}

const ADVICE: &str =
    "write unix://PATH such as unix:///var/run/docker.sock, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]";

impl Address {
    /// The address of a daemon, when what goes with it is right for its kind.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse); a `cert_path` without `tcp://`, an `ssh_config` without `ssh://`.
    pub fn of(daemon: &Daemon) -> Result<Self, AddressError> {
        let address = Self::parse(&daemon.host)?;
        let error = |key: &str, scheme: &str, advice: &str| AddressError {
            address: daemon.host.clone(),
            problem: format!("and `{key}` is for {scheme}:// alone"),
            advice: advice.to_owned(),
        };
        match address {
            Self::Unix(_) | Self::Ssh { .. } if daemon.cert_path.is_some() => {
                Err(error("cert_path", "tcp", "take `cert_path` out, or write the daemon's tcp://HOST:PORT"))
            }
            Self::Unix(_) | Self::Tcp { .. } if daemon.ssh_config.is_some() => {
                Err(error("ssh_config", "ssh", "take `ssh_config` out, or write ssh://[USER@]HOST[:PORT]"))
            }
            address => Ok(address),
        }
    }

    /// Reads an address as `DOCKER_HOST` has it.
    ///
    /// # Errors
    /// Another scheme than `unix`, `tcp` and `ssh`, or no address at all.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = |problem: String, advice: &str| AddressError {
            address: text.to_owned(),
            problem,
            advice: advice.to_owned(),
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(if text.starts_with('/') {
                error(format!("a path; did you mean \"unix://{text}\"?"), ADVICE)
            } else {
                error("which isn't the address of a Docker daemon".to_owned(), ADVICE)
            });
        };
        match scheme {
            "unix" if rest.starts_with('/') && rest.len() > 1 => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(error(
                "without a whole path".to_owned(),
                "a socket's path is absolute, so there are three slashes: unix:///var/run/docker.sock",
            )),
            "tcp" => match machine(rest) {
                Some((None, host, Some(port))) => Ok(Self::Tcp { host, port }),
                Some((None, _, None)) => Err(error(
                    "without a port".to_owned(),
                    "write tcp://HOST:PORT; Docker's usual ports are 2376 with TLS and 2375 without",
                )),
                _ => Err(error(
                    "which isn't tcp://HOST:PORT".to_owned(),
                    "write a name or an address and a port, nothing else; an IPv6 address in brackets",
                )),
            },
            "ssh" => match machine(rest) {
                Some((user, host, port)) => Ok(Self::Ssh { user, host, port }),
                None => Err(error(
                    "which isn't ssh://[USER@]HOST[:PORT]".to_owned(),
                    "write no password and no path: keys are for ssh's own configuration, and the daemon is that \
                     user's default one over there",
                )),
            },
            "http" | "https" => Err(error(
                format!("which Docker spells tcp://; did you mean \"tcp://{}\"?", rest.trim_end_matches('/')),
                "TLS comes with `cert_path`, not with the scheme",
            )),
            _ => Err(error(format!("and {scheme}:// isn't supported"), ADVICE)),
        }
    }

    /// Whether the daemon is certainly on this machine, so that its containers are, too.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            Self::Ssh { .. } => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// A host as a URL has it.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// `[USER@]HOST[:PORT]`. What begins with a dash would be an option for ssh.
fn machine(text: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let (host, port) = if let Some((host, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        host.parse::<Ipv6Addr>().ok()?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        if !word(host) {
            return None;
        }
        (host, port)
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None => None,
    };
    if user.is_some_and(|user| !word(user)) {
        return None;
    }
    Some((user.map(str::to_owned), host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written() {
        let tcp = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
        let ssh = |user: Option<&str>, host: &str, port| Address::Ssh {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        };
        for (text, address, local) in [
            ("unix:///var/run/docker.sock", Address::Unix(PathBuf::from("/var/run/docker.sock")), true),
            ("tcp://docker.example.com:2376", tcp("docker.example.com", 2376), false),
            ("tcp://10.0.0.1:2375", tcp("10.0.0.1", 2375), false),
            ("tcp://127.0.0.1:2375", tcp("127.0.0.1", 2375), true),
            ("tcp://localhost:2375", tcp("localhost", 2375), true),
            ("tcp://[::1]:2375", tcp("::1", 2375), true),
            ("tcp://[fd00::7]:2375", tcp("fd00::7", 2375), false),
            ("ssh://build", ssh(None, "build", None), false),
            ("ssh://ana@build.example.com:2222", ssh(Some("ana"), "build.example.com", Some(2222)), false),
            ("ssh://[fd00::7]:22", ssh(None, "fd00::7", Some(22)), false),
        ] {
            let read = Address::parse(text).unwrap();
            assert_eq!(read, address);
            assert_eq!(read.to_string(), text);
            assert_eq!(read.is_local(), local, "{text}");
        }
        assert_eq!(Address::parse("tcp://a:1/"), Ok(tcp("a", 1)));
    }

    #[test]
    fn what_goes_with_an_address_is_for_its_kind() {
        let of = |host: &str, cert_path: bool, ssh_config: bool| {
            let daemon = Daemon {
                cert_path: cert_path.then(|| "/c".into()),
                ssh_config: ssh_config.then(|| "/s".into()),
                ..Daemon::at(host)
            };
            Address::of(&daemon).map_err(|error| error.problem)
        };
        assert!(of("tcp://a:1", true, false).is_ok() && of("ssh://a", false, true).is_ok());
        for host in ["unix:///d.sock", "ssh://a"] {
            assert_eq!(of(host, true, false).unwrap_err(), "and `cert_path` is for tcp:// alone");
        }
        for host in ["unix:///d.sock", "tcp://a:1"] {
            assert_eq!(of(host, false, true).unwrap_err(), "and `ssh_config` is for ssh:// alone");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("unix://docker.sock", "three slashes"),
            ("unix:///", "three slashes"),
            ("/var/run/docker.sock", "did you mean \"unix:///var/run/docker.sock\"?"),
            ("", "isn't the address of a Docker daemon"),
            ("docker", "isn't the address of a Docker daemon"),
            ("npipe:////./pipe/docker_engine", "npipe:// isn't supported"),
            ("http://build:2375/", "did you mean \"tcp://build:2375\"?"),
            ("https://build:2376", "TLS comes with `cert_path`"),
            ("tcp://build", "2376 with TLS and 2375 without"),
            ("tcp://build:0", "isn't tcp://HOST:PORT"),
            ("tcp://build:70000", "isn't tcp://HOST:PORT"),
            ("tcp://build:2375/path", "isn't tcp://HOST:PORT"),
            ("tcp://ana@build:2375", "isn't tcp://HOST:PORT"),
            ("tcp://:2375", "isn't tcp://HOST:PORT"),
            ("tcp://fd00::7:2375", "isn't tcp://HOST:PORT"),
            ("ssh://", "isn't ssh://[USER@]HOST[:PORT]"),
            ("ssh://ana:secret@build", "no password"),
            ("ssh://build/run/docker.sock", "no path"),
            ("ssh://-oProxyCommand=x", "isn't ssh://"),
            ("ssh://-l@build", "isn't ssh://"),
            ("ssh://a b", "isn't ssh://"),
            ("ssh://build:ssh", "isn't ssh://"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(&format!("\"{text}\"")), "{error}");
        }
    }
}
