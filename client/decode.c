#include "client/decode.h"

#include "base/json_scan.h"
#include "client/error.h"
#include "client/shape.h"

#include <stdlib.h>
#include <string.h>

#define SHAPE(noun_, fields_, text_)                                                            \
    {                                                                                           \
        .noun = (noun_), .fields = (fields_), .n_fields = sizeof(fields_) / sizeof(*(fields_)), \
        .text_at = (text_)                                                                      \
    }

#define AT_X(member) offsetof(struct gather_exception, member)
static const struct gather_field exception_fields[] = {
    {.name = "type", .as = GATHER_AS_TEXT, .needed = true, .at = AT_X(type)},
    {.name = "message", .as = GATHER_AS_TEXT, .at = AT_X(message)},
    {.name = "exit_code", .as = GATHER_AS_INT, .at = AT_X(exit_code)},
    {.name = "signal", .as = GATHER_AS_INT, .at = AT_X(signal)},
    {.name = "signal_name", .as = GATHER_AS_TEXT, .at = AT_X(signal_name)},
    {.name = "core", .as = GATHER_AS_BOOL, .at = AT_X(core)},
    {.name = "errno", .as = GATHER_AS_TEXT, .at = AT_X(errno_name)},
    {.name = "stage", .as = GATHER_AS_TEXT, .at = AT_X(stage)},
    {.name = "reason", .as = GATHER_AS_TEXT, .at = AT_X(reason)},
    {.name = "status", .as = GATHER_AS_INT, .at = AT_X(status)},
    {.name = "stderr", .as = GATHER_AS_TEXT, .at = AT_X(stderr_tail)},
    {.name = "msg", .as = GATHER_AS_TEXT, .at = AT_X(msg)},
};
static const struct gather_shape exception_shape =
    SHAPE("an exception", exception_fields, AT_X(json));

#define AT_T(member) offsetof(struct gather_task, member)
static const struct gather_field progress_fields[] = {
    {.name = "bytes", .as = GATHER_AS_INT, .at = AT_T(progress_bytes)},
    {.name = "total", .as = GATHER_AS_INT, .at = AT_T(progress_total)},
};
static const struct gather_shape progress_shape =
    SHAPE("progress", progress_fields, GATHER_NO_TEXT);

static const struct gather_field task_fields[] = {
    {.name = "id", .as = GATHER_AS_ID, .needed = true, .at = AT_T(id)},
    {.name = "batch", .as = GATHER_AS_ID, .at = AT_T(batch)},
    {.name = "index", .as = GATHER_AS_INT, .at = AT_T(index)},
    {.name = "name", .as = GATHER_AS_TEXT, .at = AT_T(name)},
    {.name = "kind", .as = GATHER_AS_TEXT, .at = AT_T(kind)},
    {.name = "state", .as = GATHER_AS_STATE, .needed = true, .at = AT_T(state)},
    {.name = "reason", .as = GATHER_AS_TEXT, .at = AT_T(reason)},
    {.name = "detail", .as = GATHER_AS_TEXT, .at = AT_T(detail)},
    {.name = "done", .as = GATHER_AS_BOOL, .needed = true, .at = AT_T(done)},
    {.name = "cancelled", .as = GATHER_AS_BOOL, .at = AT_T(cancelled)},
    {.name = "cancelling", .as = GATHER_AS_INT, .at = AT_T(cancelling)},
    {.name = "attempt", .as = GATHER_AS_INT, .at = AT_T(attempt)},
    {.name = "progress", .as = GATHER_AS_OBJECT, .shape = &progress_shape},
    {.name = "result", .as = GATHER_AS_JSON, .at = AT_T(result)},
    {.name = "exception", .as = GATHER_AS_OBJECT, .at = AT_T(exception), .shape = &exception_shape},
    {.name = "created_at", .as = GATHER_AS_TIME, .at = AT_T(created_at)},
    {.name = "started_at", .as = GATHER_AS_TIME, .at = AT_T(started_at)},
    {.name = "finished_at", .as = GATHER_AS_TIME, .at = AT_T(finished_at)},
    {.name = "labels", .as = GATHER_AS_JSON, .at = AT_T(labels)},
};
static const struct gather_shape task_shape = SHAPE("a task", task_fields, AT_T(json));

