/* Payments through the Counter Bank, which does not exist: a plain HTTP interface as small banks have them. A payment is
 * created under the id of the host, which is its idempotency key, too: sent again, it pays once. The keys of the bank are
 * filled in by the host while it sends, and used by its vault; this code never sees them. */
#include "payment_gateway.h"
#define ALTYN_TEXT payment_gateway_string_t
#include "altyn.h"

typedef exports_altyn_billing_gateway_context_t context;
typedef exports_altyn_billing_gateway_fault_t fault;
typedef exports_altyn_billing_gateway_money_t money;
typedef exports_altyn_billing_gateway_outcome_t outcome;
typedef exports_altyn_billing_gateway_step_t step;
typedef exports_altyn_billing_gateway_receive_step_t receive_step;
typedef exports_altyn_billing_gateway_reply_t reply;
typedef exports_altyn_billing_gateway_claim_t claim;
typedef altyn_billing_exchange_segment_t segment;
typedef altyn_billing_exchange_header_t header;
typedef altyn_billing_exchange_field_t field;
typedef altyn_billing_vault_piece_t piece;

#define BANK "api.counter-bank.example"

/* One element, or several, in memory of their own, as a list. */
#define LIST(type, ...) \
    {.ptr = memcpy(malloc(sizeof((type[]){__VA_ARGS__})), (type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__})), \
     .len = sizeof((type[]){__VA_ARGS__}) / sizeof(type)}

static altyn_text text(const char *literal) { return altyn_copy(altyn_literal(literal)); }

static bool failed(fault *err, uint8_t tag, const char *why) {
    err->tag = tag;
    /* Every case of a fault is a text. */
    err->val.other = text(why);
    return false;
}

static bool unconfigured(context *ctx, fault *err) {
    altyn_settings settings = altyn_read_settings(ctx->config);
    if (settings.wrong.len == 0 && settings.count == 0) return true;
    return failed(err, ALTYN_BILLING_TYPES_FAULT_MISCONFIGURED, "this plugin has no settings; bind it with {}");
}

void exports_altyn_billing_metadata_describe(exports_altyn_billing_metadata_descriptor_t *ret) {
    *ret = (exports_altyn_billing_metadata_descriptor_t){
        .id = text("{{name}}"),
        .version = text("1.0.0"),
        .title = text("Counter Bank (made up)"),
        .config_schema = text("{\"type\":\"object\",\"additionalProperties\":false}"),
        .secrets = LIST(altyn_text, text("api-key"), text("notification-key")),
        .hosts = LIST(altyn_text, text(BANK)),
    };
}

bool exports_altyn_billing_gateway_capabilities_of(context *ctx, exports_altyn_billing_gateway_capabilities_t *ret,
                                                   fault *err) {
    if (!unconfigured(ctx, err)) return false;
    *ret = (exports_altyn_billing_gateway_capabilities_t){
        .currencies = LIST(altyn_text, text("KZT"), text("RUB")),
        .refunds = true,
        .partial_refunds = true,
        .status = true,
        .notifications = true,
    };
    return true;
}

/* What is remembered while the bank answers. */
typedef struct {
    const char *what;
    altyn_text id;
    money amount;
    uint8_t exponent;
} asked;

static segment plain(altyn_text text) {
    return (segment){.tag = ALTYN_BILLING_EXCHANGE_SEGMENT_TEXT, .val.text = text};
}

static piece named(uint8_t tag, const char *name) { return (piece){.tag = tag, .val.secret = text(name)}; }

