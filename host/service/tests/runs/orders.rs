//! Orders: money that is reserved is spent once, on both engines, whoever asks for it meanwhile.

use altyn_domain::{
    change::ChangeKind,
    charge::ChargeStatus,
    id::{ContractId, OrderId, SubscriptionId, TransactionId},
    order::OrderStatus,
    run::{PlanState, RunMode},
    subscription::SubscriptionStatus,
};
use altyn_service::{
    Request, ServiceError,
    changes::{ChangeSubscription, ExecuteChange},
    context::IdempotencyKey,
    credit::ContractCreditView,
    events::EventFilter,
    funds::TransferFunds,
    ledger::{PostTransaction, ReverseTransaction},
    orders::{OrderFilter, OrderView, PlaceOrder, SetOrderPolicy},
    runs::ConfirmPlan,
    subscriptions::{ActivateSubscription, CancelSubscription},
    tenants::CreateTenant,
};
use serde_json::json;

use crate::world::{World, code, day, on_both_engines, page};

on_both_engines!(
    a_paid_order_is_charged_with_the_money_that_was_reserved,
    what_is_reserved_is_not_there_for_anything_else,
    an_order_waits_for_money_and_the_oldest_that_fits_is_paid_first,
    money_that_nobody_pays_in_reaches_an_order_at_the_close_of_a_day,
    an_order_that_is_taken_back_frees_its_money_for_the_next,
    an_order_that_nobody_paid_for_in_time_is_taken_back,
    a_subscription_that_charges_only_what_it_can_pay_for_has_its_order,
    a_renewal_by_hand_is_charged_with_the_order,
    a_plan_that_waits_tells_of_the_order_it_charges,
    a_subscription_that_ends_before_its_first_charge_gives_the_money_back,
    an_order_is_placed_once_and_as_it_was_previewed,
    rivals_reserve_the_same_money_once,
    nobody_else_moves_reserved_money,
);

/// 590.00 and 199.90 a month, tax included.
const MONTH: i64 = 78_990;
/// 70.01 a week.
const WEEK: i64 = 7_001;

impl World {
    /// A contract with nothing due for years.
    async fn buyer(&self, number: &str, minor: i64) -> ContractId {
        let contract = self.import_contract(number, "home-1m", 1, "2040-01-01").await;
        if minor > 0 {
            self.paid(contract, minor, &format!("{number}/first")).await;
        }
        contract
    }

    pub async fn paid(&self, contract: ContractId, minor: i64, key: &str) -> TransactionId {
        let posting = json!({
            "source_key": key, "effective_on": "2027-01-04", "currency": "RUB", "description": "paid",
            "kind": "payment-received",
            "entries": [{ "account": "cash", "amount_minor": minor },
                        { "account": format!("contract/{contract}/funds"), "amount_minor": -minor }],
        });
        let posting: PostTransaction = serde_json::from_value(posting).unwrap();
        self.altyn.transaction_post(&self.request(), posting).await.unwrap().value.id
    }

    async fn place(&self, wish: serde_json::Value) -> Result<OrderView, ServiceError> {
        let command = PlaceOrder { subscription: serde_json::from_value(wish).unwrap(), plan_hash: None };
        Ok(self.altyn.order_place(&self.request(), command).await?.value)
    }

    pub async fn ordered(&self, contract: ContractId, plan: &str) -> OrderView {
        let wish = json!({ "contract_id": contract, "plan_code": plan, "starts_on": "2027-01-10" });
        self.place(wish).await.unwrap()
    }

    async fn order(&self, id: OrderId) -> OrderView {
        self.altyn.order_get(&self.request(), id).await.unwrap()
    }

    async fn money(&self, contract: ContractId) -> ContractCreditView {
        self.altyn.contract_credit(&self.request(), contract).await.unwrap()
    }

    /// Balance, reserved and what may be spent.
    async fn purse(&self, contract: ContractId) -> (i64, i64, i64) {
        let money = self.money(contract).await;
        (money.balance_minor, money.blocked_minor, money.available_minor)
    }

    async fn activate(&self, id: SubscriptionId, on: &str) -> Result<(), ServiceError> {
        let version = self.seen(id).await.version;
        let command = ActivateSubscription { on: Some(day(on)) };
        self.altyn.subscription_activate(&self.request(), id, version, command).await.map(|_| ())
    }

