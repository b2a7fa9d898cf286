"""Numbers such as INV-2026-000042, counted anew each year."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.numbering import Sequence
from wit_world.imports import types

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "prefix": {
            "title": "What every number begins with",
            "type": "string",
            "minLength": 1,
            "maxLength": 20,
            "default": "INV",
        }
    },
}


def prefix(text):
    try:
        config = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Err(types.Fault_Misconfigured(f"the configuration does not read: {error}"))
    if not isinstance(config, dict) or set(config) - {"prefix"}:
        raise Err(types.Fault_Misconfigured("the configuration is an object with the one setting prefix"))
    found = config.get("prefix", "INV")
    if not isinstance(found, str) or not found:
        raise Err(types.Fault_Misconfigured("prefix must be a text"))
    return found


class Metadata(exports.Metadata):
    def describe(self):
        return types.Descriptor("{{name}}", "1.0.0", "Numbers by year", json.dumps(SCHEMA), [], [])


class Numbering(exports.Numbering):
    def sequences(self, ctx, drafts):
        prefix(ctx.config)
        return [Sequence(f"{draft.kind}/{draft.issued_on.year:04}", 1) for draft in drafts]

    def numbers(self, ctx, drafts, values):
        first = prefix(ctx.config)
        return [f"{first}-{draft.issued_on.year:04}-{value:06}" for draft, value in zip(drafts, values)]
