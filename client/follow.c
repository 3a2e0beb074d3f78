/* Up to three requests at once: each stream of output, and the question how the
 * task is, in slices. All end by themselves when the task has ended. */
#include "base/clock.h"
#include "client/decode.h"
#include "client/error.h"
#include "client/path.h"
#include "client/wait.h"

struct following {
    struct gather_client *client;
    uint64_t id;
    struct gather_follow *f;
    struct stream {
        struct following *owner;
        enum gather_stream which;
        struct gather_call call;
        bool open;
    } streams[GATHER_N_STREAMS];
    struct gather_call ask; /* how is the task? */
    bool asking;
    struct gather_clock clock;
    struct gather_task task; /* id 0: nothing is known yet */
};

static size_t on_bytes(struct gather_call *call, const char *bytes, size_t n)
{
    struct stream *s = call->arg;
    struct gather_follow *f = s->owner->f;
    size_t taken = f->on_output(f->arg, s->which, bytes, n);
    f->delivered[s->which] += (int64_t)taken;
    return taken;
}

static void go_on(struct gather_call *call)
{
    struct stream *s = call->arg;
    call->range_from = s->owner->f->delivered[s->which];
}

static enum gather_code open_stream(struct stream *s, bool no_range, struct gather_error *err)
{
    struct following *o = s->owner;
    gather_call_path(&s->call, o->client, "GET", GATHER_TASKS, o->id,
                     s->which == GATHER_STDOUT ? "/stdout" : "/stderr");
    if (o->f->until_done)
        gather_call_query_int(&s->call, "follow", 1);
    if (o->f->tail >= 0)
        gather_call_query_int(&s->call, "tail", o->f->tail);
    else
        s->call.on_again = go_on; /* nobody knows at which byte a tail began */
    s->call.accept = "*/*";
    s->call.on_data = on_bytes;
    s->call.arg = s;
    s->call.no_range = no_range;
    if (o->f->until_done && !o->task.done)
        s->call.idle_ms = 0;
    s->open = true;
    return gather_call_start(&s->call, err);
}

/* A stream is over: for good? */
static enum gather_code close_stream(struct stream *s, struct gather_error *err)
{
    enum gather_code code = gather_call_outcome(&s->call, err);
    bool nothing_yet = s->call.status == 416 && s->call.range_from > 0;
    bool was_ranged = !s->call.no_range;
    gather_call_done(&s->call);
    s->open = false;
    if (!nothing_yet)
        return code;
    if (s->owner->task.done || !s->owner->f->until_done)
        return GATHER_OK;
    return was_ranged ? open_stream(s, true, err) : code;
}

static enum gather_code ask(struct following *o, struct gather_error *err)
{
    gather_call_path(&o->ask, o->client, "GET", GATHER_TASKS, o->id, "");
    (void)gather_clock_ask(&o->clock, &o->ask);
    o->asking = true;
    return gather_call_start(&o->ask, err);
}

/* From now on the streams have only what is left to say. */
static void expect_ends(struct following *o)
{
    for (size_t i = 0; i < GATHER_N_STREAMS; i++) {
        struct gather_call *call = &o->streams[i].call;
        call->idle_ms = GATHER_IDLE_MS;
        if (call->state == GATHER_CALL_RUNNING)
            call->at_ms = gd_mono_ms();
    }
}

static enum gather_code hear(struct following *o, struct gather_error *err)
{
    enum gather_code code = gather_call_outcome(&o->ask, err);
    if (code == GATHER_OK)
        code = gather_decode_task(gather_call_text(&o->ask), &o->task, err);
    gather_call_done(&o->ask);
    o->asking = false;
    if (code != GATHER_OK)
        return code;
    if (o->f->on_task)
        o->f->on_task(o->f->arg, &o->task);
    if (o->task.done) {
        expect_ends(o);
        return GATHER_OK;
    }
    gather_clock_every(&o->clock, o->f->every_ms);
    code = gather_clock_next(&o->clock, o->client, err);
    return code == GATHER_OK ? ask(o, err) : code;
}

static bool is_over(const struct following *o)
{
    bool open = o->asking;
    for (size_t i = 0; i < GATHER_N_STREAMS; i++)
        open = open || o->streams[i].open;
    return !open;
}

/* Looks after every call that ended. */
static enum gather_code look_after(struct following *o, struct gather_error *err)
{
    enum gather_code code = GATHER_OK;
    for (size_t i = 0; code == GATHER_OK && i < GATHER_N_STREAMS; i++)
        if (o->streams[i].open && o->streams[i].call.state == GATHER_CALL_DONE)
            code = close_stream(&o->streams[i], err);
    if (code == GATHER_OK && o->asking && o->ask.state == GATHER_CALL_DONE)
        code = hear(o, err);
    return code;
}

enum gather_code gather_task_follow(struct gather_client *c, uint64_t id, struct gather_follow *f,
                                    struct gather_task *ret, struct gather_error *err)
{
    struct following o = {.client = c, .id = id, .f = f};
    struct gather_wait w = {.timeout_ms = GATHER_FOREVER, .every_ms = f->every_ms};
    enum gather_code code = GATHER_OK;
    gather_clock_init(&o.clock, &w);
    for (size_t i = 0; code == GATHER_OK && i < GATHER_N_STREAMS; i++) {
        o.streams[i].owner = &o;
        o.streams[i].which = (enum gather_stream)i;
        if (f->want[i])
            code = open_stream(&o.streams[i], false, err);
    }
    if (code == GATHER_OK && f->until_done)
        code = ask(&o, err);
    while (code == GATHER_OK && !is_over(&o)) {
        code = gather_http_step(c, GATHER_NEVER, err);
        if (code == GATHER_OK)
            code = look_after(&o, err);
    }
    for (size_t i = 0; i < GATHER_N_STREAMS; i++)
        if (o.streams[i].open)
            gather_call_done(&o.streams[i].call);
    if (o.asking)
        gather_call_done(&o.ask);
    if (code == GATHER_OK && f->until_done && ret) {
        gather_task_clear(ret);
        *ret = o.task;
    } else {
        gather_task_clear(&o.task);
    }
    return code;
}
