//! Lists that come in parts.

use http::Method;
use satellite_core::wire::path::escape;
use serde_json::Value;

use crate::cli::api::Api;
use crate::exit::Exit;

/// Rows of one part.
const PART: usize = 500;

/// The list at `at` of the reply to `path`, put together of its parts, or its first `limit` rows.
/// All else is as the last part's reply has it.
pub(super) async fn gathered(
    api: &Api,
    path: &str,
    at: &str,
    limit: Option<u32>,
) -> Result<Value, Exit> {
    in_parts(api, path, at, limit, PART).await
}

pub(super) async fn in_parts(
    api: &Api,
    path: &str,
    at: &str,
    limit: Option<u32>,
    part: usize,
) -> Result<Value, Exit> {
    let beside = at.rsplit_once('/').map_or("", |(beside, _)| beside);
    let beside = format!("{beside}/next_cursor");
    let mark = if path.contains('?') { '&' } else { '?' };
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let part = part.min(limit.saturating_sub(rows.len()));
        let path = format!("{path}{mark}limit={part}{cursor}");
        let mut reply: Value = api.call(Method::GET, &path, None::<&()>).await?;
        let next = reply.pointer(&beside).and_then(Value::as_str);
        let next = next.map(|next| format!("&cursor={}", escape(next)));
        let Some(Value::Array(list)) = reply.pointer_mut(at) else { return Ok(reply) };
        rows.append(list);
        match next {
            // A cursor that leads nowhere new would do so for ever.
            Some(next) if rows.len() < limit && next != cursor => cursor = next,
            _ => {
                *list = rows;
                return Ok(reply);
            }
        }
    }
}
