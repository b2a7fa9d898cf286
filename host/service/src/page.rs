//! Pages of lists: bounded, by cursor, stable while rows come and go.

use altyn_domain::id::Id;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Result, ServiceError};

/// The most objects one page holds.
pub const LARGEST_PAGE: i64 = 100;

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many objects, 1 to 100; 20 when absent.
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Page {
    /// How many rows to read (one more than asked, to know whether there are more) and after which id.
    pub fn bounds<I: Id>(&self) -> Result<(i64, Uuid)> {
        let limit = self.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = match &self.cursor {
            None => Uuid::nil(),
            Some(text) => text
                .parse::<I>()
                .map_err(|_| ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"))?
                .uuid(),
        };
        Ok((limit + 1, after))
    }

    /// Like [`Self::bounds`] for lists by position: after which position to read, -1 for the first page.
    pub fn positions(&self) -> Result<(i64, i32)> {
        let limit = self.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = self.cursor.as_ref().map_or(Ok(-1), |text| text.parse::<i32>()).ok().filter(|after| *after >= -1);
        let after = after
            .ok_or_else(|| ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"))?;
        Ok((limit + 1, after))
    }

    /// Like [`Self::bounds`] for lists by places that are never given again: behind which to read, 0 for the first page.
    pub fn places(&self) -> Result<(i64, i64)> {
        let (limit, _) = Self { limit: self.limit, cursor: None }.positions()?;
        let after = self.cursor.as_ref().map_or(Ok(0), |text| text.parse::<i64>()).ok().filter(|after| *after >= 0);
        let after = after
            .ok_or_else(|| ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"))?;
        Ok((limit, after))
    }

    /// Cuts the extra row off and makes the answer.
    pub fn listed<R, T>(&self, mut rows: Vec<R>, id: impl Fn(&R) -> String, view: impl Fn(R) -> T) -> Listed<T> {
        let limit = usize::try_from(self.limit.unwrap_or(20)).unwrap_or(20);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if has_more { rows.last().map(&id) } else { None };
        Listed { data: rows.into_iter().map(view).collect(), has_more, next_cursor }
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Listed<T> {
    /// The objects, oldest first.
    pub data: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
    /// The cursor of the next page.
    pub next_cursor: Option<String>,
}

impl<T> Listed<Result<T>> {
    /// The same page, or the first of its errors.
    pub fn try_data(self) -> Result<Listed<T>> {
        let data = self.data.into_iter().collect::<Result<Vec<T>>>()?;
        Ok(Listed { data, has_more: self.has_more, next_cursor: self.next_cursor })
    }
}
