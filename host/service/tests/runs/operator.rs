//! The operator whom the tests bill: forty contracts, made once an engine by the services and the import.

use std::{fmt::Write as _, path::Path, sync::Arc};

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, PlanStatus},
    id::{ProductId, SellerId, TenantId},
    party::{CustomerKind, VatRegime},
    run::RunMode,
    tax::PriceMode,
};
use altyn_service::{
    Altyn, Request,
    contracts::{ContractFilter, ContractView},
    imports::{ImportKind, ImportOptions},
    plans::{CreateComponent, CreatePlan, CreatePlanVersion},
    plugins::CreateBinding,
    ports::{Ids as _, SystemIds, VirtualClock},
    products::CreateProduct,
    sellers::CreateSeller,
    settings::Settings,
    tenants::CreateTenant,
};
use altyn_store::{Db, Engine};

use crate::world::{CONTRACTS, ODD, ODD_PRICE, component, connect, day, page, server};

/// The operator before anything is billed: a file, or a PostgreSQL database.
pub struct Template {
    pub place: String,
    pub tenant: TenantId,
    pub seller: SellerId,
    pub contracts: Vec<ContractView>,
}

impl Template {
    pub async fn build(engine: Engine) -> Self {
        let (url, place) = match engine {
            Engine::Sqlite => {
                let file = format!("runs-template-{}.db", SystemIds::default().next().simple());
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
                (format!("sqlite:{}", path.display()), path.display().to_string())
            }
            Engine::Postgres => {
                let name = format!("runs_template_{}", SystemIds::default().next().simple());
                let url = Db::create_postgres_database(&server(), &name).await.unwrap();
                (url.clone(), url)
            }
        };
        Db::migrate(&url).await.unwrap();
        let clock = Arc::new(VirtualClock::new("2026-10-01T09:00:00Z".parse().unwrap()));
        let altyn = connect(&url, clock, Settings::default()).await;
        let tenant = CreateTenant {
            name: "Оператор".into(),
            locale: None,
            zone: Some("Europe/Moscow".into()),
            currency: Some("RUB".into()),
            run_mode: Some(RunMode::Automatic),
            run_at: None,
        };
        let tenant = altyn.tenant_create_root(tenant).await.unwrap().id;
        let request = Request::internal(tenant, "test");
        bind_good(&altyn, &request).await;
        let seller = furnish(&altyn, &request).await;
        let contracts = altyn.contract_list(&request, ContractFilter::default(), &page()).await.unwrap().data;
        assert_eq!(contracts.len(), CONTRACTS);
        altyn.db.close().await;
        Self { place, tenant, seller, contracts }
    }
}

/// Gives a tenant a seller and forty contracts.
pub async fn furnish(altyn: &Altyn, request: &Request) -> SellerId {
    let seller = settle(altyn, request).await;
    sell(altyn, request, seller).await;
    seller
}

/// Gives a tenant a seller, a product and the plans.
pub async fn settle(altyn: &Altyn, request: &Request) -> SellerId {
    let seller = CreateSeller {
        name: "ООО «Меридиан»".into(),
        kind: CustomerKind::LegalEntity,
        country: None,
        inn: Some("7707083893".into()),
        kpp: Some("773601001".into()),
        ogrn: None,
        vat_regime: VatRegime::General,
        bank_account: None,
        bank_bik: None,
    };
    let seller = altyn.seller_create(request, seller).await.unwrap().value.id;
    let product =
        CreateProduct { code: "net".into(), title: "Интернет".into(), tax_category: "standard".into() };
    let product = altyn.product_create(request, product).await.unwrap().value.id;
    plans(altyn, request, product).await;
    seller
}

pub async fn bind(altyn: &Altyn, request: &Request, name: &str, config: serde_json::Value) {
    let component = altyn.plugin_install(request, component(name)).await.unwrap().value.digest;
    let command = CreateBinding { component, config, priority: 0, effective_from: day("2026-01-01") };
    altyn.binding_create(request, command).await.unwrap();
}

pub async fn bind_good(altyn: &Altyn, request: &Request) {
    bind(altyn, request, "day-ratio", serde_json::json!({})).await;
    bind(altyn, request, "ru-vat", serde_json::json!({})).await;
    let numbers = serde_json::json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" });
    bind(altyn, request, "number-template", numbers).await;
}

/// Code, cadence, price mode, billing day and components (code, price in kopecks, tax category) of a plan.
type Sold<'s> = (&'s str, Cadence, PriceMode, BillingDay, &'s [(&'s str, i64, &'s str)]);

