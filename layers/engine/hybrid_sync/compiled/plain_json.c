/* Strict JSON (RFC 8259) that jsonb can store, of the usual kind.
 *
 * Everything that is not usual is "not plain": numbers with an exponent or very many digits, an escape in the name of a
 * member, deep nesting, very many members.  Whoever asks then has Python decide (catalog/json_text.py), which is also
 * the only one that refuses.  So this may answer no too often, and yes never wrongly. */
#include "plain_json.h"

#include <stdint.h>

enum { DEEPEST = 32, MOST_NAMES = 256, MOST_DIGITS = 1000 };

typedef const unsigned char *Place; /* NULL: not plain */

typedef struct {
    Place at;
    size_t size;
} Name;

typedef struct {
    Place end;
    Name names[MOST_NAMES]; /* of the objects that are open, one behind the other */
    size_t named;
    int depth;
} Text;

static Place value(Text *text, Place at);

static Place blanks(const Text *text, Place at) {
    while (at < text->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

static int is_digit(const Text *text, Place at) { return at < text->end && *at >= '0' && *at <= '9'; }

/* Four hexadecimal digits; -1 if they are not. */
static int32_t hex4(const Text *text, Place at) {
    if (text->end - at < 4) return -1;
    int32_t code = 0;
    for (int n = 0; n < 4; n++) {
        unsigned char c = at[n];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* `at` is behind the backslash. */
static Place escape(const Text *text, Place at) {
    if (at == text->end) return NULL;
    switch (*at++) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return at;
    case 'u': {
        int32_t code = hex4(text, at);
        at += 4;
        if (code <= 0 || (code >= 0xDC00 && code <= 0xDFFF)) return NULL;
        if (code < 0xD800 || code > 0xDFFF) return at;
        if (text->end - at < 6 || at[0] != '\\' || at[1] != 'u') return NULL;
        int32_t second = hex4(text, at + 2);
        return second >= 0xDC00 && second <= 0xDFFF ? at + 6 : NULL;
    }
    default:
        return NULL;
    }
}

/* A character of more than one byte (RFC 3629, section 4); `at` is behind its first one. */
static Place utf8(const Text *text, unsigned char first, Place at) {
    if (first < 0xC2 || first > 0xF4) return NULL;
    int more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    if (text->end - at < more) return NULL;
    unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at[0] < least || at[0] > most) return NULL;
    for (int n = 1; n < more; n++)
        if (at[n] < 0x80 || at[n] > 0xBF) return NULL;
    return at + more;
}

/* `at` is behind the opening quote; the answer behind the closing one. */
static Place string(const Text *text, Place at, int *escaped) {
    while (at < text->end) {
        unsigned char c = *at++;
        if (c == '"') return at;
        if (c == '\\') {
            *escaped = 1;
            at = escape(text, at);
        } else if (c >= 0x80) {
            at = utf8(text, c, at);
        } else if (c < 0x20) {
            return NULL;
        }
        if (at == NULL) return NULL;
    }
    return NULL;
}

static Place number(const Text *text, Place at) {
    Place first = at;
    if (*at == '-') at++;
    if (!is_digit(text, at)) return NULL;
    if (*at == '0') at++;
    else while (is_digit(text, at)) at++;
    if (at < text->end && *at == '.') {
        at++;
        if (!is_digit(text, at)) return NULL;
        while (is_digit(text, at)) at++;
    }
    if (at < text->end && (*at | 0x20) == 'e') return NULL;
    return at - first > MOST_DIGITS ? NULL : at;
}

static Place word(const Text *text, Place at, const char *letters, size_t size) {
    return (size_t)(text->end - at) >= size && __builtin_memcmp(at, letters, size) == 0 ? at + size : NULL;
}

/* Each name once: jsonb keeps the last of several without a word. */
static int add_name(Text *text, size_t first, Place at, size_t size) {
    if (text->named == MOST_NAMES) return 0;
    for (size_t n = first; n < text->named; n++)
        if (text->names[n].size == size && __builtin_memcmp(text->names[n].at, at, size) == 0) return 0;
    text->names[text->named++] = (Name){at, size};
    return 1;
}

/* `at` is at a name's opening quote. */
static Place member(Text *text, Place at, size_t first) {
    int escaped = 0;
    if (at == text->end || *at != '"') return NULL;
    Place begin = at + 1;
    at = string(text, begin, &escaped);
    if (at == NULL || escaped || !add_name(text, first, begin, (size_t)(at - 1 - begin))) return NULL;
    at = blanks(text, at);
    if (at == text->end || *at != ':') return NULL;
    return value(text, at + 1);
}

/* An object or an array; `at` is behind its opening bracket. */
static Place members(Text *text, Place at, unsigned char closing) {
    size_t first = text->named;
    if (text->depth == DEEPEST) return NULL;
    text->depth++;
    at = blanks(text, at);
    if (at < text->end && *at == closing) {
        at++;
    } else {
        for (;;) {
            at = closing == '}' ? member(text, blanks(text, at), first) : value(text, at);
            if (at == NULL) return NULL;
            at = blanks(text, at);
            if (at == text->end) return NULL;
            unsigned char c = *at++;
            if (c == closing) break;
            if (c != ',') return NULL;
        }
    }
    text->named = first;
    text->depth--;
    return at;
}

static Place value(Text *text, Place at) {
    int escaped = 0;
    at = blanks(text, at);
    if (at == text->end) return NULL;
    switch (*at) {
    case '{': return members(text, at + 1, '}');
    case '[': return members(text, at + 1, ']');
    case '"': return string(text, at + 1, &escaped);
    case 't': return word(text, at, "true", 4);
    case 'f': return word(text, at, "false", 5);
    case 'n': return word(text, at, "null", 4);
    default: return number(text, at);
    }
}

int plain_json(const unsigned char *bytes, size_t size) {
    Text text;
    text.end = bytes + size;
    text.named = 0;
    text.depth = 0;
    Place at = value(&text, bytes);
    return at != NULL && blanks(&text, at) == text.end;
}
