/* How it works: value() is a loop, not a recursion. One bit per open bracket
 * says whether it is an object. The names of all open objects lie on one stack
 * (`keys`), each object remembering where its own begin, so that duplicates are
 * found by comparing inside one object only: pairwise while they are few, by
 * sorting once they are many. Sorting goes by hash, then by name, so that names
 * chosen to collide cost no more than others.
 */
#include "base/json_scan.h"

#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* From this many names on, an object is checked by sorting, at its end. */
#define SORT_FROM 24U

struct key {
    struct gd_span quoted;
    uint32_t hash; /* of the decoded name */
};

struct gd_json_keys {
    struct key *stack;
    size_t n;
    size_t cap;
    struct level {
        size_t base; /* where its names begin */
        bool is_object;
    } levels[]; /* max_depth + 1; the first is not used */
};

static bool fail(struct gd_json_cursor *c, const char *at, const char *what)
{
    if (!c->fault.what)
        c->fault = (struct gd_json_fault){.what = what, .offset = (size_t)(at - c->start)};
    return false;
}

static bool fail_memory(struct gd_json_cursor *c)
{
    (void)fail(c, c->at, "out of memory");
    c->fault.no_memory = true;
    return false;
}

void gd_json_cursor_init(struct gd_json_cursor *c, struct gd_span text, unsigned max_depth)
{
    *c = (struct gd_json_cursor){
        .start = text.ptr,
        .at = text.ptr,
        .end = text.ptr + text.len,
        .max_depth = max_depth < GD_JSON_MAX_DEPTH ? max_depth : GD_JSON_MAX_DEPTH,
        .nul_offset = SIZE_MAX,
    };
}

void gd_json_cursor_done(struct gd_json_cursor *c)
{
    if (c->keys)
        free(c->keys->stack);
    free(c->keys);
    c->keys = NULL;
}

static void skip_space(struct gd_json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

char gd_json_peek(struct gd_json_cursor *c)
{
    skip_space(c);
    return c->at < c->end ? *c->at : '\0';
}

static int hex_digit(char h)
{
    if (h >= '0' && h <= '9')
        return h - '0';
    h |= 0x20;
    return h >= 'a' && h <= 'f' ? h - 'a' + 10 : -1;
}

/* The four digits of \uXXXX; -1 if they are not. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        value = value << 4 | d;
    }
    return value;
}

/* Reads what follows a backslash at `*p` and moves past it. -1: no such escape,
 * -2: half a surrogate pair. */
static int32_t escape(const char **p, const char *end)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (*p >= end)
        return -1;
    char c = *(*p)++;
    const char *name = c ? strchr(names, c) : NULL;
    if (name)
        return values[name - names];
    int32_t u = c == 'u' ? hex4(*p, end) : -1;
    if (u < 0)
        return -1;
    *p += 4;
    if (u < 0xd800 || u > 0xdfff)
        return u;
    int32_t low =
        u < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return -2;
    *p += 6;
    return 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
}

/* Bytes of a string that need no second look: not '"', '\\', control, non-ASCII. */
static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t quote = w ^ 0x2222222222222222U;
        uint64_t slash = w ^ 0x5c5c5c5c5c5c5c5cU;
        uint64_t odd = ((quote - 0x0101010101010101U) & ~quote) |
                       ((slash - 0x0101010101010101U) & ~slash) | (w - 0x2020202020202020U) | w;
        if (odd & 0x8080808080808080U)
            break;
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* Consumes a string; `ret` gets it with its quotes. */
static bool string(struct gd_json_cursor *c, struct gd_span *ret)
{
    const char *p = c->at + 1;
    for (;;) {
        p = skip_plain(p, c->end);
        if (p >= c->end)
            return fail(c, c->end, "the text ends inside a string");
        if (*p == '"')
            break;
        if ((unsigned char)*p >= 0x80) {
            unsigned n = gd_utf8_len(p, (size_t)(c->end - p));
            if (n == 0)
                return fail(c, p, "not UTF-8");
            p += n;
            continue;
        }
        if (*p != '\\')
            return fail(c, p, "a raw control character in a string");
        const char *esc = p++;
        int32_t code = escape(&p, c->end);
        if (code < 0)
            return fail(c, esc, code == -2 ? "half a surrogate pair" : "no such escape");
        if (code == 0 && c->nul_offset == SIZE_MAX)
            c->nul_offset = (size_t)(esc - c->start);
    }
    *ret = (struct gd_span){.ptr = c->at, .len = (size_t)(p + 1 - c->at)};
    c->at = p + 1;
    return true;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* A number has at most 308 digits before its point or a double could not hold
 * it; only those near the limit are converted to see. Errors: -ERANGE, -ENOMEM. */
static int fits_double(const char *from, const char *to)
{
    size_t n = (size_t)(to - from);
    if (n < 300 && !memchr(from, 'e', n) && !memchr(from, 'E', n))
        return 0;
    struct gd_buf text = {0};
    gd_buf_put(&text, from, n);
    gd_buf_putc(&text, '\0');
    int rc = gd_buf_error(&text);
    if (rc == 0 && !isfinite(strtod(text.ptr, NULL)))
        rc = -ERANGE;
    gd_buf_free(&text);
    return rc;
}

static bool number(struct gd_json_cursor *c)
{
    const char *p = c->at + (*c->at == '-');
    const char *digits = p;
    p = skip_digits(p, c->end);
    if (p == digits)
        return fail(c, c->at, "not a JSON value");
    if (*digits == '0' && p - digits > 1)
        return fail(c, digits, "a number with a leading zero");
    if (p < c->end && *p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p, c->end);
        if (p == fraction)
            return fail(c, p, "a number without a digit after its point");
    }
    if (p < c->end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < c->end && (*p == '+' || *p == '-');
        const char *exponent = p;
        p = skip_digits(p, c->end);
        if (p == exponent)
            return fail(c, p, "a number without a digit in its exponent");
    }
    int rc = fits_double(c->at, p);
    if (rc < 0)
        return rc == -ENOMEM ? fail_memory(c) : fail(c, c->at, "a number that is too large");
    c->at = p;
    return true;
}

