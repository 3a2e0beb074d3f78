/* A channel and its other end, which is a bare socket: what goes out, what comes in, and
 * what breaks it off. */
#include "base/clock.h"
#include "base/err.h"
#include "daemon/proto/channel.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 60000
#define MANY        5000
#define LARGE       ((size_t)3 << 20)

static uv_loop_t uv;
static struct gd_loop loop;
static struct gd_channel *channel; /* NULL: freed */
static int other = -1;             /* the other end; -1: closed */
static struct gd_timer deadline;

/* What the channel has told. */
static unsigned n_messages;
static unsigned n_gone;
static int gone_rc;
static uint64_t last_task;
static size_t last_len;
static unsigned free_at; /* frees the channel with this message */

/* The packet from which messages are taken. */
static struct {
    char bytes[GD_MSG_PACKET_MAX];
    size_t n;
    size_t at;
} packet;
static unsigned n_packets; /* received at the other end */

static void on_message(struct gd_channel *c, const struct gd_msg_view *v, void *arg)
{
    ck_assert_ptr_eq(arg, &loop);
    ck_assert_uint_eq(n_gone, 0);
    ck_assert(gd_msg_is_whole(v));
    last_task = v->task;
    last_len = v->fields.len;
    if (++n_messages == free_at) {
        channel = NULL;
        gd_channel_free(c);
    }
    uv_stop(&uv);
}

static void on_gone(struct gd_channel *c, int rc, void *arg)
{
    (void)c;
    ck_assert_ptr_eq(arg, &loop);
    n_gone++;
    gone_rc = rc;
    uv_stop(&uv);
}

static const struct gd_channel_ops ops = {.message = on_message, .gone = on_gone};

static void setup(void)
{
    int ends[2];
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&loop, &uv), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    channel = gd_channel_new(&loop, ends[0], &ops, &loop);
    ck_assert_ptr_nonnull(channel);
    other = ends[1];
    n_messages = n_gone = free_at = n_packets = 0;
    packet.at = packet.n = 0;
}

static void close_other(void)
{
    if (other >= 0)
        (void)close(other);
    other = -1;
}

static void teardown(void)
{
    gd_channel_free(channel);
    close_other();
    gd_loop_close(&loop);
    (void)uv_run(&uv, UV_RUN_NOWAIT); /* may have been asked to stop before */
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static void is_late(struct gd_timer *t)
{
    (void)t;
    ck_abort_msg("nothing comes");
}

/* Runs until so many messages have come, or the end. */
static void run_until(unsigned n)
{
    deadline.fn = is_late;
    ck_assert_int_eq(gd_timer_at(&loop, &deadline, gd_mono_ms() + DEADLINE_MS), 0);
    while (n_messages < n && n_gone == 0 && channel)
        (void)uv_run(&uv, UV_RUN_DEFAULT);
    gd_timer_stop(&loop, &deadline);
}

static void run_until_gone(int rc)
{
    run_until(UINT32_MAX);
    ck_assert_uint_eq(n_gone, 1);
    ck_assert_int_eq(gone_rc, rc);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(n_gone, 1); /* once */
}

/* --- the other end */

static void put(const void *bytes, size_t n, const int *fds, unsigned n_fds)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct msghdr hdr = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds > 0) {
        hdr.msg_control = control;
        hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&hdr);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, n_fds * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(other, &hdr, MSG_NOSIGNAL), (ssize_t)n);
}

static void put_head(uint64_t task)
{
    struct gd_msg_head head = {.type = GD_MSG_ACK, .task = task};
    put(&head, sizeof(head), NULL, 0);
}

/* A message whose fields are in a memory file of `n` bytes with these seals. */
static void put_memfd(size_t n, int seals, bool whole)
{
    struct gd_msg_head head = {.type = GD_MSG_EXITED, .task = 1, .flags = GD_MSG_IN_MEMFD};
    uint32_t field[2] = {GD_FIELD_STDOUT, (uint32_t)(n - 8 + !whole)};
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(ftruncate(fd, (off_t)n), 0);
    ck_assert(n < 8 || pwrite(fd, field, sizeof(field), 0) == sizeof(field));
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    put(&head, sizeof(head), &fd, 1);
    (void)close(fd);
}