static void sent(step *ret, altyn_billing_exchange_method_t method, altyn_text path, altyn_text body, asked asked) {
    segment bearer = {.tag = ALTYN_BILLING_EXCHANGE_SEGMENT_FILLED,
                      .val.filled = LIST(piece, named(ALTYN_BILLING_VAULT_PIECE_TEXT, "Bearer "),
                                         named(ALTYN_BILLING_VAULT_PIECE_SECRET, "api-key"))};
    header headers[] = {
        {.name = text("content-type"), .value = LIST(segment, plain(text("application/json")))},
        {.name = text("authorization"), .value = LIST(segment, bearer)},
        {.name = text("idempotency-key"), .value = LIST(segment, plain(altyn_copy(asked.id)))},
    };
    size_t first = body.len > 0 ? 0 : 1, count = sizeof headers / sizeof *headers - first;
    altyn_text url = altyn_join(altyn_literal("https://" BANK "/v1/"), path);
    altyn_text state = altyn_join(
        altyn_literal("{\"what\":\""), altyn_literal(asked.what), altyn_literal("\",\"id\":"), altyn_quoted(asked.id),
        altyn_literal(",\"minor\":"), altyn_digits((uint64_t)asked.amount.minor, 1), altyn_literal(",\"currency\":"),
        altyn_quoted(asked.amount.currency), altyn_literal(",\"exponent\":"), altyn_digits(asked.exponent, 1),
        altyn_literal("}"));
    ret->tag = EXPORTS_ALTYN_BILLING_GATEWAY_STEP_SEND;
    ret->val.send = (altyn_billing_exchange_call_t){
        .request = {.method = method,
                    .url = LIST(segment, plain(url)),
                    .headers = {.ptr = memcpy(malloc(count * sizeof(header)), headers + first, count * sizeof(header)),
                                .len = count}},
        /* By our key the bank does it once. */
        .repetition = ALTYN_BILLING_EXCHANGE_REPETITION_HARMLESS,
        .continuation = {.ptr = state.ptr, .len = state.len},
    };
    if (body.len > 0) {
        ret->val.send.request.body = (altyn_billing_exchange_list_segment_t)LIST(segment, plain(body));
    }
}

bool exports_altyn_billing_gateway_begin(context *ctx, exports_altyn_billing_gateway_operation_t *operation, step *ret,
                                         fault *err) {
    if (!unconfigured(ctx, err)) return false;
    if (operation->tag == EXPORTS_ALTYN_BILLING_GATEWAY_OPERATION_PAY) {
        exports_altyn_billing_gateway_intent_t *intent = &operation->val.pay;
        if (intent->saved_method.is_some || intent->save_method || !intent->capture) {
            return failed(err, ALTYN_BILLING_TYPES_FAULT_UNSUPPORTED,
                          "the bank keeps no methods and holds no money; take payments at once");
        }
        altyn_text body = altyn_join(
            altyn_literal("{\"amount\":"), altyn_quoted(altyn_major(intent->amount.minor, intent->exponent)),
            altyn_literal(",\"currency\":"), altyn_quoted(intent->amount.currency), altyn_literal(",\"description\":"),
            altyn_quoted(intent->description), altyn_literal(",\"id\":"), altyn_quoted(intent->id),
            altyn_literal(",\"return_url\":"), altyn_quoted(intent->return_url), altyn_literal("}"));
        sent(ret, ALTYN_BILLING_EXCHANGE_METHOD_POST, altyn_literal("payments"), body,
             (asked){"Pay", intent->id, intent->amount, intent->exponent});
        return true;
    }
    if (operation->tag == EXPORTS_ALTYN_BILLING_GATEWAY_OPERATION_STATUS) {
        exports_altyn_billing_gateway_reference_t *payment = &operation->val.status;
        altyn_text path = altyn_join(altyn_literal("payments/"), payment->id);
        sent(ret, ALTYN_BILLING_EXCHANGE_METHOD_GET, path, altyn_literal(""),
             (asked){"Status", payment->id, payment->amount, payment->exponent});
        return true;
    }
    if (operation->tag == EXPORTS_ALTYN_BILLING_GATEWAY_OPERATION_REFUND) {
        exports_altyn_billing_gateway_refund_t *refund = &operation->val.refund;
        uint8_t exponent = refund->payment.exponent;
        altyn_text body = altyn_join(
            altyn_literal("{\"amount\":"), altyn_quoted(altyn_major(refund->amount.minor, exponent)),
            altyn_literal(",\"currency\":"), altyn_quoted(refund->amount.currency), altyn_literal(",\"id\":"),
            altyn_quoted(refund->id), altyn_literal(",\"payment\":"), altyn_quoted(refund->payment.id),
            altyn_literal("}"));
        sent(ret, ALTYN_BILLING_EXCHANGE_METHOD_POST, altyn_literal("refunds"), body,
             (asked){"Refund", refund->id, refund->amount, exponent});
        return true;
    }
    return failed(err, ALTYN_BILLING_TYPES_FAULT_UNSUPPORTED,
                  "the bank takes money at once and refunds at once; there is no such step");
}

/* A payment or a refund as the bank tells of it. */
typedef struct {
    altyn_text number, id, state, amount, currency, page, reason;
} told;

static bool member(altyn_text object, const char *name, bool needed, altyn_text *text) {
    altyn_text value;
    *text = altyn_literal("");
    switch (altyn_json_member(object, name, &value)) {
    case ALTYN_FOUND: return altyn_json_text(value, text);
    case ALTYN_MISSING: return !needed;
    default: return false;
    }
}

