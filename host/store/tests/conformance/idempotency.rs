//! A request has its effect once; whoever repeats it reads the first answer.

use altyn_store::{
    Scope,
    idempotency::{Claim, claim, remember, stored},
};

use crate::place::{Place, at, on_both_engines};

const FINGERPRINT: [u8; 32] = [9; 32];

on_both_engines!(
    of_concurrent_claims_of_a_key_one_wins_and_the_others_read_its_answer,
    a_claim_that_is_rolled_back_frees_the_key,
    a_key_belongs_to_its_credential_and_its_request,
);

fn key(place: &Place) -> Claim<'static> {
    Claim {
        tenant: place.tenant,
        credential: "key_1",
        request: "POST /v1/customers",
        key: "ключ-1",
        fingerprint: &FINGERPRINT,
    }
}

async fn of_concurrent_claims_of_a_key_one_wins_and_the_others_read_its_answer(place: Place) {
    let claims: Vec<_> = (0..50)
        .map(|number| {
            let (db, key) = (place.db.clone(), key(&place));
            tokio::spawn(async move {
                let mut tx = db.write(Scope::Tenant(key.tenant)).await.unwrap();
                if claim(&mut tx, &key, at("2026-11-01T09:00:00Z")).await.unwrap() {
                    let body = format!("{{\"answer\":{number}}}");
                    remember(&mut tx, &key, 201, &body).await.unwrap();
                    tx.commit().await.unwrap();
                    (true, body)
                } else {
                    let answer = stored(&mut tx, &key).await.unwrap().unwrap();
                    assert_eq!((answer.status, answer.fingerprint.as_slice()), (201, FINGERPRINT.as_slice()));
                    (false, answer.body)
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for claim in claims {
        answers.push(claim.await.unwrap());
    }
    let winners: Vec<_> = answers.iter().filter(|(won, _)| *won).collect();
    assert_eq!(winners.len(), 1);
    assert!(answers.iter().all(|(_, body)| *body == winners[0].1));
}

async fn a_claim_that_is_rolled_back_frees_the_key(place: Place) {
    let now = at("2026-11-01T09:00:00Z");
    let mut tx = place.write().await;
    assert!(claim(&mut tx, &key(&place), now).await.unwrap());
    let (db, waiting) = (place.db.clone(), key(&place));
    let second = tokio::spawn(async move {
        let mut tx = db.write(Scope::Tenant(waiting.tenant)).await.unwrap();
        let won = claim(&mut tx, &waiting, now).await.unwrap();
        tx.commit().await.unwrap();
        won
    });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!second.is_finished(), "a claim waits for the one before it to end");
    tx.rollback().await.unwrap();
    assert!(second.await.unwrap());
    assert!(!claim(&mut place.write().await, &key(&place), now).await.unwrap());
}

async fn a_key_belongs_to_its_credential_and_its_request(place: Place) {
    let now = at("2026-11-01T09:00:00Z");
    let mut tx = place.write().await;
    assert!(claim(&mut tx, &key(&place), now).await.unwrap());
    assert!(claim(&mut tx, &Claim { credential: "key_2", ..key(&place) }, now).await.unwrap());
    assert!(claim(&mut tx, &Claim { request: "POST /v1/contracts", ..key(&place) }, now).await.unwrap());
    assert!(!claim(&mut tx, &Claim { fingerprint: &[1; 32], ..key(&place) }, now).await.unwrap());
    tx.commit().await.unwrap();
    let other = place.another_tenant().await;
    let mut tx = place.db.write(Scope::Tenant(other)).await.unwrap();
    assert!(claim(&mut tx, &Claim { tenant: other, ..key(&place) }, now).await.unwrap());
}
