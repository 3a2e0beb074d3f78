#include "tests/support/jobs.h"

#include "base/json_scan.h"
#include "base/limits.h"

#include <cjson/cJSON.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "/jobs/3"

struct decoded decode_job(const char *json)
{
    size_t n = strlen(json);
    struct decoded d = {.text = malloc(n)};
    memcpy(d.text, json, n);
    struct gd_span text = {d.text, n};
    struct gd_json_fault fault;
    ck_assert_msg(gd_json_check(text, GD_MAX_JSON_DEPTH, &fault), "%.200s: %s", json, fault.what);
    d.rc = gd_job_decode(text, PLACE, &d.faults, &d.job, &d.detail);
    ck_assert_int_eq(d.rc == 0, d.faults.n_all == 0);
    return d;
}

void decoded_done(struct decoded *d)
{
    gd_job_detail_free(&d->detail);
    gd_faults_free(&d->faults);
    free(d->text);
}

void assert_good_job(const char *json)
{
    struct decoded d = decode_job(json);
    ck_assert_msg(d.rc == 0, "%.200s: %s: %s", json,
                  d.faults.n > 0 ? d.faults.items[0].pointer : "?",
                  d.faults.n > 0 ? d.faults.items[0].detail : "?");
    decoded_done(&d);
}

bool has_fault(const struct decoded *d, const char *pointer, const char *part)
{
    for (size_t i = 0; i < d->faults.n; i++)
        if (strcmp(d->faults.items[i].pointer + strlen(PLACE), pointer) == 0 &&
            strstr(d->faults.items[i].detail, part))
            return true;
    return false;
}

void assert_one_fault(const char *json, const char *pointer, const char *part)
{
    struct decoded d = decode_job(json);
    ck_assert_msg(d.rc == GD_E_BAD_JOB, "%.200s: gave %d", json, d.rc);
    ck_assert_msg(has_fault(&d, pointer, part), "%.200s: %s: %s", json, d.faults.items[0].pointer,
                  d.faults.items[0].detail);
    ck_assert_msg(d.faults.n_all == 1, "%.200s: %zu faults", json, d.faults.n_all);
    decoded_done(&d);
}

static void *hooked_malloc(size_t n)
{
    return malloc(n); /* the wrapped one, which libcjson.so itself does not call */
}

void jobs_hook_cjson(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = hooked_malloc, .free_fn = free});
}
