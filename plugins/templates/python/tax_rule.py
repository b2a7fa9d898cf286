"""A flat tax on every line, at the rate of the configuration. Amounts are ints: minor units, never a float."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.tax import Assessment, LineTax, PriceMode
from wit_world.imports import types

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "rate": {"title": "Rate, per cent", "type": "integer", "minimum": 0, "maximum": 100, "default": 20}
    },
}


def configured_rate(text):
    try:
        config = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Err(types.Fault_Misconfigured(f"the configuration does not read: {error}"))
    if not isinstance(config, dict) or set(config) - {"rate"}:
        raise Err(types.Fault_Misconfigured("the configuration is an object with the one setting rate"))
    rate = config.get("rate", 20)
    if type(rate) is not int or not 0 <= rate <= 100:
        raise Err(types.Fault_Misconfigured("rate must be a whole number from 0 to 100"))
    return rate


def divided(numerator, denominator):
    """Half-up away from zero."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


class Metadata(exports.Metadata):
    def describe(self):
        return types.Descriptor("{{name}}", "1.0.0", "A flat tax on every line", json.dumps(SCHEMA), [], [])


class Tax(exports.Tax):
    def assess(self, ctx, documents):
        rate = configured_rate(ctx.config)
        return [
            Assessment(document.id, [taxed(line, document.mode, rate) for line in document.lines])
            for document in documents
        ]


def taxed(line, mode, rate):
    minor, currency = line.amount.minor, line.amount.currency
    included = mode == PriceMode.INCLUDED
    tax = divided(minor * rate, 100 + rate) if included else divided(minor * rate, 100)
    net = minor - tax if included else minor
    money = [types.Money(amount, currency) for amount in (net, tax, net + tax)]
    return LineTax(line.id, *money, f"tax{rate}", str(rate))
