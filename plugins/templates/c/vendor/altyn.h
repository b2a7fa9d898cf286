/* Helpers for plugins in C: texts, whole numbers, settings. Include it once, after the header of the world:
 *
 *     #include "tax_rule.h"
 *     #define ALTYN_TEXT tax_rule_string_t
 *     #include "altyn.h"
 *
 * Texts are bytes with a length, not ended by a zero. Memory is never given back within a call, see runtime.c. */
#ifndef ALTYN_H
#define ALTYN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stdlib.h"
#include "string.h"

/* The text type of the world: a pointer and a length. */
typedef ALTYN_TEXT altyn_text;

/* Not every plugin uses all of them. */
#define ALTYN_FUNCTION static inline __attribute__((unused))

/* A text that stands in the program. */
ALTYN_FUNCTION altyn_text altyn_literal(const char *text) {
    return (altyn_text){.ptr = (uint8_t *)text, .len = strlen(text)};
}

ALTYN_FUNCTION bool altyn_same(altyn_text a, altyn_text b) {
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* A text of its own with the parts one after the other. */
ALTYN_FUNCTION altyn_text altyn_joined(const altyn_text *parts, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += parts[i].len;
    altyn_text all = {.ptr = malloc(bytes), .len = bytes};
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(all.ptr + at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return all;
}

/* altyn_join(altyn_literal("line "), line.id, altyn_literal(": ...")) */
#define altyn_join(...) \
    altyn_joined((altyn_text[]){__VA_ARGS__}, sizeof((altyn_text[]){__VA_ARGS__}) / sizeof(altyn_text))

/* The same text in memory of its own: what is answered must not be shared with what was asked. */
ALTYN_FUNCTION altyn_text altyn_copy(altyn_text text) { return altyn_joined(&text, 1); }

/* The digits of a number, with zeros in front up to a width. */
ALTYN_FUNCTION altyn_text altyn_digits(uint64_t number, size_t width) {
    uint8_t reversed[32];
    size_t count = 0;
    do {
        reversed[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count < width && count < sizeof reversed) reversed[count++] = '0';
    altyn_text text = {.ptr = malloc(count), .len = count};
    for (size_t i = 0; i < count; i++) text.ptr[i] = reversed[count - 1 - i];
    return text;
}

/* amount * part / whole, rounded half-up away from zero, without a wider type: 0 <= part <= whole, 0 < whole < 2^31. */
ALTYN_FUNCTION int64_t altyn_part(int64_t amount, int64_t part, int64_t whole) {
    int64_t quotient = amount / whole, rest = amount % whole;
    int64_t sign = rest < 0 ? -1 : 1, numerator = sign * rest * part;
    return quotient * part + sign * ((2 * numerator + whole) / (2 * whole));
}

/* Days since 1 March of the year 0 in the proleptic Gregorian calendar; differences of them are days. */
ALTYN_FUNCTION int64_t altyn_day(int32_t year, uint8_t month, uint8_t day) {
    int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    int64_t leap = y / 4 - y / 100 + y / 400;
    return 365 * y + leap + (153 * m + 2) / 5 + day - 1;
}

/* A setting of the configuration: "name": 20 or "name": "text". */
typedef struct {
    altyn_text name;
    bool is_text;
    altyn_text text;
    int64_t number;
} altyn_setting;

typedef struct {
    altyn_setting all[32];
    size_t count;
    /* Why the configuration does not read; empty when it does. */
    altyn_text wrong;
} altyn_settings;

ALTYN_FUNCTION void altyn_skip_spaces(altyn_text *rest) {
    while (rest->len > 0 && (*rest->ptr == ' ' || *rest->ptr == '\n' || *rest->ptr == '\r' || *rest->ptr == '\t')) {
        rest->ptr++;
        rest->len--;
    }
}

ALTYN_FUNCTION bool altyn_take(altyn_text *rest, char expected) {
    altyn_skip_spaces(rest);
    if (rest->len == 0 || *rest->ptr != (uint8_t)expected) return false;
    rest->ptr++;
    rest->len--;
    return true;
}

/* A text in quotation marks, without escapes. */
ALTYN_FUNCTION bool altyn_take_text(altyn_text *rest, altyn_text *text) {
    if (!altyn_take(rest, '"')) return false;
    text->ptr = rest->ptr;
    text->len = 0;
    while (rest->len > 0 && *rest->ptr != '"') {
        if (*rest->ptr == '\\' || *rest->ptr < 0x20) return false;
        rest->ptr++;
        rest->len--;
        text->len++;
    }
    return altyn_take(rest, '"');
}

/* A whole number of at most 15 digits. */
ALTYN_FUNCTION bool altyn_take_number(altyn_text *rest, int64_t *number) {
    altyn_skip_spaces(rest);
    bool negative = altyn_take(rest, '-');
    size_t digits = 0;
    *number = 0;
    while (rest->len > 0 && *rest->ptr >= '0' && *rest->ptr <= '9') {
        *number = 10 * *number + (*rest->ptr - '0');
        rest->ptr++;
        rest->len--;
        if (++digits > 15) return false;
    }
    if (negative) *number = -*number;
    return digits > 0;
}

/* Reads a configuration that is an object of whole numbers and texts; empty text stands for {}. */
ALTYN_FUNCTION altyn_settings altyn_read_settings(altyn_text config) {
    altyn_settings settings = {.count = 0, .wrong = {.ptr = NULL, .len = 0}};
    altyn_text rest = config;
    altyn_skip_spaces(&rest);
    if (rest.len == 0) return settings;
    bool reads = altyn_take(&rest, '{');
    bool more = reads && !altyn_take(&rest, '}');
    while (reads && more) {
        altyn_setting *setting = &settings.all[settings.count];
        reads = settings.count < sizeof settings.all / sizeof *settings.all && altyn_take_text(&rest, &setting->name) &&
                altyn_take(&rest, ':');
        if (!reads) break;
        altyn_skip_spaces(&rest);
        setting->is_text = rest.len > 0 && *rest.ptr == '"';
        reads = setting->is_text ? altyn_take_text(&rest, &setting->text) : altyn_take_number(&rest, &setting->number);
        settings.count++;
        more = reads && altyn_take(&rest, ',');
        if (reads && !more) reads = altyn_take(&rest, '}');
    }
    altyn_skip_spaces(&rest);
    if (!reads || rest.len > 0) {
        settings.wrong = altyn_literal("the configuration is not an object of whole numbers and texts without escapes");
    }
    return settings;
}

#endif