/* Room for one more item of `size` bytes; grows in powers of two. */
static bool grow(void **items, size_t n, size_t size)
{
    if (n & (n - 1)) /* not a power of two: there is room */
        return true;
    void *more = reallocarray(*items, n ? n * 2 : 1, size);
    if (!more)
        return false;
    *items = more;
    return true;
}

/* Runs `fn` with each element of a checked array. */
static enum gather_code each_element(struct gd_span array, void *to, gather_read_fn *fn)
{
    if (array.ptr[0] != '[')
        return GATHER_E_PROTOCOL;
    struct gd_json_cursor c;
    struct gd_span element;
    bool first = true;
    enum gather_code code = GATHER_OK;
    gd_json_cursor_init(&c, array, GD_JSON_MAX_DEPTH);
    gd_json_open(&c);
    while (code == GATHER_OK && gd_json_next_element(&c, &first))
        code = gd_json_value(&c, &element) ? fn(element, to) : GATHER_E_NO_MEMORY;
    gd_json_cursor_done(&c);
    return code;
}

static enum gather_code add_id(struct gd_span value, void *to)
{
    struct gather_ids *ids = to;
    void *items = ids->items;
    if (!grow(&items, ids->n, sizeof(*ids->items)))
        return GATHER_E_NO_MEMORY;
    ids->items = items;
    enum gather_code code = gather_read_id(value, &ids->items[ids->n]);
    if (code == GATHER_OK)
        ids->n++;
    return code;
}

static enum gather_code read_ids(struct gd_span value, void *to)
{
    struct gather_ids *ids = to;
    free(ids->items);
    *ids = (struct gather_ids){0};
    return each_element(value, ids, add_id);
}

#define AT_B(member) offsetof(struct gather_batch, member)
static const struct gather_field count_fields[] = {
    {.name = "pending", .as = GATHER_AS_INT, .at = AT_B(counts[GATHER_PENDING])},
    {.name = "running", .as = GATHER_AS_INT, .at = AT_B(counts[GATHER_RUNNING])},
    {.name = "succeeded", .as = GATHER_AS_INT, .at = AT_B(counts[GATHER_SUCCEEDED])},
    {.name = "failed", .as = GATHER_AS_INT, .at = AT_B(counts[GATHER_FAILED])},
    {.name = "cancelled", .as = GATHER_AS_INT, .at = AT_B(counts[GATHER_CANCELLED])},
};
static const struct gather_shape counts_shape = SHAPE("counts", count_fields, GATHER_NO_TEXT);

static const struct gather_field batch_fields[] = {
    {.name = "id", .as = GATHER_AS_ID, .needed = true, .at = AT_B(id)},
    {.name = "name", .as = GATHER_AS_TEXT, .at = AT_B(name)},
    {.name = "state", .as = GATHER_AS_STATE, .needed = true, .at = AT_B(state)},
    {.name = "done", .as = GATHER_AS_BOOL, .needed = true, .at = AT_B(done)},
    {.name = "settled", .as = GATHER_AS_BOOL, .needed = true, .at = AT_B(settled)},
    {.name = "total", .as = GATHER_AS_INT, .at = AT_B(total)},
    {.name = "counts", .as = GATHER_AS_OBJECT, .shape = &counts_shape},
    {.name = "exception", .as = GATHER_AS_OBJECT, .at = AT_B(exception), .shape = &exception_shape},
    {.name = "created_at", .as = GATHER_AS_TIME, .at = AT_B(created_at)},
    {.name = "started_at", .as = GATHER_AS_TIME, .at = AT_B(started_at)},
    {.name = "finished_at", .as = GATHER_AS_TIME, .at = AT_B(finished_at)},
    {.name = "labels", .as = GATHER_AS_JSON, .at = AT_B(labels)},
    {.name = "tasks", .as = GATHER_AS_OTHER, .at = AT_B(tasks), .read = read_ids},
};
static const struct gather_shape batch_shape = SHAPE("a batch", batch_fields, AT_B(json));