static bool word(struct gd_json_cursor *c, const char *text, size_t n)
{
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
        return fail(c, c->at, "not a JSON value");
    c->at += n;
    return true;
}

static bool scalar(struct gd_json_cursor *c)
{
    struct gd_span ignored;
    switch (c->at < c->end ? *c->at : '\0') {
    case '"':
        return string(c, &ignored);
    case 't':
        return word(c, "true", 4);
    case 'f':
        return word(c, "false", 5);
    case 'n':
        return word(c, "null", 4);
    default:
        return c->at < c->end ? number(c) : fail(c, c->at, "the text ends where a value should be");
    }
}

/* Walks the bytes that a quoted string (checked) stands for. */
struct reader {
    const char *p;
    const char *end;
    char bytes[4]; /* of the last escape */
    unsigned n;
    unsigned at; /* the next of them */
};

static struct reader read_quoted(struct gd_span quoted)
{
    return (struct reader){.p = quoted.ptr + 1, .end = quoted.ptr + quoted.len - 1};
}

/* -1 at the end. */
static int next_byte(struct reader *r)
{
    if (r->at < r->n)
        return (unsigned char)r->bytes[r->at++];
    if (r->p >= r->end)
        return -1;
    if (*r->p != '\\')
        return (unsigned char)*r->p++;
    r->p++;
    r->n = gd_utf8_encode(r->bytes, (uint32_t)escape(&r->p, r->end));
    r->at = 1;
    return (unsigned char)r->bytes[0];
}

static uint32_t name_hash(struct gd_span quoted)
{
    struct reader r = read_quoted(quoted);
    uint32_t h = 2166136261U; /* FNV-1a */
    for (int c = next_byte(&r); c >= 0; c = next_byte(&r))
        h = (h ^ (uint32_t)c) * 16777619U;
    return h;
}

static int compare_names(struct gd_span a, struct gd_span b)
{
    struct reader ra = read_quoted(a);
    struct reader rb = read_quoted(b);
    for (;;) {
        int ca = next_byte(&ra);
        int cb = next_byte(&rb);
        if (ca != cb)
            return ca < cb ? -1 : 1;
        if (ca < 0)
            return 0;
    }
}

void gd_json_unquote(struct gd_span quoted, struct gd_buf *to)
{
    const char *p = quoted.ptr + 1;
    const char *end = quoted.ptr + quoted.len - 1;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        gd_buf_put(to, p, (size_t)((slash ? slash : end) - p));
        if (!slash)
            return;
        p = slash + 1;
        char out[4];
        unsigned n = gd_utf8_encode(out, (uint32_t)escape(&p, end));
        gd_buf_put(to, out, n);
    }
}

bool gd_json_name_is(struct gd_span name, const char *literal)
{
    struct reader r = read_quoted(name);
    for (; *literal; literal++)
        if (next_byte(&r) != (unsigned char)*literal)
            return false;
    return next_byte(&r) < 0;
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *ka = a;
    const struct key *kb = b;
    if (ka->hash != kb->hash)
        return ka->hash < kb->hash ? -1 : 1;
    return compare_names(ka->quoted, kb->quoted);
}

/* At the end of an object with many names: sorts them and compares neighbours. */
static bool check_many(struct gd_json_cursor *c, size_t base)
{
    struct key *keys = c->keys->stack + base;
    size_t n = c->keys->n - base;
    if (n < SORT_FROM)
        return true;
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i + 1 < n; i++)
        if (compare_keys(&keys[i], &keys[i + 1]) == 0) {
            const char *a = keys[i].quoted.ptr;
            const char *b = keys[i + 1].quoted.ptr;
            return fail(c, a > b ? a : b, "a name that this object has already");
        }
    return true;
}

