/* Names of hosts that do not resolve, or not yet. getaddrinfo() is ours here: no test
 * asks a name server. */
#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Shared with the fetcher's process: posted by each lookup of slow.invalid. */
static sem_t *asked;

int look_up(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **ret) __asm__("getaddrinfo");
int look_up(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **ret)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (name && strcmp(name, "slow.invalid") == 0) {
        (void)sem_post(asked);
        for (;;)
            (void)pause();
    }
    if (name && strcmp(name, "none.invalid") == 0)
        return EAI_NONAME;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, ret);
}

static void wait_asked(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PEER_DEADLINE_MS / 1000;
    ck_assert_int_eq(sem_timedwait(asked, &until), 0);
}

static void serve_small(struct exchange *x)
{
    httpd_ok(x, "hello", 5);
}

static const struct httpd_route routes[] = {{"/small", serve_small}, {NULL, NULL}};

static void setup(void)
{
    asked = mmap(NULL, sizeof(*asked), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(asked, MAP_FAILED);
    ck_assert_int_eq(sem_init(asked, 1, 0), 0);
    fetching_start(routes);
}

START_TEST(unknown_names_are_dns)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.url = "http://none.invalid/"});
    fetch_bad(end, "dns", 0);
    ck_assert_ptr_nonnull(strstr(peer_text(fetching_peer, end, GD_FIELD_MESSAGE), "none.invalid"));
}

START_TEST(slow_names_hold_up_nothing_else)
{
    fetch_start(1, (struct fetch){.url = "http://slow.invalid/"});
    wait_asked();
    fetch_good(fetch_run(2, (struct fetch){.path = "/small"}), 200);
    peer_cancel(fetching_peer, 1);
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_CANCELLED);
}

START_TEST(time_limit_does_not_wait_for_names)
{
    fetch_start(1, (struct fetch){.url = "http://slow.invalid/", .timeout_ms = 30});
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_TIMED_OUT);
}

START_TEST(sigterm_does_not_wait_for_names)
{
    fetch_start(1, (struct fetch){.url = "http://slow.invalid/"});
    wait_asked(); /* fetching_stop() does the rest */
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, unknown_names_are_dns);
    tcase_add_test(tc, slow_names_hold_up_nothing_else);
    tcase_add_test(tc, time_limit_does_not_wait_for_names);
    tcase_add_test(tc, sigterm_does_not_wait_for_names);
    return suite_main("fetcher_names", tc);
}