#define AT_R(member) offsetof(struct gather_result, member)
static const struct gather_field result_fields[] = {
    {.name = "task", .as = GATHER_AS_ID, .needed = true, .at = AT_R(task)},
    {.name = "name", .as = GATHER_AS_TEXT, .at = AT_R(name)},
    {.name = "result", .as = GATHER_AS_VALUE, .at = AT_R(result)},
    {.name = "exception", .as = GATHER_AS_OBJECT, .at = AT_R(exception), .shape = &exception_shape},
};
static const struct gather_shape result_shape = SHAPE("a result", result_fields, AT_R(json));

void gather_task_clear(struct gather_task *task)
{
    if (!task)
        return;
    free(task->name);
    free(task->kind);
    free(task->reason);
    free(task->detail);
    free(task->result);
    gather_exception_clear(&task->exception);
    free(task->labels);
    free(task->json);
    *task = (struct gather_task){
        .index = -1, .progress_bytes = -1, .progress_total = -1, .exception.exit_code = -1};
}

void gather_batch_clear(struct gather_batch *batch)
{
    if (!batch)
        return;
    free(batch->name);
    gather_exception_clear(&batch->exception);
    free(batch->labels);
    free(batch->tasks.items);
    free(batch->json);
    *batch = (struct gather_batch){.exception.exit_code = -1};
}

void gather_result_clear(struct gather_result *result)
{
    if (!result)
        return;
    free(result->name);
    free(result->result);
    gather_exception_clear(&result->exception);
    free(result->json);
    *result = (struct gather_result){.exception.exit_code = -1};
}

enum gather_code gather_decode_task(struct gd_span text, struct gather_task *ret,
                                    struct gather_error *err)
{
    struct gather_task t = {0};
    gather_task_clear(&t); /* sets the defaults */
    enum gather_code code = gather_shape_read(&task_shape, text, &t, err);
    if (code == GATHER_OK) {
        gather_task_clear(ret);
        *ret = t;
    } else {
        gather_task_clear(&t);
    }
    return code;
}

enum gather_code gather_decode_batch(struct gd_span text, struct gather_batch *ret,
                                     struct gather_error *err)
{
    struct gather_batch b = {0};
    gather_batch_clear(&b);
    enum gather_code code = gather_shape_read(&batch_shape, text, &b, err);
    if (code == GATHER_OK) {
        gather_batch_clear(ret);
        *ret = b;
    } else {
        gather_batch_clear(&b);
    }
    return code;
}

enum gather_code gather_decode_result(struct gd_span text, struct gather_result *ret,
                                      struct gather_error *err)
{
    struct gather_result r = {0};
    gather_result_clear(&r);
    enum gather_code code = gather_shape_read(&result_shape, text, &r, err);
    if (code == GATHER_OK) {
        gather_result_clear(ret);
        *ret = r;
    } else {
        gather_result_clear(&r);
    }
    return code;
}

static bool is_null(struct gd_span text)
{
    size_t at = 0;
    size_t end = text.len;
    while (at < end && strchr(" \t\r\n", text.ptr[at]))
        at++;
    while (end > at && strchr(" \t\r\n", text.ptr[end - 1]))
        end--;
    return end - at == 4 && memcmp(text.ptr + at, "null", 4) == 0;
}

enum gather_code gather_decode_exception(struct gd_span text, struct gather_exception *ret,
                                         struct gather_error *err)
{
    struct gather_exception x = {.exit_code = -1};
    enum gather_code code =
        is_null(text) ? GATHER_OK : gather_shape_read(&exception_shape, text, &x, err);
    if (code == GATHER_OK) {
        gather_exception_clear(ret);
        *ret = x;
    } else {
        gather_exception_clear(&x);
    }
    return code;
}

/* Reads the one member `field` of an answer into `to`. */
static enum gather_code decode_one(struct gd_span text, const struct gather_field *field, void *to,
                                   struct gather_error *err)
{
    const struct gather_shape shape = {
        .noun = "a reply", .fields = field, .n_fields = 1, .text_at = GATHER_NO_TEXT};
    return gather_shape_read(&shape, text, to, err);
}