    async fn told(&self, kind: &str) -> Vec<String> {
        let filter = EventFilter { kind: Some(kind.to_owned()), subject: None };
        let found = self.altyn.event_list(&self.request(), filter, &page()).await.unwrap().data;
        found.into_iter().map(|event| event.subject).collect()
    }
}

async fn a_paid_order_is_charged_with_the_money_that_was_reserved(world: &World) {
    let contract = world.buyer("OR-1", 100_000).await;
    let order = world.ordered(contract, "home-1m").await;
    assert_eq!((order.status, order.charge_status), (OrderStatus::Blocked, ChargeStatus::Blocked));
    assert_eq!((order.amount_minor, order.gross_minor, order.lines.len()), (MONTH, MONTH, 2));
    assert_eq!(order.lines.iter().map(|line| line.net_minor + line.tax_minor).sum::<i64>(), MONTH);
    assert_eq!(world.purse(contract).await, (100_000, MONTH, 100_000 - MONTH));
    assert_eq!(world.seen(order.subscription_id).await.status, SubscriptionStatus::Pending);
    world.close_day("2027-01-12").await;
    assert_eq!(world.purse(contract).await, (100_000, MONTH, 100_000 - MONTH), "it waits for its activation");
    world.prove().await;
    world.activate(order.subscription_id, "2027-01-13").await.unwrap();
    assert_eq!(world.order(order.id).await.status, OrderStatus::Blocked, "until the first period is charged");
    // Half of what it was ordered at: the rest of what was reserved stays with the contract.
    world.edit(order.subscription_id, json!({ "discount_percent": "50" })).await.unwrap();
    world.close_day("2027-01-13").await;
    let charged = world.order(order.id).await;
    assert_eq!((charged.status, charged.ended_by.as_deref()), (OrderStatus::Closed, Some("run")));
    let cost = 29_500 + 9_995;
    assert_eq!(world.purse(contract).await, (100_000 - cost, 0, 100_000 - cost));
    world.prove().await;
    let before = world.state().await;
    world.close_day("2027-01-14").await;
    assert!(
        before.iter().filter(|fact| fact.contains("/blocked")).all(|fact| fact.ends_with(": 0 by 2")),
        "{before:?}"
    );
    assert_eq!(world.purse(contract).await.0, 100_000 - cost);
    world.prove().await;
}

async fn what_is_reserved_is_not_there_for_anything_else(world: &World) {
    let contract = world.buyer("OR-2", MONTH + 10).await;
    let other = world.import_contract("OR-2b", "home-1m", 1, "2040-01-01").await;
    world.ordered(contract, "home-1m").await;
    let again = world.ordered(contract, "week-7d").await;
    assert_eq!(again.status, OrderStatus::Opened, "what is left is not enough");
    let give = |minor| TransferFunds {
        source_key: format!("give-{minor}"),
        from_contract_id: contract,
        to_contract_id: other,
        amount_minor: minor,
        effective_on: None,
        description: "попытка".into(),
    };
    assert_eq!(code(world.altyn.contract_transfer(&world.request(), give(11)).await), "contracts-not-related");
    assert_eq!(world.money(contract).await.transferable_minor, 10);
    // A subscription that charges only what can be paid for finds nothing.
    let gated = world.import_contract("OR-2c", "week-7d", 1, "2027-01-04").await;
    let id = world.subscriptions(gated).await[0].id;
    world.edit(id, json!({ "short_funds": "skip" })).await.unwrap();
    world.paid(gated, MONTH, "gated").await;
    world.ordered(gated, "home-1m").await;
    assert_eq!(world.purse(gated).await, (MONTH, MONTH, 0));
    world.close_day("2027-01-10").await;
    assert_eq!(world.purse(gated).await, (MONTH, MONTH, 0), "skipped, the money is reserved");
    world.prove().await;
}

