//! `/api/v1/parse_query` and `/api/v1/format_query`: a query as a tree, and as tidy text.

use axum::response::Response;
use promql::ast::Expr;

use crate::error::ApiError;
use crate::json::{write_string_html, write_tree};
use crate::params::Params;
use crate::respond::success;

fn parse(params: &Params) -> Result<Expr, ApiError> {
    promql::parser::parse(params.get("query")).map_err(|faults| promql::QueryError::Parse(faults).into())
}

pub(crate) async fn parse_query(params: Params) -> Result<Response, ApiError> {
    let tree = promql::ast_json::to_json(&parse(&params)?);
    Ok(success(|out| write_tree(out, &tree)))
}

pub(crate) async fn format_query(params: Params) -> Result<Response, ApiError> {
    let text = promql::printer::format_query(&parse(&params)?);
    Ok(success(|out| write_string_html(out, &text)))
}
