//! Where a request points: path, page and filters of a list.
//!
//! An unknown query parameter is refused before a handler sees the request, see [`super::openapi::Rules`].

use altyn_service::page::Page;
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{error::Problem, problems::Code};

/// The ids in the path; a text that is no id of this kind names no object.
pub struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(ids) = Path::from_request_parts(parts, state).await.map_err(|_| {
            Problem::new(Code::NotFound, "the path holds something that is no id of this kind of object")
        })?;
        Ok(Self(ids))
    }
}

/// Which page of a list is asked for.
pub struct Paged(pub Page);

/// The two parameters of [`Page`] beside whatever filters the list has.
#[derive(Deserialize)]
struct PageQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paged {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(PageQuery { limit, cursor }) = Query::from_request_parts(parts, state).await?;
        Ok(Self(Page { limit, cursor }))
    }
}

/// The filters of a list.
pub struct Filter<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Filter<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Filters refuse what they do not know, and must not see the page's own parameters.
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        let own: Vec<&str> = pairs.filter(|pair| !matches!(pair.split('=').next(), Some("limit" | "cursor"))).collect();
        let uri = format!("/?{}", own.join("&"))
            .parse()
            .map_err(|_| Problem::new(Code::InvalidQuery, "the query is not well-formed"))?;
        let Query(filters) = Query::try_from_uri(&uri)?;
        Ok(Self(filters))
    }
}