/* One packet, if there is one; its size. */
static ssize_t receive(int *ret_fd)
{
    struct iovec part = {.iov_base = packet.bytes, .iov_len = sizeof(packet.bytes)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr hdr = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(other, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    packet.at = packet.n = 0;
    *ret_fd = -1;
    if (n <= 0)
        return n;
    n_packets++;
    packet.n = (size_t)n;
    struct cmsghdr *cm = CMSG_FIRSTHDR(&hdr);
    if (cm)
        memcpy(ret_fd, CMSG_DATA(cm), sizeof(int));
    return n;
}

/* One message, if there is one; its size. */
static ssize_t take(struct gd_msg_head *ret_head, int *ret_fd)
{
    *ret_fd = -1;
    *ret_head = (struct gd_msg_head){0};
    ssize_t n = packet.at < packet.n ? 1 : receive(ret_fd);
    if (n <= 0)
        return n;
    ck_assert_uint_le(packet.at + sizeof(*ret_head), packet.n);
    memcpy(ret_head, packet.bytes + packet.at, sizeof(*ret_head));
    size_t size = sizeof(*ret_head) + ret_head->n;
    packet.at += size;
    ck_assert_uint_le(packet.at, packet.n);
    return (ssize_t)size;
}

static void send_one(uint64_t task, size_t n)
{
    struct gd_msg m;
    static char bytes[LARGE];
    gd_msg_init(&m, GD_MSG_EXITED, task, 1);
    if (n > 0)
        gd_msg_put(&m, GD_FIELD_STDOUT, bytes, n);
    gd_channel_send(channel, &m);
    ck_assert_ptr_null(m.fields.ptr); /* emptied */
}

/* --- sending */

START_TEST(what_comes_in_one_round_goes_together)
{
    struct gd_msg_head head;
    int fd = -1;
    for (uint64_t i = 0; i < 3; i++)
        send_one(i, i * 100);
    ck_assert_int_lt(take(&head, &fd), 0);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_gt(take(&head, &fd), 0);
        ck_assert_uint_eq(head.task, i);
        ck_assert_uint_eq(head.n, i == 0 ? 0 : i * 100 + 8);
    }
    ck_assert_int_lt(take(&head, &fd), 0);
    ck_assert_uint_eq(n_packets, 1);
}

START_TEST(what_follows_at_once_goes_a_little_later)
{
    struct gd_msg_head head;
    int fd = -1;
    int64_t before_ms = 0;
    do { /* until all of it lies in one millisecond */
        gd_channel_flush(channel);
        while (take(&head, &fd) > 0)
            continue;
        before_ms = gd_mono_ms();
        while (gd_mono_ms() < before_ms + 3) /* so that nothing has just been sent */
            continue;
        before_ms = gd_mono_ms();
        send_one(1, 0);
        (void)uv_run(&uv, UV_RUN_NOWAIT);
        send_one(2, 0);
        (void)uv_run(&uv, UV_RUN_NOWAIT);
    } while (gd_mono_ms() != before_ms);
    ck_assert_int_gt(take(&head, &fd), 0);
    ck_assert_uint_eq(head.task, 1);
    ck_assert_int_lt(take(&head, &fd), 0);
    gd_channel_flush(channel);
    ck_assert_int_gt(take(&head, &fd), 0);
    ck_assert_uint_eq(head.task, 2);
}

START_TEST(a_packet_holds_no_more_than_its_most)
{
    struct gd_msg_head head;
    int fd = -1;
    send_one(0, 40000);
    send_one(1, 40000); /* not with it */
    send_one(2, LARGE); /* alone */
    for (uint64_t i = 3; i < 103; i++)
        send_one(i, 0);
    gd_channel_flush(channel);
    for (uint64_t i = 0; i < 103; i++) {
        ck_assert_int_gt(take(&head, &fd), 0);
        ck_assert_uint_eq(head.task, i);
        ck_assert_int_eq(fd >= 0, i == 2);
        if (fd >= 0)
            (void)close(fd);
    }
    ck_assert_int_lt(take(&head, &fd), 0);
    ck_assert_uint_gt(n_packets, 4);
    ck_assert_uint_lt(n_packets, 20);
}

/* Reads at the other end whenever something is there. */
static uint64_t n_taken;

static void other_ready(struct gd_watch *w, uint32_t events)
{
    struct gd_msg_head head;
    int fd = -1;
    (void)w;
    (void)events;
    while (take(&head, &fd) > 0)
        ck_assert_uint_eq(head.task, n_taken++);
    uv_stop(&uv);
}

static void take_all(uint64_t n)
{
    struct gd_watch reader = {.fn = other_ready};
    n_taken = 0;
    deadline.fn = is_late;
    ck_assert_int_eq(gd_timer_at(&loop, &deadline, gd_mono_ms() + DEADLINE_MS), 0);
    ck_assert_int_eq(gd_watch_start(&loop, &reader, other, EPOLLIN), 0);
    while (n_taken < n)
        (void)uv_run(&uv, UV_RUN_DEFAULT);
    gd_watch_stop(&loop, &reader);
    gd_timer_stop(&loop, &deadline);
}

START_TEST(what_waits_for_its_time_goes_by_itself)
{
    for (unsigned i = 0; i < 10; i++)
        send_one(i, 0);
    take_all(10);
}

START_TEST(what_the_socket_does_not_take_waits_in_order)
{
    for (uint64_t i = 0; i < MANY; i++)
        send_one(i, 1000);
    gd_channel_flush(channel);
    ck_assert(gd_channel_is_behind(channel));
    take_all(MANY);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert(!gd_channel_is_behind(channel));
}

START_TEST(large_messages_go_as_sealed_memory)
{
    struct gd_msg_head head;
    int fd = -1;
    size_t most = GD_MSG_PACKET_MAX - sizeof(head) - 8;
    size_t n = _i == 0 ? most : _i == 1 ? most + 1 : LARGE;
    send_one(5, n);
    gd_channel_flush(channel);
    ck_assert_int_eq(take(&head, &fd), (ssize_t)(_i == 0 ? GD_MSG_PACKET_MAX : sizeof(head)));
    ck_assert_uint_eq(head.flags, _i == 0 ? 0 : GD_MSG_IN_MEMFD);
    ck_assert_int_eq(fd >= 0, _i != 0);
    if (fd < 0)
        return;
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)n + 8);
    ck_assert_int_lt(ftruncate(fd, 1), 0);
    ck_assert_int_lt(write(fd, "x", 1), 0);
    (void)close(fd);
}

