/* Starting a program: what it gets, what it does not, and what comes back when it cannot be
 * started. */
#include "daemon/runner/spawn.h"

#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 60000

static struct gd_spawner spawner;
static int in[2];  /* its stdin, which stays open until the test closes it */
static int out[2]; /* its stdout and stderr */
static char text[65536];

static void ignore(int signo)
{
    (void)signo;
}

static void setup(void)
{
    sigset_t usr1;
    scratch_begin();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGUSR2, ignore);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &usr1, NULL), 0);
    ck_assert_int_eq(gd_spawner_init(&spawner, (struct rlimit){123, 234}), 0);
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
}

static void teardown(void)
{
    gd_spawner_done(&spawner);
    scratch_end();
}

static const char *path = "/usr/bin:/bin";
static const char *cwd = "/";
static const char *const env[] = {"A=1", "B=two words", NULL};
static int cgroup_fd = -1;

static int spawn(const char *const *argv, struct gd_spawned *ret)
{
    struct gd_spawn s = {.argv = (char *const *)(uintptr_t)argv,
                         .envp = (char *const *)(uintptr_t)env,
                         .path = path,
                         .cwd = cwd,
                         .fds = {in[0], out[1], out[1]},
                         .cgroup_fd = cgroup_fd};
    *ret = (struct gd_spawned){.pidfd = -1};
    return gd_spawn(&spawner, &s, ret);
}

/* Reads until every writing end is closed. */
static const char *read_all(void)
{
    size_t n = 0;
    struct pollfd ready = {.fd = out[0], .events = POLLIN};
    (void)close(out[1]);
    for (ssize_t some = 1; some > 0; n += (size_t)some) {
        ck_assert_int_eq(poll(&ready, 1, DEADLINE_MS), 1);
        some = read(out[0], text + n, sizeof(text) - 1 - n);
        ck_assert_int_ge(some, 0);
    }
    text[n] = '\0';
    return text;
}

static int wait_for(const struct gd_spawned *p)
{
    int status = 0;
    struct pollfd end = {.fd = p->pidfd, .events = POLLIN};
    ck_assert_int_eq(poll(&end, 1, DEADLINE_MS), 1);
    ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
    (void)close(p->pidfd);
    return status;
}

/* What `sh -c script` says. */
static const char *say(const char *script)
{
    struct gd_spawned p;
    ck_assert_int_eq(spawn((const char *const[]){"sh", "-c", script, NULL}, &p), 0);
    const char *said = read_all();
    ck_assert_int_eq(wait_for(&p), 0);
    return said;
}

/* A line of /proc/<pid>/status, from its name on. */
static unsigned long long status_mask(pid_t pid, const char *name)
{
    char file[64];
    char line[256];
    unsigned long long mask = ~0ULL;
    (void)snprintf(file, sizeof(file), "/proc/%d/status", pid);
    FILE *f = fopen(file, "re");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, name, strlen(name)) == 0)
            mask = strtoull(line + strlen(name), NULL, 16);
    (void)fclose(f);
    return mask;
}

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 300; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* --- what it gets */

START_TEST(its_environment_is_what_was_given)
{
    struct gd_spawned p;
    ck_assert_int_eq(spawn((const char *const[]){"env", NULL}, &p), 0);
    ck_assert_str_eq(read_all(), "A=1\nB=two words\n");
    ck_assert_int_eq(wait_for(&p), 0);
}

START_TEST(its_directory_mask_and_limits)
{
    char expected[128];
    cwd = scratch_dir;
    (void)snprintf(expected, sizeof(expected), "%s\n0022\n123\n234\n", scratch_dir);
    ck_assert_str_eq(say("pwd; umask; ulimit -Sn; ulimit -Hn"), expected);
}

START_TEST(it_has_three_descriptors)
{
    ck_assert_int_ge(dup2(in[0], 50), 0); /* neither is close-on-exec */
    ck_assert_int_ge(dup2(in[0], 3), 0);
    ck_assert_str_eq(say("n=0; while [ $n -lt 300 ]; do [ -e /proc/$$/fd/$n ] && echo $n;"
                         " n=$((n+1)); done; exit 0"),
                     "0\n1\n2\n");
}

START_TEST(it_leads_a_session_and_hears_every_signal)
{
    struct gd_spawned p;
    ck_assert_int_eq(spawn((const char *const[]){"cat", NULL}, &p), 0);
    ck_assert_int_eq(getsid(p.pid), p.pid); /* from the start */
    ck_assert_int_eq(getpgid(p.pid), p.pid);
    ck_assert_uint_eq(status_mask(p.pid, "SigBlk:"), 0);
    /* 32 and 33 are the C library's own, which posix_spawn(3) of our parent may ignore. */
    ck_assert_uint_eq(status_mask(p.pid, "SigIgn:") & ~0x180000000ULL, 0);
    ck_assert_int_ne(fcntl(p.pidfd, F_GETFD) & FD_CLOEXEC, 0);
    (void)close(in[1]);
    (void)close(in[0]);
    ck_assert_int_eq(wait_for(&p), 0);
}

