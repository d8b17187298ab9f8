//! The plan as a tree whose shape does not depend on the kind of its parts: for limits, estimates and explanations.

use super::{Call, Kind, Node, Select, Window, WindowSource};

impl Node {
    /// The parts whose results it works on, in order of the query.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Number(_) | Kind::Text(_) | Kind::Select(_) => Vec::new(),
            Kind::Window(Window { source: WindowSource::Stored(_), .. }) => Vec::new(),
            Kind::Window(Window { source: WindowSource::Subquery { node, .. }, .. }) => vec![node],
            Kind::Negate(inner) => vec![inner],
            Kind::Binary(binary) => vec![&binary.lhs, &binary.rhs],
            Kind::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.input]).collect(),
            Kind::Call(Call { args, .. }) => args.iter().collect(),
        }
    }

    /// Levels of the tree; 1 for a part without children.
    pub(crate) fn height(&self) -> usize {
        1 + self.children().into_iter().map(Self::height).max().unwrap_or(0)
    }

    /// The selector that it reads from storage itself.
    pub(crate) fn selector(&self) -> Option<&Select> {
        match &self.kind {
            Kind::Select(select) => Some(select),
            Kind::Window(Window { source: WindowSource::Stored(select), .. }) => Some(select),
            _ => None,
        }
    }
}
