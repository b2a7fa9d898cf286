"""A tax whose rate hangs on the category of what is sold: reduced rates by name, one rate for the rest.

Amounts are ints: minor units, never a float.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.tax import Assessment, LineTax, PriceMode
from wit_world.imports import types

RATE = {"type": "integer", "minimum": 0, "maximum": 100}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "standard": {"title": "Rate of all other categories, per cent", "default": 20, **RATE},
        "reduced": {
            "title": "Rates of categories, per cent",
            "type": "object",
            "additionalProperties": RATE,
            "default": {},
        },
    },
}


def misconfigured(text):
    return Err(types.Fault_Misconfigured(text))


def is_rate(value):
    # True and False are ints in Python, and no rates.
    return type(value) is int and 0 <= value <= 100


def configured(text):
    try:
        config = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise misconfigured(f"the configuration does not read: {error}")
    if not isinstance(config, dict) or set(config) - {"standard", "reduced"}:
        raise misconfigured("the configuration is an object with the settings standard and reduced")
    standard, reduced = config.get("standard", 20), config.get("reduced", {})
    if not is_rate(standard) or not isinstance(reduced, dict):
        raise misconfigured("standard must be a whole number from 0 to 100, and reduced an object of such numbers")
    for category, rate in reduced.items():
        if not is_rate(rate):
            raise misconfigured(f"the rate of {category} must be a whole number from 0 to 100")
    return standard, reduced


def divided(numerator, denominator):
    """Half-up away from zero."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


class Metadata(exports.Metadata):
    def describe(self):
        return types.Descriptor("category-tax", "1.0.0", "Tax rates by category", json.dumps(SCHEMA), [], [])


class Tax(exports.Tax):
    def assess(self, ctx, documents):
        standard, reduced = configured(ctx.config)

        def taxed(line, mode):
            rate = reduced.get(line.category, standard)
            minor, currency = line.amount.minor, line.amount.currency
            included = mode == PriceMode.INCLUDED
            tax = divided(minor * rate, 100 + rate) if included else divided(minor * rate, 100)
            net = minor - tax if included else minor
            money = [types.Money(amount, currency) for amount in (net, tax, net + tax)]
            return LineTax(line.id, *money, f"tax{rate}", str(rate))

        return [
            Assessment(document.id, [taxed(line, document.mode) for line in document.lines]) for document in documents
        ]
