#include "api/problem.h"

#include "base/err.h"
#include "base/json_out.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *name;
    const char *title;
    const char *text;
    unsigned status;
} problems[GD_N_PROBLEMS] = {
#define X(id, slug, code, headline, story) \
    [GD_PROBLEM_##id] = {.name = (slug), .title = (headline), .text = (story), .status = (code)},
    GD_PROBLEMS(X)
#undef X
};

unsigned gd_problem_status(enum gd_problem p)
{
    return problems[p].status;
}

enum gd_problem gd_problem_of(int rc)
{
    switch (rc) {
    case -ENOMEM:
        return GD_PROBLEM_NO_MEMORY;
    case GD_E_BAD_JSON:
        return GD_PROBLEM_BAD_JSON;
    case GD_E_BAD_JOB:
        return GD_PROBLEM_BAD_JOB;
    case GD_E_NO_TASK:
        return GD_PROBLEM_NO_TASK;
    case GD_E_NO_BATCH:
        return GD_PROBLEM_NO_BATCH;
    case GD_E_NOT_DONE:
    case GD_E_DONE:
        return GD_PROBLEM_INVALID_STATE;
    case GD_E_FULL:
        return GD_PROBLEM_QUEUE_FULL;
    case GD_E_STORE:
        return GD_PROBLEM_OUTCOME_UNKNOWN;
    case GD_E_STORE_FULL:
        return GD_PROBLEM_STORE_FULL;
    case GD_E_KEY_REUSED:
        return GD_PROBLEM_KEY_REUSED;
    case GD_E_CLOSING:
        return GD_PROBLEM_CLOSING;
    default:
        return GD_PROBLEM_INTERNAL;
    }
}

static void put_faults(struct gd_buf *b, const struct gd_faults *f)
{
    gd_json_name(b, "errors");
    gd_json_begin(b, '[');
    for (size_t i = 0; i < f->n; i++) {
        gd_json_begin(b, '{');
        gd_json_name(b, "pointer");
        gd_json_str(b, f->items[i].pointer);
        gd_json_name(b, "detail");
        gd_json_str(b, f->items[i].detail);
        gd_json_finish(b, '}');
    }
    gd_json_finish(b, ']');
    if (f->n_all > f->n) {
        gd_json_name(b, "errors_left_out");
        gd_json_u64(b, f->n_all - f->n);
    }
}

void gd_problem_put(struct gd_buf *b, const struct gd_problem_info *info)
{
    gd_json_begin(b, '{');
    gd_json_name(b, "type");
    gd_buf_printf(b, "\"/problems/%s\"", problems[info->problem].name);
    gd_json_name(b, "title");
    gd_json_str(b, problems[info->problem].title);
    gd_json_name(b, "status");
    gd_json_u64(b, problems[info->problem].status);
    if (info->detail) {
        gd_json_name(b, "detail");
        gd_json_str(b, info->detail);
    }
    if (info->faults && info->faults->n > 0)
        put_faults(b, info->faults);
    if (info->members.len > 0) {
        gd_buf_putc(b, ',');
        gd_buf_span(b, info->members);
    }
    gd_json_finish(b, '}');
    gd_buf_putc(b, '\n');
}

enum gd_problem gd_problem_find(struct gd_span name)
{
    for (unsigned p = 0; p < GD_N_PROBLEMS; p++)
        if (strlen(problems[p].name) == name.len &&
            memcmp(problems[p].name, name.ptr, name.len) == 0)
            return (enum gd_problem)p;
    return GD_N_PROBLEMS;
}

void gd_problem_page(struct gd_buf *b, enum gd_problem p)
{
    gd_buf_printf(b,
                  "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
                  "<title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n"
                  "<p>Type <code>/problems/%s</code>, status %u.</p>\n</html>\n",
                  problems[p].title, problems[p].title, problems[p].text, problems[p].name,
                  problems[p].status);
}
