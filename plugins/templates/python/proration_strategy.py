"""A price shared by days: the days used of the days of the period. Amounts are ints: minor units, never a float."""

from datetime import date

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.proration import CurrentDay, Share
from wit_world.imports import types


def day(value):
    return date(value.year, value.month, value.day)


def days(period):
    return (day(period.end) - day(period.start)).days


def counted(question):
    """Days by the contract's rule of who pays for the day of a change."""
    period, used, policy = question.period, question.used, question.current_day
    count = days(used)
    if used.end != period.end and policy in (CurrentDay.OLD, CurrentDay.BOTH):
        count += 1
    if used.start != period.start and policy in (CurrentDay.OLD, CurrentDay.NEITHER):
        count -= 1
    return min(max(count, 0), days(period))


class Metadata(exports.Metadata):
    def describe(self):
        schema = '{"type":"object","additionalProperties":false}'
        return types.Descriptor("{{name}}", "1.0.0", "Price by days", schema, [], [])


class Proration(exports.Proration):
    def prorate(self, ctx, questions):
        if "".join(ctx.config.split()) not in ("", "{}"):
            raise Err(types.Fault_Misconfigured("this plugin has no settings; bind it with {}"))
        return [shared(question) for question in questions]


def shared(question):
    billed = question.billed.minor
    basis = billed - question.credited.minor if billed else question.price.minor
    count, whole = counted(question), days(question.period)
    share = (2 * basis * count + whole) // (2 * whole)
    money = [types.Money(amount, question.price.currency) for amount in (share, basis - share if billed else 0)]
    return Share(question.line, *money, f"{count} of {whole} days")
