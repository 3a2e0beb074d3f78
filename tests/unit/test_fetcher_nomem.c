/* Without memory a fetch fails with words, or its connection to gatherd breaks and it
 * is asked for again; the fetcher lives, and leaks nothing (it exits with 0 under
 * the leak checker). Only our own allocations fail here: libcurl 7.88 divides by zero
 * if it cannot note a transfer's socket. */
#include "tests/support/failalloc.h"
#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_ALLOCATIONS 400

/* Shared with the fetcher's process. */
static struct shared {
    _Atomic unsigned long nth; /* fails, counted from the next message on; 0: none */
    atomic_bool disarm;        /* at the next message */
    sem_t disarmed;
    bool reached; /* whether there were that many */
} * shared;

static bool is_fetcher;

static void prepare(void)
{
    is_fetcher = true;
}

/* What the fetcher receives, it receives through here. */
ssize_t receive(int fd, struct msghdr *msg, int flags) __asm__("recvmsg");
ssize_t receive(int fd, struct msghdr *msg, int flags)
{
    static ssize_t (*real)(int, struct msghdr *, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "recvmsg");
    ssize_t n = real(fd, msg, flags);
    if (!is_fetcher || n <= 0)
        return n;
    if (atomic_exchange(&shared->disarm, false)) {
        shared->reached = failalloc_disarm();
        (void)sem_post(&shared->disarmed);
    }
    unsigned long nth = atomic_exchange(&shared->nth, 0);
    if (nth > 0)
        failalloc_arm(nth);
    return n;
}

static void serve_small(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v\"\r\n\r\nhello");
    x->close = true; /* so that every fetch makes a connection */
}

static void serve_redirect(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 302 Found\r\nLocation: /small\r\nContent-Length: 0\r\n\r\n");
}

static const struct httpd_route routes[] = {
    {"/small", serve_small}, {"/redirect", serve_redirect}, {NULL, NULL}};

static void setup(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    ck_assert_int_eq(sem_init(&shared->disarmed, 1, 0), 0);
    fetching_prepare = prepare;
    fetching_start(routes);
}

static void check_end(const struct gd_msg_view *end)
{
    const char *word = peer_text(fetching_peer, end, GD_FIELD_FAILURE);
    uint64_t errnum = gd_msg_num(end, GD_FIELD_ERRNO, 0);
    if (word)
        ck_assert_str_eq(word, "other");
    else if (errnum)
        ck_assert_uint_eq(errnum, ENOMEM);
    else
        fetch_good(end, 200);
}

/* True if the allocation that was to fail was asked for. */
static bool disarm(uint64_t task)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PEER_DEADLINE_MS / 1000;
    shared->disarm = true;
    peer_simple(fetching_peer, GD_MSG_ACK, task);
    ck_assert_int_eq(sem_timedwait(&shared->disarmed, &until), 0);
    return shared->reached;
}

/* One fetch whose nth allocation fails. False: it needed fewer. */
static bool fetch_without(unsigned long nth, struct fetch f)
{
    shared->nth = nth;
    fetch_start(nth, f);
    const struct gd_msg_view *end = peer_try(fetching_peer, GD_MSG_EXITED, nth);
    if (!end) {
        peer_close(fetching_peer);
        fetching_reconnect();
        fetch_start(nth, f); /* it may have it */
        end = peer_wait(fetching_peer, GD_MSG_EXITED, nth);
    }
    check_end(end);
    return disarm(nth);
}

static void fetch_without_each(struct fetch f)
{
    unsigned long n = 1;
    while (n < MOST_ALLOCATIONS && fetch_without(n, f))
        n++;
    ck_assert_uint_lt(n, MOST_ALLOCATIONS);
    ck_assert_uint_gt(n, 5);
    fetch_good(fetch_run(1000, f), 200);
}

START_TEST(every_allocation_of_a_fetch_into_memory_may_fail)
{
    fetch_without_each((struct fetch){.path = "/small"});
}

START_TEST(every_allocation_of_a_redirect_may_fail)
{
    static const char *const headers[] = {"A: b", "C: ", NULL};
    fetch_without_each((struct fetch){.path = "/redirect", .headers = headers, .body = "x"});
}

START_TEST(every_allocation_of_a_fetch_to_a_file_may_fail)
{
    fetch_without_each((struct fetch){.path = "/small", .to = "to", .resume = true});
    fetch_has_file("to", "hello", 5);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, every_allocation_of_a_fetch_into_memory_may_fail);
    tcase_add_test(tc, every_allocation_of_a_redirect_may_fail);
    tcase_add_test(tc, every_allocation_of_a_fetch_to_a_file_may_fail);
    return suite_main("fetcher_nomem", tc);
}
