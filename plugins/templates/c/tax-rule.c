/* A flat tax on every line, at the rate of the configuration. Amounts are minor units, computed as whole numbers. */
#include "tax_rule.h"
#define ALTYN_TEXT tax_rule_string_t
#include "altyn.h"

typedef exports_altyn_billing_tax_context_t context;
typedef exports_altyn_billing_tax_fault_t fault;
typedef exports_altyn_billing_tax_document_t document;
typedef exports_altyn_billing_tax_line_t line;
typedef exports_altyn_billing_tax_line_tax_t line_tax;
typedef exports_altyn_billing_tax_assessment_t assessment;

/* The JSON Schema of the configuration; the operator's form is made from it. */
static const char SCHEMA[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"additionalProperties\":false,"
    "\"properties\":{\"rate\":{\"title\":\"Rate, per cent\",\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":20}}}";

void exports_altyn_billing_metadata_describe(exports_altyn_billing_metadata_descriptor_t *ret) {
    *ret = (exports_altyn_billing_metadata_descriptor_t){
        .id = altyn_copy(altyn_literal("{{name}}")),
        .version = altyn_copy(altyn_literal("1.0.0")),
        .title = altyn_copy(altyn_literal("A flat tax on every line")),
        .config_schema = altyn_copy(altyn_literal(SCHEMA)),
    };
}

static bool refused(fault *err, altyn_text why) {
    err->tag = ALTYN_BILLING_TYPES_FAULT_MISCONFIGURED;
    err->val.misconfigured = altyn_copy(why);
    return false;
}

static bool configured(context *ctx, int64_t *rate, fault *err) {
    altyn_settings settings = altyn_read_settings(ctx->config);
    if (settings.wrong.len > 0) return refused(err, settings.wrong);
    *rate = 20;
    for (size_t i = 0; i < settings.count; i++) {
        altyn_setting setting = settings.all[i];
        if (!altyn_same(setting.name, altyn_literal("rate"))) {
            return refused(err, altyn_join(altyn_literal("unknown setting "), setting.name));
        }
        if (setting.is_text || setting.number < 0 || setting.number > 100) {
            return refused(err, altyn_literal("rate must be a whole number from 0 to 100"));
        }
        *rate = setting.number;
    }
    return true;
}

static bool taxed(line *line, bool included, int64_t rate, line_tax *answer, fault *err) {
    int64_t minor = line->amount.minor;
    int64_t tax = included ? altyn_part(minor, rate, 100 + rate) : altyn_part(minor, rate, 100);
    int64_t net = included ? minor - tax : minor, gross;
    if (__builtin_add_overflow(net, tax, &gross)) {
        err->tag = ALTYN_BILLING_TYPES_FAULT_UNSUPPORTED;
        err->val.unsupported = altyn_join(altyn_literal("line "), line->id, altyn_literal(": the amount is too large"));
        return false;
    }
    altyn_text digits = altyn_digits((uint64_t)rate, 1);
    *answer = (line_tax){
        .line = altyn_copy(line->id),
        .net = {.minor = net, .currency = altyn_copy(line->amount.currency)},
        .tax = {.minor = tax, .currency = altyn_copy(line->amount.currency)},
        .gross = {.minor = gross, .currency = altyn_copy(line->amount.currency)},
        .code = altyn_join(altyn_literal("tax"), digits),
        .rate = {.is_some = true, .val = digits},
    };
    return true;
}

bool exports_altyn_billing_tax_assess(context *ctx, exports_altyn_billing_tax_list_document_t *documents,
                                      exports_altyn_billing_tax_list_assessment_t *ret, fault *err) {
    int64_t rate;
    if (!configured(ctx, &rate, err)) return false;
    ret->len = documents->len;
    ret->ptr = calloc(documents->len, sizeof(assessment));
    for (size_t i = 0; i < documents->len; i++) {
        document *asked = &documents->ptr[i];
        assessment *answer = &ret->ptr[i];
        answer->document = altyn_copy(asked->id);
        answer->lines.len = asked->lines.len;
        answer->lines.ptr = calloc(asked->lines.len, sizeof(line_tax));
        bool included = asked->mode == EXPORTS_ALTYN_BILLING_TAX_PRICE_MODE_INCLUDED;
        for (size_t j = 0; j < asked->lines.len; j++) {
            if (!taxed(&asked->lines.ptr[j], included, rate, &answer->lines.ptr[j], err)) return false;
        }
    }
    return true;
}
