//! Users connect to a remote at an authorisation server from npm (oidc-provider), in Debian's
//! Chromium; their tokens expire, are renewed, are revoked, and they connect again.

mod chain;
mod scene;

use std::ops::Deref;

use reqwest::StatusCode;
use serde_json::{Value, json};

use self::scene::{Scene, text};
use crate::harness::{eventually, state};

/// Access tokens live as long as this, in seconds: long enough for a slow machine to use one.
const LIFE: u64 = 20;

/// A scene with a satellite that only ever asks for tokens.
struct Paired {
    scene: Scene,
    satellite: String,
    key: String,
}

impl Deref for Paired {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Paired {
    async fn start(name: &str) -> Paired {
        let scene = Scene::start(name, LIFE).await;
        let token = scene.registration_token().await;
        let body = json!({"name": "edge-satellite-01", "capabilities": ["http"]});
        let (_, paired) = scene.post("/api/satellites/register", &token, body).await;
        let (satellite, key) =
            (text(&paired["satellite"]["id"]), text(&paired["satellite"]["api_key"]));
        Paired { scene, satellite, key }
    }

    async fn retrieve(&self, user: &str) -> (StatusCode, Value) {
        let path = format!("/api/satellites/{}/tokens/retrieve", self.satellite);
        let body =
            json!({"installation_id": self.installation, "user_id": user, "team_id": self.team});
        self.post(&path, &self.key, body).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn users_connect_at_a_real_authorisation_server_are_renewed_once_revoked_and_come_back() {
    let scene = Paired::start("oauth").await;
    let [ada, bob] = scene.users.clone();
    assert_eq!(scene.retrieve(&ada).await.0, StatusCode::NOT_FOUND);
    scene.connect(&ada, "ada-at-docs", "first-ada").await;
    scene.connect(&bob, "bob-at-docs", "first-bob").await;
    let stats = scene.stats().await;
    assert_eq!((&stats["registered"], &stats["code"]), (&json!(1), &json!(2)), "{stats}");

    let (status, first) = scene.retrieve(&ada).await;
    assert_eq!(status, StatusCode::OK, "{first} {}", scene.log());
    assert_eq!(scene.account(&first).await.as_deref(), Some("ada-at-docs"));
    let (_, of_bob) = scene.retrieve(&bob).await;
    assert_eq!(scene.account(&of_bob).await.as_deref(), Some("bob-at-docs"));

    let scene = std::sync::Arc::new(scene);
    // The Backend renews by itself what is about to end. A wave that comes after that finds nothing
    // to renew, and another is sent.
    while wave(&scene, &ada).await == 0 {}
    let scene = std::sync::Arc::into_inner(scene).expect("nobody else holds it");
    assert_eq!(scene.stats().await["refused"], json!(0), "no refresh token was used twice");

    let revoked =
        scene.http.post(scene.beside("revoke?ada-at-docs")).send().await.expect("it is revoked");
    assert_eq!(revoked.status(), StatusCode::OK);
    eventually("no token for ada", || async {
        (scene.retrieve(&ada).await.0 == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    eventually("ada is asked", || async {
        (scene.status(&ada) == "requires_reauth").then_some(())
    })
    .await;
    scene.connect(&ada, "ada-at-docs", "second-ada").await;
    assert_eq!(scene.status(&ada), "connecting");
    let (status, again) = scene.retrieve(&ada).await;
    assert_eq!(status, StatusCode::OK, "{again}");
    assert_eq!(scene.account(&again).await.as_deref(), Some("ada-at-docs"));
    let secrets = [&first, &again, &of_bob].map(|token| text(&token["access_token"]));
    scene.has_told_no_secret("backend.log", &secrets);
    scene.scene.end().await;
}

/// Fifty ask at once for a token that has ended; says how often it was renewed.
async fn wave(scene: &std::sync::Arc<Paired>, user: &str) -> u64 {
    // A satellite may ask for a hundred tokens a minute.
    let ready = async || {
        let (status, token) = scene.retrieve(user).await;
        (status == StatusCode::OK).then_some(token)
    };
    let current = eventually("a token", ready).await;
    eventually("its end", || async { scene.account(&current).await.is_none().then_some(()) }).await;
    let renewals =
        async || scene.stats().await["refreshed"]["ada-at-docs"].as_u64().unwrap_or_default();
    let before = renewals().await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (scene, user) = (std::sync::Arc::clone(scene), user.to_string());
            tokio::spawn(async move { scene.retrieve(&user).await })
        })
        .collect();
    let mut tokens = std::collections::BTreeSet::new();
    for one in waiting {
        let (status, token) = one.await.expect("it ends");
        match status {
            StatusCode::OK => tokens.insert(token["access_token"].to_string()),
            StatusCode::TOO_MANY_REQUESTS => false,
            _ => panic!("{status} {token} {}", scene.log()),
        };
    }
    let renewed = renewals().await - before;
    state(&format!(
        "50 concurrent retrievals of an ended token: {} token, {renewed} renewal at the provider",
        tokens.len()
    ));
    assert_eq!(tokens.len(), 1);
    assert!(renewed <= 1, "{renewed}");
    renewed
}
