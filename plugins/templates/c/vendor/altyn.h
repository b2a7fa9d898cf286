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

/* Whether bytes are UTF-8: what comes over the network may be anything, and an answer that is not ends in a trap. */
ALTYN_FUNCTION bool altyn_is_utf8(altyn_text text) {
    for (size_t i = 0; i < text.len;) {
        uint8_t first = text.ptr[i];
        size_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || more > text.len - i - 1) return false;
        for (size_t j = 1; j <= more; j++) {
            if ((text.ptr[i + j] & 0xC0) != 0x80) return false;
        }
        uint8_t second = more > 0 ? text.ptr[i + 1] : 0;
        /* Longer than needed, surrogates, beyond the last character. */
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
            (first == 0xF4 && second > 0x8F)) {
            return false;
        }
        i += more + 1;
    }
    return true;
}

/* A letter of numbers, of true, false and null. */
ALTYN_FUNCTION bool altyn_is_word(uint8_t letter) {
    uint8_t low = letter | 0x20;
    return (letter >= '0' && letter <= '9') || (low >= 'a' && low <= 'z') || letter == '+' || letter == '-' || letter == '.';
}

/* Takes one value of JSON, whatever it is, and leaves its bytes in `value`; more than `depth` levels do not read. */
ALTYN_FUNCTION bool altyn_take_value(altyn_text *rest, altyn_text *value, int depth) {
    altyn_skip_spaces(rest);
    *value = *rest;
    if (rest->len == 0 || depth == 0) return false;
    char first = (char)*rest->ptr;
    if (first == '"') {
        bool escaped = false;
        do {
            escaped = !escaped && *rest->ptr == '\\';
            rest->ptr++;
            rest->len--;
            if (rest->len == 0 || *rest->ptr < 0x20) return false;
        } while (escaped || *rest->ptr != '"');
        altyn_take(rest, '"');
    } else if (first == '{' || first == '[') {
        char last = first == '{' ? '}' : ']';
        altyn_take(rest, first);
        bool more = !altyn_take(rest, last);
        while (more) {
            altyn_text part;
            if (first == '{' && !(altyn_take_value(rest, &part, depth - 1) && *part.ptr == '"' && altyn_take(rest, ':'))) {
                return false;
            }
            if (!altyn_take_value(rest, &part, depth - 1)) return false;
            more = altyn_take(rest, ',');
            if (!more && !altyn_take(rest, last)) return false;
        }
    } else {
        /* A number, true, false or null; nobody asks which. */
        while (rest->len > 0 && altyn_is_word(*rest->ptr)) {
            rest->ptr++;
            rest->len--;
        }
        if (rest->ptr == value->ptr) return false;
    }
    value->len = (size_t)(rest->ptr - value->ptr);
    return true;
}

ALTYN_FUNCTION bool altyn_hexadecimal(altyn_text text, size_t at, uint32_t *number) {
    *number = 0;
    if (text.len < at + 4) return false;
    for (size_t i = at; i < at + 4; i++) {
        uint8_t digit = text.ptr[i], low = digit | 0x20;
        if (digit >= '0' && digit <= '9') *number = 16 * *number + (uint32_t)(digit - '0');
        else if (low >= 'a' && low <= 'f') *number = 16 * *number + (uint32_t)(low - 'a' + 10);
        else return false;
    }
    return true;
}