async fn an_order_waits_for_money_and_the_oldest_that_fits_is_paid_first(world: &World) {
    let contract = world.buyer("OR-3", 0).await;
    let month = world.ordered(contract, "home-1m").await;
    let week = world.ordered(contract, "week-7d").await;
    let later = world.ordered(contract, "week-7d").await;
    for order in [&month, &week, &later] {
        assert_eq!(
            (order.status, order.charge_status, order.expires_on),
            (OrderStatus::Opened, ChargeStatus::Opened, None)
        );
    }
    assert_eq!(code(world.activate(week.subscription_id, "2027-01-13").await), "order-unpaid");
    world.paid(contract, WEEK + 1, "a-week").await;
    assert_eq!(world.purse(contract).await, (WEEK + 1, WEEK, 1));
    let statuses = async || {
        [world.order(month.id).await.status, world.order(week.id).await.status, world.order(later.id).await.status]
    };
    assert_eq!(statuses().await, [OrderStatus::Opened, OrderStatus::Blocked, OrderStatus::Opened]);
    world.paid(contract, MONTH + WEEK, "the-rest").await;
    assert_eq!(statuses().await, [OrderStatus::Blocked; 3]);
    assert_eq!(world.purse(contract).await, (MONTH + 2 * WEEK + 1, MONTH + 2 * WEEK, 1));
    let paid: Vec<String> = [week.id, month.id, later.id].iter().map(ToString::to_string).collect();
    assert_eq!(world.told("order.paid").await, paid);
    world.activate(week.subscription_id, "2027-01-13").await.unwrap();
    let filter = OrderFilter { contract_id: Some(contract), status: Some(OrderStatus::Blocked) };
    assert_eq!(world.altyn.order_list(&world.request(), filter, &page()).await.unwrap().data.len(), 3);
    world.prove().await;
}

async fn money_that_nobody_pays_in_reaches_an_order_at_the_close_of_a_day(world: &World) {
    let contract = world.buyer("OR-4", 0).await;
    let order = world.ordered(contract, "home-1m").await;
    world.close_day("2027-01-10").await;
    assert_eq!(world.order(order.id).await.status, OrderStatus::Opened);
    let found = world.altyn.contract_get(&world.request(), contract).await.unwrap();
    let raised = serde_json::from_value(json!({ "credit_limit_minor": MONTH })).unwrap();
    world.altyn.contract_update(&world.request(), contract, found.version, raised).await.unwrap();
    assert_eq!(world.order(order.id).await.status, OrderStatus::Opened);
    world.close_day("2027-01-11").await;
    assert_eq!(world.order(order.id).await.status, OrderStatus::Blocked);
    assert_eq!(world.purse(contract).await, (0, MONTH, 0), "on credit, which is no debt yet");
    world.prove().await;
    world.activate(order.subscription_id, "2027-01-12").await.unwrap();
    world.close_day("2027-01-12").await;
    assert_eq!(world.purse(contract).await, (-MONTH, 0, 0));
    world.prove().await;
}

async fn an_order_that_is_taken_back_frees_its_money_for_the_next(world: &World) {
    let contract = world.buyer("OR-5", MONTH).await;
    let first = world.ordered(contract, "home-1m").await;
    let next = world.ordered(contract, "week-7d").await;
    assert_eq!((first.status, next.status), (OrderStatus::Blocked, OrderStatus::Opened));
    let id = first.subscription_id;
    let version = world.seen(id).await.version;
    let ending = CancelSubscription { on: day("2027-01-10"), keep_charged: Some(true) };
    let ended = world.altyn.subscription_cancel(&world.request(), id, version, ending).await;
    assert_eq!(code(ended), "order-stands");
    let back = world.altyn.order_cancel(&world.request(), first.id).await.unwrap().value;
    assert_eq!((back.status, back.charge_status), (OrderStatus::Cancelled, ChargeStatus::Refunded));
    assert_eq!(world.seen(id).await.status, SubscriptionStatus::Cancelled);
    assert_eq!(world.order(next.id).await.status, OrderStatus::Blocked);
    assert_eq!(world.purse(contract).await, (MONTH, WEEK, MONTH - WEEK));
    assert_eq!(code(world.altyn.order_cancel(&world.request(), first.id).await), "order-ended");
    let steps = world.altyn.subscription_transitions(&world.request(), id, &page()).await.unwrap().data;
    assert_eq!(steps.last().unwrap().cause, "order-cancelled");
    world.activate(next.subscription_id, "2027-01-12").await.unwrap();
    assert_eq!(code(world.altyn.order_cancel(&world.request(), next.id).await), "order-in-service");
    world.close_day("2027-01-12").await;
    assert_eq!(world.purse(contract).await, (MONTH - WEEK, 0, MONTH - WEEK));
    world.prove().await;
}

