/* Settings: from the file, from the command line, and which of them wins; every mistake is
 * told with its line. */
#include "daemon/config.h"

#include "tests/support/failalloc.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gd_config config;
static struct gd_err err;

static void setup(void)
{
    scratch_begin();
    config = (struct gd_config){0};
    err = (struct gd_err){0};
}

static void teardown(void)
{
    gd_config_free(&config);
    scratch_end();
}

static int parse(const char *text)
{
    gd_config_free(&config);
    ck_assert_int_eq(gd_config_defaults(&config), 0);
    return gd_config_parse(&config, "file", text, strlen(text), &err);
}

/* The command line as words; "@" is the path of the file "conf". */
static enum gd_config_verdict read_line(const char *const *words)
{
    char *argv[16] = {NULL};
    char conf[128];
    int n = 0;
    (void)snprintf(conf, sizeof(conf), "%s", scratch_path("conf"));
    for (; words[n]; n++)
        argv[n] = strcmp(words[n], "@") == 0 ? conf : (char *)(uintptr_t)words[n];
    return gd_config_read(&config, n, argv, &err);
}
#define READ(...) read_line((const char *const[]){"gatherd", __VA_ARGS__, NULL})

START_TEST(without_anything_all_is_set)
{
    ck_assert_int_eq(setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1), 0);
    ck_assert_int_eq(READ(NULL), GD_CONFIG_RUN);
    ck_assert_str_eq(config.state_dir, "/var/lib/a");
    ck_assert_str_eq(config.listen[0], GD_DEFAULT_LISTEN);
    ck_assert_ptr_null(config.listen[1]);
    ck_assert_uint_ge(config.slots, 1);
    ck_assert(!config.relaxed);
    gd_config_free(&config);
    ck_assert_int_eq(unsetenv("STATE_DIRECTORY"), 0);
    ck_assert_int_eq(setenv("XDG_STATE_HOME", _i ? "relative" : "/x", 1), 0);
    ck_assert_int_eq(setenv("HOME", "/h", 1), 0);
    ck_assert_int_eq(READ(NULL), GD_CONFIG_RUN);
    ck_assert_str_eq(config.state_dir, _i ? "/h/.local/state/gatherd" : "/x/gatherd");
    gd_config_free(&config);
    ck_assert_int_eq(unsetenv("XDG_STATE_HOME"), 0);
    ck_assert_int_eq(unsetenv("HOME"), 0);
    ck_assert_int_eq(READ(NULL), GD_CONFIG_BAD);
    ck_assert_ptr_nonnull(strstr(err.text, "--state-dir"));
}

START_TEST(a_file_sets_what_it_names)
{
    ck_assert_int_eq(parse("# a comment\r\n\n  slots = 7 # of them\n"
                           "fetches_a_host=3\nmax-body = \"1K\"\n\tstate-dir\t=\t\"/a b#c\"\t\n"
                           "listen = unix:/x\nlisten = [::1]:0\ndurability = relaxed\n"
                           "log-level = debug"),
                     0);
    ck_assert_uint_eq(config.slots, 7);
    ck_assert_uint_eq(config.fetches_a_host, 3);
    ck_assert_uint_eq(config.max_body, 1024);
    ck_assert_str_eq(config.state_dir, "/a b#c");
    ck_assert_str_eq(config.listen[0], "unix:/x"); /* instead of the built-in one */
    ck_assert_str_eq(config.listen[1], "[::1]:0");
    ck_assert_ptr_null(config.listen[2]);
    ck_assert(config.relaxed);
    ck_assert_int_eq(config.level, GD_LOG_DEBUG);
    ck_assert_str_eq(config.level_name, "debug");
}

static const struct {
    const char *text;
    const char *part;
} mistakes[] = {
    {"slots 7", "file:1: must be name = value"},
    {"\nslotz = 7", "file:2: unknown setting \"slotz\"; did you mean \"slots\"?"},
    {"xyzzyxyzzy = 7", "unknown setting \"xyzzyxyzzy\""},
    {"config = /x", "unknown setting"}, /* no files of files */
    {"= 7", "unknown setting"},
    {"slots =", "empty"},
    {"slots = \"\"", "empty"},
    {"slots = 0", "file:1: slots must be a number between 1 and"},
    {"slots = 7x", "slots must be"},
    {"slots = -1", "slots must be"},
    {"slots = 99999999999999999999", "slots must be"},
    {"max-body = 64Q", "max-body must be a size"},
    {"durability = some", "durability must be full or relaxed"},
    {"log-level = loud", "log-level must be"},
};
#define N_MISTAKES ((int)(sizeof(mistakes) / sizeof(mistakes[0])))

