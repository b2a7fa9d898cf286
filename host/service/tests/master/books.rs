//! The import of an operator's books.

use altyn_domain::{id::SellerId, party::ContractKind};
use altyn_service::{
    ServiceError,
    contracts::{ContractFilter, ContractView, CreateContract},
    customers::CustomerFilter,
    imports::{ImportKind, ImportOptions, ImportReport},
    subscriptions::SubscriptionFilter,
};

use crate::support::{Place, on_both_engines, page};

on_both_engines!(
    books_come_in_and_the_same_books_change_nothing,
    a_wrong_row_is_named_by_line_and_column_and_nothing_else_is_lost,
    an_opening_balance_lands_once_on_the_first_contract,
    a_contract_made_by_hand_takes_the_waiting_balance_once,
    a_dry_run_writes_its_report_only,
    one_key_has_one_report,
    a_file_without_its_columns_is_refused,
    two_imports_of_one_file_at_once_make_each_row_once,
    problems_are_bounded_and_paged,
    the_example_books_come_in_whole,
);

const PLANS: &str = "Продукт;Период;Цена с НДС;Валюта;Ставка НДС;Название\r\n\
    net;1m;590.00;RUB;22;Интернет\r\nnet;12m;5900.00;RUB;22;Интернет на год\r\nbook;1m;100;RUB;10;Журнал\r\n";
const CUSTOMERS: &str = "Название;Тип;Начальный баланс;Внешний ID;Внешняя система;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес\r\n\
    \"ООО \"\"Сатурн\"\"\";ЮЛ;-536.10;1;lb;7707083893;773601001;1027700132195;a@example.com;+70000000001;г Москва\r\n\
    ИП Ермаков;ИП;0.00;2;lb;500100732259;;304500116000157;;;\r\n\
    Щукин Олег;ФЛ;2433.67;3;lb;;;;;;\r\n";
const CONTRACTS: &str = "Номер договора;Внешний ID клиента;Дата;Тип расчётов;Валюта;Кредитный лимит\r\n\
    Д-1;1;2024-12-01;prepaid;RUB;0.00\r\nД-2;2;2025-04-24;postpaid;RUB;5000.00\r\n\
    Д-3;3;2025-02-27;mixed;RUB;\r\nД-4;3;2026-01-16;prepaid;RUB;0.00\r\n";
const SUBSCRIPTIONS: &str = "Номер договора;Продукт;Период;Дата продления;Количество;Скидка, %;Внешний ID;Внешняя система\r\n\
    Д-1;net;1m;2026-11-30;2.5;;S-1;lb\r\nД-1;net;12m;2027-06-25;;10;S-2;lb\r\nД-3;book;1m;2026-11-01;1;100;S-3;lb\r\n";

fn cp1251(text: &str) -> Vec<u8> {
    encoding_rs::WINDOWS_1251.encode(text).0.into_owned()
}

struct Importer<'p> {
    place: &'p Place,
    seller: SellerId,
}

impl<'p> Importer<'p> {
    async fn new(place: &'p Place) -> Self {
        Self { place, seller: place.seller().await }
    }

    fn options(&self) -> ImportOptions {
        ImportOptions { seller: self.seller, dry_run: false, external_system: None }
    }

    async fn try_import(&self, kind: ImportKind, bytes: Vec<u8>) -> Result<ImportReport, ServiceError> {
        let (altyn, request) = (&self.place.altyn, self.place.request());
        Ok(altyn.import_books(&request, kind, "books.csv", bytes, self.options()).await?.value)
    }

    async fn import(&self, kind: ImportKind, text: &str) -> ImportReport {
        self.try_import(kind, cp1251(text)).await.unwrap()
    }

    async fn all(&self) -> Vec<(i64, i64, i64)> {
        let mut counts = Vec::new();
        for (kind, text) in ImportKind::ALL.into_iter().zip([PLANS, CUSTOMERS, CONTRACTS, SUBSCRIPTIONS]) {
            counts.push(tally(&self.import(kind, text).await));
        }
        counts
    }

