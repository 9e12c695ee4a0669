//! The list of routes. A handler can only be mounted together with its entry, so the list that
//! `tallybox routes` prints is complete.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, any, on};
use futures_util::future::BoxFuture;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever proves an ingest key, in the protocol's own way.
    IngestKey,
    /// The holder of the one-time set-up link.
    SetupToken,
    /// Programs on this machine, and elsewhere the holder of the metrics token.
    Metrics,
    /// The holder of a token of the read API, or a signed-in member of any role.
    ApiToken,
    /// A signed-in member of any role.
    Member,
    /// A signed-in member who may administer: the app or organization of the path, where it names one.
    Admin,
    /// A signed-in member who owns the organization that the path names, or whose app it names.
    Owner,
    /// The signed-in member who owns the box.
    Box,
}

impl Access {
    /// As printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::IngestKey => "ingest-key",
            Self::SetupToken => "setup-token",
            Self::Metrics => "metrics",
            Self::ApiToken => "api-token",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Box => "box",
        }
    }
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` (which answers `HEAD` too) or `POST`.
    pub method: &'static str,
    /// In the router's syntax, without the base path.
    pub path: String,
    /// Who may call it.
    pub access: Access,
    /// Largest body that is read, in bytes after decompression; zero where none is.
    pub body_limit: usize,
}

/// Which of the routes that are mounted count; the others are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All.
    #[default]
    Whole,
    /// All but those at these paths.
    Without(Vec<String>),
    /// Those at this path alone.
    Only(String),
}

impl Part {
    fn holds(&self, path: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Without(paths) => !paths.iter().any(|left_out| left_out == path),
            Self::Only(only) => only == path,
        }
    }
}

/// A handler whose kind is forgotten: of each kind the program would have the router's own code once more.
#[derive(Clone)]
struct Erased<S>(Arc<dyn Fn(Request, S) -> BoxFuture<'static, Response> + Send + Sync>);

impl<S: 'static> Erased<S> {
    fn of<H: Handler<T, S>, T: 'static>(handler: H) -> Self {
        Self(Arc::new(move |request, state| Box::pin(handler.clone().call(request, state))))
    }
}

impl<S: Clone + Send + Sync + 'static> Handler<(), S> for Erased<S> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, state: S) -> Self::Future {
        (self.0)(request, state)
    }
}

/// A router that knows its routes.
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<Route>,
    under: String,
    part: Part,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::under("", Part::Whole)
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Empty, for paths that all lie under `prefix`: empty, or a path without a slash at its end.
    pub fn under(prefix: &str, part: Part) -> Self {
        Self { router: Router::new(), list: Vec::new(), under: prefix.to_owned(), part }
    }

    /// Mounts a handler for `GET` and `HEAD`.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &str, access: Access, handler: H) -> Self {
        let route = Route { method: "GET", path: path.to_owned(), access, body_limit: 0 };
        self.mount(route, on(MethodFilter::GET, Erased::of(handler)))
    }

    /// Mounts a handler for `POST` that reads at most `body_limit` bytes.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &str, access: Access, body_limit: usize, handler: H) -> Self {
        let route = Route { method: "POST", path: path.to_owned(), access, body_limit };
        self.mount(route, on(MethodFilter::POST, Erased::of(handler)))
    }

    /// Answers every method where nothing lies, and stands in no list.
    #[must_use]
    pub fn nowhere<H: Handler<T, S>, T: 'static>(self, path: &str, handler: H) -> Self {
        if matches!(self.part, Part::Only(_)) {
            return self;
        }
        let router = self.router.route(&[&self.under, path].concat(), any(Erased::of(handler)));
        Self { router, ..self }
    }

    /// Gives all routes so far their state.
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        Routes { router: self.router.with_state(state), list: self.list, under: self.under, part: self.part }
    }

    /// Wraps the router, its routes unchanged (for layers and fallbacks).
    #[must_use]
    pub fn map(self, wrap: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        Self { router: wrap(self.router), ..self }
    }

    /// Adds the routes of another list.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// The list so far.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    /// The router alone.
    pub fn into_router(self) -> Router<S> {
        self.router
    }

    fn mount(mut self, mut route: Route, method: axum::routing::MethodRouter<S>) -> Self {
        route.path.insert_str(0, &self.under);
        if !self.part.holds(&route.path) {
            return self;
        }
        let router = self.router.route(&route.path, method);
        self.list.push(route);
        Self { router, ..self }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn what_is_mounted_is_listed_and_the_reverse() {
        let more = Routes::default().post("/b/{id}", Access::IngestKey, 9, || async { "b" });
        let routes: Routes<()> = Routes::default().get("/a", Access::Public, || async { "a" }).merge(more);
        let listed: Vec<_> =
            routes.list().iter().map(|r| (r.method, r.path.as_str(), r.access.as_str(), r.body_limit)).collect();
        assert_eq!(listed, [("GET", "/a", "public", 0), ("POST", "/b/{id}", "ingest-key", 9)]);
        for (method, path, status) in [
            ("GET", "/a", 200),
            ("HEAD", "/a", 200),
            ("POST", "/a", 405),
            ("POST", "/b/1", 200),
            ("GET", "/b/1", 405),
            ("GET", "/c", 404),
        ] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let response = routes.router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
        }
    }

    #[test]
    fn routes_lie_under_their_prefix_and_a_part_of_them_can_be_had() {
        let paths = |part: Part| {
            let routes: Routes<()> = Routes::under("/x", part);
            let routes =
                routes.get("/a", Access::Public, || async { "" }).post("/b", Access::Public, 1, || async { "" });
            routes.list().iter().map(|route| route.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(paths(Part::Whole), ["/x/a", "/x/b"]);
        assert_eq!(paths(Part::Without(vec!["/x/a".to_owned(), "/b".to_owned()])), ["/x/b"]);
        assert_eq!(paths(Part::Only("/x/a".to_owned())), ["/x/a"]);
    }
}