async fn an_order_that_nobody_paid_for_in_time_is_taken_back(world: &World) {
    let set = |days| SetOrderPolicy { cancel_unpaid_days: days };
    let (altyn, request) = (&world.altyn, world.request());
    assert_eq!(code(altyn.order_policy_set(&request, 0, set(Some(367))).await), "invalid-request");
    assert_eq!(altyn.order_policy_set(&request, 0, set(Some(3))).await.unwrap().value.version, 1);
    assert_eq!(code(altyn.order_policy_set(&request, 0, set(None)).await), "stale-version");
    let (contract, other) = (world.buyer("OR-6", 0).await, world.buyer("OR-6b", 0).await);
    let forgotten = world.ordered(contract, "home-1m").await;
    let paid = world.ordered(other, "home-1m").await;
    assert_eq!((forgotten.expires_on, paid.expires_on), (Some(day("2027-02-04")), Some(day("2027-02-04"))));
    world.paid(other, MONTH, "in-time").await;
    for (at, left) in [("2027-02-04T20:59:59Z", OrderStatus::Opened), ("2027-02-04T21:00:00Z", OrderStatus::Expired)] {
        world.clock.set(at.parse().unwrap());
        let worked = altyn.jobs_work(world.tenant, "test", at.parse().unwrap()).await.unwrap();
        assert_eq!((worked.postponed, worked.dead), (0, 0));
        assert_eq!(world.order(forgotten.id).await.status, left, "Moscow is three hours ahead: {at}");
    }
    assert_eq!(world.order(forgotten.id).await.charge_status, ChargeStatus::New, "no money ever moved");
    assert_eq!(world.seen(forgotten.subscription_id).await.status, SubscriptionStatus::Cancelled);
    assert_eq!(world.order(paid.id).await.status, OrderStatus::Blocked);
    assert_eq!(code(world.activate(forgotten.subscription_id, "2027-02-05").await), "subscription-not-pending");
    world.paid(contract, MONTH, "too-late").await;
    assert_eq!(world.purse(contract).await, (MONTH, 0, MONTH));
    world.prove().await;
}

async fn a_subscription_that_charges_only_what_it_can_pay_for_has_its_order(world: &World) {
    let contract = world.buyer("OR-7", WEEK).await;
    let wish =
        json!({ "contract_id": contract, "plan_code": "week-7d", "starts_on": "2027-01-10", "short_funds": "skip" });
    let order = world.place(wish).await.unwrap();
    world.activate(order.subscription_id, "2027-01-10").await.unwrap();
    // Another one of the contract that would have the money if it were there.
    let rival =
        json!({ "contract_id": contract, "plan_code": "week-7d", "starts_on": "2027-01-10", "short_funds": "skip" });
    let rival = serde_json::from_value(rival).unwrap();
    let rival = world.altyn.subscription_create(&world.request(), rival).await.unwrap().value;
    world.close_day("2027-01-10").await;
    assert_eq!(world.order(order.id).await.status, OrderStatus::Closed);
    assert_eq!(world.purse(contract).await, (0, 0, 0));
    let charged = |id: SubscriptionId| async move {
        world.charges().await.keys().filter(|(subscription, ..)| *subscription == id.0).count()
    };
    assert_eq!((charged(order.subscription_id).await, charged(rival.id).await), (1, 0));
    world.prove().await;
}

async fn a_renewal_by_hand_is_charged_with_the_order(world: &World) {
    let contract = world.buyer("OR-8", MONTH).await;
    let wish = json!({ "contract_id": contract, "plan_code": "home-1m", "starts_on": "2027-02-01", "manual": true });
    let order = world.place(wish).await.unwrap();
    let id = order.subscription_id;
    world.activate(id, "2027-02-01").await.unwrap();
    let change = ChangeSubscription::of(ChangeKind::Renew);
    let seen = world.altyn.change_preview(&world.request(), id, change.clone()).await.unwrap();
    let kinds: Vec<&str> = seen.effects.postings.iter().map(|posting| posting.kind.as_str()).collect();
    assert_eq!(kinds, ["funds-released", "charge-due"]);
    assert_eq!(seen.effects.balance_minor, -MONTH, "what was reserved was the customer's");
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: None };
    world.altyn.change_execute(&world.request(), id, command).await.unwrap();
    assert_eq!(world.order(order.id).await.status, OrderStatus::Closed);
    assert_eq!(world.purse(contract).await, (0, 0, 0));
    world.prove().await;
    // Cancelled before it began: the change gives everything back.
    world.paid(contract, MONTH, "again").await;
    let next = world.ordered(contract, "home-1m").await;
    let cancel = ChangeSubscription::of(ChangeKind::Cancel);
    let seen = world.altyn.change_preview(&world.request(), next.subscription_id, cancel.clone()).await.unwrap();
    let command = ExecuteChange { change: cancel, plan_hash: seen.plan_hash, effects: None };
    world.altyn.change_execute(&world.request(), next.subscription_id, command).await.unwrap();
    let back = world.order(next.id).await;
    assert_eq!((back.status, back.charge_status), (OrderStatus::Cancelled, ChargeStatus::Refunded));
    assert_eq!(world.purse(contract).await, (MONTH, 0, MONTH));
    world.prove().await;
}