    async fn contract(&self, number: &str) -> ContractView {
        let filter = ContractFilter { number: Some(number.into()), ..ContractFilter::default() };
        let found = self.place.altyn.contract_list(&self.place.request(), filter, &page(2, None)).await.unwrap();
        found.data.into_iter().next().unwrap()
    }
}

fn tally(report: &ImportReport) -> (i64, i64, i64) {
    assert_eq!(report.rows_read, report.rows_created + report.rows_unchanged + report.rows_refused);
    (report.rows_created, report.rows_unchanged, report.rows_refused)
}

fn problems(report: &ImportReport) -> Vec<(i64, &str, &str)> {
    report.errors.iter().map(|error| (error.row, error.column.as_str(), error.code.as_str())).collect()
}

async fn books_come_in_and_the_same_books_change_nothing(place: Place) {
    let importer = Importer::new(&place).await;
    assert_eq!(importer.all().await, [(3, 0, 0), (3, 0, 0), (4, 0, 0), (3, 0, 0)]);
    let (altyn, request) = (&place.altyn, place.request());
    let before = (
        altyn.plan_list(&request, altyn_service::plans::PlanFilter::default(), &page(10, None)).await.unwrap(),
        altyn.customer_list(&request, CustomerFilter::default(), &page(10, None)).await.unwrap(),
        altyn.contract_list(&request, ContractFilter::default(), &page(10, None)).await.unwrap(),
        altyn.subscription_list(&request, SubscriptionFilter::default(), &page(10, None)).await.unwrap(),
        altyn.transaction_list(&request, &page(10, None)).await.unwrap(),
    );
    assert_eq!(importer.all().await, [(0, 3, 0), (0, 3, 0), (0, 4, 0), (0, 3, 0)]);
    let after = (
        altyn.plan_list(&request, altyn_service::plans::PlanFilter::default(), &page(10, None)).await.unwrap(),
        altyn.customer_list(&request, CustomerFilter::default(), &page(10, None)).await.unwrap(),
        altyn.contract_list(&request, ContractFilter::default(), &page(10, None)).await.unwrap(),
        altyn.subscription_list(&request, SubscriptionFilter::default(), &page(10, None)).await.unwrap(),
        altyn.transaction_list(&request, &page(10, None)).await.unwrap(),
    );
    assert_eq!(serde_json::to_value(&before).unwrap(), serde_json::to_value(&after).unwrap());

    let plans = &before.0.data;
    let codes: Vec<&str> = plans.iter().map(|plan| plan.code.as_str()).collect();
    assert_eq!(codes, ["net-1m", "net-12m", "book-1m"]);
    let component = &plans[2].versions[0].components[0];
    assert_eq!((component.unit_price_minor, component.tax_category.as_str()), (10_000, "reduced"));
    assert_eq!(altyn.product_list(&request, &page(10, None)).await.unwrap().data.len(), 2, "periods share a product");
    assert_eq!(before.1.data[0].name, "ООО \"Сатурн\"");
    assert_eq!(before.1.data[2].external_id.as_deref(), Some("3"));
    let subscriptions = &before.3.data;
    assert_eq!((subscriptions[0].quantity.as_str(), subscriptions[0].discount_percent.as_str()), ("2.5", "0"));
    assert_eq!(subscriptions[0].next_charge_on.to_string(), "2026-11-30");
    assert_eq!(subscriptions[0].anchor_on, subscriptions[0].starts_on);
    assert_eq!((subscriptions[1].quantity.as_str(), subscriptions[1].discount_percent.as_str()), ("1", "10"));
    assert_eq!(altyn.import_list(&request, &page(10, None)).await.unwrap().data.len(), 8);
}

