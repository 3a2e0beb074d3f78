/* Invariants
 *  1. While `busy`, all but `gate`, `fn` and `freed` belong to the pool's thread.
 *  2. `fd` is locked (flock), and `part_name` leads to it, from open to the end.
 *  3. `gate` is OPEN when a job is queued; the loop may close it, the job may pass
 *     it, once, by one atomic exchange.
 */
#include "daemon/fetcher/part.h"

#include "daemon/fetcher/part_file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- jobs in the pool */

static void run_job(uv_work_t *work)
{
    struct gd_part *p = work->data;
    p->rc = p->job(p);
}

static void release(struct gd_part *p)
{
    if (p->fd >= 0 && (!p->resume || p->size == 0))
        gd_part_file_remove(p);
    gd_part_file_close(p);
    gd_digest_done(&p->digest);
    free(p->url);
    free(p->dir);
    free(p->name);
    free(p->part_name);
    free(p->validator_name);
    free(p);
}

static void job_done(uv_work_t *work, int status)
{
    struct gd_part *p = work->data;
    p->busy = false;
    if (p->freed)
        release(p);
    else
        p->fn(p, status < 0 ? status : p->rc, p->arg);
}

static void queue(struct gd_part *p, int (*job)(struct gd_part *))
{
    assert(!p->busy);
    p->busy = true;
    p->job = job;
    p->work.data = p;
    atomic_store(&p->gate, GD_GATE_OPEN);
    (void)uv_queue_work(p->uv, &p->work, run_job, job_done); /* fails only without run_job */
}

void gd_part_open(struct gd_part *p)
{
    queue(p, gd_part_file_open);
}

void gd_part_publish(struct gd_part *p)
{
    queue(p, gd_part_file_publish);
}

void gd_part_discard(struct gd_part *p, bool keep)
{
    p->keep = keep && p->resume;
    queue(p, gd_part_file_discard);
}

bool gd_part_stop(struct gd_part *p)
{
    if (!p->busy)
        return false;
    int expected = GD_GATE_OPEN;
    bool stopped = atomic_compare_exchange_strong(&p->gate, &expected, GD_GATE_CLOSED);
    (void)uv_cancel((uv_req_t *)&p->work); /* in line still: then it never runs */
    return stopped;
}

/* --- in the loop's thread */

uint64_t gd_part_size(const struct gd_part *p)
{
    return p->size;
}

const char *gd_part_validator(const struct gd_part *p)
{
    return p->validator.text[0] ? p->validator.text : NULL;
}

struct gd_digest *gd_part_digest(struct gd_part *p)
{
    return &p->digest;
}

const char *gd_part_step(struct gd_part *p)
{
    (void)snprintf(p->failed_at, sizeof(p->failed_at), "cannot %s \"%.200s/%.200s\"", p->step,
                   p->dir && strcmp(p->dir, "/") != 0 ? p->dir : "", p->name ? p->name : "");
    return p->failed_at;
}

void gd_part_remember(struct gd_part *p, const char *validator)
{
    if (p->resume)
        gd_validator_write(&p->validator, p->dir_fd, p->validator_name, validator);
}

int gd_part_restart(struct gd_part *p)
{
    char text[GD_DIGEST_TEXT];
    gd_digest_take(&p->digest, text);
    gd_part_remember(p, NULL);
    return p->size > 0 ? gd_part_file_replace(p) : 0;
}

int gd_part_write(struct gd_part *p, const char *bytes, size_t n)
{
    gd_digest_put(&p->digest, bytes, n);
    p->step = "write";
    while (n > 0) {
        ssize_t done = write(p->fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bytes += done;
        n -= (size_t)done;
        p->size += (uint64_t)done;
    }
    return 0;
}

/* --- life */

static char *join(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t n_suffix = strlen(suffix);
    char *joined = malloc(n + n_suffix + 1);
    if (!joined)
        return NULL;
    memcpy(joined, name, n);
    memcpy(joined + n, suffix, n_suffix + 1);
    return joined;
}

/* Directory and name of the target, cut at the last slash. */
static int take_names(struct gd_part *p, const struct gd_part_plan *plan)
{
    char suffix[48] = ".part";
    if (!plan->resume)
        (void)snprintf(suffix, sizeof(suffix), ".gatherd-%llu.part",
                       (unsigned long long)plan->task);
    const char *slash = strrchr(plan->to, '/');
    assert(slash); /* it is an absolute path */
    p->url = strdup(plan->url);
    p->dir = strdup(plan->to);
    p->name = strdup(slash + 1);
    p->part_name = join(slash + 1, suffix);
    p->validator_name = join(slash + 1, ".part.validator");
    if (!p->url || !p->dir || !p->name || !p->part_name || !p->validator_name)
        return -ENOMEM;
    p->dir[slash == plan->to ? 1 : slash - plan->to] = '\0';
    return 0;
}

struct gd_part *gd_part_new(uv_loop_t *uv, const struct gd_part_plan *plan, gd_part_fn *fn,
                            void *arg)
{
    struct gd_part *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->uv = uv;
    p->fn = fn;
    p->arg = arg;
    p->dir_fd = p->fd = p->old_fd = -1;
    p->max_bytes = plan->max_bytes;
    p->resume = plan->resume;
    p->has_digest = plan->has_digest;
    p->step = "open";
    if (take_names(p, plan) < 0) {
        gd_part_free(p);
        return NULL;
    }
    return p;
}

void gd_part_free(struct gd_part *p)
{
    if (!p)
        return;
    (void)gd_part_stop(p);
    p->freed = true;
    if (!p->busy)
        release(p);
}