async fn a_plan_that_waits_tells_of_the_order_it_charges(world: &World) {
    let contract = world.buyer("OR-9", MONTH).await;
    let order = world.ordered(contract, "home-1m").await;
    world.activate(order.subscription_id, "2027-01-10").await.unwrap();
    let run = world.begin("2027-01-10", RunMode::WithConfirmation).await;
    world.advance(run.id).await;
    let plan = world.plan(run.id, contract).await;
    let effects = plan.effects.unwrap();
    assert_eq!(effects.orders.len(), 1);
    assert_eq!((effects.orders[0].order, effects.orders[0].reserved.minor), (order.id, MONTH));
    assert_eq!(world.order(order.id).await.status, OrderStatus::Blocked, "a plan moves nothing");
    let confirm = ConfirmPlan { plan_hash: plan.plan_hash.unwrap() };
    world.altyn.run_confirm(&world.request(), run.id, contract, confirm).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Done);
    assert_eq!(world.order(order.id).await.status, OrderStatus::Closed);
    assert_eq!(world.purse(contract).await, (0, 0, 0));
    world.prove().await;
}

async fn a_subscription_that_ends_before_its_first_charge_gives_the_money_back(world: &World) {
    let contract = world.buyer("OR-10", MONTH).await;
    let order = world.ordered(contract, "home-1m").await;
    world.activate(order.subscription_id, "2027-01-20").await.unwrap();
    world.cancel(&world.altyn, order.subscription_id, "2027-01-20").await;
    world.close_day("2027-01-19").await;
    assert_eq!(world.order(order.id).await.status, OrderStatus::Blocked);
    world.close_day("2027-01-20").await;
    assert_eq!(world.seen(order.subscription_id).await.status, SubscriptionStatus::Cancelled);
    assert_eq!(world.order(order.id).await.status, OrderStatus::Cancelled);
    assert_eq!(world.purse(contract).await, (MONTH, 0, MONTH));
    world.prove().await;
}

async fn an_order_is_placed_once_and_as_it_was_previewed(world: &World) {
    let contract = world.buyer("OR-11", MONTH).await;
    let wish = || {
        let wish = json!({ "contract_id": contract, "plan_code": "home-1m", "starts_on": "2027-01-10" });
        serde_json::from_value(wish).unwrap()
    };
    let before = world.state().await;
    let command = PlaceOrder { subscription: wish(), plan_hash: None };
    let seen = world.altyn.order_preview(&world.request(), command).await.unwrap();
    assert_eq!(world.state().await, before, "a preview writes nothing");
    assert_eq!((seen.effects.status, seen.available_minor), (OrderStatus::Blocked, MONTH));
    let key = IdempotencyKey { key: "once".into(), request: "POST /v1/orders".into(), fingerprint: [7; 32] };
    let request = Request { key: Some(key), ..world.request() };
    let command = PlaceOrder { subscription: wish(), plan_hash: Some(seen.plan_hash.clone()) };
    let first = world.altyn.order_place(&request, command.clone()).await.unwrap();
    let again = world.altyn.order_place(&request, command.clone()).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.value.id, again.value.id);
    let posted: Vec<(String, i64)> = world
        .rows(
            "select a.code, e.amount_minor from ledger_transactions t
            join ledger_entries e on e.tenant_id = $1 and e.transaction_id = t.id
            join ledger_accounts a on a.tenant_id = $1 and a.id = e.account_id
            where t.tenant_id = $1 and t.kind = 'funds-blocked' order by e.position",
            (world.tenant.0,),
        )
        .await;
    let shown = &seen.effects.postings[0].entries;
    assert_eq!(posted, shown.iter().map(|entry| (entry.account.to_string(), entry.amount_minor)).collect::<Vec<_>>());
    // The money is gone, so the same preview is no more what would happen.
    let Err(ServiceError::Conflict { code: moved, details, .. }) =
        world.altyn.order_place(&world.request(), command).await
    else {
        panic!("placed");
    };
    assert_eq!(moved, "order-moved");
    assert!(details[1].contains("opened"), "{details:?}");
    let wrong = json!({ "contract_id": contract, "plan_code": "no-such", "starts_on": "2027-01-10", "quantity": "0" });
    let Err(ServiceError::Invalid(fields)) = world.place(wrong).await else { panic!("placed") };
    let pointers: Vec<&str> = fields.iter().map(|field| field.pointer.as_str()).collect();
    assert_eq!(pointers, ["/subscription/quantity", "/subscription/plan_code"]);
    let stranger =
        CreateTenant {
            name: "Чужой".into(), locale: None, zone: None, currency: None, run_mode: None, run_at: None
        };
    let stranger = Request::internal(world.altyn.tenant_create_root(stranger).await.unwrap().id, "test");
    assert_eq!(code(world.altyn.order_get(&stranger, first.value.id).await), "not-found");
    assert_eq!(code(world.altyn.order_cancel(&stranger, first.value.id).await), "not-found");
    world.prove().await;
}

