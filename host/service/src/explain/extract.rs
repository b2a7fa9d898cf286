//! Finding one line in the evidence of a batch.
//!
//! Knows the names of the plugin contract's fields and nothing else of them: evidence of other versions shows what it has.

use serde_json::Value;

/// What a batch says about one line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Extract {
    /// What was told for the whole call.
    pub context: Value,
    /// The question about the line, or about the document that holds it.
    pub question: Value,
    /// The answer to it.
    pub answer: Value,
}

/// The line `call_line` of a call of `export`; what is not found is null.
pub(super) fn extract(export: &str, input: &Value, output: &Value, call_line: i32) -> Extract {
    let line = call_line.to_string();
    let (question, answer) = match export {
        "proration.prorate" => (named(&input["questions"], "line", &line).1, named(output, "line", &line).1),
        "tax.assess" => (document_of(input, &line), line_tax(output, &line)),
        "numbering.sequences" | "numbering.numbers" => numbering(input, output, &line),
        _ => (Value::Null, Value::Null),
    };
    Extract { context: input["ctx"].clone(), question, answer }
}

/// The element of a list whose field has a text, with its place.
fn named(list: &Value, field: &str, text: &str) -> (usize, Value) {
    let elements = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let found = elements.iter().enumerate().find(|(_, element)| element[field] == *text);
    found.map_or((usize::MAX, Value::Null), |(place, element)| (place, element.clone()))
}

/// The document that holds the line, with that line alone.
fn document_of(input: &Value, line: &str) -> Value {
    let documents = input["documents"].as_array().map(Vec::as_slice).unwrap_or_default();
    documents
        .iter()
        .find_map(|document| {
            let (_, found) = named(&document["lines"], "id", line);
            if found.is_null() {
                return None;
            }
            let mut one = document.clone();
            one["lines"] = Value::Array(vec![found]);
            Some(one)
        })
        .unwrap_or_default()
}

fn line_tax(output: &Value, line: &str) -> Value {
    let assessments = output.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found = assessments.iter().map(|assessment| named(&assessment["lines"], "line", line).1);
    found.find(|tax| !tax.is_null()).unwrap_or_default()
}

/// Answers of numbering come in the order of the drafts and carry no id.
fn numbering(input: &Value, output: &Value, line: &str) -> (Value, Value) {
    let (place, draft) = named(&input["drafts"], "id", line);
    let answer = output.get(place).cloned().unwrap_or_default();
    let question = match input["values"].get(place) {
        Some(value) => serde_json::json!({ "draft": draft, "value": value }),
        None => serde_json::json!({ "draft": draft }),
    };
    (question, answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_found_by_its_id_and_not_by_its_place() {
        let input =
            json!({ "ctx": { "zone": "UTC" }, "questions": [{ "line": "7", "n": 1 }, { "line": "0", "n": 2 }] });
        let output = json!([{ "line": "7", "used": 1 }, { "line": "0", "used": 2 }]);
        let found = extract("proration.prorate", &input, &output, 0);
        assert_eq!(found.context, json!({ "zone": "UTC" }));
        assert_eq!(found.question, json!({ "line": "0", "n": 2 }));
        assert_eq!(found.answer, json!({ "line": "0", "used": 2 }));
    }

    #[test]
    fn a_taxed_line_is_shown_with_its_document_and_without_its_neighbours() {
        let input = json!({ "documents": [
            { "id": "0", "lines": [{ "id": "0" }] },
            { "id": "1", "mode": "included", "lines": [{ "id": "1" }, { "id": "2" }] },
        ] });
        let output = json!([
            { "document": "0", "lines": [{ "line": "0", "tax": 1 }] },
            { "document": "1", "lines": [{ "line": "1", "tax": 2 }, { "line": "2", "tax": 3 }] },
        ]);
        let found = extract("tax.assess", &input, &output, 2);
        assert_eq!(found.question, json!({ "id": "1", "mode": "included", "lines": [{ "id": "2" }] }));
        assert_eq!(found.answer, json!({ "line": "2", "tax": 3 }));
    }

    #[test]
    fn a_number_is_shown_with_its_draft_and_value() {
        let input = json!({ "drafts": [{ "id": "4" }, { "id": "5" }], "values": [40, 41] });
        let found = extract("numbering.numbers", &input, &json!(["N-40", "N-41"]), 5);
        assert_eq!(found.question, json!({ "draft": { "id": "5" }, "value": 41 }));
        assert_eq!(found.answer, json!("N-41"));
    }

    #[test]
    fn what_is_not_there_is_null() {
        assert_eq!(extract("tax.assess", &Value::Null, &Value::Null, 1), Extract::default());
        assert_eq!(extract("rating.rate", &json!({}), &json!([]), 1), Extract::default());
        assert_eq!(extract("numbering.numbers", &json!({ "drafts": [] }), &json!([]), 1).answer, Value::Null);
    }
}
