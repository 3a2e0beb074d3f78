#include "client/shape.h"

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/parse.h"
#include "base/state.h"
#include "client/error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool gather_copy(struct gd_span text, char **to)
{
    char *copy = strndup(text.ptr, text.len);
    if (!copy)
        return false;
    free(*to);
    *to = copy;
    return true;
}

enum gather_code gather_read_text(struct gd_span value, char **to)
{
    if (value.ptr[0] != '"')
        return GATHER_E_PROTOCOL;
    struct gd_buf plain = {0};
    gd_json_unquote(value, &plain);
    char *text = gd_buf_take(&plain, NULL);
    gd_buf_free(&plain);
    if (!text)
        return GATHER_E_NO_MEMORY;
    free(*to);
    *to = text;
    return GATHER_OK;
}

enum gather_code gather_read_id(struct gd_span value, uint64_t *to)
{
    int64_t n = 0;
    if (gd_parse_json_int(value, 1, GATHER_INT_MAX, &n) < 0)
        return GATHER_E_PROTOCOL;
    *to = (uint64_t)n;
    return GATHER_OK;
}

static enum gather_code read_int(struct gd_span value, int64_t *to)
{
    int rc = gd_parse_json_int(value, -GATHER_INT_MAX, GATHER_INT_MAX, to);
    return rc < 0 ? GATHER_E_PROTOCOL : GATHER_OK;
}

static enum gather_code read_bool(struct gd_span value, bool *to)
{
    if (value.ptr[0] != 't' && value.ptr[0] != 'f')
        return GATHER_E_PROTOCOL;
    *to = value.ptr[0] == 't';
    return GATHER_OK;
}

static enum gather_code read_state(struct gd_span value, enum gather_state *to)
{
    for (int s = GATHER_PENDING; value.ptr[0] == '"' && s <= GATHER_CANCELLED; s++) {
        if (!gd_json_name_is(value, gather_state_name((enum gather_state)s)))
            continue;
        *to = (enum gather_state)s;
        return GATHER_OK;
    }
    return GATHER_E_PROTOCOL;
}

static enum gather_code read_time(struct gd_span value, int64_t *to)
{
    if (value.ptr[0] != '"')
        return GATHER_E_PROTOCOL;
    struct gd_span inside = {value.ptr + 1, value.len - 2};
    return gd_clock_parse(inside, to) < 0 ? GATHER_E_PROTOCOL : GATHER_OK;
}

static enum gather_code read_field(const struct gather_field *f, struct gd_span value, char *to)
{
    switch (f->as) {
    case GATHER_AS_ID:
        return gather_read_id(value, (uint64_t *)(void *)to);
    case GATHER_AS_INT:
        return read_int(value, (int64_t *)(void *)to);
    case GATHER_AS_TEXT:
        return gather_read_text(value, (char **)(void *)to);
    case GATHER_AS_BOOL:
        return read_bool(value, (bool *)to);
    case GATHER_AS_STATE:
        return read_state(value, (enum gather_state *)(void *)to);
    case GATHER_AS_TIME:
        return read_time(value, (int64_t *)(void *)to);
    case GATHER_AS_JSON:
    case GATHER_AS_VALUE:
        return gather_copy(value, (char **)(void *)to) ? GATHER_OK : GATHER_E_NO_MEMORY;
    case GATHER_AS_OTHER:
        return f->read(value, to);
    case GATHER_AS_OBJECT: /* has a story of its own */
        break;
    }
    return GATHER_E_PROTOCOL;
}

static const char *type_text(enum gather_as as)
{
    static const char *const text[] = {
        [GATHER_AS_ID] = "an id",
        [GATHER_AS_INT] = "an integer",
        [GATHER_AS_TEXT] = "a string",
        [GATHER_AS_BOOL] = "true or false",
        [GATHER_AS_STATE] = "the name of a state",
        [GATHER_AS_TIME] = "a time",
        [GATHER_AS_JSON] = "JSON",
        [GATHER_AS_VALUE] = "JSON",
        [GATHER_AS_OBJECT] = "an object",
        [GATHER_AS_OTHER] = "what it should be",
    };
    return text[as];
}

