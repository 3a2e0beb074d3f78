/* The disk of a world: what is written, and when it is committed. */
#include "tests/support/world_disk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long n_settled;

static unsigned long long ull(uint64_t n)
{
    return n;
}

/* --- operations in words */

static void describe_lease(const struct gd_op_lease *op, char *to, size_t n)
{
    size_t at = (size_t)snprintf(to, n, "lease/");
    for (size_t i = 0; i < op->n && at + 32 < n; i++)
        at += (size_t)snprintf(to + at, n - at, i ? ",%llu" : "%llu", ull(op->leases[i].task));
}

static void describe_end(const struct gd_op_batch_end *op, char *to, size_t n)
{
    (void)snprintf(to, n, "end/b%llu%s%s%s", ull(op->batch), op->is_done ? "=" : "",
                   op->is_done ? gd_state_name(op->state) : "", op->is_settled ? ",settled" : "");
}

static enum gd_state state_of(const struct gd_op_settle *op)
{
    return op->outcome ? op->outcome->state : op->plain.state;
}

/* NOLINTBEGIN(clang-diagnostic-cast-align): an operation starts with its gd_op */
static void say_op(const char *what, struct gd_op *op)
{
    char text[256] = "mark";
    struct gd_op_submit *submit = GD_OWNER(op, struct gd_op_submit, op);
    struct gd_op_settle *settle = GD_OWNER(op, struct gd_op_settle, op);
    struct gd_op_cancel *cancel = GD_OWNER(op, struct gd_op_cancel, op);
    switch (op->kind) {
    case GD_OP_SUBMIT:
        (void)snprintf(text, sizeof(text), submit->batch ? "submit/b%llu" : "submit/%llu",
                       ull(submit->batch ? submit->batch : submit->first_task));
        break;
    case GD_OP_LEASE:
        describe_lease(GD_OWNER(op, struct gd_op_lease, op), text, sizeof(text));
        break;
    case GD_OP_SETTLE:
        (void)snprintf(text, sizeof(text), "settle/%llu=%s", ull(settle->task),
                       gd_state_name(state_of(settle)));
        break;
    case GD_OP_CANCEL:
        (void)snprintf(text, sizeof(text), cancel->batch ? "cancel/b%llu" : "cancel/%llu",
                       ull(cancel->batch ? cancel->batch : cancel->task));
        break;
    case GD_OP_BATCH_END:
        describe_end(GD_OWNER(op, struct gd_op_batch_end, op), text, sizeof(text));
        break;
    case GD_OP_PATCH:
        (void)snprintf(text, sizeof(text), "patch/%llu",
                       ull(GD_OWNER(op, struct gd_op_patch, op)->task));
        break;
    case GD_OP_STAGE:
        (void)snprintf(text, sizeof(text), "stage/b%llu",
                       ull(GD_OWNER(op, struct gd_op_stage, op)->batch));
        break;
    case GD_OP_UNSTAGE:
    case GD_OP_MARK:
        break;
    }
    world_say("%s:%s", what, text);
}

/* --- carrying them out */

static void add_task(uint64_t id, const struct gd_job *job, uint64_t batch, size_t index)
{
    ck_assert_uint_lt(id, WORLD_TASKS);
    ck_assert(!world.tasks[id].exists);
    world.tasks[id] =
        (struct world_task){.exists = true, .batch = batch, .index = (uint32_t)index, .job = *job};
}

static void apply_submit(const struct gd_op_submit *op)
{
    for (size_t i = 0; i < op->n; i++)
        add_task(op->first_task + i, &op->jobs[i], op->batch, i);
    size_t n = 0;
    for (size_t i = 0; op->batch && i < op->n_extents; i++) {
        for (size_t k = 0; k < op->extents[i].n; k++) {
            struct world_task *w = &world.tasks[op->extents[i].first + k];
            ck_assert(w->exists && w->batch == op->batch && w->index == n + k);
            w->staged = false;
        }
        n += op->extents[i].n;
    }
    if (!op->batch)
        return;
    ck_assert_uint_lt(op->batch, WORLD_BATCHES);
    ck_assert_uint_le(op->n_extents, 1); /* enough for these tests */
    world.batches[op->batch] =
        (struct world_batch){.exists = true, .spec = *op->spec, .first = op->first_task, .n = n};
}

static void apply_lease(const struct gd_op_lease *op)
{
    for (size_t i = 0; i < op->n; i++) {
        struct world_task *w = &world.tasks[op->leases[i].task];
        ck_assert(w->exists && !w->staged);
        w->leased = true;
        w->lease = op->leases[i];
    }
}

static void apply_settle(const struct gd_op_settle *op)
{
    struct world_task *w = &world.tasks[op->task];
    ck_assert_msg(w->exists && !w->settled, "task %llu gets two outcomes", ull(op->task));
    w->settled = true;
    w->state = state_of(op);
    w->order = ++n_settled;
    w->leased = w->leased && !op->leased;
    w->cancelled = w->cancelled && !op->cancelled;
    ck_assert_msg(!w->leased && !w->cancelled, "rows of task %llu stay", ull(op->task));
}

