/* A price shared by half-months: the 1st to the 15th, and the 16th to the last. A half that was begun is paid whole. */
#include "proration_strategy.h"
#define ALTYN_TEXT proration_strategy_string_t
#include "altyn.h"

typedef exports_altyn_billing_proration_context_t context;
typedef exports_altyn_billing_proration_fault_t fault;
typedef exports_altyn_billing_proration_period_t period;
typedef exports_altyn_billing_proration_question_t question;
typedef exports_altyn_billing_proration_share_t share;
typedef altyn_billing_types_date_t date;

void exports_altyn_billing_metadata_describe(exports_altyn_billing_metadata_descriptor_t *ret) {
    *ret = (exports_altyn_billing_metadata_descriptor_t){
        .id = altyn_copy(altyn_literal("half-months")),
        .version = altyn_copy(altyn_literal("1.0.0")),
        .title = altyn_copy(altyn_literal("Price by begun half-months")),
        .config_schema = altyn_copy(altyn_literal("{\"type\":\"object\",\"additionalProperties\":false}")),
    };
}

static int64_t day(date date) { return altyn_day(date.year, date.month, date.day); }

/* The half-month that a day lies in, counted from the year 0. */
static int64_t half(date date) { return 24 * (int64_t)date.year + 2 * (date.month - 1) + (date.day > 15 ? 1 : 0); }

/* Halves that have a day in [start, end): the half of `end` counts when `end` is not its first day. */
static int64_t halves(date start, date end) {
    if (day(end) <= day(start)) return 0;
    return half(end) - half(start) + (end.day == 1 || end.day == 16 ? 0 : 1);
}

static date after(date date) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    if (date.day < lengths[date.month - 1] || (date.month == 2 && leap && date.day == 28)) {
        date.day++;
        return date;
    }
    date.day = 1;
    date.month = date.month == 12 ? 1 : date.month + 1;
    date.year += date.month == 1;
    return date;
}

/* Halves by the contract's rule of who pays for the day of a change. */
static int64_t counted(question *asked) {
    date start = asked->used.start, end = asked->used.end;
    bool old = asked->current_day == EXPORTS_ALTYN_BILLING_PRORATION_CURRENT_DAY_OLD;
    bool both = asked->current_day == EXPORTS_ALTYN_BILLING_PRORATION_CURRENT_DAY_BOTH;
    bool neither = asked->current_day == EXPORTS_ALTYN_BILLING_PRORATION_CURRENT_DAY_NEITHER;
    if (day(end) != day(asked->period.end) && (old || both)) end = after(end);
    if (day(start) != day(asked->period.start) && (old || neither)) start = after(start);
    return halves(start, end);
}

static share shared(question *asked) {
    int64_t billed = asked->billed.minor, whole = halves(asked->period.start, asked->period.end);
    int64_t basis = billed > 0 ? billed - asked->credited.minor : asked->price.minor;
    int64_t count = counted(asked), used = altyn_part(basis, count, whole);
    return (share){
        .line = altyn_copy(asked->line),
        .used = {.minor = used, .currency = altyn_copy(asked->price.currency)},
        .credit = {.minor = billed > 0 ? basis - used : 0, .currency = altyn_copy(asked->price.currency)},
        .explanation = altyn_join(altyn_digits((uint64_t)count, 1), altyn_literal(" of "),
                                  altyn_digits((uint64_t)whole, 1), altyn_literal(" half-months")),
    };
}

bool exports_altyn_billing_proration_prorate(context *ctx, exports_altyn_billing_proration_list_question_t *questions,
                                             exports_altyn_billing_proration_list_share_t *ret, fault *err) {
    altyn_settings settings = altyn_read_settings(ctx->config);
    if (settings.wrong.len > 0 || settings.count > 0) {
        err->tag = ALTYN_BILLING_TYPES_FAULT_MISCONFIGURED;
        err->val.misconfigured = altyn_copy(altyn_literal("this plugin has no settings; bind it with {}"));
        return false;
    }
    ret->len = questions->len;
    ret->ptr = calloc(questions->len, sizeof(share));
    for (size_t i = 0; i < questions->len; i++) ret->ptr[i] = shared(&questions->ptr[i]);
    return true;
}
