//! Which name somebody may have meant.

/// The name that is most like the given one, if one is like it at all.
pub(crate) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    // Comparing takes the product of the lengths.
    const LONGEST: usize = 255;
    if given.len() > LONGEST {
        return None;
    }
    let given = given.to_lowercase();
    let like = |name: &str| strsim::jaro_winkler(&given, &name.to_lowercase());
    let scored = names.filter(|name| name.len() <= LONGEST).map(|name| (like(name), name.as_str()));
    scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
