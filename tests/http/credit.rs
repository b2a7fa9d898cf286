//! Credit through the interface: who may spend what, who has no access, what is recommended.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books,
    support::{Host, on_both_engines, send},
};

on_both_engines!(a_contract_is_blocked_promises_and_is_recommended_an_amount, money_moves_between_contracts);

async fn a_contract_is_blocked_promises_and_is_recommended_an_amount(host: Host) {
    let books = books::prepare(&host).await;
    let access = host.get(&format!("{}/access", books.path("/v1/subscriptions"))).await.expect(200);
    assert_eq!((&access["allowed"], &access["reasons"][0]["block_type"]), (&json!(false), &json!("court")), "{access}");
    let again = json!({ "contract_id": books.id("/v1/contracts"), "block_type": "court", "comment": "twice" });
    host.post("/v1/blocks", &again).await.problem(409, "block-stands");
    let lift = json!({ "comment": "the order was lifted" });
    let lifted = host.post(&format!("{}/lift", books.path("/v1/blocks")), &lift).await.expect(200);
    assert_eq!(lifted["state"], "ended");
    host.post(&format!("{}/lift", books.path("/v1/blocks")), &lift).await.problem(409, "block-ended");
    let access = host.get(&format!("{}/access", books.path("/v1/subscriptions"))).await.expect(200);
    assert_eq!(access["allowed"], true, "{access}");

    let credit = format!("{}/credit", books.path("/v1/contracts"));
    assert_eq!(host.get(&credit).await.expect(200)["available_minor"], 15_000);
    let more = json!({ "contract_id": books.id("/v1/contracts"), "amount_minor": 50_000, "comment": "more" });
    host.post("/v1/promises", &more).await.problem(409, "promise-too-much");
    let second = json!({ "contract_id": books.id("/v1/contracts"), "amount_minor": 1_000, "comment": "more" });
    host.post("/v1/promises", &second).await.problem(409, "promise-too-often");
    let revoke = format!("{}/revoke", books.path("/v1/promises"));
    let revoked = send(host.ask(Method::POST, &revoke).header("idempotency-key", "revoke-1")).await.expect(200);
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(host.get(&credit).await.expect(200)["available_minor"], 10_000);

    let recommended = format!("{}/recommended-amount", books.path("/v1/contracts"));
    assert_eq!(host.get(&recommended).await.expect(200)["amount_minor"], 0);
    let next = host.get(&format!("{recommended}?method=next-charge")).await.expect(200);
    assert_eq!(next["amount_minor"], 59_000 - 10_000, "{next}");
    let parts: Vec<&str> =
        next["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["balance", "upcoming"]);
    host.get(&format!("{recommended}?method=guess")).await.problem(400, "invalid-query");
}

async fn money_moves_between_contracts(host: Host) {
    let books = books::prepare(&host).await;
    let contract = json!({ "customer_id": books.id("/v1/customers"), "seller_id": books.id("/v1/sellers"),
        "number": "Д-2", "kind": "prepaid" });
    let second = host.post("/v1/contracts", &contract).await.expect(201)["id"].as_str().unwrap().to_owned();
    let transfer = |amount: i64| -> Value {
        json!({ "source_key": "move-1", "from_contract_id": books.id("/v1/contracts"), "to_contract_id": second,
            "amount_minor": amount, "description": "a new address" })
    };
    host.post("/v1/transfers", &transfer(10_001)).await.problem(409, "not-enough-money");
    host.post("/v1/transfers/preview", &transfer(10_001)).await.problem(409, "not-enough-money");
    // A preview takes no key, and gives the postings that the transfer then makes.
    let seen = send(host.ask(Method::POST, "/v1/transfers/preview").json(&transfer(4_000))).await.expect(200);
    assert_eq!((&seen["postings"][0]["kind"], &seen["outcome"]["kind"]), (&json!("transfer"), &json!("transfer")));
    assert_eq!(seen["contracts"].as_array().unwrap().len(), 2, "{seen}");
    assert_eq!(host.get(&format!("/v1/contracts/{second}")).await.expect(200)["balance_minor"], 0);
    let moved = host.post("/v1/transfers", &transfer(4_000)).await.expect(201);
    assert_eq!((&moved["kind"], &moved["source_key"]), (&json!("transfer"), &json!("transfer/move-1")));
    host.post("/v1/transfers", &transfer(4_000)).await.problem(409, "source-key-taken");
    assert_eq!(host.get(&format!("/v1/contracts/{second}")).await.expect(200)["balance_minor"], 4_000);

    let control = format!("/v1/contracts/{second}/control");
    let found = host.get(&control).await;
    assert_eq!(found.header("etag"), Some("\"0\""));
    let put = |version: &str, parent: &str| {
        let request = host.ask(Method::PUT, &control).header("if-match", format!("\"{version}\""));
        send(request.json(&json!({ "parent_id": parent, "priority": 1, "tags": ["vip"] })))
    };
    put("0", &second).await.problem(422, "invalid-request");
    let placed = put("0", books.id("/v1/contracts")).await.expect(200);
    assert_eq!((&placed["version"], &placed["tags"]), (&json!(1), &json!(["vip"])));
    put("0", books.id("/v1/contracts")).await.problem(412, "stale-version");
    let policies = host.get("/v1/dunning-policies").await.expect(200);
    assert_eq!(policies["data"][0]["stages"][0]["code"], "reminder");
    assert_eq!(host.get("/v1/dunning-cases?scope=subscription").await.expect(200)["data"], json!([]));
}
