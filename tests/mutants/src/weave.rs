//! Writes every mutation of a file into it at once, each behind a switch of its own.

use std::ops::Range;

use crate::sites::{Form, Site};

/// A file with all its mutations, and where each of them stands in it.
pub struct Woven {
    pub text: String,
    /// The bytes of each mutation, by number.
    pub places: Vec<(usize, Range<usize>)>,
    /// The bytes of each site, with its mutations.
    pub sites: Vec<(Vec<usize>, Range<usize>)>,
}

/// Weaves those of `sites` whose numbers are `wanted` into `source`.
pub fn weave(source: &str, sites: &[Site], wanted: impl Fn(usize) -> bool) -> Woven {
    let mut order: Vec<&Site> = sites
        .iter()
        .filter(|site| site.mutants.iter().any(|mutant| wanted(mutant.id)))
        .collect();
    // The outer before the inner.
    order.sort_by_key(|site| (site.range.start, std::cmp::Reverse(site.range.end)));
    let mut weaver = Weaver {
        source,
        wanted: &wanted,
        woven: Woven { text: String::new(), places: Vec::new(), sites: Vec::new() },
    };
    weaver.piece(0..source.len(), &order);
    weaver.woven
}

struct Weaver<'a> {
    source: &'a str,
    wanted: &'a dyn Fn(usize) -> bool,
    woven: Woven,
}

impl Weaver<'_> {
    /// Writes a piece of the source, with the sites that lie in it.
    fn piece(&mut self, range: Range<usize>, mut sites: &[&Site]) {
        let mut at = range.start;
        while let Some((site, rest)) = sites.split_first() {
            self.woven.text.push_str(&self.source[at..site.range.start]);
            let end = site.range.end;
            let inner = rest.iter().take_while(|other| other.range.start < end).count();
            self.site(site, &rest[..inner]);
            at = end;
            sites = &rest[inner..];
        }
        self.woven.text.push_str(&self.source[at..range.end]);
    }

    fn site(&mut self, site: &Site, inner: &[&Site]) {
        let start = self.woven.text.len();
        let ids: Vec<usize> =
            site.mutants.iter().map(|mutant| mutant.id).filter(|id| (self.wanted)(*id)).collect();
        let text = |id: usize| {
            site.mutants.iter().find(|mutant| mutant.id == id).map_or("", |it| it.text.as_str())
        };
        match site.form {
            Form::Expression => {
                self.woven.text.push('(');
                for id in &ids {
                    self.mutation(*id, &format!("if crate::mutant({id}) {{ {} }} else ", text(*id)));
                }
                self.woven.text.push_str("{ ");
                self.piece(site.range.clone(), inner);
                self.woven.text.push_str(" })");
            }
            Form::Body => {
                for id in &ids {
                    self.mutation(*id, &format!(" if crate::mutant({id}) {{ {} }}", text(*id)));
                }
            }
            Form::Arm => {
                for id in &ids {
                    self.mutation(*id, &format!(" if !crate::mutant({id})"));
                }
            }
            Form::Statement => {
                for id in &ids {
                    self.mutation(*id, &format!("if !crate::mutant({id}) {{ "));
                }
                self.piece(site.range.clone(), inner);
                self.woven.text.push_str(" }");
            }
        }
        self.woven.sites.push((ids, start..self.woven.text.len()));
    }

    fn mutation(&mut self, id: usize, text: &str) {
        let start = self.woven.text.len();
        self.woven.text.push_str(text);
        self.woven.places.push((id, start..self.woven.text.len()));
    }
}
