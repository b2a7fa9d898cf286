//! `/v1/imports`: an operator's books come in as files; every wrong row is named, nothing else is lost.

use altyn_domain::id::{ImportId, SellerId};
use altyn_service::{
    imports::{ImportKind, ImportOptions, ImportProblem, ImportReport, LARGEST_FILE_BYTES},
    page::{Listed, Page},
};
use axum::{Json, extract::DefaultBodyLimit};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Resource, Upload},
    page::{At, Filter, Paged},
};

/// The routes of this file that answer at once.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(get)).routes(routes!(errors))
}

/// The route that takes as long as its file needs.
pub fn upload() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(create)).layer(DefaultBodyLimit::max(LARGEST_FILE_BYTES))
}

impl Resource for ImportReport {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/imports/{}", self.id))
    }
}

/// What a file is and how it is imported.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// What the file holds.
    kind: ImportKind,
    /// The seller of imported contracts.
    seller: SellerId,
    /// Name of the file, for people.
    #[param(example = "customers.csv")]
    file_name: String,
    /// Checks everything and writes nothing but the report.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// The external system of rows that name none.
    external_system: Option<String>,
}

/// Imports a file.
///
/// The body is the CSV file itself, UTF-8 or windows-1251, at most 100 MiB. The answer is a report whatever its rows are
/// like: importing the same file again changes nothing, and wrong rows are named by line and column.
#[utoipa::path(post, path = "/v1/imports", operation_id = "import_create", tag = "imports",
    params(ImportQuery),
    request_body(content = Vec<u8>, content_type = "text/csv", description = "The file"),
    responses((status = 201, description = "The report", body = ImportReport)))]
async fn create(
    App(altyn): App,
    Filter(query): Filter<ImportQuery>,
    upload: Upload,
) -> Result<Answer<ImportReport>, Problem> {
    let Upload { request, bytes, .. } = upload.expect("text/csv")?;
    let ImportQuery { kind, seller, file_name, dry_run, external_system } = query;
    let options = ImportOptions { seller, dry_run, external_system };
    Ok(Answer(altyn.import_books(&request, kind, &file_name, bytes.into(), options).await?))
}

/// Lists the imports.
///
/// Their reports without problems, oldest first.
#[utoipa::path(get, path = "/v1/imports", operation_id = "import_list", tag = "imports",
    params(Page), responses((status = 200, description = "A page of reports", body = Listed<ImportReport>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<ImportReport>>, Problem> {
    Ok(Json(altyn.import_list(&request, &page).await?))
}

/// Reads the report of an import.
///
/// With its first 100 problems.
#[utoipa::path(get, path = "/v1/imports/{id}", operation_id = "import_get", tag = "imports",
    params(("id" = ImportId, Path, description = "The import")),
    responses((status = 200, description = "The report", body = ImportReport)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<ImportId>) -> Result<Json<ImportReport>, Problem> {
    Ok(Json(altyn.import_get(&request, id).await?))
}

/// Lists the problems of an import.
///
/// By line of the file.
#[utoipa::path(get, path = "/v1/imports/{id}/errors", operation_id = "import_errors", tag = "imports",
    params(("id" = ImportId, Path, description = "The import"), Page),
    responses((status = 200, description = "A page of problems", body = Listed<ImportProblem>)))]
async fn errors(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ImportId>,
    Paged(page): Paged,
) -> Result<Json<Listed<ImportProblem>>, Problem> {
    Ok(Json(altyn.import_errors(&request, id, &page).await?))
}