async fn rivals_reserve_the_same_money_once(world: &World) {
    let contract = world.buyer("OR-12", MONTH).await;
    let placed = futures(world, contract).await;
    let blocked = placed.iter().filter(|order| order.status == OrderStatus::Blocked).count();
    assert_eq!((placed.len(), blocked), (4, 1));
    assert_eq!(world.purse(contract).await, (MONTH, MONTH, 0));
    // While one is taken back, money arrives: both let others have it, and nobody has it twice.
    let paid = placed.iter().find(|order| order.status == OrderStatus::Blocked).unwrap().id;
    let (altyn, request) = (world.altyn.clone(), world.request());
    let back = tokio::spawn(async move { altyn.order_cancel(&request, paid).await.map(|reply| reply.value.status) });
    world.paid(contract, MONTH, "meanwhile").await;
    assert_eq!(back.await.unwrap().unwrap(), OrderStatus::Cancelled);
    assert_eq!(world.purse(contract).await, (2 * MONTH, 2 * MONTH, 0));
    world.prove().await;
}

/// Four orders at the same time.
async fn futures(world: &World, contract: ContractId) -> Vec<OrderView> {
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (altyn, request) = (world.altyn.clone(), world.request());
            tokio::spawn(async move {
                let wish = json!({ "contract_id": contract, "plan_code": "home-1m", "starts_on": "2027-01-10" });
                let command = PlaceOrder { subscription: serde_json::from_value(wish).unwrap(), plan_hash: None };
                altyn.order_place(&request, command).await.unwrap().value
            })
        })
        .collect();
    let mut placed = Vec::new();
    for task in tasks {
        placed.push(task.await.unwrap());
    }
    placed
}

async fn nobody_else_moves_reserved_money(world: &World) {
    let contract = world.buyer("OR-13", MONTH).await;
    world.ordered(contract, "home-1m").await;
    let by_hand = json!({
        "source_key": "grab", "effective_on": "2027-01-04", "currency": "RUB", "description": "x", "kind": "adjustment",
        "entries": [{ "account": format!("contract/{contract}/blocked"), "amount_minor": 100 },
                    { "account": format!("contract/{contract}/funds"), "amount_minor": -100 }],
    });
    let posting: PostTransaction = serde_json::from_value(by_hand).unwrap();
    assert_eq!(code(world.altyn.transaction_post(&world.request(), posting).await), "invalid-request");
    let blocked: Vec<(uuid::Uuid,)> = world
        .rows("select id from ledger_transactions where tenant_id = $1 and kind = 'funds-blocked'", (world.tenant.0,))
        .await;
    let command = ReverseTransaction { effective_on: day("2027-01-05"), description: "x".into() };
    let reversed = world.altyn.transaction_reverse(&world.request(), TransactionId(blocked[0].0), command).await;
    assert_eq!(code(reversed), "order-stands");
    world.prove().await;
}
