/* A price shared by days: the days used of the days of the period. Amounts are minor units, computed as whole numbers. */
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
        .id = altyn_copy(altyn_literal("{{name}}")),
        .version = altyn_copy(altyn_literal("1.0.0")),
        .title = altyn_copy(altyn_literal("Price by days")),
        .config_schema = altyn_copy(altyn_literal("{\"type\":\"object\",\"additionalProperties\":false}")),
    };
}

static int64_t day(date date) { return altyn_day(date.year, date.month, date.day); }

/* Days by the contract's rule of who pays for the day of a change. */
static int64_t counted(question *asked) {
    int64_t whole = day(asked->period.end) - day(asked->period.start);
    int64_t count = day(asked->used.end) - day(asked->used.start);
    bool old = asked->current_day == EXPORTS_ALTYN_BILLING_PRORATION_CURRENT_DAY_OLD;
    bool both = asked->current_day == EXPORTS_ALTYN_BILLING_PRORATION_CURRENT_DAY_BOTH;
    bool neither = asked->current_day == EXPORTS_ALTYN_BILLING_PRORATION_CURRENT_DAY_NEITHER;
    if (day(asked->used.end) != day(asked->period.end) && (old || both)) count++;
    if (day(asked->used.start) != day(asked->period.start) && (old || neither)) count--;
    return count < 0 ? 0 : count > whole ? whole : count;
}

static share shared(question *asked) {
    int64_t billed = asked->billed.minor, whole = day(asked->period.end) - day(asked->period.start);
    int64_t basis = billed > 0 ? billed - asked->credited.minor : asked->price.minor;
    int64_t count = counted(asked), used = altyn_part(basis, count, whole);
    return (share){
        .line = altyn_copy(asked->line),
        .used = {.minor = used, .currency = altyn_copy(asked->price.currency)},
        .credit = {.minor = billed > 0 ? basis - used : 0, .currency = altyn_copy(asked->price.currency)},
        .explanation = altyn_join(altyn_digits((uint64_t)count, 1), altyn_literal(" of "),
                                  altyn_digits((uint64_t)whole, 1), altyn_literal(" days")),
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