static bool reads(altyn_text body, told *told) {
    return member(body, "number", true, &told->number) && member(body, "id", true, &told->id) &&
           member(body, "state", true, &told->state) && member(body, "amount", true, &told->amount) &&
           member(body, "currency", true, &told->currency) && member(body, "page", false, &told->page) &&
           member(body, "reason", false, &told->reason);
}

static bool is(altyn_text text, const char *literal) { return altyn_same(text, altyn_literal(literal)); }

static outcome verdict(uint8_t tag, altyn_text why) {
    /* Most verdicts are a text; those that are not are filled in by their callers. */
    return (outcome){.verdict = {.tag = tag, .val.unknown = why}};
}

static outcome unknown(const char *why) { return verdict(EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_UNKNOWN, text(why)); }

static outcome pending(void) {
    outcome outcome = {.verdict = {.tag = EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_PENDING}};
    outcome.verdict.val.pending.is_some = false;
    return outcome;
}

static outcome stands(told told, uint8_t exponent) {
    outcome answer;
    int64_t taken;
    if (is(told.state, "new") && told.page.len > 8 && memcmp(told.page.ptr, "https://", 8) == 0) {
        answer = (outcome){.verdict = {.tag = EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_REQUIRES_ACTION}};
        answer.verdict.val.requires_action = (exports_altyn_billing_gateway_action_t){
            .tag = EXPORTS_ALTYN_BILLING_GATEWAY_ACTION_REDIRECT, .val.redirect = told.page};
    } else if (is(told.state, "new") || is(told.state, "processing")) {
        answer = pending();
    } else if (is(told.state, "failed")) {
        answer = (outcome){.verdict = {.tag = EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_DECLINED}};
        answer.verdict.val.declined = (exports_altyn_billing_gateway_decline_t){
            .code = text("failed"), .message = told.reason, .retryable = is(told.reason, "insufficient-funds")};
    } else if (!is(told.state, "paid")) {
        answer = verdict(EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_UNKNOWN,
                         altyn_join(altyn_literal("the bank names the state "), told.state));
    } else if (!altyn_minor(told.amount, exponent, &taken)) {
        answer = unknown("the bank's amount does not read");
    } else {
        answer = (outcome){.verdict = {.tag = EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_SUCCEEDED},
                           .amount = {.is_some = true, .val = {.minor = taken, .currency = told.currency}}};
    }
    answer.external_id = told.number;
    return answer;
}

static bool done(step *ret, outcome outcome) {
    *ret = (step){.tag = EXPORTS_ALTYN_BILLING_GATEWAY_STEP_DONE, .val.done = outcome};
    return true;
}

bool exports_altyn_billing_gateway_resume(context *ctx, payment_gateway_list_u8_t *continuation,
                                          exports_altyn_billing_gateway_answer_t *answer, step *ret, fault *err) {
    if (!unconfigured(ctx, err)) return false;
    altyn_text state = {.ptr = continuation->ptr, .len = continuation->len}, what, id, value;
    int64_t exponent;
    bool remembered = member(state, "what", true, &what) && member(state, "id", true, &id) &&
                      altyn_json_member(state, "exponent", &value) == ALTYN_FOUND &&
                      altyn_take_number(&value, &exponent);
    if (!remembered) return failed(err, ALTYN_BILLING_TYPES_FAULT_INVALID, "the continuation does not read");
    bool question = is(what, "Status");
    if (answer->tag != ALTYN_BILLING_EXCHANGE_ANSWER_RESPONSE) {
        /* A question that was not answered changes nothing: it stands as it stood. */
        if (question) return done(ret, pending());
        bool lost = answer->tag == ALTYN_BILLING_EXCHANGE_ANSWER_LOST;
        uint8_t tag = lost ? EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_UNKNOWN
                           : EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_NOT_ATTEMPTED;
        return done(ret, verdict(tag, altyn_copy(lost ? answer->val.lost : answer->val.not_sent)));
    }
    altyn_billing_exchange_response_t *response = &answer->val.response;
    altyn_text status = altyn_digits(response->status, 1);
    told told;
    switch (response->status) {
    case 200:
    case 201:
        if (!reads((altyn_text){.ptr = response->body.ptr, .len = response->body.len}, &told)) {
            return done(ret, unknown("the bank's answer does not read"));
        }
        if (!altyn_same(told.id, id)) return done(ret, unknown("the bank told of another payment"));
        return done(ret, stands(told, (uint8_t)exponent));
    case 400:
    case 401:
    case 403:
    case 404:
    case 422:
        return done(ret, verdict(EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_NOT_ATTEMPTED,
                                 altyn_join(altyn_literal("the bank refused the request with status "), status)));
    default:
        return done(ret, verdict(EXPORTS_ALTYN_BILLING_GATEWAY_VERDICT_UNKNOWN,
                                 altyn_join(altyn_literal("the bank answered with status "), status)));
    }
}