START_TEST(a_mistake_is_told_with_its_line)
{
    ck_assert_int_eq(parse(mistakes[_i].text), -EINVAL);
    ck_assert_msg(strstr(err.text, mistakes[_i].part) != NULL, "%s", err.text);
}

START_TEST(the_command_line_wins_over_the_file)
{
    scratch_write("conf", "slots = 7\nfetches = 8\nhost = a\nhost = b\n");
    ck_assert_int_eq(READ("--slots", "9", "--config", "@", "--host", "c", "--state-dir", "/s"),
                     GD_CONFIG_RUN);
    ck_assert_uint_eq(config.slots, 9);
    ck_assert_uint_eq(config.fetches, 8);
    ck_assert_str_eq(config.hosts[0], "c");
    ck_assert_ptr_null(config.hosts[1]);
    ck_assert_str_eq(config.state_dir, "/s");
}

START_TEST(mistakes_on_the_command_line)
{
    ck_assert_int_eq(READ("--slotz", "9"), GD_CONFIG_BAD);
    ck_assert_ptr_nonnull(strstr(err.text, "--slotz"));
    gd_config_free(&config);
    ck_assert_int_eq(READ("--slots"), GD_CONFIG_BAD);
    gd_config_free(&config);
    ck_assert_int_eq(READ("--state-dir", "/s", "more"), GD_CONFIG_BAD);
    ck_assert_ptr_nonnull(strstr(err.text, "more"));
    gd_config_free(&config);
    ck_assert_int_eq(READ("--help"), GD_CONFIG_HELP);
    gd_config_free(&config);
    ck_assert_int_eq(READ("--version"), GD_CONFIG_VERSION);
}

START_TEST(a_file_that_cannot_be_read_is_a_mistake)
{
    errno = 0;
    ck_assert_int_eq(READ("--state-dir", "/s", "--config", "@"), GD_CONFIG_BAD);
    ck_assert_ptr_nonnull(strstr(err.text, scratch_path("conf")));
    gd_config_free(&config);
    char *big = malloc((2 << 20) + 1); /* more than anybody's settings */
    ck_assert_ptr_nonnull(big);
    memset(big, '\n', 2 << 20);
    big[2 << 20] = '\0';
    scratch_write("conf", big);
    free(big);
    errno = 0;
    ck_assert_int_eq(READ("--state-dir", "/s", "--config", "@"), GD_CONFIG_BAD);
    ck_assert_ptr_nonnull(strstr(err.text, scratch_path("conf")));
}

START_TEST(without_memory_it_is_bad_and_not_half_done)
{
    scratch_write("conf", "listen = unix:/x\nhost = a\nport-file = /p\n");
    bool failed = true;
    for (unsigned long nth = 1; failed; nth++) {
        errno = 0;
        failalloc_arm(nth);
        enum gd_config_verdict v = READ("--config", "@", "--state-dir", "/s", "--host", "b");
        failed = failalloc_disarm();
        ck_assert(v == GD_CONFIG_BAD || v == GD_CONFIG_RUN);
        ck_assert(v == GD_CONFIG_BAD || (config.hosts && strcmp(config.hosts[0], "b") == 0));
        ck_assert(v == GD_CONFIG_BAD || (config.port_file && config.listen[0]));
        gd_config_free(&config);
    }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 2, without_anything_all_is_set);
    suite_add(tc, N_MISTAKES, a_mistake_is_told_with_its_line);
    suite_add(tc, 1, a_file_sets_what_it_names, the_command_line_wins_over_the_file,
              mistakes_on_the_command_line, a_file_that_cannot_be_read_is_a_mistake,
              without_memory_it_is_bad_and_not_half_done);
    return suite_main("daemon_config", tc);
}