START_TEST(a_message_that_had_no_memory_breaks_the_channel)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_ACK, 1, 1);
    if (_i == 0) {
        failalloc_arm(1);
        gd_msg_u64(&m, GD_FIELD_SLOTS, 1);
        (void)failalloc_disarm();
        gd_channel_send(channel, &m);
    } else {
        failalloc_arm(1);
        gd_channel_send(channel, &m);
        (void)failalloc_disarm();
    }
    ck_assert_uint_eq(n_gone, 0); /* never from inside */
    run_until_gone(-ENOMEM);
    send_one(2, 0); /* harmless */
}

START_TEST(a_peer_that_went_away_is_noticed_by_sending)
{
    close_other();
    send_one(1, 0);
    send_one(2, 100000);
    gd_channel_flush(channel);
    ck_assert_uint_eq(n_gone, 0);
    run_until(UINT32_MAX);
    ck_assert_uint_eq(n_gone, 1);
    ck_assert(gone_rc == -EPIPE || gone_rc == 0);
}

START_TEST(freeing_sends_what_the_socket_still_takes)
{
    struct gd_msg_head head;
    int fd = -1;
    for (unsigned i = 0; i < 5; i++)
        send_one(i, 0);
    gd_channel_free(channel);
    channel = NULL;
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_gt(take(&head, &fd), 0);
        ck_assert_uint_eq(head.task, i);
    }
    ck_assert_int_eq(take(&head, &fd), 0);
}

/* --- receiving */

START_TEST(messages_come_one_by_one_before_the_end)
{
    for (uint64_t i = 1; i <= 200; i++)
        put_head(i);
    close_other();
    run_until_gone(0);
    ck_assert_uint_eq(n_messages, 200);
    ck_assert_uint_eq(last_task, 200);
}

START_TEST(a_large_message_comes_whole)
{
    put_memfd(LARGE, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL, true);
    run_until(1);
    ck_assert_uint_eq(last_len, LARGE);
}

/* Each of them ends the connection, and nothing of it is handed out. */
static void put_short(void)
{
    put("abc", 3, NULL, 0);
}

static void put_too_long(void)
{
    static char bytes[GD_MSG_PACKET_MAX + 1];
    put(bytes, sizeof(bytes), NULL, 0);
}

static void put_cut_off(void)
{
    struct {
        struct gd_msg_head head;
        uint32_t field[2];
    } cut = {.head = {.type = GD_MSG_ACK, .n = 8}, .field = {GD_FIELD_SLOTS, 8}};
    put(&cut, sizeof(cut), NULL, 0);
}

