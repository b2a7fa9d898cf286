//! A seller with two customers, and what the tests do with their contracts.

use altyn_domain::{
    credit::PolicyScope,
    id::{ContractId, CustomerId, SellerId, SubscriptionId},
    ledger::{AccountCode, Entry, TransactionKind},
    money::Currency,
    party::{ContractKind, CustomerKind},
    tax::PriceMode,
};
use altyn_service::{
    Request, ServiceError,
    blocks::{BlockFilter, BlockView},
    contracts::CreateContract,
    credit::{ContractCreditView, CreateCreditPolicy, CreditAllowance, CreditPolicyView, SetContractControl},
    customers::CreateCustomer,
    ledger::PostTransaction,
    plans::{CreateComponent, CreatePlan, CreatePlanVersion},
    products::CreateProduct,
    promises::{GivePromise, PromiseFilter, PromiseView},
    subscriptions::CreateSubscription,
};
use chrono::NaiveDate;

use crate::support::{Place, page};

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The code of a refusal, or the first refused field.
pub fn code<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> String {
    match answer {
        Ok(value) => format!("it was done: {value:?}"),
        Err(ServiceError::Invalid(errors)) => errors[0].pointer.clone(),
        Err(ServiceError::Store(error)) => format!("{error:?}"),
        Err(error) => error.code().to_owned(),
    }
}

pub struct World {
    pub place: Place,
    pub seller: SellerId,
    pub customer: CustomerId,
    pub other_customer: CustomerId,
}

pub fn person(name: &str) -> CreateCustomer {
    CreateCustomer {
        kind: CustomerKind::Individual,
        name: name.into(),
        country: None,
        inn: None,
        kpp: None,
        ogrn: None,
        email: None,
        phone: None,
        address: None,
        external_system: None,
        external_id: None,
    }
}

impl World {
    pub async fn new(place: Place) -> Self {
        let seller = place.seller().await;
        let request = place.request();
        let customer = place.altyn.customer_create(&request, person("Абонент")).await.unwrap().value.id;
        let other_customer = place.altyn.customer_create(&request, person("Сосед")).await.unwrap().value.id;
        Self { place, seller, customer, other_customer }
    }

    pub fn request(&self) -> Request {
        self.place.request()
    }

    pub async fn contract_of(&self, customer: CustomerId, number: &str, kind: ContractKind) -> ContractId {
        let command = CreateContract {
            customer_id: customer,
            seller_id: self.seller,
            number: number.into(),
            kind,
            currency: None,
            zone: Some("Europe/Moscow".into()),
            credit_limit_minor: None,
            signed_on: None,
            external_system: None,
            external_id: None,
        };
        self.place.altyn.contract_create(&self.request(), command).await.unwrap().value.id
    }

    pub async fn contract(&self, number: &str) -> ContractId {
        self.contract_of(self.customer, number, ContractKind::Prepaid).await
    }

    /// A subscription of a contract to a plan of its own, 590.00 a month.
    pub async fn subscription(&self, contract: ContractId, starts_on: &str) -> SubscriptionId {
        let (altyn, request) = (&self.place.altyn, self.request());
        let code = format!("plan-{}", altyn.ids.next().simple());
        let product =
            CreateProduct { code: code.clone(), title: "Интернет".into(), tax_category: "standard".into() };
        let product_id = altyn.product_create(&request, product).await.unwrap().value.id;
        let version = CreatePlanVersion {
            existing_subscribers: None,
            effective_from: Some(day("2020-01-01")),
            cadence: "1m".parse().unwrap(),
            currency: None,
            price_mode: PriceMode::Included,
            billing_day: None,
            stub: None,
            components: vec![CreateComponent {
                included: None,
                min_quantity: None,
                max_quantity: None,
                product_id,
                code: "main".into(),
                kind: None,
                title: "Интернет".into(),
                unit_price_minor: 59_000,
                prepayment_percent: None,
                metered: None,
                tax_category: None,
            }],
        };
        let plan = CreatePlan {
            visibility: None,
            code: code.clone(),
            title: "Интернет".into(),
            status: Some(altyn_domain::catalogue::PlanStatus::Active),
            version,
        };
        altyn.plan_create(&request, plan).await.unwrap();
        let command = CreateSubscription {
            contract_id: contract,
            plan_id: None,
            plan_code: Some(code),
            starts_on: day(starts_on),
            quantity: None,
            discount_percent: None,
            discount_minor: None,
            discount_from: None,
            discount_until: None,
            charges: None,
            manual: None,
            documents_on_activation: None,
            notify_on_activation: None,
            description: None,
            pending: None,
            short_funds: None,
            retry_days: None,
            external_system: None,
            external_id: None,
        };
        altyn.subscription_create(&request, command).await.unwrap().value.id
    }