async fn a_wrong_row_is_named_by_line_and_column_and_nothing_else_is_lost(place: Place) {
    let importer = Importer::new(&place).await;
    importer.import(ImportKind::Plans, PLANS).await;
    let plans = importer
        .import(
            ImportKind::Plans,
            "Продукт;Период;Цена с НДС;Валюта;Ставка НДС;Название\n\
             tv;1w;299;RUB;22;ТВ\ntv;1m;2,99;RUB;21;ТВ\ntv;1m;299;RUR;22;ТВ\ntv;1m;299;RUB;22;ТВ\ntv;1m;300;RUB;22;ТВ\n\
             phone;1m;-1;RUB;22;\nradio;1m;5;RUB;без НДС;Радио\n",
        )
        .await;
    assert_eq!(
        problems(&plans),
        [
            (2, "Период", "bad-period"),
            (3, "Цена с НДС", "bad-amount"),
            (3, "Ставка НДС", "bad-vat-rate"),
            (4, "Валюта", "bad-currency"),
            (6, "Продукт", "duplicate-plan"),
            (7, "Цена с НДС", "bad-amount"),
            (7, "Название", "missing-value"),
        ]
    );
    assert_eq!(tally(&plans), (2, 0, 5));

    let head = CUSTOMERS.lines().next().unwrap();
    let mut bytes =
        cp1251(&format!("{head}\r\nА;ЮЛ;0;1;lb;7707083894;;;;;\r\nБ;ФЛ;1;2;lb;;;;;;\r\nВ;ФЛ;;2;lb;;;;;;\r\nГ"));
    bytes.push(0x98);
    bytes.extend(cp1251(";ФЛ;0;4;lb;;;;;;\r\nД;ООО;1.234;;lb;;;;x;;\r\nЕ;ФЛ;0;6;;;;;;;\r\nЁ;ФЛ;0;7;lb;;;;;;\r\n"));
    let customers = importer.try_import(ImportKind::Customers, bytes).await.unwrap();
    assert_eq!(
        problems(&customers),
        [
            (2, "ИНН", "bad-inn"),
            (4, "Внешний ID", "duplicate-external-id"),
            (5, "Название", "bad-encoding"),
            (6, "Тип", "bad-type"),
            (6, "Начальный баланс", "bad-amount"),
            (6, "Внешний ID", "missing-value"),
            (6, "E-mail", "bad-email"),
            (7, "Внешняя система", "missing-value"),
        ]
    );
    assert_eq!(tally(&customers), (2, 0, 5));

    let head = CONTRACTS.lines().next().unwrap();
    let rows = "Д-1;2;2024-02-30;prepaid;RUB;0\nД-2;99;2024-02-29;prepaid;RUB;0\nД-3;7;2024-2-29;credit;RUB;-1\n\
                Д-4;7;2024-02-29;prepaid;RUB;0\nД-4;2;2024-02-29;prepaid;RUB;0\n";
    let contracts = importer.import(ImportKind::Contracts, &format!("{head}\n{rows}")).await;
    assert_eq!(
        problems(&contracts),
        [
            (2, "Дата", "bad-date"),
            (3, "Внешний ID клиента", "unknown-customer"),
            (4, "Дата", "bad-date"),
            (4, "Тип расчётов", "bad-kind"),
            (4, "Кредитный лимит", "bad-amount"),
            (6, "Номер договора", "duplicate-contract"),
        ]
    );
    assert_eq!(tally(&contracts), (1, 0, 4));

    let head = SUBSCRIPTIONS.lines().next().unwrap();
    let rows = "Д-9;net;1m;2026-11-01;1;;S-1;lb\nД-4;gas;1m;2026-11-01;1;;S-2;lb\nД-4;net;3m;2026-11-01;1;;S-3;lb\n\
                Д-4;net;1m;2026-11-31;0;101;S-4;lb\nД-4;net;1m;2026-11-01;1;;S-5;lb\nД-4;net;1m;2026-11-01;1;;S-5;lb\n";
    let subscriptions = importer.import(ImportKind::Subscriptions, &format!("{head}\n{rows}")).await;
    assert_eq!(
        problems(&subscriptions),
        [
            (2, "Номер договора", "unknown-contract"),
            (3, "Продукт", "unknown-plan"),
            (4, "Продукт", "unknown-plan"),
            (5, "Дата продления", "bad-date"),
            (5, "Количество", "bad-quantity"),
            (5, "Скидка, %", "bad-discount"),
            (7, "Внешний ID", "duplicate-external-id"),
        ]
    );
    assert_eq!(tally(&subscriptions), (1, 0, 5));
    let stored = place.altyn.import_get(&place.request(), subscriptions.id).await.unwrap();
    assert_eq!(serde_json::to_value(stored).unwrap(), serde_json::to_value(subscriptions).unwrap());
}

