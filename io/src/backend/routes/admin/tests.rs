use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use tower_service::Service;

use super::*;
use crate::backend::store::Inline;
use crate::backend::{BackendSettings, Kernel};
use crate::clock::Clock;

const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[tokio::test]
async fn no_route_of_administration_answers_a_stranger() {
    let settings = BackendSettings {
        database_url: "model:".to_owned(),
        jwt_secret: None,
        admin_token: Some(Secret::new("the right one")),
        public_url: "http://127.0.0.1:3000".to_owned(),
        oauth: None,
    };
    let clock = Clock::starting_at(Timestamp(0));
    let opened = Backend::open(settings, Arc::new(Inline), clock, Arc::new(Kernel)).await;
    let router = router::<()>(opened.unwrap().backend);
    let mut answered = 0;
    for (path, _) in routes() {
        let path = path.replace(['{', '}'], "");
        for token in [None, Some("the wrong one")] {
            let mut served = 0;
            for method in METHODS {
                let mut request = Request::builder().method(&method).uri(&path);
                if let Some(token) = token {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                }
                let request = request.body(Body::from("no JSON")).unwrap();
                let status = router.clone().call(request).await.unwrap().status();
                if status != StatusCode::METHOD_NOT_ALLOWED {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}, {token:?}");
                    served += 1;
                }
            }
            assert!(served > 0, "{path} takes no method");
            answered += served;
        }
    }
    assert!(answered >= 2 * 30, "{answered} requests were answered");
}
