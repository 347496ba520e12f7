//! What secrets look like.

/// A token that begins with a known prefix: the prefix, how many characters follow at least, and what it is.
const PREFIXES: [(&str, usize, &str); 20] = [
    ("AKIA", 16, "a key of AWS"),
    ("ASIA", 16, "a key of AWS"),
    ("AIza", 35, "a key of Google Cloud"),
    ("ya29.", 20, "a token of Google Cloud"),
    ("ghp_", 36, "a token of GitHub"),
    ("gho_", 36, "a token of GitHub"),
    ("ghs_", 36, "a token of GitHub"),
    ("github_pat_", 40, "a token of GitHub"),
    ("glpat-", 20, "a token of GitLab"),
    ("xoxb-", 20, "a token of Slack"),
    ("xoxp-", 20, "a token of Slack"),
    ("sk_live_", 16, "a key of Stripe"),
    ("sk-ant-", 20, "a key of Anthropic"),
    ("sk-proj-", 20, "a key of OpenAI"),
    ("hf_", 30, "a token of Hugging Face"),
    ("dapi", 32, "a token of Databricks"),
    ("npm_", 36, "a token of npm"),
    ("pypi-", 40, "a token of PyPI"),
    ("dckr_pat_", 20, "a token of Docker Hub"),
    ("dkuaps-", 20, "an API key of DSS"),
];

/// Words in names of secrets.
const SECRET_WORDS: [&str; 13] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "PRIVATEKEY",
    "ACCESSKEY",
    "SECRETKEY",
    "AUTHKEY",
];

/// So long is a word that may be a key.
const LONG: usize = 28;
/// So many bits has each character of a random word at least: of 28 that are drawn from 64, nearly all differ.
const BITS: f64 = 4.1;

/// What a text has in it that can be told by its form.
pub(crate) fn known(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if has_url_password(text) {
        return Some("an address with a password");
    }
    if words(text).any(is_json_web_token) {
        return Some("a JSON web token");
    }
    PREFIXES.iter().find(|(prefix, rest, _)| has_token(text, prefix, *rest)).map(|(.., what)| *what)
}

/// Whether a word begins so and goes on.
pub(crate) fn begins_with(text: &str, prefix: &str) -> bool {
    has_token(text, prefix, 16)
}

fn has_token(text: &str, prefix: &str, rest: usize) -> bool {
    text.match_indices(prefix).any(|(at, _)| {
        // In the middle of a word it is chance.
        let before = text[..at].bytes().next_back();
        let after = text[at + prefix.len()..].bytes().take_while(|b| is_word_byte(*b)).count();
        before.is_none_or(|b| !b.is_ascii_alphanumeric()) && after >= rest
    })
}

/// `scheme://user:password@host`. A password that is a variable of the shell is none.
fn has_url_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let authority = text[at + 3..].split(['/', '?', '#', ' ', '"', '\'']).next().unwrap_or_default();
        let password =
            authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':')).map(|(_, password)| password);
        password.is_some_and(|password| !password.is_empty() && !is_placeholder(password))
    })
}

fn is_json_web_token(word: &str) -> bool {
    let mut parts = word.split('.');
    let is_part = |part: Option<&str>| part.is_some_and(|part| part.len() >= 16 && part.bytes().all(is_word_byte));
    word.starts_with("eyJ") && is_part(parts.next()) && is_part(parts.next()) && is_part(parts.next())
}

/// `DB_PASSWORD`, `apiKey`, `--access-key`.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_small) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_uppercase());
        }
        was_small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    // The last word says what it is: TOKEN_URL is an address, and PASSWORD_FILE a path.
    let Some((last, before)) = words.split_last() else { return false };
    let both = before.last().map(|before| format!("{before}{last}"));
    SECRET_WORDS.contains(&last.as_str()) && (last != "PWD" || !before.is_empty() && before[0] != "OLD")
        || both.is_some_and(|both| SECRET_WORDS.contains(&both.as_str()))
}

/// What stands for a value that comes from elsewhere.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let bare = text.trim();
    bare.starts_with('$')
        || bare.starts_with("{{")
        || bare.starts_with('<') && bare.ends_with('>')
        || bare.bytes().all(|b| b == b'*')
}

/// Whether a text has a word that looks drawn by chance. Paths, numbers, digests and identifiers in hex aren't looked at: too
/// much that is no secret looks like them.
pub(crate) fn has_random_word(text: &str) -> bool {
    words(text).any(|word| {
        let has = |is: fn(&u8) -> bool| word.bytes().filter(is).count() >= 3;
        // In names and dates, digits stand together.
        let runs = word.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).count();
        word.len() >= LONG
            && runs >= 3
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && bits(word) >= BITS
    })
}

/// The words of a text: what may stand in a key, so that paths and sentences fall apart.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-+=.".contains(c)))
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
}

/// Shannon's entropy of a word, in bits a character.
fn bits(word: &str) -> f64 {
    let mut counts = [0u32; 256];
    word.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let length = u32::try_from(word.len()).map_or(f64::INFINITY, f64::from);
    let of_each = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    of_each.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_by_their_form() {
        let s = |parts: &[&str]| parts.concat();
        for (text, what) in [
            (s(&["AKIA", "IOSFODNN7EXAMPLE"]), Some("a key of AWS")),
            (s(&["key=AKIA", "IOSFODNN7EXAMPLE;"]), Some("a key of AWS")),
            (s(&["xAKIA", "IOSFODNN7EXAMPLE"]), None),
            (s(&["AKIA", "SHORT"]), None),
            (s(&["ghp_", &"a1".repeat(18)]), Some("a token of GitHub")),
            (s(&["-----BEGIN RSA ", "PRIVATE KEY-----\nMII"]), Some("a private key")),
            (s(&["postgres://ana:", "hunter2@db.example.com/flights"]), Some("an address with a password")),
            (s(&["postgres://ana:", "$PASSWORD@db.example.com/flights"]), None),
            (s(&["postgres://ana@db.example.com/flights"]), None),
            (s(&["https://example.com/a:b@c"]), None),
            (
                s(&["eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIxMjM0NTY3ODkwIn0.", "dozjgNryP4J3jVmNHl0w5N"]),
                Some("a JSON web token"),
            ),
            (s(&["python3 recipe.py"]), None),
        ] {
            assert_eq!(known(&text), what, "{text}");
        }
    }

    #[test]
    fn names_of_secrets_end_with_what_they_are() {
        for name in [
            "DB_PASSWORD",
            "password",
            "apiKey",
            "API_KEY",
            "-access-key",
            "awsSecretAccessKey",
            "GITHUB_TOKEN",
            "db.pwd",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PWD",
            "OLDPWD",
            "OLD_PWD",
            "TOKEN_URL",
            "PASSWORD_FILE",
            "KEY",
            "PRIMARY_KEY",
            "tokens_per_batch",
            "",
            "_",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn random_words_are_not_paths_digests_or_names() {
        assert!(has_random_word("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMP0LEKEY12"));
        for text in [
            "/opt/wharf/python3.11/site-packages/pandas/core/frame",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "0196c0a1-7e3f-7b1c-9a58-3f0c5b0d2a11",
            "ThisIsAVeryLongCamelCaseNameOfAThing2024",
            "2026-11-30T23:59:59.123456789Z",
            "aaaaaaaaaaAAAAAAAAAA1111111111",
            "",
        ] {
            assert!(!has_random_word(text), "{text}");
        }
    }
}
