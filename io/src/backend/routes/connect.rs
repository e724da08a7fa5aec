//! The pages a user opens to connect to a remote. They hold no script and take no password.

mod page;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use satellite_core::secret::Secret;
use satellite_core::wire::error::ErrorBody;

use self::page::{Link, Page};
use crate::backend::answer::Failure;
use crate::backend::oauth::{Begun, Oauth, Obstacle};
use crate::backend::open::Backend;
use crate::backend::routes::operation::{Access, Operation, Shows, about};
use crate::backend::store::records::Credential;
use crate::backend::store::{Store, StoreError};

/// Ties an answer to the browser that asked.
const COOKIE: &str = "satellite_connect";
/// For how many seconds: as long as the way is open.
const COOKIE_LIFE: u64 = satellite_core::backend::oauth::authorisation::FLOW_MS / 1_000;

pub(super) fn operations() -> Vec<Operation<Arc<Backend>>> {
    let open = Access::Open;
    let gone = "The link has been used, is too old, or was begun in another browser.";
    let astray = "The server or its authorisation server does not do as it should.";
    let not_set_up = "This Backend has no secret to seal tokens with.";
    let page = |operation: Operation<Arc<Backend>>| {
        operation
            .or(StatusCode::GONE, gone)
            .or(StatusCode::NOT_IMPLEMENTED, not_set_up)
            .or(StatusCode::INTERNAL_SERVER_ERROR, "The database failed; the log says why.")
    };
    let operations = vec![
        Operation::get(
            "/connect/client.json",
            open,
            "This client's metadata, for authorisation servers",
            Shows::document(),
            client,
        )
        .or(StatusCode::NOT_FOUND, "This Backend is no client of that kind."),
        page(Operation::get(
            "/connect/callback",
            open,
            "Where authorisation servers lead a user back to",
            Shows::page(),
            callback,
        ))
        .or(StatusCode::BAD_GATEWAY, astray),
        page(Operation::get(
            "/connect/{link}",
            open,
            "The page that says who connects to what",
            Shows::page(),
            show,
        )),
        page(Operation::post(
            "/connect/{link}",
            open,
            "Spend the link and go on to the authorisation server",
            Shows::page(),
            begin,
        ))
        .or(StatusCode::BAD_GATEWAY, astray),
    ];
    about("Connecting users", operations)
}

/// The refusal of a Backend that has no secret to seal tokens with.
pub(in crate::backend) fn not_set_up() -> Failure {
    let body = ErrorBody::new("this Backend keeps no tokens")
        .with_message("it has no secret to seal them with")
        .with_instructions(
            "Start it with DEPLOYSTACK_ENCRYPTION_SECRET set to at least 32 random characters.",
        );
    Failure::new(StatusCode::NOT_IMPLEMENTED, body)
}

/// This client's metadata, for authorisation servers that know clients by its address.
async fn client(State(backend): State<Arc<Backend>>) -> Response {
    match backend.client_metadata() {
        Some(document) => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
        None => Failure::not_found("client metadata").into_response(),
    }
}

/// Says for whom the link is and where it leads; changes nothing.
async fn show(State(backend): State<Arc<Backend>>, Path(link): Path<String>) -> Response {
    if backend.oauth.is_none() {
        return not_set_up().into_response();
    }
    match invitation(&backend, &link).await {
        Ok(Some(invitation)) => invitation.page().into_response(),
        Ok(None) => refused(&Obstacle::Unknown),
        Err(error) => Failure::from(error).into_response(),
    }
}

/// Spends the link and leads on to the authorisation server.
async fn begin(State(backend): State<Arc<Backend>>, Path(link): Path<String>) -> Response {
    let Some(oauth) = &backend.oauth else { return not_set_up().into_response() };
    match backend.begin(oauth, &link).await {
        Ok(begun) => lead_on(&backend, &begun),
        Err(obstacle) => refused(&obstacle),
    }
}

async fn callback(
    State(backend): State<Arc<Backend>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(oauth) = &backend.oauth else { return not_set_up().into_response() };
    let cookie = cookie(&headers);
    let mut response = match finish(&backend, oauth, query, cookie.as_ref()).await {
        Ok(page) => page.into_response(),
        Err(obstacle) => refused(&obstacle),
    };
    set_cookie(&mut response, &backend, "", 0);
    response
}

