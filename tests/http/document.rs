//! The interface's document says what the host does, and the host does what it says.

use std::collections::BTreeSet;

use altyn::http::Code;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Host, on_both_engines, send};

on_both_engines!(
    the_document_is_complete,
    every_documented_operation_exists_and_no_other_method,
    every_problem_has_a_page,
    the_docs_page_is_served_from_this_host,
    a_documented_example_is_accepted,
);

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

async fn document(host: &Host) -> Value {
    send(host.client.get(format!("{}/openapi.json", host.url))).await.expect(200)
}

fn operations(document: &Value) -> Vec<(String, Method, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            found.push((path.clone(), method, operation.clone()));
        }
    }
    assert!(found.len() > 40, "only {} operations", found.len());
    found
}

async fn the_document_is_complete(host: Host) {
    let document = document(&host).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let text = |field: &str| operation[field].as_str().unwrap_or_default().len();
        assert!(ids.insert(operation["operationId"].as_str().expect(&name).to_owned()), "{name}: the id is used twice");
        assert!(text("summary") > 5 && text("description") > 5, "{name} has no summary or description");
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tag");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} has no success");
        let mut expected = vec!["500"];
        if path.starts_with("/v1/") {
            assert_eq!(operation["security"], json!([{ "key": [] }]), "{name}");
            expected.extend(["400", "401", "403", "404", "503"]);
            if method != Method::GET {
                expected.extend(["409", "422"]);
            }
            if operation.get("requestBody").is_some() {
                expected.extend(["413", "415"]);
            }
            if [Method::PUT, Method::PATCH, Method::DELETE].contains(&method) {
                expected.extend(["412", "428"]);
            }
        }
        for status in expected {
            let content = &responses.get(status).unwrap_or_else(|| panic!("{name} has no {status}"))["content"];
            let schema = &content["application/problem+json"]["schema"]["$ref"];
            assert_eq!(*schema, "#/components/schemas/Problem", "{name} {status}");
        }
    }
    // Two types of one name would hide each other.
    let property = |path: &str, name: &str| {
        let schema =
            &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().unwrap().rsplit('/').next().unwrap();
        assert!(document["components"]["schemas"][schema]["properties"][name].is_object(), "{path} shows no {name}");
    };
    property("/v1/plans/{id}", "versions");
    property("/v1/runs/{id}/plans/{contract_id}", "plan_hash");
    property("/v1/plugins/{digest}", "config_schema");
    let component = &document["components"]["schemas"]["PlanVersionView"]["properties"]["components"]["items"]["$ref"];
    let component = component.as_str().unwrap().rsplit('/').next().unwrap();
    assert!(document["components"]["schemas"][component]["properties"]["unit_price_minor"].is_object());
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(!document["components"]["schemas"][name].is_null(), "{name} is referred to and not described");
    }
}

async fn every_documented_operation_exists_and_no_other_method(host: Host) {
    let document = document(&host).await;
    let all = operations(&document);
    for (path, _, _) in &all {
        let concrete = path.replace("{code}", "not-found").replace(['{', '}'], "");
        for method in METHODS {
            let documented = all.iter().any(|(other, verb, _)| other == path && *verb == method);
            let answer = send(host.client.request(method.clone(), format!("{}{concrete}", host.url))).await;
            match (documented, path.starts_with("/v1/")) {
                (true, true) => drop(answer.problem(401, "unauthorized")),
                // The figures name tenants: who reads them is a setting, and a key is its default.
                (true, false) if path == "/metrics" => drop(answer.problem(401, "unauthorized")),
                (true, false) => assert!(answer.status.is_success(), "{method} {path}: {}", answer.text),
                (false, _) => drop(answer.problem(405, "method-not-allowed")),
            }
        }
    }
    // With a key, each operation asks for exactly the headers that the document requires.
    for (path, method, operation) in &all {
        let required = |name: &str| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            parameters.clone().any(|one| one["in"] == "header" && one["name"] == name && one["required"] == true)
        };
        if method == Method::GET || !path.starts_with("/v1/") {
            continue;
        }
        let concrete = path.replace(['{', '}'], "");
        let answer = send(host.ask(method.clone(), &concrete)).await;
        if required("Idempotency-Key") {
            answer.problem(400, "idempotency-key-required");
        } else if required("If-Match") {
            answer.problem(428, "version-required");
        } else {
            let code = answer.json()["code"].clone();
            assert!(code != "idempotency-key-required" && code != "version-required", "{method} {path}: {code}");
        }
    }
}

async fn every_problem_has_a_page(host: Host) {
    let index = send(host.client.get(format!("{}/problems", host.url))).await;
    for code in Code::ALL {
        let answer = send(host.client.get(format!("{}/problems/{}", host.url, code.as_str()))).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains(code.meaning()) && answer.text.contains(code.remedy()), "{}", answer.text);
        assert!(index.text.contains(code.as_str()));
    }
    host.get("/problems/none-such").await.problem(404, "not-found");
}

async fn the_docs_page_is_served_from_this_host(host: Host) {
    let page = host.get("/docs/api/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger-ui"));
    for asset in
        page.text.split("src=\"").chain(page.text.split("href=\"")).skip(1).filter_map(|rest| rest.split('"').next())
    {
        assert!(!asset.starts_with("http") && !asset.starts_with("//"), "{asset} comes from elsewhere");
    }
    let script = host.get("/docs/api/swagger-initializer.js").await;
    assert!(script.text.contains("/openapi.json"), "{}", script.text);
    host.get("/docs/api/none-such.js").await.problem(404, "not-found");
}

async fn a_documented_example_is_accepted(host: Host) {
    let document = document(&host).await;
    for path in ["/v1/tenants", "/v1/api-keys", "/v1/sellers", "/v1/customers", "/v1/products"] {
        let example = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"];
        assert!(example.is_object(), "{path} has no example");
        host.post(path, example).await.expect(201);
    }
}
