//! THE TABLE: every route of the server, and what it asks of who comes. The router and the OpenAPI document
//! are made of it and of nothing else, so there is no route without its line here.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::auth::Needs;
use super::gate::{self, Gate};
use super::server::Server;
use super::{
    cors, markdown, memories_api, openai_api, ops, pages, realtime_ws, security_headers, sessions_api,
    slow_bodies, voice_ws,
};
use crate::conversation::tokens::Scope;

/// The name of the access token in the OpenAPI document.
const BEARER: &str = "bearer";

type Handlers = UtoipaMethodRouter<Arc<Server>>;

/// All routes.
fn table() -> Vec<(Needs, Handlers)> {
    use Needs::{Nothing, Own, Scope as With, ScopeOrSecret as WithOrSecret, Token};
    use Scope::{Api, Messages, Metrics, Realtime, Voice};
    vec![
        // Pages, and what balancers ask: nothing in them is private.
        (Nothing, routes!(pages::index)),
        (Nothing, routes!(pages::asset)),
        (Nothing, routes!(pages::docs)),
        (Nothing, routes!(pages::memory)),
        (Nothing, routes!(pages::openapi)),
        (Nothing, routes!(ops::healthz)),
        (Nothing, routes!(ops::readyz)),
        (With(Metrics), routes!(ops::show_metrics)),
        // Conversations.
        (WithOrSecret(Voice), routes!(voice_ws::upgrade)),
        (WithOrSecret(Realtime), routes!(realtime_ws::upgrade)),
        (With(Voice), routes!(sessions_api::list)),
        (Own, routes!(sessions_api::get)),
        (Own, routes!(sessions_api::audio)),
        (Own, routes!(sessions_api::export)),
        (Own, routes!(sessions_api::delete)),
        // What is remembered of them.
        (With(Voice), routes!(memories_api::list)),
        (With(Voice), routes!(memories_api::correct)),
        (With(Voice), routes!(memories_api::delete)),
        (With(Realtime), routes!(openai_api::client_secrets::create)),
        // Conversations in files.
        (Token(Messages), routes!(markdown::chat::agents)),
        (Token(Messages), routes!(markdown::chat::chat)),
        (Token(Messages), routes!(markdown::stream::stream)),
        // The engines by themselves.
        (With(Api), routes!(openai_api::models::list)),
        (With(Api), routes!(openai_api::models::get)),
        (With(Api), routes!(openai_api::chat::create)),
        (With(Api), routes!(openai_api::speech::create)),
        (With(Api), routes!(openai_api::transcriptions::create)),
    ]
}

/// Which listener routes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The server's.
    Main,
    /// The Markdown frontend's own, where it has one: then these routes are there and nowhere else.
    Markdown,
}

/// The router of a listener: every route behind its gate.
pub fn router(server: &Arc<Server>, listener: Listener) -> Router {
    let config = &server.config;
    let markdown_is_elsewhere =
        config.markdown.enabled && config.markdown.own_address(&config.server).is_some();
    let mut router = OpenApiRouter::new();
    for (needs, (schemas, paths, handlers)) in table() {
        let of_markdown = needs == Needs::Token(Scope::Messages);
        let health = paths.paths.contains_key(ops::HEALTH_PATH);
        let is_here = match listener {
            Listener::Main => !(of_markdown && markdown_is_elsewhere),
            Listener::Markdown => of_markdown || health,
        };
        if !is_here {
            continue;
        }
        let gate = Gate { server: Arc::clone(server), needs };
        let files = of_markdown || paths.paths.contains_key(openai_api::transcriptions::PATH);
        let limit = if files { config.limits.upload_bytes } else { config.limits.message_bytes };
        let handlers = handlers
            .route_layer(DefaultBodyLimit::max(limit))
            .route_layer(middleware::from_fn_with_state(gate, gate::check));
        let handlers =
            if of_markdown { handlers.layer(middleware::from_fn(markdown::cors::allow)) } else { handlers };
        router = router.routes((schemas, paths, handlers));
    }
    let (router, _) = router.split_for_parts();
    router
        .layer(middleware::from_fn_with_state(Arc::clone(server), slow_bodies::limit))
        .layer(middleware::from_fn_with_state(Arc::clone(server), cors::allow))
        .layer(middleware::from_fn_with_state(Arc::clone(server), security_headers::add))
        .with_state(Arc::clone(server))
}