static void apply_cancel(const struct gd_op_cancel *op)
{
    if (op->batch) {
        world.batches[op->batch].cancelled = true;
        return;
    }
    ck_assert(world.tasks[op->task].exists);
    world.tasks[op->task].cancelled = true;
    world.tasks[op->task].n_cancels = op->n_cancels;
}

static void apply_end(const struct gd_op_batch_end *op)
{
    struct world_batch *w = &world.batches[op->batch];
    ck_assert(w->exists && !w->settled);
    ck_assert(op->is_done || w->done);
    if (op->is_done) {
        ck_assert_msg(!w->done, "batch %llu gets two outcomes", ull(op->batch));
        ck_assert_int_eq(op->exception == NULL, op->state == GD_SUCCEEDED);
        w->done = true;
        w->state = op->state;
        w->culprit = op->culprit;
    }
    if (!op->is_settled)
        return;
    w->settled = true;
    size_t n = 0;
    for (unsigned s = 0; s < GD_N_STATES; s++)
        n += w->counts[s] = op->counts[s];
    ck_assert_uint_eq(n, w->n);
}

static void apply_stage(const struct gd_op_stage *op)
{
    for (size_t i = 0; i < op->n; i++) {
        add_task(op->first_task + i, &op->jobs[i], op->batch, op->first_index + i);
        world.tasks[op->first_task + i].staged = true;
    }
}

/* Whatever a restart must look at lies above the mark. */
static void apply_mark(const struct gd_op_mark *op)
{
    for (uint64_t id = 1; id < WORLD_TASKS && id < op->low_task; id++)
        ck_assert(!world.tasks[id].exists || world.tasks[id].settled);
    for (uint64_t id = 1; id < WORLD_BATCHES && id < op->low_batch; id++)
        ck_assert(!world.batches[id].exists || world.batches[id].settled);
}

static void apply(struct gd_op *op)
{
    switch (op->kind) {
    case GD_OP_SUBMIT:
        apply_submit(GD_OWNER(op, struct gd_op_submit, op));
        break;
    case GD_OP_LEASE:
        apply_lease(GD_OWNER(op, struct gd_op_lease, op));
        break;
    case GD_OP_SETTLE:
        apply_settle(GD_OWNER(op, struct gd_op_settle, op));
        break;
    case GD_OP_CANCEL:
        apply_cancel(GD_OWNER(op, struct gd_op_cancel, op));
        break;
    case GD_OP_BATCH_END:
        apply_end(GD_OWNER(op, struct gd_op_batch_end, op));
        break;
    case GD_OP_STAGE:
        apply_stage(GD_OWNER(op, struct gd_op_stage, op));
        break;
    case GD_OP_MARK:
        apply_mark(GD_OWNER(op, struct gd_op_mark, op));
        break;
    case GD_OP_PATCH:
    case GD_OP_UNSTAGE:
        break;
    }
}
/* NOLINTEND(clang-diagnostic-cast-align) */

/* --- the store */

static void write_op(struct gd_store *s, struct gd_op *op)
{
    (void)s;
    ck_assert(!gd_node_linked(&op->node));
    say_op("w", op);
    gd_list_push(&world.ops, &op->node);
}

static int read_exception(struct gd_store *s, uint64_t task, struct gd_buf *to)
{
    (void)s;
    const struct world_task *w = &world.tasks[task];
    if (!w->settled)
        return GD_E_NO_TASK;
    if (w->state != GD_SUCCEEDED)
        gd_buf_printf(to, "{\"type\":\"of %llu\"}", ull(task));
    return gd_buf_error(to);
}

static const struct gd_store_ops store_ops = {.write = write_op, .read_exception = read_exception};

void world_disk_init(void)
{
    world.store.ops = &store_ops;
    n_settled = 0;
}

size_t world_n_ops(void)
{
    size_t n = 0;
    gd_list_each (node, &world.ops)
        n++;
    return n;
}

static void hand_back(struct gd_op *op, int rc)
{
    gd_node_unlink(&op->node);
    say_op(rc < 0 ? "r" : "c", op);
    if (rc == 0)
        apply(op);
    op->rc = rc;
    op->done(op);
}

bool world_commit_one(void)
{
    if (gd_list_empty(&world.ops))
        return false;
    hand_back(GD_OWNER(world.ops.next, struct gd_op, node), 0);
    return true;
}

void world_refuse(int rc)
{
    struct gd_node refused;
    gd_list_init(&refused);
    gd_list_each_safe (node, &world.ops) {
        enum gd_op_kind kind = GD_OWNER(node, struct gd_op, node)->kind;
        if (kind != GD_OP_SUBMIT && kind != GD_OP_CANCEL && kind != GD_OP_PATCH &&
            kind != GD_OP_STAGE)
            continue;
        gd_node_unlink(node);
        gd_list_push(&refused, node);
    }
    while (!gd_list_empty(&refused))
        hand_back(GD_OWNER(refused.next, struct gd_op, node), rc);
}
