"""Payments through the Counter Bank, which does not exist: a plain HTTP interface as small banks have them.

A payment is created under the host's own id, which is also its idempotency key, so a request that is sent again pays
once. The keys of the bank are filled in by the host while it sends, and used by its vault; this code never sees them.
"""

import json
import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import gateway
from wit_world.imports import exchange, types, vault

BANK = "api.counter-bank.example"
TOLD = ("number", "id", "state", "amount", "currency", "page", "reason")


def major(minor, exponent):
    """An amount in major units, with all decimals of its currency: 590.00."""
    digits = str(minor).rjust(exponent + 1, "0")
    return digits if exponent == 0 else f"{digits[:-exponent]}.{digits[-exponent:]}"


def minor(text, exponent):
    """The way back, exactly; None for what is no amount."""
    match = re.fullmatch(r"([0-9]{1,15})(?:\.([0-9]+))?", text)
    if not match:
        return None
    whole, part = match[1], match[2] or ""
    if part[exponent:].strip("0"):
        return None
    return int(whole + part[:exponent].ljust(exponent, "0"))


def told(body):
    """A payment or a refund as the bank tells of it; None for anything else."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    payment = {"page": "", "reason": ""} | {name: read[name] for name in TOLD if name in read}
    return payment if len(payment) == len(TOLD) and all(type(value) is str for value in payment.values()) else None


def outcome(verdict, external_id="", amount=None):
    return gateway.Outcome(verdict, external_id, amount, None, None, [])


def done(verdict):
    return gateway.Step_Done(outcome(verdict))


def unconfigured(ctx):
    if "".join(ctx.config.split()) not in ("", "{}"):
        raise Err(types.Fault_Misconfigured("this plugin has no settings; bind it with {}"))


def written(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def send(method, path, body, what, id, amount, exponent):
    def header(name, *value):
        return exchange.Header(name, list(value))

    bearer = exchange.Segment_Filled([vault.Piece_Text("Bearer "), vault.Piece_Secret("api-key")])
    kind = [] if body is None else [header("content-type", exchange.Segment_Text("application/json"))]
    request = exchange.Request(
        method,
        [exchange.Segment_Text(f"https://{BANK}/v1/{path}")],
        [*kind, header("authorization", bearer), header("idempotency-key", exchange.Segment_Text(id))],
        [] if body is None else [exchange.Segment_Text(written(body))],
    )
    # What is remembered while the bank answers.
    asked = {"what": what, "id": id, "minor": amount.minor, "currency": amount.currency, "exponent": exponent}
    # By our key the bank does it once.
    call = exchange.Call(request, exchange.Repetition.HARMLESS, [], written(asked).encode())
    return gateway.Step_Send(call)


def stands(payment, exponent):
    state, page, reason = payment["state"], payment["page"], payment["reason"]
    amount = None
    if state == "new" and page.startswith("https://"):
        verdict = gateway.Verdict_RequiresAction(gateway.Action_Redirect(page))
    elif state in ("new", "processing"):
        verdict = gateway.Verdict_Pending(None)
    elif state == "failed":
        verdict = gateway.Verdict_Declined(gateway.Decline("failed", reason, reason == "insufficient-funds"))
    elif state != "paid":
        verdict = gateway.Verdict_Unknown(f"the bank names the state {state}")
    elif (taken := minor(payment["amount"], exponent)) is None:
        verdict = gateway.Verdict_Unknown("the bank's amount does not read")
    else:
        verdict, amount = gateway.Verdict_Succeeded(), types.Money(taken, payment["currency"])
    return outcome(verdict, payment["number"], amount)


def matches(order, presented):
    """Whether a digest is the right one. What the vault refuses is a fault, which says which secret is missing."""
    try:
        return vault.matches(order, presented)
    except Err as error:
        refusal = error.value
        if isinstance(refusal, vault.Refusal_UnknownSecret):
            raise Err(types.Fault_Misconfigured(refusal.value))
        fault = types.Fault_Invalid if isinstance(refusal, vault.Refusal_Invalid) else types.Fault_Other
        raise Err(fault(refusal.value))


def reply(status, body):
    kind = exchange.Field("content-type", "text/plain; charset=utf-8")
    return exchange.Reply(status, [kind], body)


def rejected(reason):
    rejection = gateway.Rejection(reason, reply(403, b"REJECTED"))
    return gateway.ReceiveStep_Done(gateway.Received_Rejected(rejection))


class Metadata(exports.Metadata):
    def describe(self):
        schema = {"type": "object", "additionalProperties": False}
        secrets = ["api-key", "notification-key"]
        return types.Descriptor("{{name}}", "1.0.0", "Counter Bank (made up)", json.dumps(schema), secrets, [BANK])


class Gateway(exports.Gateway):
    def capabilities_of(self, ctx):
        unconfigured(ctx)
        return gateway.Capabilities(
            currencies=["KZT", "RUB"],
            two_stage=False,
            refunds=True,
            partial_refunds=True,
            refund_status=False,
            status=True,
            notifications=True,
            saved_methods=False,
        )

    def begin(self, ctx, operation):
        unconfigured(ctx)
        about = operation.value
        match operation:
            case gateway.Operation_Pay():
                if about.saved_method is not None or about.save_method or not about.capture:
                    why = "the bank keeps no methods and holds no money; take payments at once"
                    raise Err(types.Fault_Unsupported(why))
                body = {
                    "amount": major(about.amount.minor, about.exponent),
                    "currency": about.amount.currency,
                    "description": about.description,
                    "id": about.id,
                    "return_url": about.return_url,
                }
                method = exchange.Method.POST
                return send(method, "payments", body, "Pay", about.id, about.amount, about.exponent)
            case gateway.Operation_Status():
                path = f"payments/{about.id}"
                return send(exchange.Method.GET, path, None, "Status", about.id, about.amount, about.exponent)
            case gateway.Operation_Refund():
                exponent = about.payment.exponent
                body = {
                    "amount": major(about.amount.minor, exponent),
                    "currency": about.amount.currency,
                    "id": about.id,
                    "payment": about.payment.id,
                }
                return send(exchange.Method.POST, "refunds", body, "Refund", about.id, about.amount, exponent)
        why = "the bank takes money at once and refunds at once; there is no such step"
        raise Err(types.Fault_Unsupported(why))

    def resume(self, ctx, continuation, answer):
        unconfigured(ctx)
        asked = json.loads(continuation)
        question = asked["what"] == "Status"
        if not isinstance(answer, exchange.Answer_Response):
            # A question that was not answered changes nothing: it stands as it stood.
            if question:
                return done(gateway.Verdict_Pending(None))
            not_sent = isinstance(answer, exchange.Answer_NotSent)
            return done((gateway.Verdict_NotAttempted if not_sent else gateway.Verdict_Unknown)(answer.value))
        status = answer.value.status
        if status in (200, 201):
            payment = told(answer.value.body)
            if payment is None:
                return done(gateway.Verdict_Unknown("the bank's answer does not read"))
            if payment["id"] != asked["id"]:
                return done(gateway.Verdict_Unknown("the bank told of another payment"))
            return gateway.Step_Done(stands(payment, asked["exponent"]))
        if status == 404 and question:
            return done(gateway.Verdict_NotAttempted("the bank knows no such payment"))
        if status in (400, 401, 403, 404, 422):
            return done(gateway.Verdict_NotAttempted(f"the bank refused the request with status {status}"))
        return done(gateway.Verdict_Unknown(f"the bank answered with status {status}"))

    def receive(self, ctx, notification):
        unconfigured(ctx)
        signatures = [field.value for field in notification.headers if field.name == "x-counter-signature"]
        if not signatures:
            return rejected("there is no signature")
        order = vault.DigestOrder(
            vault.Algorithm.SHA256,
            [vault.Piece_Secret("notification-key")],
            [vault.Piece_Bytes(notification.body)],
            vault.Encoding.HEX,
        )
        if not matches(order, signatures[0]):
            return rejected("the signature is wrong")
        payment = told(notification.body)
        if payment is None:
            return rejected("the body does not read")
        # Both currencies of the bank have two digits.
        claim = gateway.Claim(gateway.Subject_Intent(payment["id"]), stands(payment, 2))
        receipt = gateway.ReceiptOfClaims([claim], reply(200, b"OK"), reply(409, b"REFUSED"))
        return gateway.ReceiveStep_Done(gateway.Received_Authentic(receipt))

    def receive_resume(self, ctx, continuation, answer):
        raise Err(types.Fault_Invalid("this gateway sends nothing while it reads a notification"))