START_TEST(our_own_signals_are_as_before)
{
    sigset_t now;
    (void)say("exit 0");
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &now), 0);
    ck_assert_int_eq(sigismember(&now, SIGUSR1), 1);
    ck_assert_int_eq(sigismember(&now, SIGTERM), 0);
    struct sigaction old;
    ck_assert_int_eq(sigaction(SIGPIPE, NULL, &old), 0);
    ck_assert(old.sa_handler == SIG_IGN);
}

START_TEST(it_dies_with_its_parent)
{
    pid_t parent = fork();
    ck_assert_int_ge(parent, 0);
    if (parent == 0) {
        struct gd_spawned p;
        _exit(spawn((const char *const[]){"cat", NULL}, &p) == 0 ? 0 : 1);
    }
    int status = 1;
    ck_assert_int_eq(waitpid(parent, &status, 0), parent);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(read_all(), ""); /* its stdout is closed: it is gone */
}

/* --- which program */

static void script(const char *name, const char *content, mode_t mode)
{
    scratch_write(name, content);
    ck_assert_int_eq(chmod(scratch_path(name), mode), 0);
}

START_TEST(the_first_in_the_path_is_taken)
{
    char dirs[256];
    struct gd_spawned p;
    ck_assert_int_eq(mkdir(scratch_path("a"), 0700), 0);
    ck_assert_int_eq(mkdir(scratch_path("b"), 0700), 0);
    script("a/prog", "#!/bin/sh\necho denied\n", 0600);
    script("b/prog", "#!/bin/sh\necho b\n", 0700);
    script("prog", "#!/bin/sh\necho here\n", 0700);
    cwd = scratch_dir;
    /* An empty part is the current directory; what may not be executed is passed over. */
    (void)snprintf(dirs, sizeof(dirs), "/none:%s/a:%s%s/b", scratch_dir, _i ? ":" : "",
                   scratch_dir);
    path = dirs;
    ck_assert_int_eq(spawn((const char *const[]){"prog", NULL}, &p), 0);
    ck_assert_str_eq(read_all(), _i ? "here\n" : "b\n");
    ck_assert_int_eq(wait_for(&p), 0);
}

START_TEST(a_name_with_a_slash_is_not_looked_for)
{
    struct gd_spawned p;
    script("prog", "#!/bin/sh\necho \"$0\"\n", 0700);
    cwd = scratch_dir;
    ck_assert_int_eq(spawn((const char *const[]){"./prog", NULL}, &p), 0);
    ck_assert_str_eq(read_all(), "./prog\n");
    ck_assert_int_eq(wait_for(&p), 0);
}

/* --- what cannot be started */

static void cannot(const char *program, int errnum, const char *stage)
{
    struct gd_spawned p;
    int before = n_open();
    ck_assert_int_eq(spawn((const char *const[]){program, NULL}, &p), -errnum);
    ck_assert_str_eq(p.stage, stage);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_int_eq(n_open(), before);
}

START_TEST(a_program_that_cannot_be_executed)
{
    script("denied", "#!/bin/sh\n", 0600);
    script("nonsense",
           "\x7f"
           "ELF but not really",
           0700);
    script("lost", "#!/none/sh\n", 0700);
    cwd = scratch_dir;
    cannot("/none/such", ENOENT, "exec");
    cannot("none-such", ENOENT, "exec");
    cannot("./denied", EACCES, "exec");
    cannot("./nonsense", ENOEXEC, "exec");
    cannot("./lost", ENOENT, "exec");
    cannot(scratch_dir, EACCES, "exec");
    path = scratch_dir;
    cannot("denied", EACCES, "exec"); /* more than "not found" */
}

START_TEST(a_directory_that_is_none)
{
    cwd = "/none";
    cannot("true", ENOENT, "chdir");
    cwd = "/dev/null";
    cannot("true", ENOTDIR, "chdir");
}

START_TEST(a_control_group_that_cannot_be_joined)
{
    cgroup_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cannot("true", EBADF, "cgroup");
}

START_TEST(arguments_beyond_what_the_kernel_takes)
{
    struct gd_spawned p;
    static const char *many[3];
    many[0] = "true";
    ck_assert_int_eq(spawn(many, &p), 0);
    ck_assert_int_eq(wait_for(&p), 0);
    char *longer = malloc(131073); /* one string has at most 32 pages (execve(2)) */
    ck_assert_ptr_nonnull(longer);
    memset(longer, 'x', 131072);
    longer[131072] = '\0';
    many[1] = longer;
    ck_assert_int_eq(spawn(many, &p), -E2BIG);
    ck_assert_str_eq(p.stage, "exec");
    free(longer);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, its_environment_is_what_was_given, its_directory_mask_and_limits,
              it_has_three_descriptors, it_leads_a_session_and_hears_every_signal,
              our_own_signals_are_as_before, it_dies_with_its_parent,
              a_name_with_a_slash_is_not_looked_for, a_program_that_cannot_be_executed,
              a_directory_that_is_none, a_control_group_that_cannot_be_joined,
              arguments_beyond_what_the_kernel_takes);
    suite_add(tc, 2, the_first_in_the_path_is_taken);
    return suite_main("runner_spawn", tc);
}
