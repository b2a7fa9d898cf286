//! What comes in as files in a step: books of another system, with a customer, its balance, its contract and what it pays for.
//!
//! Invariant: every row becomes an object, was there, or is refused; the same files once more change nothing.

use altyn_service::{
    contracts::ContractFilter,
    imports::{ImportKind, ImportOptions, ImportReport},
    page::Page,
    subscriptions::SubscriptionFilter,
};
use chrono::{NaiveDate, TimeDelta};

use crate::{
    act::{chosen, word},
    dice::Dice,
    life::{Life, expected, failed},
};

const PLANS: &str = "Продукт;Период;Цена с НДС;Валюта;Ставка НДС;Название\n";
const CUSTOMERS: &str = "Название;Тип;Начальный баланс;Внешний ID;Внешняя система;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес\n";
const CONTRACTS: &str = "Номер договора;Внешний ID клиента;Дата;Тип расчётов;Валюта;Кредитный лимит\n";
const SUBSCRIPTIONS: &str =
    "Номер договора;Продукт;Период;Дата продления;Количество;Скидка, %;Внешний ID;Внешняя система\n";

impl Life<'_> {
    /// Imports books of four files, twice in some steps.
    pub(crate) async fn import(
        &mut self,
        place: usize,
        number: usize,
        today: NaiveDate,
        salt: u64,
    ) -> anyhow::Result<String> {
        let mut dice = Dice::new(salt, 4);
        let price = format!("{}.{:02}", dice.between(0, 2_000), dice.between(0, 99));
        let vat = *dice.pick(&["22", "10", "0", "без НДС"]);
        let cadence = *dice.pick(&["1m", "3m", "10d"]);
        let plans = format!("{PLANS}books-{number};{cadence};{price};RUB;{vat};From the books\n");
        let balance = format!("{}{}.{:02}", dice.pick(&["", "-"]), dice.between(0, 3_000), dice.between(0, 99));
        let customers = format!("{CUSTOMERS}Customer {number};ФЛ;{balance};c-{number};books;;;;;;\n");
        let signed = today - TimeDelta::days(dice.between(0, 900));
        let kind = *dice.pick(&["prepaid", "postpaid"]);
        let limit = dice.between(0, 2) * 500;
        let contracts = format!("{CONTRACTS}B-{number};c-{number};{signed};{kind};RUB;{limit}\n");
        let mut subscriptions = SUBSCRIPTIONS.to_owned();
        let old = chosen(&self.operators[place].plans, u8::try_from(dice.between(0, 255)).unwrap_or(0));
        let old = old.map_or(String::new(), |(code, _, _)| code);
        let (old, period) = old.rsplit_once('-').unwrap_or_default();
        for (row, (plan, period)) in [(format!("books-{number}").as_str(), cadence), (old, period)].iter().enumerate() {
            let renews = today + TimeDelta::days(dice.between(-40, 40));
            let (quantity, discount) = (dice.between(1, 3), dice.pick(&["", "", "10", "33.333333"]));
            let line = format!("B-{number};{plan};{period};{renews};{quantity};{discount};s-{number}-{row};books\n");
            subscriptions.push_str(&line);
        }
        let files = [
            (ImportKind::Plans, plans),
            (ImportKind::Customers, customers),
            (ImportKind::Contracts, contracts),
            (ImportKind::Subscriptions, subscriptions),
        ];
        let mut refused = None;
        for (kind, file) in &files {
            let report = match self.import_file(place, *kind, file).await? {
                Ok(report) => report,
                Err(error) => return Ok(word(&Err::<(), _>(error))),
            };
            let again = self.import_file(place, *kind, file).await?.map_err(failed)?;
            anyhow::ensure!(
                again.rows_created == 0 && again.rows_refused == report.rows_refused,
                "a file was imported as {report:?}, and once more as {again:?}"
            );
            refused = refused.or_else(|| report.errors.first().map(|error| error.code.clone()));
        }
        self.adopt(place, &format!("B-{number}")).await?;
        Ok(refused.unwrap_or("ok".to_owned()))
    }

    async fn import_file(
        &mut self,
        place: usize,
        kind: ImportKind,
        file: &str,
    ) -> anyhow::Result<Result<ImportReport, altyn_service::ServiceError>> {
        let seller = self.operators[place].sellers[0];
        let sent = self
            .send(place, async |altyn, request| {
                let options = ImportOptions { seller, dry_run: false, external_system: Some("books".to_owned()) };
                let bytes = file.as_bytes().to_vec();
                altyn.import_books(request, kind, "books.csv", bytes, options).await
            })
            .await?;
        if let Ok(report) = &sent {
            let told = report.rows_created + report.rows_unchanged + report.rows_refused;
            anyhow::ensure!(told == report.rows_read, "rows were lost: {report:?}");
        }
        Ok(sent)
    }

    /// What was imported is lived with like what was made here.
    async fn adopt(&mut self, place: usize, number: &str) -> anyhow::Result<()> {
        let request = self.operators[place].request();
        let page = Page { limit: Some(100), cursor: None };
        let found = self
            .until_answered(async |altyn| {
                let filter = ContractFilter { number: Some(number.to_owned()), ..ContractFilter::default() };
                altyn.contract_list(&request, filter, &page).await
            })
            .await?;
        for contract in found.map_err(|error| expected(error).map_or_else(|error| error, failed))?.data {
            let brought = self
                .until_answered(async |altyn| {
                    let filter = SubscriptionFilter { contract_id: Some(contract.id), ..SubscriptionFilter::default() };
                    altyn.subscription_list(&request, filter, &page).await
                })
                .await?;
            self.operators[place].contracts.push(contract.id);
            let brought = brought.map_err(failed)?.data.into_iter().map(|one| one.id);
            self.operators[place].subscriptions.extend(brought);
        }
        Ok(())
    }
}
