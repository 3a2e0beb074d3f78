/* A worker whose gatherd does not read for a while. */
#include "base/err.h"
#include "daemon/worker/worker.h"

#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define MANY 20000

static char dir[] = "/tmp/gatherd-test-XXXXXX";
static uv_loop_t uv;
static struct gd_loop loop;
static struct gd_worker *worker;
static struct gd_unit *unit; /* the one that runs */
static int client;

static int take(struct gd_unit *u, const struct gd_msg_view *start)
{
    (void)u;
    (void)start;
    return 0;
}

static void start(struct gd_unit *u)
{
    unit = u;
    gd_unit_started(u, 0, 0);
    uv_stop(&uv);
}

static void drop(struct gd_unit *u)
{
    (void)u;
}

static const struct gd_worker_ops ops = {
    .program = "gatherd-tester",
    .short_name = "tester",
    .unit_size = sizeof(struct gd_unit),
    .take = take,
    .start = start,
    .drop = drop,
};

static void say(enum gd_msg_type type, uint64_t task, enum gd_msg_field field, uint64_t n)
{
    struct gd_msg m;
    gd_msg_init(&m, type, task, task ? 1 : 0);
    gd_msg_u64(&m, field, n);
    m.head.n = (uint32_t)m.fields.len;
    struct iovec parts[2] = {{.iov_base = &m.head, .iov_len = sizeof(m.head)},
                             {.iov_base = m.fields.ptr, .iov_len = m.fields.len}};
    ck_assert_int_gt(writev(client, parts, 2), 0);
    gd_msg_free(&m);
}

static void setup(void)
{
    struct gd_err err = {0};
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&loop, &uv), 0);
    ck_assert_msg(gd_worker_open(&loop, dir, &ops, NULL, &worker, &err) == 0, "%s", err.text);
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/tester.sock", dir);
    client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&sun, sizeof(sun)), 0);
    say(GD_MSG_HELLO, 0, GD_FIELD_VERSION, GD_PROTO_VERSION);
    say(GD_MSG_LIMITS, 0, GD_FIELD_SLOTS, 1);
    say(GD_MSG_START, 1, GD_FIELD_PRIORITY, GD_MSG_PRIORITY_BIAS);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_ptr_nonnull(unit);
}

static void teardown(void)
{
    char path[128];
    gd_worker_close(worker);
    gd_loop_close(&loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    (void)close(client);
    (void)snprintf(path, sizeof(path), "%s/tester.lock", dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/output", dir);
    (void)rmdir(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* Takes what is in the socket; counts PROGRESS and looks for the end. */
static unsigned read_all(bool *ret_ended)
{
    unsigned n = 0;
    static char packet[GD_MSG_PACKET_MAX];
    ssize_t got = 0;
    while ((got = recv(client, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
        struct gd_msg_head head;
        for (size_t at = 0; at < (size_t)got; at += sizeof(head) + head.n) {
            memcpy(&head, packet + at, sizeof(head));
            n += head.type == GD_MSG_PROGRESS;
            *ret_ended = *ret_ended || head.type == GD_MSG_EXITED;
        }
    }
    return n;
}

START_TEST(progress_is_left_out_while_nobody_reads)
{
    struct gd_msg m;
    bool ended = false;
    for (int64_t i = 0; i < MANY; i++)
        gd_unit_progress(unit, i, MANY);
    gd_unit_exited(unit, &m);
    gd_msg_u64(&m, GD_FIELD_CODE, 0);
    gd_unit_end(unit, &m);
    unsigned n = read_all(&ended);
    ck_assert(!ended);
    while (!ended) {
        (void)uv_run(&uv, UV_RUN_ONCE);
        n += read_all(&ended);
    }
    ck_assert(n > 0 && n < MANY / 2);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, progress_is_left_out_while_nobody_reads);
    return suite_main("worker_progress", tc);
}