static void put_more_than_there_is(void)
{
    struct gd_msg_head head = {.type = GD_MSG_ACK, .n = 1};
    put(&head, sizeof(head), NULL, 0);
}

static void put_memfd_and_more(void)
{
    struct gd_msg_head heads[2] = {{.type = GD_MSG_EXITED, .flags = GD_MSG_IN_MEMFD},
                                   {.type = GD_MSG_ACK}};
    put(heads, sizeof(heads), &other, 1);
}

static void put_without_fd(void)
{
    struct gd_msg_head head = {.type = GD_MSG_EXITED, .flags = GD_MSG_IN_MEMFD};
    put(&head, sizeof(head), NULL, 0);
}

static void put_unsealed(void)
{
    put_memfd(100, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, true);
}

static void put_empty(void)
{
    put_memfd(0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL, true);
}

static void put_beyond_most(void)
{
    put_memfd(GD_MSG_MAX + 1, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL, true);
}

static void put_broken_memory(void)
{
    put_memfd(100, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL, false);
}

static void put_two_fds(void)
{
    struct gd_msg_head head = {.type = GD_MSG_EXITED, .flags = GD_MSG_IN_MEMFD};
    int fds[2] = {other, other};
    put(&head, sizeof(head), fds, 2);
}

static void put_other_file(void)
{
    struct gd_msg_head head = {.type = GD_MSG_EXITED, .flags = GD_MSG_IN_MEMFD};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    put(&head, sizeof(head), &fd, 1);
    (void)close(fd);
}

static void (*const broken[])(void) = {
    put_short,       put_more_than_there_is, put_memfd_and_more, put_too_long,
    put_cut_off,     put_without_fd,         put_unsealed,       put_empty,
    put_beyond_most, put_broken_memory,      put_two_fds,        put_other_file};
#define N_BROKEN ((int)(sizeof(broken) / sizeof(broken[0])))

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

START_TEST(a_broken_message_ends_the_connection)
{
    int before = n_open();
    put_head(1);
    broken[_i]();
    put_head(2);
    run_until_gone(-EPROTO);
    ck_assert_uint_eq(n_messages, 1);
    ck_assert_int_eq(n_open(), before); /* no descriptor stays */
}

START_TEST(the_channel_may_be_freed_by_a_message)
{
    for (uint64_t i = 1; i <= 5; i++)
        put_head(i);
    free_at = 3;
    if (_i == 0)
        run_until(10);
    else
        gd_channel_drain(channel);
    ck_assert_uint_eq(n_messages, 3);
    ck_assert_uint_eq(n_gone, 0);
}

START_TEST(draining_takes_in_all_that_has_come)
{
    for (uint64_t i = 1; i <= 200; i++)
        put_head(i);
    close_other();
    gd_channel_drain(channel);
    ck_assert_uint_eq(n_messages, 200);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(n_gone, 0); /* without the callback */
    ck_assert_uint_eq(gd_channel_peer_uid(channel), geteuid());
}

START_TEST(others_get_their_turn_between_messages)
{
    for (uint64_t i = 1; i <= 150; i++)
        put_head(i);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_gt(n_messages, 0);
    ck_assert_uint_lt(n_messages, 150);
    run_until(150);
}

START_TEST(a_new_channel_without_memory_closes_its_socket)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    failalloc_arm(1);
    struct gd_channel *c = gd_channel_new(&loop, ends[0], &ops, NULL);
    (void)failalloc_disarm();
    ck_assert_ptr_null(c);
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), -1);
    (void)close(ends[1]);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(
        tc, 1, what_comes_in_one_round_goes_together, what_follows_at_once_goes_a_little_later,
        a_packet_holds_no_more_than_its_most, what_waits_for_its_time_goes_by_itself,
        what_the_socket_does_not_take_waits_in_order, a_peer_that_went_away_is_noticed_by_sending,
        freeing_sends_what_the_socket_still_takes, messages_come_one_by_one_before_the_end,
        a_large_message_comes_whole, draining_takes_in_all_that_has_come,
        others_get_their_turn_between_messages, a_new_channel_without_memory_closes_its_socket);
    suite_add(tc, 2, a_message_that_had_no_memory_breaks_the_channel,
              the_channel_may_be_freed_by_a_message);
    suite_add(tc, 3, large_messages_go_as_sealed_memory);
    suite_add(tc, N_BROKEN, a_broken_message_ends_the_connection);
    return suite_main("proto_channel", tc);
}
