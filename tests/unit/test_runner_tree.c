/* A sweep counts who lives, and without memory it does not take anybody for dead. */
#include "daemon/runner/tree.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gd_map by_pid;
static struct gd_map by_task;
static struct gd_tree tree;

/* A process in a session of its own, which lives until it is killed. */
static void setup(void)
{
    int ready[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails does not come to its end */
        (void)setsid();
        (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    tree = (struct gd_tree){.pid = pid, .task = 7, .attempt = 1};
    ck_assert_int_eq(gd_map_put(&by_pid, (uint64_t)pid, &tree), 0);
    ck_assert_int_eq(gd_map_put(&by_task, 7, &tree), 0);
}

static void teardown(void)
{
    (void)kill(tree.pid, SIGKILL);
    (void)waitpid(tree.pid, NULL, 0);
    gd_map_free(&by_pid);
    gd_map_free(&by_task);
}

START_TEST(a_sweep_counts_who_lives)
{
    ck_assert_int_eq(gd_tree_sweep(&by_pid, &by_task), 0);
    ck_assert_int_eq(tree.n_alive, 1);
    tree.sig = SIGKILL;
    ck_assert_int_eq(gd_tree_sweep(&by_pid, &by_task), 0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)tree.pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(info.si_status, SIGKILL);
    ck_assert_int_eq(gd_tree_sweep(&by_pid, &by_task), 0);
    ck_assert_int_eq(tree.n_alive, 0); /* a zombie, which its owner reaps */
    ck_assert_int_eq(waitpid(tree.pid, NULL, WNOHANG), tree.pid);
}

START_TEST(without_memory_nobody_is_taken_for_dead)
{
    bool failed = true;
    for (unsigned long nth = 1; failed; nth++) {
        failalloc_arm(nth);
        int rc = gd_tree_sweep(&by_pid, &by_task);
        failed = failalloc_disarm();
        ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
    }
    ck_assert_int_eq(tree.n_alive, 1);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, a_sweep_counts_who_lives, without_memory_nobody_is_taken_for_dead);
    return suite_main("runner_tree", tc);
}
