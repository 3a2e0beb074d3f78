/* The results of a batch come as NDJSON, one line an entry, and are handed on line
 * by line. If the connection breaks, the body is asked for again from its start
 * and the lines that were handed on are skipped. */
#include "client/decode.h"
#include "client/error.h"
#include "client/path.h"
#include "client/wait.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct gd_buf line; /* the part that came of the next one */
    size_t n_seen;      /* lines of this attempt */
    size_t n_given;     /* lines that were handed on */
    gather_result_fn *fn;
    void *arg;
    struct gather_error *err;
    enum gather_code code; /* why it stopped */
};

static enum gather_code give_line(struct reading *r, struct gd_span line)
{
    if (line.len == 0 || (line.len == 1 && line.ptr[0] == '\r'))
        return GATHER_OK; /* a blank line keeps a connection alive */
    if (r->n_seen++ < r->n_given)
        return GATHER_OK;
    struct gather_result result = {0};
    enum gather_code code = gather_decode_result(line, &result, r->err);
    if (code == GATHER_OK && !r->fn(r->arg, r->n_given, &result))
        code = gather_fail(r->err, GATHER_E_STOPPED, "stopped by the program itself");
    r->n_given++;
    gather_result_clear(&result);
    return code;
}

static size_t on_lines(struct gather_call *call, const char *bytes, size_t n)
{
    struct reading *r = call->arg;
    size_t at = 0;
    while (at < n && r->code == GATHER_OK) {
        const char *end = memchr(bytes + at, '\n', n - at);
        size_t len = end ? (size_t)(end - (bytes + at)) : n - at;
        if (!end || r->line.len > 0)
            gd_buf_put(&r->line, bytes + at, len);
        if (gd_buf_error(&r->line))
            r->code = gather_fail_memory(r->err);
        else if (end)
            r->code = give_line(r, r->line.len > 0 ? gd_buf_view(&r->line)
                                                   : (struct gd_span){bytes + at, len});
        if (end)
            gd_buf_reset(&r->line);
        at += len + (end != NULL);
    }
    return r->code == GATHER_OK ? n : 0;
}

static void from_start(struct gather_call *call)
{
    struct reading *r = call->arg;
    gd_buf_reset(&r->line);
    r->n_seen = 0;
}

enum gather_code gather_batch_results(struct gather_client *c, uint64_t id, bool partial,
                                      gather_result_fn *fn, void *arg, struct gather_error *err)
{
    struct gather_error why = {0}; /* what is wrong with a line */
    struct reading r = {.fn = fn, .arg = arg, .err = &why};
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_BATCHES, id, "/results");
    if (partial)
        gather_call_query(&call, "partial", "1");
    call.accept = "application/x-ndjson";
    call.on_data = on_lines;
    call.on_again = from_start;
    call.arg = &r;
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK && r.line.len > 0)
        r.code = give_line(&r, gd_buf_view(&r.line)); /* the last one without its newline */
    if ((code == GATHER_OK || code == GATHER_E_STOPPED) && r.code != GATHER_OK) {
        code = r.code;
        gather_error_clear(err);
        if (err) {
            *err = why;
            why = (struct gather_error){0};
        }
    }
    gather_error_clear(&why);
    gd_buf_free(&r.line);
    gather_call_done(&call);
    return code;
}

void gather_results_clear(struct gather_results *results)
{
    if (!results)
        return;
    for (size_t i = 0; i < results->n; i++)
        gather_result_clear(&results->items[i]);
    free(results->items);
    *results = (struct gather_results){0};
}

struct collecting {
    struct gather_results *to;
    bool ok;
};

static bool collect(void *arg, size_t index, const struct gather_result *result)
{
    struct collecting *k = arg;
    struct gather_results *to = k->to;
    struct gather_result copy = {0};
    if (!(index & (index - 1))) { /* a power of two: full */
        struct gather_result *more = reallocarray(to->items, index ? index * 2 : 1, sizeof(*more));
        if (!more)
            return k->ok = false;
        to->items = more;
    }
    struct gd_span text = {result->json, strlen(result->json)};
    if (gather_decode_result(text, &copy, NULL) != GATHER_OK)
        return k->ok = false;
    to->items[to->n++] = copy;
    return true;
}

static enum gather_code collect_results(struct gather_client *c, struct gather_results *ret,
                                        struct gather_error *err)
{
    struct collecting k = {.to = ret, .ok = true};
    enum gather_code code = gather_batch_results(c, ret->batch, false, collect, &k, err);
    return k.ok ? code : gather_fail_memory(err);
}

enum gather_code gather_gather(struct gather_client *c, const struct gather_job *const *jobs,
                               size_t n, const struct gather_options *options,
                               struct gather_results *ret, struct gather_error *err)
{
    struct gather_batch batch = {0};
    gather_results_clear(ret);
    enum gather_code code = gather_submit(c, jobs, n, options, &batch, err);
    if (code == GATHER_OK) {
        ret->batch = batch.id;
        if (!batch.done)
            code = gather_batch_wait(c, ret->batch, NULL, &batch, err);
    }
    if (code == GATHER_OK)
        code = collect_results(c, ret, err);
    gather_batch_clear(&batch);
    return code;
}