async fn finish(
    backend: &Arc<Backend>,
    oauth: &Arc<Oauth>,
    query: Option<String>,
    cookie: Option<&Secret>,
) -> Result<Page, Obstacle> {
    let query = query.unwrap_or_default();
    let whose = backend.finish(oauth, &query, cookie.map(Secret::expose)).await?;
    let named = Named::find(backend, &whose).await?;
    Ok(Page::new(StatusCode::OK, "Connected")
        .line(format!("{} is connected, for the user {}.", named.server, named.user))
        .line("It comes back by itself within seconds. You can close this page."))
}

/// Goes on by a link, which any browser follows, and by `Refresh`, which most follow at once. A
/// redirect of the form itself would need the other origin in this page's policy.
fn lead_on(backend: &Backend, begun: &Begun) -> Response {
    let page = Page::new(StatusCode::OK, "Sign in at the server")
        .line("You are being sent there. If nothing happens, go on by yourself:")
        .link(&Link { text: "Continue", address: &begun.address });
    let mut response = page.into_response();
    if let Ok(refresh) = HeaderValue::try_from(format!("0; url={}", begun.address)) {
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    set_cookie(&mut response, backend, begun.cookie.expose(), COOKIE_LIFE);
    response
}

fn refused(obstacle: &Obstacle) -> Response {
    let (status, why) = match obstacle {
        Obstacle::Unknown => (
            StatusCode::GONE,
            String::from("This link has been used, is too old, or was begun in another browser."),
        ),
        Obstacle::Problem(problem) => (StatusCode::BAD_GATEWAY, sentence(problem.message())),
        Obstacle::Store(error) => {
            tracing::error!(%error, operation = "oauth_connect", "The database failed");
            let why = String::from("The database failed; the Backend's log says why.");
            (StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    };
    if let Obstacle::Problem(problem) = obstacle {
        tracing::warn!(%problem, operation = "oauth_connect", "A user could not connect");
    }
    Page::new(status, "Not connected")
        .line(why)
        .line("To try again, ask whoever gave you the link for another one. They print it with:")
        .command("satellite server connect INSTALLATION --team TEAM --user USER")
        .into_response()
}

/// A message as a sentence of a page.
fn sentence(message: &str) -> String {
    let mut rest = message.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(rest.clone()).chain(end.chars()).collect()
}

/// Who connects to what, by name.
struct Named {
    server: String,
    user: String,
    team: String,
}

impl Named {
    async fn find(backend: &Backend, whose: &Credential) -> Result<Named, StoreError> {
        let installation = backend.store.installation(whose.installation_id.clone()).await?;
        let user = backend.store.user(whose.user_id.clone()).await?;
        let team = backend.store.team(whose.team_id.clone()).await?;
        Ok(Named {
            server: installation.map_or_else(String::new, |found| found.installation_name),
            user: user.map_or_else(String::new, |found| found.username),
            team: team.map_or_else(String::new, |found| found.name),
        })
    }

    fn page(&self) -> Page {
        Page::new(StatusCode::OK, format!("Connect to {}", self.server))
            .line("Sign in to this server, so that it can be used for:")
            .table(&[("User", &self.user), ("Team", &self.team), ("Server", &self.server)])
            .line(
                "Go on only if that user is you: whoever holds this link connects their own \
                 account to that user.",
            )
            .line("The server's own page asks you to sign in, and leads back here.")
            .button("Connect")
    }
}

async fn invitation(backend: &Backend, link: &str) -> Result<Option<Named>, StoreError> {
    match backend.invited(link).await? {
        Some(whose) => Named::find(backend, &whose).await.map(Some),
        None => Ok(None),
    }
}

fn cookie(headers: &HeaderMap) -> Option<Secret> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| Secret::new(value))
    })
}

fn set_cookie(response: &mut Response, backend: &Backend, value: &str, life: u64) {
    let secure = if backend.client_document().is_some() { "; Secure" } else { "" };
    // `Lax`: it must come along when the authorisation server sends the browser back.
    let text =
        format!("{COOKIE}={value}; Path=/connect; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut header) = HeaderValue::try_from(text) {
        header.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_a_sentence_of_the_page() {
        assert_eq!(sentence("the server refused"), "The server refused.");
        assert_eq!(sentence("Sign in again."), "Sign in again.");
    }
}