async fn an_opening_balance_lands_once_on_the_first_contract(place: Place) {
    let importer = Importer::new(&place).await;
    importer.import(ImportKind::Customers, CUSTOMERS).await;
    let (altyn, request) = (&place.altyn, place.request());
    let waiting = altyn.customer_list(&request, CustomerFilter::default(), &page(10, None)).await.unwrap();
    let waiting: Vec<Option<i64>> = waiting.data.iter().map(|customer| customer.opening_balance_minor).collect();
    assert_eq!(waiting, [Some(-53_610), None, Some(243_367)]);
    // The first contract in another currency does not take roubles.
    let head = CONTRACTS.lines().next().unwrap();
    importer.import(ImportKind::Contracts, &format!("{head}\nД-0;3;2024-01-01;prepaid;KZT;0\n")).await;
    importer.import(ImportKind::Contracts, CONTRACTS).await;
    importer.import(ImportKind::Contracts, &format!("{head}\nД-5;1;2026-02-01;prepaid;RUB;0\n")).await;
    importer.import(ImportKind::Customers, CUSTOMERS).await;
    importer.import(ImportKind::Contracts, CONTRACTS).await;

    for (number, balance) in [("Д-0", 0), ("Д-1", -53_610), ("Д-2", 0), ("Д-3", 243_367), ("Д-4", 0), ("Д-5", 0)]
    {
        assert_eq!(importer.contract(number).await.balance_minor, balance, "{number}");
    }
    let posted = altyn.transaction_list(&request, &page(10, None)).await.unwrap().data;
    let keys: Vec<&str> = posted.iter().map(|transaction| transaction.source_key.as_str()).collect();
    let expected =
        [importer.contract("Д-1").await.id, importer.contract("Д-3").await.id].map(|id| format!("opening/{id}"));
    assert_eq!(keys, expected);
    let trial = altyn.trial_balance(&request).await.unwrap();
    assert!(trial.totals.values().all(|total| *total == 0), "{trial:?}");
    let after = altyn.customer_list(&request, CustomerFilter::default(), &page(10, None)).await.unwrap();
    assert!(after.data.iter().all(|customer| customer.opening_balance_minor.is_none()));
}

async fn a_contract_made_by_hand_takes_the_waiting_balance_once(place: Place) {
    let importer = Importer::new(&place).await;
    importer.import(ImportKind::Customers, CUSTOMERS).await;
    let (altyn, request) = (&place.altyn, place.request());
    let filter = CustomerFilter { external_id: Some("3".into()), ..CustomerFilter::default() };
    let customer = altyn.customer_list(&request, filter, &page(1, None)).await.unwrap().data.remove(0).id;
    let sign = |number: &str| {
        let command = CreateContract {
            customer_id: customer,
            seller_id: importer.seller,
            number: number.into(),
            kind: ContractKind::Prepaid,
            currency: None,
            zone: None,
            credit_limit_minor: None,
            signed_on: None,
            external_system: None,
            external_id: None,
        };
        let request = request.clone();
        async move { altyn.contract_create(&request, command).await }
    };
    let signed: Vec<ContractView> = [tokio::join!(sign("А"), sign("Б"), sign("В"), sign("Г"))]
        .into_iter()
        .flat_map(|(a, b, c, d)| [a, b, c, d])
        .filter_map(|outcome| match outcome {
            Ok(reply) => Some(reply.value),
            // Whoever lost the race for the balance is told to look again; nothing of its contract stays.
            Err(error) => {
                assert!(matches!(error, ServiceError::Stale), "{error:?}");
                None
            }
        })
        .collect();
    assert_eq!(signed.iter().map(|contract| contract.balance_minor).sum::<i64>(), 243_367);
    assert_eq!(signed.iter().filter(|contract| contract.balance_minor != 0).count(), 1);
    assert_eq!(altyn.transaction_list(&request, &page(5, None)).await.unwrap().data.len(), 1);
}