static reply replied(uint16_t status, const char *words) {
    altyn_text body = text(words);
    field kind = {.name = text("content-type"), .value = text("text/plain; charset=utf-8")};
    return (reply){.status = status, .headers = LIST(field, kind), .body = {.ptr = body.ptr, .len = body.len}};
}

static bool rejected(receive_step *ret, const char *why) {
    *ret = (receive_step){.tag = EXPORTS_ALTYN_BILLING_GATEWAY_RECEIVE_STEP_DONE};
    ret->val.done.tag = EXPORTS_ALTYN_BILLING_GATEWAY_RECEIVED_REJECTED;
    ret->val.done.val.rejected =
        (exports_altyn_billing_gateway_rejection_t){.reason = text(why), .reply = replied(403, "REJECTED")};
    return true;
}

bool exports_altyn_billing_gateway_receive(context *ctx, exports_altyn_billing_gateway_incoming_t *notification,
                                           receive_step *ret, fault *err) {
    if (!unconfigured(ctx, err)) return false;
    altyn_text *signature = NULL;
    for (size_t i = 0; i < notification->headers.len && signature == NULL; i++) {
        field *field = &notification->headers.ptr[i];
        if (is(field->name, "x-counter-signature")) signature = &field->value;
    }
    if (signature == NULL) return rejected(ret, "there is no signature");
    piece body = {.tag = ALTYN_BILLING_VAULT_PIECE_BYTES, .val.bytes = notification->body};
    altyn_billing_vault_digest_order_t order = {
        .algorithm = ALTYN_BILLING_VAULT_ALGORITHM_SHA256,
        .key = {.is_some = true, .val = LIST(piece, named(ALTYN_BILLING_VAULT_PIECE_SECRET, "notification-key"))},
        .message = LIST(piece, body),
        .encoding = ALTYN_BILLING_VAULT_ENCODING_HEX,
    };
    bool right;
    altyn_billing_vault_refusal_t refusal;
    if (!altyn_billing_vault_matches(&order, signature, &right, &refusal)) {
        /* Every case of a refusal is a text, too. */
        bool missing = refusal.tag == ALTYN_BILLING_VAULT_REFUSAL_UNKNOWN_SECRET;
        err->tag = missing ? ALTYN_BILLING_TYPES_FAULT_MISCONFIGURED : ALTYN_BILLING_TYPES_FAULT_OTHER;
        err->val.other = refusal.val.other;
        return false;
    }
    if (!right) return rejected(ret, "the signature is wrong");
    told told;
    if (!reads((altyn_text){.ptr = notification->body.ptr, .len = notification->body.len}, &told)) {
        return rejected(ret, "the body does not read");
    }
    /* Both currencies of the bank have two digits. */
    claim claim = {.subject = {.tag = EXPORTS_ALTYN_BILLING_GATEWAY_SUBJECT_INTENT, .val.intent = told.id},
                   .outcome = stands(told, 2)};
    *ret = (receive_step){.tag = EXPORTS_ALTYN_BILLING_GATEWAY_RECEIVE_STEP_DONE};
    ret->val.done.tag = EXPORTS_ALTYN_BILLING_GATEWAY_RECEIVED_AUTHENTIC;
    ret->val.done.val.authentic = (exports_altyn_billing_gateway_receipt_of_claims_t){
        .claims = LIST(exports_altyn_billing_gateway_claim_t, claim),
        .taken = replied(200, "OK"),
        .refused = replied(409, "REFUSED"),
    };
    return true;
}

bool exports_altyn_billing_gateway_receive_resume(context *ctx, payment_gateway_list_u8_t *continuation,
                                                  exports_altyn_billing_gateway_answer_t *answer, receive_step *ret,
                                                  fault *err) {
    (void)ctx, (void)continuation, (void)answer, (void)ret;
    return failed(err, ALTYN_BILLING_TYPES_FAULT_INVALID, "this gateway sends nothing while it reads a notification");
}
