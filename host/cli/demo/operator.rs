//! Setting the operator up: tenant, seller, books, plugins.

use std::path::Path;

use altyn_domain::{
    id::SellerId,
    money::Currency,
    party::{CustomerKind, VatRegime},
    run::RunMode,
};
use altyn_service::{
    Request,
    imports::{ImportKind, ImportOptions, ImportReport},
    plugins::CreateBinding,
    sellers::CreateSeller,
    tenants::CreateTenant,
};
use chrono::NaiveDate;
use serde_json::json;

use super::{CREDENTIAL, Stage, ZONE, report::Summary};
use crate::cli::{
    exit::Failure,
    imports::{import, problems_text, reports_text},
    output::{self, Table},
    plugins::read,
};

/// The operator of the story.
pub struct Operator {
    /// Acts for its tenant.
    pub request: Request,
    /// Its currency.
    pub currency: Currency,
}

impl Operator {
    /// Creates the tenant and its seller, and imports the books twice.
    pub async fn settle(stage: &Stage, summary: &mut Summary, books: &Path) -> Result<Self, Failure> {
        let altyn = &stage.session.altyn;
        let tenant = altyn
            .tenant_create_root(CreateTenant {
                name: "Связь-Сервис".to_owned(),
                locale: Some("ru-RU".to_owned()),
                zone: Some(ZONE.name().to_owned()),
                currency: Some(Currency::RUB.to_string()),
                run_mode: Some(RunMode::Automatic),
                run_at: Some("03:00".to_owned()),
            })
            .await?;
        let request = Request::internal(tenant.id, CREDENTIAL);
        // Numbers with valid check digits in the region 00, which no tax office has.
        let seller = altyn
            .seller_create(
                &request,
                CreateSeller {
                    name: "ООО «Связь-Сервис»".to_owned(),
                    kind: CustomerKind::LegalEntity,
                    country: Some("RU".to_owned()),
                    inn: Some("0077990015".to_owned()),
                    kpp: Some("007701001".to_owned()),
                    ogrn: Some("1190099001003".to_owned()),
                    vat_regime: VatRegime::General,
                    bank_account: Some("40702810600000099001".to_owned()),
                    bank_bik: Some("040000777".to_owned()),
                },
            )
            .await?
            .value;
        stage.teller.title("The operator");
        stage.teller.say(&format!(
            "tenant {}  {} ({}, {})\nseller {}  {}, ИНН {}\n",
            tenant.id,
            tenant.name,
            tenant.zone,
            tenant.currency,
            seller.id,
            seller.name,
            seller.inn.as_deref().unwrap_or("-")
        ));
        let operator = Self { request, currency: Currency::RUB };
        operator.books(stage, summary, seller.id, books).await?;
        Ok(operator)
    }

    async fn books(
        &self,
        stage: &Stage,
        summary: &mut Summary,
        seller: SellerId,
        folder: &Path,
    ) -> Result<(), Failure> {
        stage.teller.title("The books");
        let first = self.import_all(stage, seller, folder).await?;
        stage.teller.say(&reports_text(&first));
        stage.teller.say(&problems_text(&first));
        let again = self.import_all(stage, seller, folder).await?;
        let changed: i64 = again.iter().map(|report| report.rows_created).sum();
        let unchanged: i64 = again.iter().map(|report| report.rows_unchanged).sum();
        if changed == 0 {
            let rows = output::count(unchanged);
            stage.teller.say(&format!("\nimported again: nothing changed, {rows} rows were known\n"));
        } else {
            stage.teller.say("\nimported again: SOMETHING CHANGED\n");
            stage.teller.say(&reports_text(&again));
        }
        summary.imported(&first, changed);
        Ok(())
    }

    async fn import_all(&self, stage: &Stage, seller: SellerId, folder: &Path) -> Result<Vec<ImportReport>, Failure> {
        let mut reports = Vec::with_capacity(ImportKind::ALL.len());
        for kind in ImportKind::ALL {
            let file = folder.join(format!("{}.csv", kind.as_str()));
            let options = ImportOptions { seller, dry_run: false, external_system: None };
            reports.push(import(&stage.session.altyn, &self.request, kind, &file, options).await?);
        }
        Ok(reports)
    }

    /// Installs the three plugins and binds them from a day on.
    pub async fn bind(&self, stage: &Stage, folder: &Path, from: NaiveDate) -> Result<(), Failure> {
        let altyn = &stage.session.altyn;
        stage.teller.title("The plugins");
        let mut table = Table::new(["plugin", "version", "decides", "from", "bytes", "sha256", "configuration"]);
        for (name, config) in [
            ("day-ratio", json!({})),
            ("ru-vat", json!({})),
            ("number-template", json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" })),
        ] {
            let wasm = read(&folder.join(format!("{name}.wasm")))?;
            let component = altyn.plugin_install(&self.request, wasm).await?.value;
            let command = CreateBinding {
                component: component.digest.clone(),
                config: config.clone(),
                priority: 0,
                effective_from: from,
            };
            let binding = altyn.binding_create(&self.request, command).await?.value;
            table.row([
                component.plugin_id,
                component.version,
                binding.extension_point,
                from.to_string(),
                output::count(component.size_bytes),
                component.digest[..16].to_owned(),
                config.to_string(),
            ]);
        }
        stage.teller.say(&table.render());
        Ok(())
    }
}