enum gather_code gather_decode_int(struct gd_span text, const char *member, int64_t *ret,
                                   struct gather_error *err)
{
    const struct gather_field field = {.name = member, .as = GATHER_AS_INT, .needed = true};
    int64_t n = 0;
    enum gather_code code = decode_one(text, &field, &n, err);
    if (code == GATHER_OK)
        *ret = n;
    return code;
}

enum gather_code gather_decode_bool(struct gd_span text, const char *member, bool *ret,
                                    struct gather_error *err)
{
    const struct gather_field field = {.name = member, .as = GATHER_AS_BOOL};
    bool yes = *ret;
    enum gather_code code = decode_one(text, &field, &yes, err);
    if (code == GATHER_OK)
        *ret = yes;
    return code;
}

enum gather_code gather_decode_any(struct gd_span text, char **ret, struct gather_error *err)
{
    struct gd_json_cursor c;
    struct gd_span value;
    gd_json_cursor_init(&c, text, GD_JSON_MAX_DEPTH);
    enum gather_code code = GATHER_OK;
    char *copy = NULL;
    if (!gd_json_value(&c, &value) || !gd_json_end(&c))
        code = gather_shape_fault(&c, "a value", err);
    else if (!gather_copy(value, &copy))
        code = gather_fail_memory(err);
    else
        *ret = copy;
    gd_json_cursor_done(&c);
    return code;
}

/* What a page is walked with. */
struct page {
    gather_element_fn *fn;
    void *arg;
    struct gather_error *err;
};

static enum gather_code page_element(struct gd_span element, void *to)
{
    struct page *p = to;
    return p->fn(p->arg, element, p->err);
}

/* A target may only lead to the same daemon, and must not break out of the
 * request line. */
static enum gather_code read_next(struct gd_span value, char **to)
{
    enum gather_code code = gather_read_text(value, to);
    if (code != GATHER_OK)
        return code;
    for (const char *p = *to; *p; p++)
        if (*p <= ' ' || *p > '~')
            return GATHER_E_PROTOCOL;
    return strncmp(*to, "/v1/", 4) == 0 ? GATHER_OK : GATHER_E_PROTOCOL;
}

static enum gather_code read_page(struct gd_json_cursor *c, const char *member, struct page *page,
                                  char **ret_next)
{
    bool first = true;
    bool found = false;
    struct gd_span name;
    struct gd_span value;
    gd_json_open(c);
    while (gd_json_next_member(c, &first, &name)) {
        enum gather_code code = GATHER_OK;
        if (!gd_json_value(c, &value))
            break;
        if (gd_json_name_is(name, member)) {
            found = true;
            if (value.ptr[0] != '[')
                return gather_fail(page->err, GATHER_E_PROTOCOL,
                                   "the answer is not understood: \"%s\" is not a list", member);
            code = each_element(value, page, page_element);
        } else if (gd_json_name_is(name, "next") && value.ptr[0] != 'n') {
            code = read_next(value, ret_next);
            if (code == GATHER_E_PROTOCOL)
                (void)gather_fail(page->err, code,
                                  "the answer is not understood: \"next\" is no address here");
        }
        if (code != GATHER_OK)
            return code;
    }
    if (c->fault.what || !gd_json_end(c))
        return gather_shape_fault(c, "a list", page->err);
    if (!found)
        return gather_fail(page->err, GATHER_E_PROTOCOL,
                           "the answer is not understood: a list without \"%s\"", member);
    return GATHER_OK;
}

enum gather_code gather_decode_page(struct gd_span text, const char *member, gather_element_fn *fn,
                                    void *arg, char **ret_next, struct gather_error *err)
{
    struct page page = {.fn = fn, .arg = arg, .err = err};
    struct gd_json_cursor c;
    char *next = NULL;
    gd_json_cursor_init(&c, text, GD_JSON_MAX_DEPTH);
    enum gather_code code = gd_json_peek(&c) == '{' ? read_page(&c, member, &page, &next)
                                                    : gather_shape_fault(&c, "a list", err);
    gd_json_cursor_done(&c);
    if (code == GATHER_OK)
        *ret_next = next;
    else
        free(next);
    return code;
}