async fn a_dry_run_writes_its_report_only(place: Place) {
    let importer = Importer::new(&place).await;
    let (altyn, request) = (&place.altyn, place.request());
    let options = ImportOptions { dry_run: true, ..importer.options() };
    let bytes = cp1251(CUSTOMERS);
    let report = altyn.import_books(&request, ImportKind::Customers, "a.csv", bytes, options).await.unwrap().value;
    assert_eq!((tally(&report), report.state.as_str()), ((3, 0, 0), "dry-run"));
    assert_eq!(altyn.customer_list(&request, CustomerFilter::default(), &page(1, None)).await.unwrap().data.len(), 0);
    assert_eq!(altyn.import_get(&request, report.id).await.unwrap().rows_created, 3);
}

async fn one_key_has_one_report(place: Place) {
    let importer = Importer::new(&place).await;
    let request = place.keyed("import", 7);
    let import = || {
        let bytes = cp1251(CUSTOMERS);
        place.altyn.import_books(&request, ImportKind::Customers, "a.csv", bytes, importer.options())
    };
    let first = import().await.unwrap();
    let second = import().await.unwrap();
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.value.id, second.value.id);
    assert_eq!(tally(&second.value), (3, 0, 0));
}

async fn a_file_without_its_columns_is_refused(place: Place) {
    let importer = Importer::new(&place).await;
    let Err(ServiceError::Invalid(errors)) = importer.try_import(ImportKind::Plans, cp1251(CUSTOMERS)).await else {
        panic!("must be refused")
    };
    assert!(errors.iter().all(|error| error.pointer == "/file"));
    assert!(errors.iter().any(|error| error.message.contains("\"Продукт\" is missing")));
    let unknown = PLANS.replacen("Название", "Название;Цвет", 1).replace(";Интернет\r", ";Интернет;синий\r");
    let report = importer.import(ImportKind::Plans, &unknown).await;
    assert_eq!(problems(&report)[0], (1, "Цвет", "unknown-column"));
    assert_eq!(tally(&report), (1, 0, 2));
    // A system for all rows makes its column unnecessary.
    let request = place.request();
    let without: String = CUSTOMERS
        .lines()
        .map(|line| {
            let mut cells: Vec<&str> = line.split(';').collect();
            cells.remove(4);
            cells.join(";") + "\n"
        })
        .collect();
    assert!(importer.try_import(ImportKind::Customers, cp1251(&without)).await.is_err());
    let options = ImportOptions { external_system: Some("lb".into()), ..importer.options() };
    let bytes = cp1251(&without);
    let report = place.altyn.import_books(&request, ImportKind::Customers, "a", bytes, options).await.unwrap().value;
    assert_eq!(tally(&report), (3, 0, 0));
    assert_eq!(tally(&importer.import(ImportKind::Customers, CUSTOMERS).await), (0, 3, 0));
}

fn many(rows: std::ops::Range<usize>) -> String {
    let head = CUSTOMERS.lines().next().unwrap();
    let rows: Vec<String> = rows.map(|row| format!("Абонент {row};ФЛ;1.00;{row};lb;;;;;;")).collect();
    format!("{head}\n{}\n", rows.join("\n"))
}

