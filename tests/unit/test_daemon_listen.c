/* Addresses, and who may listen where; the lock of a state directory. */
#include "daemon/listen.h"
#include "daemon/lock.h"

#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gd_err err;
static int fd;
static unsigned port;

static void setup(void)
{
    scratch_begin();
    err = (struct gd_err){0};
    fd = -1;
}

static void teardown(void)
{
    if (fd >= 0)
        (void)close(fd);
    scratch_end();
}

static const char *unix_address(void)
{
    static char address[160];
    (void)snprintf(address, sizeof(address), "unix:%s", scratch_path("sock"));
    return address;
}

START_TEST(an_address_of_this_machine_is_listened_on)
{
    static const char *const addresses[] = {"127.0.0.1:0", "localhost:0", "127.9.8.7:0"};
    int rc = gd_listen_open(addresses[_i], &fd, &port, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_uint_gt(port, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    int accepts = 0;
    socklen_t n = sizeof(accepts);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n), 0);
    ck_assert_int_eq(accepts, 1);
    char again[64];
    int second = -1;
    (void)snprintf(again, sizeof(again), "127.0.0.1:%u", port);
    if (_i == 0)
        ck_assert_int_eq(gd_listen_open(again, &second, &port, &err), -EADDRINUSE);
}

static const char *const refused[] = {
    "0.0.0.0:4284",
    "192.168.1.1:4284",
    "[::]:4284",
    "[fe80::1]:4284",
    "[::ffff:127.0.0.1]:1",
    "128.0.0.1:1",
    "10.0.0.1:0",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:80x",
    "[::1:80",
    "::1:80",
    "[127.0.0.1]:80",
    "example.org:80",
    "",
    ":80",
    "unix:relative/sock",
    "unix:",
    "127.0.0.1.:80",
    "127.1:80",
    "0x7f000001:80",
    "localhost.evil:80",
};
#define N_REFUSED ((int)(sizeof(refused) / sizeof(refused[0])))

START_TEST(any_other_is_refused_with_words)
{
    ck_assert_int_eq(gd_listen_open(refused[_i], &fd, &port, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, refused[_i]));
    ck_assert_int_eq(fd, -1);
}

START_TEST(a_socket_file_is_for_this_user_alone)
{
    struct stat st;
    mode_t before = umask(0);
    ck_assert_int_eq(gd_listen_open(unix_address(), &fd, &port, &err), 0);
    ck_assert_uint_eq(umask(before), 0); /* left as it was */
    ck_assert_uint_eq(port, 0);
    ck_assert_int_eq(stat(scratch_path("sock"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    gd_listen_unlink(unix_address());
    ck_assert_int_eq(stat(scratch_path("sock"), &st), -1);
    gd_listen_unlink("127.0.0.1:80");
}

START_TEST(a_leftover_is_replaced_and_a_living_one_is_not)
{
    int second = -1;
    ck_assert_int_eq(gd_listen_open(unix_address(), &fd, &port, &err), 0);
    ck_assert_int_eq(gd_listen_open(unix_address(), &second, &port, &err), -EADDRINUSE);
    (void)close(fd); /* killed: the file stays */
    ck_assert_int_eq(gd_listen_open(unix_address(), &fd, &port, &err), 0);
    (void)close(fd);
    fd = -1;
    gd_listen_unlink(unix_address());
    scratch_write("sock", "a file of somebody");
    ck_assert_int_eq(gd_listen_open(unix_address(), &fd, &port, &err), -EADDRINUSE);
    struct stat st;
    ck_assert_int_eq(stat(scratch_path("sock"), &st), 0);
    ck_assert_int_eq(st.st_size, 18);
}

START_TEST(a_path_has_107_bytes_at_most)
{
    char address[200] = "unix:/";
    size_t n = strlen("unix:") + (_i ? 108 : 107);
    memset(address + 6, 'x', n - 6);
    int rc = gd_listen_open(address, &fd, &port, &err);
    ck_assert_int_eq(strstr(err.text, "107 bytes") != NULL, _i);
    if (rc == 0) /* whoever may write to the root directory */
        gd_listen_unlink(address);
}

/* --- lock */

START_TEST(one_daemon_for_one_directory)
{
    struct gd_lock first;
    struct gd_lock second;
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "process %d", getpid());
    ck_assert_int_eq(gd_lock_take(&first, scratch_dir, &err), 0);
    ck_assert_int_eq(gd_lock_take(&second, scratch_dir, &err), GD_E_LOCKED);
    ck_assert_int_eq(second.fd, -1);
    ck_assert_ptr_nonnull(strstr(err.text, expected));
    gd_lock_drop(&second);
    gd_lock_drop(&first);
    gd_lock_drop(&first);
    ck_assert_int_eq(gd_lock_take(&second, scratch_dir, &err), 0);
    ck_assert_int_ne(fcntl(second.fd, F_GETFD) & FD_CLOEXEC, 0);
    gd_lock_drop(&second);
}

START_TEST(a_lock_file_may_say_anything)
{
    static const char *const texts[] = {"", "nonsense", "-5\n", "99999999999999999999999999999999"};
    struct gd_lock first;
    struct gd_lock second;
    ck_assert_int_eq(gd_lock_take(&first, scratch_dir, &err), 0);
    scratch_write("gatherd.lock", texts[_i]);
    ck_assert_int_eq(gd_lock_take(&second, scratch_dir, &err), GD_E_LOCKED);
    gd_lock_drop(&first);
}

START_TEST(a_link_is_not_followed_and_no_directory_is_an_error)
{
    struct gd_lock lock;
    ck_assert_int_eq(gd_lock_take(&lock, "/none", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/none"));
    ck_assert_int_eq(symlink("other", scratch_path("gatherd.lock")), 0);
    ck_assert_int_eq(gd_lock_take(&lock, scratch_dir, &err), -ELOOP);
    ck_assert_int_eq(lock.fd, -1);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 3, an_address_of_this_machine_is_listened_on);
    suite_add(tc, N_REFUSED, any_other_is_refused_with_words);
    suite_add(tc, 2, a_path_has_107_bytes_at_most);
    suite_add(tc, 4, a_lock_file_may_say_anything);
    suite_add(tc, 1, a_socket_file_is_for_this_user_alone,
              a_leftover_is_replaced_and_a_living_one_is_not, one_daemon_for_one_directory,
              a_link_is_not_followed_and_no_directory_is_an_error);
    return suite_main("daemon_listen", tc);
}
