#include "base/json_scan.h"
#include "client/decode.h"
#include "client/error.h"
#include "client/shape.h"

#include <stdlib.h>
#include <string.h>

static const struct gather_field fault_fields[] = {
    {.name = "pointer", .as = GATHER_AS_TEXT, .at = offsetof(struct gather_fault, pointer)},
    {.name = "detail", .as = GATHER_AS_TEXT, .at = offsetof(struct gather_fault, detail)},
};
static const struct gather_shape fault_shape = {
    .noun = "a fault", .fields = fault_fields, .n_fields = 2, .text_at = GATHER_NO_TEXT};

static enum gather_code add_fault(struct gd_span value, struct gather_error *e)
{
    struct gather_fault *more = reallocarray(e->faults, e->n_faults + 1, sizeof(*more));
    if (!more)
        return GATHER_E_NO_MEMORY;
    e->faults = more;
    more[e->n_faults] = (struct gather_fault){0};
    /* Counted before it is complete, so that half of one is freed as well. */
    return gather_shape_read(&fault_shape, value, &more[e->n_faults++], NULL);
}

/* `to` is the whole struct gather_error. */
static enum gather_code read_faults(struct gd_span value, void *to)
{
    struct gd_json_cursor c;
    struct gd_span element;
    bool first = true;
    enum gather_code code = GATHER_OK;
    if (value.ptr[0] != '[')
        return GATHER_E_PROTOCOL;
    gd_json_cursor_init(&c, value, GD_JSON_MAX_DEPTH);
    gd_json_open(&c);
    while (code == GATHER_OK && gd_json_next_element(&c, &first))
        code = gd_json_value(&c, &element) ? add_fault(element, to) : GATHER_E_NO_MEMORY;
    gd_json_cursor_done(&c);
    return code;
}

static enum gather_code read_exception(struct gd_span value, void *to)
{
    return gather_decode_exception(value, to, NULL);
}

#define AT(member) offsetof(struct gather_error, member)
static const struct gather_field problem_fields[] = {
    {.name = "type", .as = GATHER_AS_TEXT, .at = AT(type)},
    {.name = "title", .as = GATHER_AS_TEXT, .needed = true, .at = AT(title)},
    {.name = "detail", .as = GATHER_AS_TEXT, .at = AT(detail)},
    {.name = "errors", .as = GATHER_AS_OTHER, .read = read_faults},
    {.name = "errors_left_out", .as = GATHER_AS_INT, .at = AT(faults_left_out)},
    {.name = "task", .as = GATHER_AS_ID, .at = AT(task)},
    {.name = "batch", .as = GATHER_AS_ID, .at = AT(batch)},
    {.name = "exception", .as = GATHER_AS_OTHER, .at = AT(exception), .read = read_exception},
};
static const struct gather_shape problem_shape = {.noun = "a problem",
                                                  .fields = problem_fields,
                                                  .n_fields = sizeof(problem_fields) /
                                                              sizeof(problem_fields[0]),
                                                  .text_at = GATHER_NO_TEXT};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum gather_code code_of(const struct gather_error *e)
{
    const char *type = e->type ? e->type : "";
    if (e->status == 410 || strncmp(type, "no-such-", 8) == 0)
        return GATHER_E_NOT_FOUND;
    if (strcmp(type, "invalid-state") == 0)
        return GATHER_E_NOT_DONE;
    if (ends_with(type, "-cancelled"))
        return GATHER_E_CANCELLED;
    if (e->status == 424)
        return GATHER_E_FAILED;
    return GATHER_E_REFUSED;
}

/* "/problems/bad-job" and "https://…/problems/bad-job" become "bad-job". */
static void shorten_type(char *type)
{
    const char *slash = strrchr(type, '/');
    if (slash)
        memmove(type, slash + 1, strlen(slash));
}

enum gather_code gather_decode_problem(int status, struct gd_span text, struct gather_error *err)
{
    struct gather_error e = {.exception.exit_code = -1};
    enum gather_code code = gather_shape_read(&problem_shape, text, &e, NULL);
    e.status = status;
    if (code == GATHER_OK) {
        if (e.type)
            shorten_type(e.type);
        e.code = code_of(&e);
    } else {
        gather_error_clear(&e);
        (void)gather_fail(&e, code == GATHER_E_NO_MEMORY ? code : GATHER_E_PROTOCOL,
                          "the answer has status %d and is not gatherd's", status);
        e.status = status;
        e.detail = gather_snippet(text);
    }
    code = e.code;
    gather_error_clear(err);
    if (err)
        *err = e;
    else
        gather_error_clear(&e);
    return code;
}