/* The text that a value of JSON is, without its escapes; false for values that are no text. */
ALTYN_FUNCTION bool altyn_json_text(altyn_text value, altyn_text *text) {
    static const char SHORT[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (value.len < 2 || *value.ptr != '"' || !altyn_is_utf8(value)) return false;
    *text = (altyn_text){.ptr = malloc(value.len), .len = 0};
    for (size_t i = 1; i + 1 < value.len; i++) {
        if (value.ptr[i] != '\\') {
            text->ptr[text->len++] = value.ptr[i];
            continue;
        }
        char escape = (char)value.ptr[++i];
        if (escape != 'u') {
            size_t known = 0;
            while (known < sizeof SHORT - 1 && SHORT[known] != escape) known += 2;
            if (known >= sizeof SHORT - 1) return false;
            text->ptr[text->len++] = (uint8_t)SHORT[known + 1];
            continue;
        }
        uint32_t letter, low;
        if (!altyn_hexadecimal(value, i + 1, &letter)) return false;
        i += 4;
        if (letter >= 0xD800 && letter < 0xDC00 && i + 2 < value.len && value.ptr[i + 1] == '\\' &&
            value.ptr[i + 2] == 'u' && altyn_hexadecimal(value, i + 3, &low) && low >= 0xDC00 && low < 0xE000) {
            letter = 0x10000 + ((letter - 0xD800) << 10) + (low - 0xDC00);
            i += 6;
        }
        if (letter >= 0xD800 && letter < 0xE000) return false;
        /* An escape is never shorter than the bytes that it stands for. */
        if (letter < 0x80) {
            text->ptr[text->len++] = (uint8_t)letter;
        } else if (letter < 0x800) {
            text->ptr[text->len++] = (uint8_t)(0xC0 | letter >> 6);
        } else if (letter < 0x10000) {
            text->ptr[text->len++] = (uint8_t)(0xE0 | letter >> 12);
            text->ptr[text->len++] = (uint8_t)(0x80 | (letter >> 6 & 0x3F));
        } else {
            text->ptr[text->len++] = (uint8_t)(0xF0 | letter >> 18);
            text->ptr[text->len++] = (uint8_t)(0x80 | (letter >> 12 & 0x3F));
            text->ptr[text->len++] = (uint8_t)(0x80 | (letter >> 6 & 0x3F));
        }
        if (letter >= 0x80) text->ptr[text->len++] = (uint8_t)(0x80 | (letter & 0x3F));
    }
    return true;
}

/* The member of a JSON object that has a name; the last one where there are several. `missing` when there is none. */
typedef enum { ALTYN_FOUND, ALTYN_MISSING, ALTYN_UNREADABLE } altyn_found;

ALTYN_FUNCTION altyn_found altyn_json_member(altyn_text object, const char *name, altyn_text *value) {
    altyn_text rest = object, wanted = altyn_literal(name), member, part, told;
    altyn_found found = ALTYN_MISSING;
    if (!altyn_is_utf8(object) || !altyn_take(&rest, '{')) return ALTYN_UNREADABLE;
    bool more = !altyn_take(&rest, '}');
    while (more) {
        bool reads = altyn_take_value(&rest, &member, 1) && altyn_json_text(member, &told) && altyn_take(&rest, ':') &&
                     altyn_take_value(&rest, &part, 32);
        if (!reads) return ALTYN_UNREADABLE;
        if (altyn_same(told, wanted)) {
            *value = part;
            found = ALTYN_FOUND;
        }
        more = altyn_take(&rest, ',');
        if (!more && !altyn_take(&rest, '}')) return ALTYN_UNREADABLE;
    }
    altyn_skip_spaces(&rest);
    return rest.len == 0 ? found : ALTYN_UNREADABLE;
}

/* A text as JSON writes it, in quotation marks. */
ALTYN_FUNCTION altyn_text altyn_quoted(altyn_text text) {
    static const char DIGITS[] = "0123456789abcdef";
    altyn_text quoted = {.ptr = malloc(6 * text.len + 2), .len = 0};
    quoted.ptr[quoted.len++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte < 0x20) {
            const uint8_t escape[] = {'\\', 'u', '0', '0', (uint8_t)DIGITS[byte >> 4], (uint8_t)DIGITS[byte & 15]};
            memcpy(quoted.ptr + quoted.len, escape, sizeof escape);
            quoted.len += sizeof escape;
            continue;
        }
        if (byte == '"' || byte == '\\') quoted.ptr[quoted.len++] = '\\';
        quoted.ptr[quoted.len++] = byte;
    }
    quoted.ptr[quoted.len++] = '"';
    return quoted;
}

/* An amount in major units with all decimals of its currency: 590.00 for 59000 of exponent 2. */
ALTYN_FUNCTION altyn_text altyn_major(int64_t minor, uint8_t exponent) {
    uint64_t amount = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    altyn_text sign = altyn_literal(minor < 0 ? "-" : ""), digits = altyn_digits(amount, (size_t)exponent + 1);
    altyn_text whole = {.ptr = digits.ptr, .len = digits.len - exponent};
    altyn_text part = {.ptr = digits.ptr + whole.len, .len = exponent};
    return altyn_join(sign, whole, altyn_literal(exponent == 0 ? "" : "."), part);
}

/* Minor units from an amount in major units, exactly: further decimals must be zeros. At most 17 digits. */
ALTYN_FUNCTION bool altyn_minor(altyn_text text, uint8_t exponent, int64_t *minor) {
    size_t decimals = 0, digits = 0;
    bool point = false;
    *minor = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t letter = text.ptr[i];
        if (letter == '.' && !point && digits > 0 && i + 1 < text.len) {
            point = true;
            continue;
        }
        if (letter < '0' || letter > '9') return false;
        if (point && decimals == exponent) {
            if (letter != '0') return false;
            continue;
        }
        if (++digits > 17) return false;
        decimals += point;
        *minor = 10 * *minor + (letter - '0');
    }
    while (decimals++ < exponent) {
        if (++digits > 18) return false;
        *minor *= 10;
    }
    return text.len > 0;
}

#endif