/// The OpenAPI document.
pub fn openapi() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Vivavoce")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A self-hosted realtime voice server: its HTTP interface and its sockets."))
        .license(Some(license.build()));
    let mut all = OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build());
    for (needs, (schemas, mut paths, handlers)) in table() {
        for item in paths.paths.values_mut() {
            for (_, operation) in operations(item) {
                secure(operation, needs);
            }
        }
        all = all.routes((schemas, paths, handlers));
    }
    let mut document = all.into_openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token: `vivavoce token create`. On loopback none is needed."))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    document
}

/// Every method of every route, and what it asks for: `("GET", "/metrics", Needs::Scope(Scope::Admin))`.
pub fn listed() -> Vec<(&'static str, String, Needs)> {
    let mut found = Vec::new();
    for (needs, (_, mut paths, _)) in table() {
        for (path, item) in &mut paths.paths {
            found.extend(operations(item).map(|(method, _)| (method, path.clone(), needs)));
        }
    }
    found
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Writes into the document what the gate will ask for.
fn secure(operation: &mut Operation, needs: Needs) {
    let (requirement, says) = match needs {
        Needs::Nothing => return,
        Needs::Scope(scope) => (scope.name(), format!("Needs a token with the scope `{scope}`.")),
        Needs::ScopeOrSecret(scope) => {
            (scope.name(), format!("Needs a token with the scope `{scope}`, or a client secret."))
        }
        Needs::Token(scope) => (
            scope.name(),
            format!("Needs a token with the scope `{scope}`, also where nothing else needs one."),
        ),
        Needs::Own => ("", "Needs the session's own token.".to_owned()),
    };
    let scopes: Vec<&str> = Some(requirement).filter(|scope| !scope.is_empty()).into_iter().collect();
    operation.security = Some(vec![SecurityRequirement::new(BEARER, scopes)]);
    let before = operation.description.take().map(|text| format!("{text}\n\n")).unwrap_or_default();
    operation.description = Some(format!("{before}{says}"));
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_route_has_its_needs() {
        let lines: Vec<String> = listed()
            .into_iter()
            .map(|(method, path, needs)| format!("{method:<5} {path:<32} {needs:?}\n"))
            .collect();
        expect![[r#"
            GET   /                                Nothing
            GET   /{name}                          Nothing
            GET   /docs                            Nothing
            GET   /memory                          Nothing
            GET   /openapi.json                    Nothing
            GET   /healthz                         Nothing
            GET   /readyz                          Nothing
            GET   /metrics                         Scope(Metrics)
            GET   /ws/chat                         ScopeOrSecret(Voice)
            GET   /v1/realtime                     ScopeOrSecret(Realtime)
            GET   /api/sessions                    Scope(Voice)
            GET   /api/sessions/{id}               Own
            GET   /api/sessions/{id}/audio/{turn}/{speaker} Own
            GET   /api/sessions/{id}/export        Own
            DELETE /api/sessions/{id}               Own
            GET   /api/memories                    Scope(Voice)
            PATCH /api/memories/{id}               Scope(Voice)
            DELETE /api/memories/{id}               Scope(Voice)
            POST  /v1/realtime/client_secrets      Scope(Realtime)
            GET   /agents                          Token(Messages)
            POST  /chat                            Token(Messages)
            POST  /chat/stream                     Token(Messages)
            GET   /v1/models                       Scope(Api)
            GET   /v1/models/{id}                  Scope(Api)
            POST  /v1/chat/completions             Scope(Api)
            POST  /v1/audio/speech                 Scope(Api)
            POST  /v1/audio/transcriptions         Scope(Api)
        "#]]
        .assert_eq(&lines.concat());
    }

    #[test]
    fn the_document_lists_every_route() {
        let mut document = openapi();
        let mut documented: Vec<(&str, String)> = Vec::new();
        for (path, item) in &mut document.paths.paths {
            documented.extend(operations(item).map(|(method, _)| (method, path.clone())));
        }
        let mut routed: Vec<(&str, String)> =
            listed().into_iter().map(|(method, path, _)| (method, path)).collect();
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_needs() {
        let mut document = openapi();
        let mut names = std::collections::HashSet::new();
        for (path, item) in &mut document.paths.paths {
            for (_, operation) in operations(item) {
                let name = operation.operation_id.clone().unwrap_or_default();
                assert!(!name.is_empty() && names.insert(name.clone()), "{path}: {name:?}");
                assert!(operation.summary.is_some(), "{path}");
            }
        }
        let metrics = document.paths.paths.get_mut("/metrics").unwrap();
        let (_, operation) = operations(metrics).next().unwrap();
        assert!(operation.description.as_ref().unwrap().contains("the scope `metrics`"));
        let needs = serde_json::to_value(&operation.security).unwrap();
        assert_eq!(needs, serde_json::json!([{"bearer": ["metrics"]}]));
    }
}
