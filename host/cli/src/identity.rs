//! Who sits at the terminal.

use std::env;

/// The login of the person who started this process; its number when there is no name.
pub(crate) fn login() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| env::var(name).ok()).find(|name| !name.is_empty());
    named.unwrap_or_else(|| {
        let id = rustix::process::getuid().as_raw().to_string();
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        account_name(&accounts, &id).unwrap_or(id)
    })
}

fn account_name(accounts: &str, id: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_accounts() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\nbroken\n";
        assert_eq!(account_name(accounts, "1000").as_deref(), Some("ana"));
        assert_eq!(account_name(accounts, "0").as_deref(), Some("root"));
        assert_eq!(account_name(accounts, "7"), None);
    }
}
