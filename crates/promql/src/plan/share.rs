//! Parts that stand in a query more than once, so that they are evaluated once: `E` of `histogram_quantile(0.5, E) or
//! histogram_quantile(0.99, E)`.
//!
//! Only the largest equal parts are found, only vectors, and only those that read from storage: nothing else costs
//! anything. Parts are equal if they are written alike, up to the names of what reads them (hints never change what
//! is read): what is said about one then holds for the other, at its own place.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Binary, Kind, Node, Select, Window, WindowSource};
use crate::ast::ValueType;
use crate::eval::functions::Function;

/// That a part stands in the query more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    /// The same for all parts that are equal, and for no other.
    pub(crate) id: usize,
    /// How often the part is there.
    pub(crate) places: usize,
}

/// Marks all parts that stand in the plan more than once.
pub(super) fn mark(plan: &Node) {
    // Who reads but once shares nothing: the rule.
    if selector_count(plan) < 2 {
        return;
    }
    let mut search = Search::default();
    search.fingerprint(plan);
    search.find(plan, 0);
    for (id, nodes) in search.groups.iter().enumerate().filter(|(_, nodes)| nodes.len() > 1) {
        for node in nodes {
            // Set once: each node is met once.
            let _ = node.shared.set(Shared { id, places: nodes.len() });
        }
    }
}

fn selector_count(node: &Node) -> usize {
    usize::from(node.selector().is_some()) + node.children().into_iter().map(selector_count).sum::<usize>()
}

#[derive(Debug, Default)]
struct Search<'a> {
    /// Of each part that reads from storage, by address.
    fingerprints: HashMap<usize, u64>,
    /// Groups of equal parts, by fingerprint and scope.
    by_fingerprint: HashMap<(u64, u64), Vec<usize>>,
    groups: Vec<Vec<&'a Node>>,
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl<'a> Search<'a> {
    /// A hash of a part, and whether it reads from storage.
    fn fingerprint(&mut self, node: &Node) -> (u64, bool) {
        let mut hasher = DefaultHasher::new();
        let mut reads = node.selector().is_some();
        hash_itself(node, &mut hasher);
        for child in node.children() {
            let (hash, child_reads) = self.fingerprint(child);
            hash.hash(&mut hasher);
            reads |= child_reads;
        }
        let hash = hasher.finish();
        if reads {
            self.fingerprints.insert(address(node), hash);
        }
        (hash, reads)
    }

    /// Looks for parts met before. `scope` tells between parts that are evaluated at different times.
    fn find(&mut self, node: &'a Node, scope: u64) {
        let Some(fingerprint) = self.fingerprints.get(&address(node)).copied() else { return };
        if node.value_type == ValueType::Vector {
            let known = self.by_fingerprint.entry((fingerprint, scope)).or_default();
            if let Some(group) = known.iter().copied().find(|group| same(self.groups[*group][0], node)) {
                self.groups[group].push(node);
                return;
            }
            known.push(self.groups.len());
            self.groups.push(vec![node]);
        }
        let scope = scope_inside(node, scope);
        for child in node.children() {
            if !reads_differently(node, child) {
                self.find(child, scope);
            }
        }
    }
}

/// Whether a part looks at a selector's samples in a way of its own, instead of evaluating it.
fn reads_differently(node: &Node, child: &Node) -> bool {
    let Kind::Call(call) = &node.kind else { return false };
    matches!(call.function, Function::Timestamp | Function::StartTimestamp | Function::Info)
        && matches!(child.kind, Kind::Select(_))
}

/// Subqueries of the same shape look at the same times.
fn scope_inside(node: &Node, scope: u64) -> u64 {
    let Kind::Window(Window { source: WindowSource::Subquery { step_ms, .. }, range_ms, shift, .. }) =
        &node.kind
    else {
        return scope;
    };
    let mut hasher = DefaultHasher::new();
    (scope, step_ms, range_ms, shift.at_ms, shift.offset_ms).hash(&mut hasher);
    hasher.finish()
}

fn hash_itself(node: &Node, hasher: &mut DefaultHasher) {
    std::mem::discriminant(&node.kind).hash(hasher);
    if let Some(select) = node.selector() {
        (&select.matchers, &select.alternatives, select.shift.offset_ms).hash(hasher);
    }
    match &node.kind {
        Kind::Number(value) => value.to_bits().hash(hasher),
        Kind::Text(text) => text.hash(hasher),
        Kind::Window(window) => window.range_ms.hash(hasher),
        Kind::Binary(binary) => binary.op.hash(hasher),
        Kind::Aggregate(aggregate) => (aggregate.op, &aggregate.grouping).hash(hasher),
        Kind::Call(call) => call.name.hash(hasher),
        Kind::Select(_) | Kind::Negate(_) => {}
    }
}

/// Whether two parts have the same result wherever both are evaluated at the same times, and what is said about one
/// is said about the other, moved to its place.
fn same(a: &Node, b: &Node) -> bool {
    let (children_of_a, children_of_b) = (a.children(), b.children());
    let place = |child: &Node, parent: &Node| child.span.start.wrapping_sub(parent.span.start);
    a.fixed == b.fixed
        && same_itself(a, b)
        && children_of_a.len() == children_of_b.len()
        && children_of_a.iter().zip(&children_of_b).all(|(x, y)| place(x, a) == place(y, b) && same(x, y))
}

/// As [`same`], but for the children.
fn same_itself(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Number(a), Kind::Number(b)) => a.to_bits() == b.to_bits(),
        (Kind::Text(a), Kind::Text(b)) => a == b,
        (Kind::Select(a), Kind::Select(b)) => same_selector(a, b),
        (Kind::Window(a), Kind::Window(b)) => {
            let same_source = match (&a.source, &b.source) {
                (WindowSource::Stored(a), WindowSource::Stored(b)) => same_selector(a, b),
                (WindowSource::Subquery { step_ms: a, .. }, WindowSource::Subquery { step_ms: b, .. }) => {
                    a == b
                }
                _ => false,
            };
            same_source && a.range_ms == b.range_ms && a.shift == b.shift && a.extended == b.extended
        }
        (Kind::Negate(_), Kind::Negate(_)) => true,
        (Kind::Binary(a), Kind::Binary(b)) => {
            a.op == b.op && a.return_bool == b.return_bool && a.matching == b.matching && fills(a) == fills(b)
        }
        (Kind::Aggregate(a), Kind::Aggregate(b)) => {
            a.op == b.op && a.grouping == b.grouping && a.without == b.without
        }
        (Kind::Call(a), Kind::Call(b)) => a.name == b.name,
        _ => false,
    }
}

fn same_selector(a: &Select, b: &Select) -> bool {
    a.matchers == b.matchers
        && a.alternatives == b.alternatives
        && a.shift == b.shift
        && a.extended == b.extended
        && a.counts_only == b.counts_only
}

/// What a binary operation fills gaps with; 0 is not -0.
fn fills(binary: &Binary) -> Option<[Option<u64>; 2]> {
    let fill = binary.matching.as_ref()?.fill;
    Some([fill.left, fill.right].map(|value| value.map(f64::to_bits)))
}