    async fn post(&self, contract: ContractId, key: &str, kind: TransactionKind, account: AccountCode, amount: i64) {
        let command = PostTransaction {
            source_key: key.into(),
            effective_on: day("2026-11-01"),
            currency: Currency::RUB,
            description: "проводка".into(),
            kind,
            entries: vec![
                Entry { account, amount_minor: amount },
                Entry { account: AccountCode::ContractFunds(contract), amount_minor: -amount },
            ],
        };
        self.place.altyn.transaction_post(&self.request(), command).await.unwrap();
    }

    /// Money arrives in cash.
    pub async fn pay(&self, contract: ContractId, key: &str, amount: i64) {
        self.post(contract, key, TransactionKind::PaymentReceived, AccountCode::Cash, amount).await;
    }

    /// A debt comes up; below zero it goes.
    pub async fn owe(&self, contract: ContractId, key: &str, amount: i64) {
        self.post(contract, key, TransactionKind::Adjustment, AccountCode::Adjustments, -amount).await;
    }

    pub async fn credit(&self, contract: ContractId) -> ContractCreditView {
        self.place.altyn.contract_credit(&self.request(), contract).await.unwrap()
    }

    /// Balance, promises and what may be spent.
    pub async fn money(&self, contract: ContractId) -> (i64, i64, i64) {
        let credit = self.credit(contract).await;
        (credit.balance_minor, credit.promised_minor, credit.available_minor)
    }

    pub async fn allow(&self, scope: PolicyScope, code: Option<&str>, allowed: CreditAllowance) -> CreditPolicyView {
        let command = CreateCreditPolicy { scope, code: code.map(Into::into), currency: None, allowed };
        self.place.altyn.credit_policy_create(&self.request(), command).await.unwrap().value
    }

    pub async fn place_contract(&self, contract: ContractId, command: SetContractControl) {
        let altyn = &self.place.altyn;
        let version = altyn.contract_control_get(&self.request(), contract).await.unwrap().version;
        altyn.contract_control_set(&self.request(), contract, version, command).await.unwrap();
    }

    pub async fn below(&self, contract: ContractId, parent: ContractId, priority: i32) {
        let command =
            SetContractControl { parent_id: Some(parent), priority: Some(priority), ..SetContractControl::default() };
        self.place_contract(contract, command).await;
    }

    pub async fn promise(
        &self,
        contract: ContractId,
        amount: i64,
        until: Option<&str>,
    ) -> Result<PromiseView, ServiceError> {
        let command = GivePromise {
            contract_id: contract,
            amount_minor: amount,
            expires_on: until.map(day),
            comment: "заплатит".into(),
        };
        Ok(self.place.altyn.promise_give(&self.request(), command).await?.value)
    }

    /// Amounts and statuses of a contract's promises, oldest first.
    pub async fn promises(&self, contract: ContractId) -> Vec<(i64, String)> {
        let filter = PromiseFilter { contract_id: Some(contract) };
        let listed = self.place.altyn.promise_list(&self.request(), filter, &page(100, None)).await.unwrap();
        listed.data.into_iter().map(|promise| (promise.amount_minor, promise.status.to_string())).collect()
    }

    pub async fn blocks(&self, contract: ContractId) -> Vec<BlockView> {
        let filter = BlockFilter { contract_id: Some(contract), ..BlockFilter::default() };
        self.place.altyn.block_list(&self.request(), filter, &page(100, None)).await.unwrap().data
    }

    /// Types and states of a contract's blocks, oldest first.
    pub async fn states(&self, contract: ContractId) -> Vec<String> {
        self.blocks(contract).await.iter().map(|block| format!("{} {}", block.block_type, block.state)).collect()
    }

    /// Closes a day in the night after it.
    pub async fn close(&self, on: &str) {
        let night = day(on).succ_opt().unwrap().and_hms_opt(0, 10, 0).unwrap().and_utc();
        if self.place.altyn.clock.now() < night {
            self.place.clock.set(night);
        }
        self.place.altyn.credit_day_close(self.place.tenant, day(on)).await.unwrap();
    }

    /// Sets the clock and does the work that is due by then.
    pub async fn live_until(&self, instant: &str) {
        self.place.clock.set(crate::support::at(instant));
        let worked = self.place.altyn.jobs_work(self.place.tenant, "test", crate::support::at(instant)).await.unwrap();
        assert_eq!((worked.postponed, worked.dead), (0, 0));
    }

    /// Every rule of the books that a statement checks holds. Asked without the statistics of a verification: those are of
    /// the whole database, which the tests on PostgreSQL share.
    pub async fn verify(&self) {
        let mut tx = self.place.altyn.db.read(self.request().scope()).await.unwrap();
        for rule in altyn_store::verify::RULES {
            let broken = altyn_store::verify::broken(&mut tx, self.place.tenant.0, rule).await.unwrap();
            assert!(broken.is_empty(), "{}: {broken:#?}", rule.code);
        }
    }
}