async fn plans(altyn: &Altyn, request: &Request, product: ProductId) {
    let month = Cadence::Months(1);
    let (included, on_top) = (PriceMode::Included, PriceMode::OnTop);
    let plans: &[Sold<'_>] = &[
        (
            "home-1m",
            month,
            included,
            BillingDay::Anniversary,
            &[("net", 59_000, "standard"), ("books", 19_990, "reduced")],
        ),
        ("business-1m", month, on_top, BillingDay::Fixed(31), &[("line", 100_033, "standard")]),
        ("week-7d", Cadence::Days(7), included, BillingDay::Anniversary, &[("week", 7_001, "exempt")]),
        ("free-1m", month, included, BillingDay::Anniversary, &[("trial", 0, "standard")]),
        ("odd-1m", month, included, BillingDay::Anniversary, &[("odd", ODD_PRICE, "standard")]),
    ];
    for (code, cadence, price_mode, billing_day, components) in plans {
        let components = components
            .iter()
            .map(|(code, unit_price_minor, tax_category)| CreateComponent {
                included: None,
                min_quantity: None,
                max_quantity: None,
                code: (*code).into(),
                title: (*code).into(),
                kind: None,
                product_id: product,
                unit_price_minor: *unit_price_minor,
                tax_category: Some((*tax_category).into()),
                prepayment_percent: None,
                metered: None,
            })
            .collect();
        let version = CreatePlanVersion {
            existing_subscribers: None,
            effective_from: Some(day("2020-01-01")),
            cadence: *cadence,
            currency: None,
            price_mode: *price_mode,
            billing_day: Some(*billing_day),
            stub: None,
            components,
        };
        let command = CreatePlan {
            visibility: None,
            code: (*code).into(),
            title: (*code).into(),
            status: Some(PlanStatus::Active),
            version,
        };
        altyn.plan_create(request, command).await.unwrap();
    }
}

async fn sell(altyn: &Altyn, request: &Request, seller: SellerId) {
    let starts: Vec<String> = (0..28).map(|day| format!("2026-11-{:02}", day + 1)).collect();
    let contracts: Vec<_> = (0..CONTRACTS)
        .map(|index| {
            let starts_on = starts[index % starts.len()].as_str();
            let subscriptions = match index {
                ODD => vec![("odd-1m", "2026-11-01")],
                _ if index % 5 == 1 => vec![("business-1m", starts_on), ("home-1m", starts_on)],
                _ if index % 5 == 2 => vec![("week-7d", starts_on)],
                _ if index % 5 == 3 => vec![("free-1m", "2026-11-01")],
                _ => vec![("home-1m", starts_on)],
            };
            (format!("Д-{index:02}"), subscriptions)
        })
        .collect();
    import(altyn, request, seller, &contracts).await;
}

/// Imports contracts, each with a customer of its own and the (plan, first day) pairs it subscribes to.
pub async fn import(altyn: &Altyn, request: &Request, seller: SellerId, contracts: &[(String, Vec<(&str, &str)>)]) {
    let mut customers = String::from("Название;Тип;Начальный баланс;Внешний ID;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес\n");
    let mut signed = String::from("Номер договора;Внешний ID клиента;Дата;Тип расчётов;Валюта;Кредитный лимит\n");
    let mut sold = String::from("Номер договора;Продукт;Период;Дата продления;Количество;Скидка, %;Внешний ID\n");
    for (number, subscriptions) in contracts {
        let _ = writeln!(customers, "Абонент {number};ФЛ;0;{number};;;;;;");
        let _ = writeln!(signed, "{number};{number};2026-01-01;prepaid;RUB;0");
        for (index, (plan, starts_on)) in subscriptions.iter().enumerate() {
            let (product, period) = plan.rsplit_once('-').unwrap();
            let _ = writeln!(sold, "{number};{product};{period};{starts_on};1;;{number}/{index}");
        }
    }
    let options = ImportOptions { seller, dry_run: false, external_system: Some("books".to_owned()) };
    for (kind, file) in
        [(ImportKind::Customers, customers), (ImportKind::Contracts, signed), (ImportKind::Subscriptions, sold)]
    {
        let rows = i64::try_from(file.lines().count()).unwrap() - 1;
        let report = altyn.import_books(request, kind, "book.csv", file.into_bytes(), options.clone()).await.unwrap();
        assert_eq!(report.value.rows_created, rows, "{:?}", report.value.errors);
    }
}