async fn two_imports_of_one_file_at_once_make_each_row_once(place: Place) {
    let importer = Importer::new(&place).await;
    let text = many(0..2_500);
    let (first, second, third) = tokio::join!(
        importer.import(ImportKind::Customers, &text),
        importer.import(ImportKind::Customers, &text),
        importer.import(ImportKind::Customers, &text)
    );
    let created: i64 = [&first, &second, &third].iter().map(|report| tally(report).0).sum();
    assert_eq!(created, 2_500);
    let head = CONTRACTS.lines().next().unwrap();
    let rows: Vec<String> = (0..2_500).map(|row| format!("Д-{row};{row};2026-01-01;prepaid;RUB;0")).collect();
    let text = format!("{head}\n{}\n", rows.join("\n"));
    let (first, second) =
        tokio::join!(importer.import(ImportKind::Contracts, &text), importer.import(ImportKind::Contracts, &text));
    assert_eq!(tally(&first).0 + tally(&second).0, 2_500);
    let trial = place.altyn.trial_balance(&place.request()).await.unwrap();
    let funds = trial.lines.iter().find(|line| line.group == "contract").unwrap();
    assert_eq!(funds.balance_minor, -250_000);
}

async fn problems_are_bounded_and_paged(place: Place) {
    let importer = Importer::new(&place).await;
    let text = many(0..10_050).replace(";ФЛ;", ";??;");
    let report = importer.import(ImportKind::Customers, &text).await;
    assert_eq!((tally(&report), report.errors.len()), ((0, 0, 10_050), 100));
    let (altyn, request) = (&place.altyn, place.request());
    let first = altyn.import_errors(&request, report.id, &page(100, None)).await.unwrap();
    assert_eq!((first.data[0].row, first.data[99].row), (2, 101));
    let second = altyn.import_errors(&request, report.id, &page(100, first.next_cursor)).await.unwrap();
    assert_eq!(second.data[0].row, 102);
    let last = altyn.import_errors(&request, report.id, &page(100, Some("9998".into()))).await.unwrap();
    assert_eq!((last.data.len(), last.has_more), (1, false), "at most 10,000 are kept");
}

async fn the_example_books_come_in_whole(place: Place) {
    let importer = Importer::new(&place).await;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/operator");
    let mut reports = Vec::new();
    for kind in ImportKind::ALL {
        let bytes = std::fs::read(format!("{directory}/{}.csv", kind.as_str())).unwrap();
        let rows = bytes.split(|byte| *byte == b'\n').count() - 2;
        let report = importer.try_import(kind, bytes.clone()).await.unwrap();
        assert_eq!(report.rows_read, i64::try_from(rows).unwrap(), "{kind:?}");
        let again = importer.try_import(kind, bytes).await.unwrap();
        assert_eq!((again.rows_created, again.rows_unchanged), (0, report.rows_created), "{kind:?}");
        assert_eq!(again.errors, report.errors);
        reports.push(report);
    }
    assert_eq!(problems(&reports[0]), []);
    assert_eq!(
        problems(&reports[1]),
        [(316, "ИНН", "bad-inn"), (317, "Внешний ID", "duplicate-external-id"), (318, "Название", "bad-encoding"),]
    );
    assert_eq!(problems(&reports[2]), [(746, "Дата", "bad-date"), (747, "Внешний ID клиента", "unknown-customer")]);
    assert_eq!(
        problems(&reports[3]),
        [
            (1869, "Продукт", "unknown-plan"),
            (1870, "Номер договора", "unknown-contract"),
            (1871, "Дата продления", "bad-date"),
        ]
    );
    let trial = place.altyn.trial_balance(&place.request()).await.unwrap();
    assert!(trial.totals.values().all(|total| *total == 0), "{trial:?}");
}
