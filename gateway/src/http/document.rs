//! The routes, and the document that describes them.

use std::sync::LazyLock;

use axum::Router;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    failure, instances, metrics, networks, nodes, receipts, services, streaming, tokens, tunnel,
};
use crate::node::Gateway;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Unicell",
        description = "The verbs of a Unicell node. Errors are problem documents (RFC 9457) with a \
            stable `code`. Operators come by a Unix socket and need no token; clients send theirs as \
            `Authorization: Bearer`; services inside a guest call `http://gateway/` and send \
            theirs as `Unicell-Token`."
    ),
    modifiers(&Security),
    components(schemas(unicell_gateway_api::configuration::Configuration)),
)]
struct Described;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let header = ApiKeyValue::new(unicell_gateway_api::token::HEADER);
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("client", SecurityScheme::Http(bearer));
        components.add_security_scheme("guest", SecurityScheme::ApiKey(ApiKey::Header(header)));
        let any = ["client", "guest"].map(|name| {
            utoipa::openapi::security::SecurityRequirement::new::<_, [&str; 0], &str>(name, [])
        });
        document.security = Some(any.into_iter().chain([Default::default()]).collect());
    }
}

static PARTS: LazyLock<(Router<Gateway>, String)> = LazyLock::new(|| {
    let (router, document) = OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(nodes::node))
        .routes(routes!(instances::list, instances::start))
        .routes(routes!(instances::get, instances::stop))
        .routes(routes!(instances::resources))
        .routes(routes!(instances::estimate))
        .routes(routes!(instances::availability))
        .routes(routes!(receipts::receipt))
        .routes(routes!(receipts::transcript))
        .routes(routes!(streaming::logs))
        .routes(routes!(streaming::events))
        .routes(routes!(tunnel::connect))
        .routes(routes!(networks::of_instance))
        .routes(routes!(networks::grant, networks::withdraw))
        .routes(routes!(networks::list, networks::allow))
        .routes(routes!(networks::members, networks::disallow))
        .routes(routes!(services::list, services::import))
        .routes(routes!(services::get, services::remove))
        .routes(routes!(services::export))
        .routes(routes!(services::tag, services::untag))
        .routes(routes!(services::collect))
        .routes(routes!(tokens::create))
        .routes(routes!(tokens::narrow))
        .routes(routes!(tokens::revoke))
        .routes(routes!(metrics::metrics))
        .routes(routes!(nodes::openapi))
        .split_for_parts();
    let router = router
        .fallback(failure::no_such_path)
        .method_not_allowed_fallback(failure::no_such_method);
    // Strings, numbers and maps with string keys: this cannot fail.
    (router, document.to_json().unwrap_or_default())
});

/// The routes, each time the same.
pub(super) fn router() -> Router<Gateway> {
    PARTS.0.clone()
}

/// The OpenAPI 3.1 document of the API, JSON.
#[must_use]
pub fn document() -> &'static str {
    &PARTS.1
}
