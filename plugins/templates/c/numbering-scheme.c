/* Numbers such as INV-2026-000042, counted anew each year. */
#include "numbering_scheme.h"
#define ALTYN_TEXT numbering_scheme_string_t
#include "altyn.h"

typedef exports_altyn_billing_numbering_context_t context;
typedef exports_altyn_billing_numbering_fault_t fault;
typedef exports_altyn_billing_numbering_draft_t draft;
typedef exports_altyn_billing_numbering_sequence_t sequence;

/* The JSON Schema of the configuration; the operator's form is made from it. */
static const char SCHEMA[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"additionalProperties\":false,"
    "\"properties\":{\"prefix\":{\"title\":\"What every number begins with\",\"type\":\"string\",\"minLength\":1,"
    "\"maxLength\":20,\"default\":\"INV\"}}}";

void exports_altyn_billing_metadata_describe(exports_altyn_billing_metadata_descriptor_t *ret) {
    *ret = (exports_altyn_billing_metadata_descriptor_t){
        .id = altyn_copy(altyn_literal("{{name}}")),
        .version = altyn_copy(altyn_literal("1.0.0")),
        .title = altyn_copy(altyn_literal("Numbers by year")),
        .config_schema = altyn_copy(altyn_literal(SCHEMA)),
    };
}

static bool refused(fault *err, altyn_text why) {
    err->tag = ALTYN_BILLING_TYPES_FAULT_MISCONFIGURED;
    err->val.misconfigured = altyn_copy(why);
    return false;
}

static bool configured(context *ctx, altyn_text *prefix, fault *err) {
    altyn_settings settings = altyn_read_settings(ctx->config);
    if (settings.wrong.len > 0) return refused(err, settings.wrong);
    *prefix = altyn_literal("INV");
    for (size_t i = 0; i < settings.count; i++) {
        altyn_setting setting = settings.all[i];
        if (!altyn_same(setting.name, altyn_literal("prefix"))) {
            return refused(err, altyn_join(altyn_literal("unknown setting "), setting.name));
        }
        if (!setting.is_text || setting.text.len == 0 || setting.text.len > 40) {
            return refused(err, altyn_literal("prefix must be a text of 1 to 20 characters"));
        }
        *prefix = setting.text;
    }
    return true;
}

static altyn_text year(draft *draft) { return altyn_digits((uint64_t)draft->issued_on.year, 4); }

bool exports_altyn_billing_numbering_sequences(context *ctx, exports_altyn_billing_numbering_list_draft_t *drafts,
                                               exports_altyn_billing_numbering_list_sequence_t *ret, fault *err) {
    altyn_text prefix;
    if (!configured(ctx, &prefix, err)) return false;
    ret->len = drafts->len;
    ret->ptr = calloc(drafts->len, sizeof(sequence));
    for (size_t i = 0; i < drafts->len; i++) {
        draft *asked = &drafts->ptr[i];
        ret->ptr[i] = (sequence){.key = altyn_join(asked->kind, altyn_literal("/"), year(asked)), .start = 1};
    }
    return true;
}

bool exports_altyn_billing_numbering_numbers(context *ctx, exports_altyn_billing_numbering_list_draft_t *drafts,
                                             numbering_scheme_list_u64_t *values, numbering_scheme_list_string_t *ret,
                                             fault *err) {
    altyn_text prefix;
    if (!configured(ctx, &prefix, err)) return false;
    altyn_text dash = altyn_literal("-");
    ret->len = drafts->len;
    ret->ptr = calloc(drafts->len, sizeof(altyn_text));
    for (size_t i = 0; i < drafts->len; i++) {
        ret->ptr[i] = altyn_join(prefix, dash, year(&drafts->ptr[i]), dash, altyn_digits(values->ptr[i], 6));
    }
    return true;
}
