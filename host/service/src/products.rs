//! Products: what is sold and whose revenue it is.

use altyn_domain::id::{Id as _, ProductId};
use altyn_store::{StoreError, catalogue, catalogue::ProductRow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    page::{Listed, Page},
};

/// A new product.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProduct {
    /// Its code, unique within the tenant: 1 to 60 letters, digits, `-`, `_` and `.`.
    pub code: String,
    /// Its name.
    pub title: String,
    /// Tax category; the vocabulary is the tax plugin's, for example `standard`.
    pub tax_category: String,
}

/// Changes to a product; what is absent stays. Plan versions keep the tax category that they were made with.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProduct {
    /// Its name.
    pub title: Option<String>,
    /// Tax category of plan versions made from now on.
    pub tax_category: Option<String>,
}

/// A product.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProductView {
    /// Its id.
    pub id: ProductId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub title: String,
    /// Tax category.
    pub tax_category: String,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

fn view(row: ProductRow) -> ProductView {
    ProductView {
        id: ProductId(row.id),
        code: row.code,
        title: row.title,
        tax_category: row.tax_category,
        version: row.version,
        created_at: row.created_at,
    }
}

/// Whether a text may be a code of the catalogue: short, and readable in any list and address.
pub(crate) fn is_code(text: &str) -> bool {
    (1..=60).contains(&text.chars().count())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

pub(crate) fn check_code(fields: &mut Fields, pointer: &str, text: &str) {
    if !is_code(text) {
        fields.refuse(pointer, "a code has 1 to 60 letters, digits, `-`, `_` and `.`");
    }
}

pub(crate) fn check_tax_category(fields: &mut Fields, pointer: &str, text: &str) {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    if !fits {
        fields.refuse(pointer, "a tax category has 1 to 64 of a-z, 0-9, `-`, `_` and `.`, for example standard");
    }
}

impl Altyn {
    /// Creates a product.
    pub async fn product_create(&self, request: &Request, command: CreateProduct) -> Result<Reply<ProductView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let mut fields = Fields::default();
        check_code(&mut fields, "/code", &command.code);
        fields.text("/title", &command.title, 300);
        check_tax_category(&mut fields, "/tax_category", &command.tax_category);
        fields.finish()?;
        let row = ProductRow {
            id: self.ids.next(),
            code: command.code,
            title: command.title,
            tax_category: command.tax_category,
            version: 1,
            created_at: work.now,
        };
        let inserted =
            catalogue::products_insert(&mut work.tx, request.tenant.0, work.now, std::slice::from_ref(&row)).await;
        inserted.map_err(|error| match error {
            StoreError::Duplicate(_) => {
                ServiceError::conflict("duplicate-product", "another product has this code; use another")
            }
            other => other.into(),
        })?;
        work.finish(201, view(row)).await
    }

    /// One product.
    pub async fn product_get(&self, request: &Request, id: ProductId) -> Result<ProductView> {
        let mut tx = self.read(request).await?;
        let row = catalogue::product_find(&mut tx, request.tenant.0, id.uuid()).await?;
        Ok(view(row.ok_or(ServiceError::NotFound("product"))?))
    }

    /// A page of products, oldest first.
    pub async fn product_list(&self, request: &Request, page: &Page) -> Result<Listed<ProductView>> {
        let (limit, after) = page.bounds::<ProductId>()?;
        let mut tx = self.read(request).await?;
        let rows = catalogue::products_list(&mut tx, request.tenant.0, after, limit).await?;
        Ok(page.listed(rows, |row| ProductId(row.id).to_string(), view))
    }

    /// Changes the name or the tax category of a product.
    pub async fn product_update(
        &self,
        request: &Request,
        id: ProductId,
        if_match: i64,
        command: UpdateProduct,
    ) -> Result<Reply<ProductView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = catalogue::product_find(&mut work.tx, tenant, id.uuid()).await?;
        let mut row = row.ok_or(ServiceError::NotFound("product"))?;
        row.title = command.title.unwrap_or(row.title);
        row.tax_category = command.tax_category.unwrap_or(row.tax_category);
        let mut fields = Fields::default();
        fields.text("/title", &row.title, 300);
        check_tax_category(&mut fields, "/tax_category", &row.tax_category);
        fields.finish()?;
        if !catalogue::product_update(&mut work.tx, tenant, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        work.finish(200, view(row)).await
    }
}
