#include "api/members.h"

#include "base/job.h"
#include "base/json_scan.h"
#include "base/limits.h"

#include <errno.h>

#define MOST 16

static void set_member(const struct gd_member *members, struct gd_faults *faults, void *arg,
                       struct gd_span name, struct gd_span json)
{
    const char *known[MOST] = {NULL};
    for (size_t i = 0; members[i].name && i + 1 < MOST; i++) {
        known[i] = members[i].name;
        if (gd_json_name_is(name, members[i].name)) {
            members[i].set(arg, json);
            return;
        }
    }
    gd_job_unknown(name, "", faults, known);
}

static void set_members(struct gd_span object, const struct gd_member *members,
                        struct gd_faults *faults, void *arg)
{
    struct gd_json_cursor c;
    struct gd_span name;
    struct gd_span json;
    bool first = true;
    gd_json_cursor_init(&c, object, GD_MAX_JSON_DEPTH);
    if (gd_json_peek(&c) != '{') {
        gd_faults_add(faults, "", NULL, "must be an object");
        return;
    }
    gd_json_open(&c);
    while (gd_json_next_member(&c, &first, &name) && gd_json_value(&c, &json))
        set_member(members, faults, arg, name, json);
    gd_json_cursor_done(&c);
}

void gd_members_refuse(struct gd_http *h, const struct gd_faults *faults, const char *nothing)
{
    if (faults->no_memory)
        gd_http_error(h, -ENOMEM);
    else
        gd_http_problem(h, &(struct gd_problem_info){
                               .problem = GD_PROBLEM_BAD_JOB, .detail = nothing, .faults = faults});
}

bool gd_members_read(struct gd_http *h, struct gd_span text, const struct gd_member *members,
                     struct gd_faults *faults, void *arg, const char *nothing)
{
    struct gd_json_fault fault = {0};
    if (!gd_json_check(text, GD_MAX_JSON_DEPTH, &fault)) {
        gd_http_bad_json(h, text, &fault, nothing);
        return false;
    }
    set_members(text, members, faults, arg);
    if (faults->n_all == 0 && !faults->no_memory)
        return true;
    gd_members_refuse(h, faults, nothing);
    return false;
}