enum gather_code gather_shape_fault(const struct gd_json_cursor *c, const char *noun,
                                    struct gather_error *err)
{
    const char *what = c->fault.what ? c->fault.what : "it is something else";
    if (strcmp(what, "out of memory") == 0)
        return gather_fail_memory(err);
    (void)gather_fail(err, GATHER_E_PROTOCOL, "the answer is not the JSON of %s: %s at byte %zu",
                      noun, what, c->fault.offset);
    if (err && c->fault.offset == 0)
        err->detail = gather_snippet((struct gd_span){c->start, (size_t)(c->end - c->start)});
    return GATHER_E_PROTOCOL;
}

static const struct gather_field *find_field(const struct gather_shape *shape, struct gd_span name,
                                             uint32_t *seen)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (!gd_json_name_is(name, shape->fields[i].name))
            continue;
        *seen |= (uint32_t)1 << i;
        return &shape->fields[i];
    }
    return NULL;
}

static enum gather_code read_member(const struct gather_shape *shape, struct gd_span name,
                                    struct gd_span value, void *to, uint32_t *seen,
                                    struct gather_error *err)
{
    uint32_t seen_too = 0;
    const struct gather_field *f = find_field(shape, name, &seen_too);
    if (!f || (value.ptr[0] == 'n' && f->as != GATHER_AS_VALUE))
        return GATHER_OK;
    *seen |= seen_too;
    char *at = (char *)to + f->at;
    if (f->as == GATHER_AS_OBJECT && value.ptr[0] == '{')
        return gather_shape_read(f->shape, value, at, err);
    enum gather_code code = read_field(f, value, at);
    if (code == GATHER_E_NO_MEMORY)
        return gather_fail_memory(err);
    if (code != GATHER_OK)
        return gather_fail(err, code, "the answer is not understood: \"%s\" of %s is not %s",
                           f->name, shape->noun, type_text(f->as));
    return GATHER_OK;
}

static enum gather_code read_members(const struct gather_shape *shape, struct gd_json_cursor *c,
                                     void *to, uint32_t *seen, struct gather_error *err)
{
    bool first = true;
    struct gd_span name;
    struct gd_span value;
    gd_json_open(c);
    while (gd_json_next_member(c, &first, &name)) {
        if (!gd_json_value(c, &value))
            break;
        enum gather_code code = read_member(shape, name, value, to, seen, err);
        if (code != GATHER_OK)
            return code;
    }
    if (c->fault.what || !gd_json_end(c))
        return gather_shape_fault(c, shape->noun, err);
    return GATHER_OK;
}

/* Without white space around it. */
static struct gd_span trimmed(struct gd_span text)
{
    static const char space[] = " \t\r\n";
    while (text.len > 0 && memchr(space, text.ptr[text.len - 1], 4))
        text.len--;
    while (text.len > 0 && memchr(space, text.ptr[0], 4)) {
        text.ptr++;
        text.len--;
    }
    return text;
}

enum gather_code gather_shape_read(const struct gather_shape *shape, struct gd_span text, void *to,
                                   struct gather_error *err)
{
    assert(shape->n_fields <= 32);
    uint32_t seen = 0;
    struct gd_json_cursor c;
    gd_json_cursor_init(&c, text, GD_JSON_MAX_DEPTH);
    enum gather_code code = GATHER_OK;
    if (gd_json_peek(&c) != '{')
        code = gather_shape_fault(&c, shape->noun, err);
    else
        code = read_members(shape, &c, to, &seen, err);
    gd_json_cursor_done(&c);
    for (size_t i = 0; code == GATHER_OK && i < shape->n_fields; i++)
        if (shape->fields[i].needed && !(seen & (uint32_t)1 << i))
            code = gather_fail(err, GATHER_E_PROTOCOL,
                               "the answer is not understood: %s without \"%s\"", shape->noun,
                               shape->fields[i].name);
    if (code == GATHER_OK && shape->text_at != GATHER_NO_TEXT &&
        !gather_copy(trimmed(text), (char **)(void *)((char *)to + shape->text_at)))
        code = gather_fail_memory(err);
    return code;
}
