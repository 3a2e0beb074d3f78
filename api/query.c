#include "api/query.h"

#include "base/parse.h"
#include "base/suggest.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place, NUL-terminates. False: a bad escape, a NUL or not UTF-8. */
static bool decode(char *s, size_t n)
{
    size_t to = 0;
    for (size_t at = 0; at < n; at++) {
        char c = s[at];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = at + 2 < n ? hex(s[at + 1]) : -1;
            int low = at + 2 < n ? hex(s[at + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            at += 2;
        }
        if (c == '\0')
            return false;
        s[to++] = c;
    }
    s[to] = '\0';
    return gd_utf8_valid(s, to);
}

static bool is_known(const char *name, const char *const *known)
{
    for (; *known; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

static int unknown(const char *name, const char *const *known, struct gd_err *err)
{
    const char *meant = gd_suggest((struct gd_span){name, strlen(name)}, known);
    return gd_err_set(err, GD_E_BAD_JOB,
                      meant ? "unknown query parameter \"%.64s\"; did you mean \"%s\"?"
                            : "unknown query parameter \"%.64s\"%s",
                      name, meant ? meant : "");
}

static int add(struct gd_params *p, char *item, size_t n, const char *const *known,
               struct gd_err *err)
{
    char *equals = memchr(item, '=', n);
    size_t n_name = equals ? (size_t)(equals - item) : n;
    char *value = equals ? equals + 1 : item + n;
    if (n == 0)
        return 0;
    if (p->n == GD_QUERY_MAX)
        return gd_err_set(err, GD_E_BAD_JOB, "more than %d query parameters", GD_QUERY_MAX);
    if ((equals && !decode(value, n - n_name - 1)) || !decode(item, n_name))
        return gd_err_set(err, GD_E_BAD_JOB, "the query has a bad percent escape");
    if (!is_known(item, known))
        return unknown(item, known, err);
    p->items[p->n++] = (struct gd_param){.name = item, .value = equals ? value : ""};
    return 0;
}

int gd_params_parse(struct gd_params *p, struct gd_span query, const char *const *known,
                    struct gd_err *err)
{
    *p = (struct gd_params){0};
    if (query.len == 0)
        return 0;
    p->text = strndup(query.ptr, query.len);
    if (!p->text)
        return gd_err_set(err, -ENOMEM, "out of memory");
    int rc = 0;
    char *at = p->text;
    while (rc == 0 && at) {
        char *end = strchr(at, '&');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        char *next = end ? end + 1 : NULL;
        at[n] = '\0';
        rc = add(p, at, n, known, err);
        at = next;
    }
    if (rc < 0)
        gd_params_free(p);
    return rc;
}

void gd_params_free(struct gd_params *p)
{
    free(p->text);
    *p = (struct gd_params){0};
}

const char *gd_params_get(const struct gd_params *p, const char *name)
{
    for (size_t i = p->n; i > 0; i--)
        if (strcmp(p->items[i - 1].name, name) == 0)
            return p->items[i - 1].value;
    return NULL;
}

int gd_params_u64(const struct gd_params *p, const char *name, uint64_t max, uint64_t *ret,
                  struct gd_err *err)
{
    const char *value = gd_params_get(p, name);
    if (!value)
        return 0;
    if (gd_parse_u64((struct gd_span){value, strlen(value)}, max, ret) == 0)
        return 0;
    return gd_err_set(err, GD_E_BAD_JOB, "%s must be a number between 0 and %llu", name,
                      (unsigned long long)max);
}

int gd_params_bool(const struct gd_params *p, const char *name, bool *ret, struct gd_err *err)
{
    static const char *const yes[] = {"1", "true", "yes", ""};
    static const char *const no[] = {"0", "false", "no"};
    const char *value = gd_params_get(p, name);
    if (!value)
        return 0;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcmp(value, yes[i]) == 0) {
            *ret = true;
            return 0;
        }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (strcmp(value, no[i]) == 0) {
            *ret = false;
            return 0;
        }
    return gd_err_set(err, GD_E_BAD_JOB, "%s must be true or false", name);
}

int gd_params_duration(const struct gd_params *p, const char *name, int64_t max_ms, int64_t *ret_ms,
                       struct gd_err *err)
{
    const char *value = gd_params_get(p, name);
    int64_t ms = 0;
    if (!value)
        return 0;
    if (gd_parse_duration(value, &ms) == 0 && ms <= max_ms) {
        *ret_ms = ms;
        return 0;
    }
    return gd_err_set(err, GD_E_BAD_JOB, "%s must be between 0 and %lld seconds", name,
                      (long long)(max_ms / 1000));
}
