//! Query parameters set on a URL.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::secret::Secret;
use crate::wire::path::{escape, unescape};

/// `url` with `query` set on it: a parameter of the same name is replaced, the others stay as they
/// are, and so does a fragment.
pub(crate) fn with_query<'a, Q>(url: &str, query: Q) -> String
where
    Q: IntoIterator<Item = (&'a String, &'a Secret)>,
{
    let query: Vec<(&String, &Secret)> = query.into_iter().collect();
    if query.is_empty() {
        return url.to_owned();
    }
    let (rest, fragment) = match url.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (url, None),
    };
    let (base, old) = rest.split_once('?').unwrap_or((rest, ""));
    let mut pairs: Vec<String> = old
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !query.iter().any(|(set, _)| set.as_bytes() == unescape(name))
        })
        .map(ToOwned::to_owned)
        .collect();
    for (name, value) in query {
        pairs.push(alloc::format!("{}={}", escape(name), escape(value.expose())));
    }
    let mut url = alloc::format!("{base}?{}", pairs.join("&"));
    if let Some(fragment) = fragment {
        url.push('#');
        url.push_str(fragment);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(url: &str, pairs: &[(&str, &str)]) -> String {
        let query = pairs.iter().map(|(name, value)| ((*name).into(), Secret::new(*value)));
        let query: alloc::collections::BTreeMap<String, Secret> = query.collect();
        with_query(url, &query)
    }

    #[test]
    fn a_parameter_is_replaced_or_added_and_the_others_stay() {
        assert_eq!(set("https://h/p", &[]), "https://h/p");
        assert_eq!(set("https://h/p", &[("a", "1 2&=")]), "https://h/p?a=1%202%26%3D");
        assert_eq!(set("https://h/p?x=%7E&a=0&b#f", &[("a", "1")]), "https://h/p?x=%7E&b&a=1#f");
        assert_eq!(
            set("https://h?%61=0&a+b=1&%zz=2", &[("a", "1"), ("a b", "2")]),
            "https://h?%zz=2&a=1&a%20b=2"
        );
    }
}
