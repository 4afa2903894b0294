//! The name that was probably meant.

/// The name that takes the fewest changes to become `wanted`, if these are few; else one that holds it.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let wanted = wanted.to_lowercase().replace('_', "-");
    // A third of the letters wrong is another word; a long text is no name at all.
    let limit = wanted.chars().take(65).count() / 3;
    if limit == 0 || limit > 21 {
        return None;
    }
    names
        .clone()
        .map(|name| (distance(&wanted, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
        .or_else(|| names.filter(|name| name.contains(&wanted)).min_by_key(|name| name.len()))
}

/// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("etcd", "etdc", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        let names = ["etcd", "etcd-address-not-local", "etcd-nospace", "host-swap-enabled"];
        for (wanted, expected) in [
            ("etcd-adress-not-local", Some("etcd-address-not-local")),
            ("etcd_address_not_local", Some("etcd-address-not-local")),
            ("Etcd-NoSpace", Some("etcd-nospace")),
            ("swap-enabled", Some("host-swap-enabled")),
            ("swap", Some("host-swap-enabled")),
            ("ectd", Some("etcd")),
            ("unrelated-thing", None),
            ("x", None),
        ] {
            assert_eq!(nearest(wanted, names.into_iter()), expected, "{wanted}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), names.into_iter()), None);
    }
}
