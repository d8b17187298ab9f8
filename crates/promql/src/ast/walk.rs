//! Walks a tree.

use super::{BinaryOp, Expr, ExprKind};

impl Expr {
    /// Calls `visit` for the expression and all below it, outer ones first.
    pub fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Number(_)
            | ExprKind::Duration(_)
            | ExprKind::String(_)
            | ExprKind::VectorSelector(_)
            | ExprKind::MatrixSelector(_) => {}
            ExprKind::Subquery(subquery) => subquery.expr.walk(visit),
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => inner.walk(visit),
            ExprKind::Binary(binary) => {
                binary.lhs.walk(visit);
                binary.rhs.walk(visit);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    param.walk(visit);
                }
                aggregate.expr.walk(visit);
            }
            ExprKind::Call(call) => call.args.iter().for_each(|arg| arg.walk(visit)),
        }
    }

    /// Whether some part of it looks at all steps of the query at once (`range_max`, `default`, `topk_avg`…), so
    /// that its result at a step changes with the query's start and end.
    pub fn sees_all_steps(&self) -> bool {
        let mut found = false;
        self.walk(&mut |expr| {
            found |= match &expr.kind {
                ExprKind::Binary(binary) => binary.op == BinaryOp::Default,
                ExprKind::Aggregate(aggregate) => aggregate.op.sees_all_steps(),
                ExprKind::Call(call) => call.function.sees_all_steps,
                _ => false,
            };
        });
        found
    }

    /// How many expressions it is made of.
    pub fn size(&self) -> usize {
        let mut count = 0;
        self.walk(&mut |_| count += 1);
        count
    }
}
