/* Where output goes: memory, a file, or nowhere; whatever happens, a command goes on. */
#include "base/limits.h"
#include "daemon/worker/sink.h"

#include "tests/support/failalloc.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gd_sink sink;
static int dir;
static char bytes[GD_INLINE_OUTPUT + 100];

static void setup(void)
{
    scratch_begin();
    dir = open(scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(bytes, 'x', sizeof(bytes));
}

static void teardown(void)
{
    gd_sink_free(&sink);
    (void)close(dir);
    scratch_end();
}

static void begin(uint64_t max)
{
    gd_sink_init(&sink, dir, max, 7, 2, "stdout");
}

static void reports(uint64_t total, uint64_t kept, bool in_file, size_t in_memory)
{
    struct gd_msg m;
    struct gd_span text = {0};
    gd_msg_init(&m, GD_MSG_EXITED, 7, 2);
    gd_sink_report(&sink, &m, GD_FIELD_STDERR);
    const struct gd_msg_view v = {.fields = gd_buf_view(&m.fields)};
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_STDERR_BYTES, 99), total);
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_STDERR_KEPT, 99), kept);
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_STDERR_FILE, 0), in_file);
    ck_assert_int_eq(gd_msg_find(&v, GD_FIELD_STDERR, &text), in_memory > 0);
    ck_assert_uint_eq(text.len, in_memory);
    gd_msg_free(&m);
}

static off_t file_size(void)
{
    struct stat st;
    return stat(scratch_path("7-2.stdout"), &st) == 0 ? st.st_size : -1;
}

START_TEST(little_stays_in_memory)
{
    begin(1 << 20);
    reports(0, 0, false, 0);
    gd_sink_put(&sink, bytes, GD_INLINE_OUTPUT);
    reports(GD_INLINE_OUTPUT, GD_INLINE_OUTPUT, false, GD_INLINE_OUTPUT);
    ck_assert_int_eq(file_size(), -1);
    gd_sink_put(&sink, bytes, 1); /* one more is too much */
    reports(GD_INLINE_OUTPUT + 1, GD_INLINE_OUTPUT + 1, true, 0);
    ck_assert_int_eq(file_size(), GD_INLINE_OUTPUT + 1);
}

START_TEST(beyond_its_limit_it_only_counts)
{
    begin(_i ? GD_INLINE_OUTPUT + 10 : 10);
    gd_sink_put(&sink, bytes, sizeof(bytes));
    gd_sink_put(&sink, bytes, sizeof(bytes));
    reports(2 * sizeof(bytes), _i ? GD_INLINE_OUTPUT + 10 : 10, _i, _i ? 0 : 10);
    ck_assert_int_eq(file_size(), _i ? GD_INLINE_OUTPUT + 10 : -1);
}

START_TEST(a_file_of_an_earlier_run_is_replaced_not_followed)
{
    scratch_write("other", "precious");
    ck_assert_int_eq(symlinkat("other", dir, "7-2.stdout"), 0);
    begin(100);
    gd_sink_put(&sink, "abc", 3);
    ck_assert_int_eq(gd_sink_spill(&sink), 0);
    ck_assert_int_eq(gd_sink_spill(&sink), 0); /* again changes nothing */
    gd_sink_put(&sink, "de", 2);
    reports(5, 5, true, 0);
    ck_assert_int_eq(file_size(), 5);
    struct stat st;
    ck_assert_int_eq(stat(scratch_path("other"), &st), 0);
    ck_assert_int_eq(st.st_size, 8);
}

START_TEST(without_a_file_memory_keeps_what_it_may)
{
    ck_assert_int_eq(mkdir(scratch_path("7-2.stdout"), 0700), 0); /* in the way */
    begin(1 << 20);
    gd_sink_put(&sink, bytes, 10);
    gd_sink_put(&sink, bytes, sizeof(bytes));
    reports(10 + sizeof(bytes), GD_INLINE_OUTPUT, false, GD_INLINE_OUTPUT);
    gd_sink_put(&sink, bytes, 10);
    reports(20 + sizeof(bytes), GD_INLINE_OUTPUT, false, GD_INLINE_OUTPUT);
    ck_assert_int_lt(gd_sink_spill(&sink), 0);
}

START_TEST(a_full_disk_keeps_what_was_written)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {GD_INLINE_OUTPUT + 50, GD_INLINE_OUTPUT + 50};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    begin(1 << 20);
    gd_sink_put(&sink, bytes, 10);
    gd_sink_put(&sink, bytes, sizeof(bytes));
    gd_sink_put(&sink, bytes, 10);
    reports(20 + sizeof(bytes), GD_INLINE_OUTPUT + 50, true, 0);
    ck_assert_int_eq(file_size(), GD_INLINE_OUTPUT + 50);
}

/* What could not be kept is not counted as kept, and what was kept before stays. */
START_TEST(without_memory_the_rest_is_dropped)
{
    begin(1 << 20);
    gd_sink_put(&sink, bytes, 10);
    failalloc_arm(1);
    gd_sink_put(&sink, bytes, 5000);
    ck_assert(failalloc_disarm());
    gd_sink_put(&sink, bytes, 20);
    reports(5030, 10, false, 10);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, little_stays_in_memory, a_file_of_an_earlier_run_is_replaced_not_followed,
              without_a_file_memory_keeps_what_it_may, a_full_disk_keeps_what_was_written,
              without_memory_the_rest_is_dropped);
    suite_add(tc, 2, beyond_its_limit_it_only_counts);
    return suite_main("worker_sink", tc);
}