static bool push_key(struct gd_json_cursor *c, size_t base, struct gd_span name)
{
    struct gd_json_keys *keys = c->keys;
    if (keys->n == keys->cap) {
        size_t cap = keys->cap ? keys->cap * 2 : 32;
        struct key *stack = realloc(keys->stack, cap * sizeof(*stack));
        if (!stack)
            return fail_memory(c);
        keys->stack = stack;
        keys->cap = cap;
    }
    uint32_t hash = name_hash(name);
    if (keys->n - base < SORT_FROM)
        for (size_t i = base; i < keys->n; i++)
            if (keys->stack[i].hash == hash && compare_names(keys->stack[i].quoted, name) == 0)
                return fail(c, name.ptr, "a name that this object has already");
    keys->stack[keys->n++] = (struct key){.quoted = name, .hash = hash};
    return true;
}

/* Consumes `"name" :`. */
static bool name_and_colon(struct gd_json_cursor *c, struct gd_span *ret_name)
{
    if (gd_json_peek(c) != '"')
        return fail(c, c->at, "a name in quotes must come here");
    if (!string(c, ret_name))
        return false;
    if (gd_json_peek(c) != ':')
        return fail(c, c->at, "a colon must come here");
    c->at++;
    return true;
}

static bool member_name(struct gd_json_cursor *c, unsigned depth)
{
    struct gd_span name = {0};
    return name_and_colon(c, &name) && push_key(c, c->keys->levels[depth].base, name);
}

/* Opens a bracket. `*again` says whether a value must follow. */
static bool open_bracket(struct gd_json_cursor *c, unsigned *depth, bool *again)
{
    if (*depth == c->max_depth)
        return fail(c, c->at, "nested too deeply");
    if (!c->keys)
        c->keys = calloc(1, sizeof(*c->keys) + (c->max_depth + 1) * sizeof(c->keys->levels[0]));
    if (!c->keys)
        return fail_memory(c);
    bool object = *c->at++ == '{';
    ++*depth;
    c->keys->levels[*depth].is_object = object;
    c->keys->levels[*depth].base = c->keys->n;
    *again = gd_json_peek(c) != (object ? '}' : ']');
    return !*again || !object || member_name(c, *depth);
}

/* After a value: closes brackets and takes commas, until a value must follow
 * (`*again`) or the outermost bracket is closed. */
static bool close_brackets(struct gd_json_cursor *c, unsigned *depth, bool *again)
{
    *again = false;
    while (*depth > 0) {
        bool object = c->keys->levels[*depth].is_object;
        char next = gd_json_peek(c);
        if (next == ',') {
            c->at++;
            *again = true;
            return !object || member_name(c, *depth);
        }
        if (c->at >= c->end)
            return fail(c, c->at,
                        object ? "the text ends inside an object"
                               : "the text ends inside an array");
        if (next != (object ? '}' : ']'))
            return fail(c, c->at, "a comma or the closing bracket must come here");
        c->at++;
        if (!check_many(c, c->keys->levels[*depth].base))
            return false;
        c->keys->n = c->keys->levels[*depth].base;
        --*depth;
    }
    return true;
}

bool gd_json_value(struct gd_json_cursor *c, struct gd_span *ret_value)
{
    if (c->fault.what)
        return false;
    unsigned depth = 0;
    bool again = true;
    if (c->keys)
        c->keys->n = 0;
    skip_space(c);
    const char *start = c->at;
    while (again) {
        char next = gd_json_peek(c);
        if (next == '[' || next == '{') {
            if (!open_bracket(c, &depth, &again))
                return false;
            if (again)
                continue;
        } else if (!scalar(c)) {
            return false;
        }
        if (!close_brackets(c, &depth, &again))
            return false;
    }
    *ret_value = (struct gd_span){.ptr = start, .len = (size_t)(c->at - start)};
    return true;
}

void gd_json_open(struct gd_json_cursor *c)
{
    c->at++;
}

/* The common part of the two walks: comma or closing bracket. */
static bool next_item(struct gd_json_cursor *c, bool *first, char closing)
{
    if (c->fault.what)
        return false;
    char next = gd_json_peek(c);
    if (next == closing && c->at < c->end && *c->at == closing) {
        c->at++;
        return false;
    }
    if (*first) {
        *first = false;
        return true;
    }
    if (next != ',')
        return fail(c, c->at,
                    c->at < c->end ? "a comma or the closing bracket must come here"
                                   : "the text ends before its closing bracket");
    c->at++;
    return true;
}

bool gd_json_next_element(struct gd_json_cursor *c, bool *first)
{
    return next_item(c, first, ']');
}

bool gd_json_next_member(struct gd_json_cursor *c, bool *first, struct gd_span *ret_name)
{
    return next_item(c, first, '}') && name_and_colon(c, ret_name);
}

bool gd_json_end(struct gd_json_cursor *c)
{
    if (c->fault.what)
        return false;
    skip_space(c);
    return c->at == c->end || fail(c, c->at, "more text after the end of the document");
}

bool gd_json_check(struct gd_span text, unsigned max_depth, struct gd_json_fault *ret_fault)
{
    struct gd_json_cursor c;
    struct gd_span value;
    gd_json_cursor_init(&c, text, max_depth);
    bool good = gd_json_value(&c, &value) && gd_json_end(&c);
    *ret_fault = c.fault;
    gd_json_cursor_done(&c);
    return good;
}
