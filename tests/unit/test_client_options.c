#include "client/cli_commands.h"
#include "client/cli_options.h"

#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 16

static struct cli_values values;
static struct gd_buf problem;
static int first;
static char *words[MOST_WORDS + 1];

static void forget(void)
{
    cli_values_free(&values);
    gd_buf_free(&problem);
    for (int i = 0; words[i]; i++) {
        free(words[i]);
        words[i] = NULL;
    }
}

/* Parses a line of words, the first being the command's name. */
static bool parse(const char *command, const char *line)
{
    int n = 0;
    forget();
    for (const char *p = line; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        ck_assert_int_lt(n, MOST_WORDS);
        words[n++] = strndup(p, len);
        p += len;
    }
    bool ok =
        cli_parse(command ? cli_command_find(command) : NULL, n, words, &values, &first, &problem);
    gd_buf_putc(&problem, '\0');
    return ok;
}

static const char *last(enum cli_opt id)
{
    const char *text = cli_values_last(&values, id);
    return text ? text : "(not given)";
}

START_TEST(values_arrive_however_they_are_written)
{
    ck_assert(parse("logs", "logs -f --tail 3 17 --stderr -o json -q"));
    ck_assert_str_eq(last(CLI_FOLLOW), "");
    ck_assert_str_eq(last(CLI_TAIL), "3");
    ck_assert_str_eq(last(CLI_STDERR), "");
    ck_assert_str_eq(last(CLI_OUTPUT), "json");
    ck_assert_str_eq(last(CLI_QUIET), "");
    ck_assert_str_eq(last(CLI_STDOUT), "(not given)");
    ck_assert_str_eq(words[first], "17");
    ck_assert(parse("logs", "logs --tail=3 -fqojson 17"));
    ck_assert_str_eq(last(CLI_TAIL), "3");
    ck_assert_str_eq(last(CLI_OUTPUT), "json");
    ck_assert_str_eq(last(CLI_FOLLOW), "");
}

START_TEST(an_option_may_be_given_again)
{
    size_t pos = 0;
    ck_assert(parse("run", "run --env A=1 --env B=2 --name x --name y true"));
    ck_assert_str_eq(cli_values_next(&values, CLI_ENV, &pos), "A=1");
    ck_assert_str_eq(cli_values_next(&values, CLI_ENV, &pos), "B=2");
    ck_assert_ptr_null(cli_values_next(&values, CLI_ENV, &pos));
    ck_assert_str_eq(last(CLI_NAME), "y");
}

START_TEST(the_options_of_a_command_to_run_are_its_own)
{
    ck_assert(parse("run", "run --name x make --name y -q"));
    ck_assert_str_eq(last(CLI_NAME), "x");
    ck_assert_str_eq(last(CLI_QUIET), "(not given)");
    ck_assert_str_eq(words[first], "make");
    ck_assert(parse("run", "run -- -x --help"));
    ck_assert_str_eq(words[first], "-x");
    ck_assert_str_eq(last(CLI_HELP), "(not given)");
    ck_assert(parse(NULL, "gather --url u run --name x"));
    ck_assert_str_eq(words[first], "run");
    ck_assert_str_eq(last(CLI_URL), "u");
}

START_TEST(one_name_means_what_the_command_makes_of_it)
{
    ck_assert(parse("wait", "wait --timeout 1 17"));
    ck_assert_str_eq(last(CLI_WAIT_TIMEOUT), "1");
    ck_assert(parse("run", "run --timeout 1 true"));
    ck_assert_str_eq(last(CLI_RUN_TIMEOUT), "1");
    ck_assert(parse("fetch", "fetch --timeout 1 http://x/"));
    ck_assert_str_eq(last(CLI_FETCH_TIMEOUT), "1");
    ck_assert(parse("submit", "submit --timeout 1 -"));
    ck_assert_str_eq(last(CLI_BATCH_TIMEOUT), "1");
}

START_TEST(mistakes_are_named_with_what_was_meant)
{
    static const struct {
        const char *command;
        const char *line;
        const char *problem;
    } cases[] = {
        {"run", "run --tiemout 3 true", "there is no option --tiemout; did you mean --timeout?"},
        {"run", "run --tiemout=3 true", "there is no option --tiemout; did you mean --timeout?"},
        {"run", "run --xyzzyxyzzy true", "there is no option --xyzzyxyzzy"},
        {"run", "run -Z true", "there is no option -Z"},
        {"logs", "logs --follow -fZ 17", "there is no option -Z"},
        {"run", "run --name", "--name needs a value"},
        {"run", "run -c", "-c needs a value"},
        {"run", "run --detach=yes true", "--detach takes no value"},
        {"wait", "wait 17 --follow", "there is no option --follow"},
        {NULL, "gather --tail list", "there is no option --tail"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(!parse(cases[i].command, cases[i].line), "%s", cases[i].line);
        ck_assert_str_eq(problem.ptr, cases[i].problem);
    }
}

/* All options of a command, the global ones too. */
static size_t collect(const struct cli_command *c, enum cli_opt *to)
{
    size_t n = 0;
    for (const enum cli_opt *id = c->options; *id != CLI_END; id++)
        to[n++] = *id;
    for (const enum cli_opt *id = cli_global_options; *id != CLI_END; id++)
        to[n++] = *id;
    return n;
}

START_TEST(no_two_options_of_a_command_look_alike)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        enum cli_opt ids[CLI_N_OPTIONS];
        size_t n = collect(c, ids);
        for (size_t i = 0; i < n; i++)
            for (size_t k = i + 1; k < n; k++) {
                const struct cli_option *a = cli_option(ids[i]);
                const struct cli_option *b = cli_option(ids[k]);
                ck_assert_msg(strcmp(a->name, b->name) != 0, "%s --%s", c->name, a->name);
                ck_assert_msg(!a->letter || a->letter != b->letter, "%s -%c", c->name, a->letter);
            }
    }
}

START_TEST(every_option_belongs_to_some_command)
{
    bool used[CLI_N_OPTIONS] = {0};
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        enum cli_opt ids[CLI_N_OPTIONS];
        size_t n = collect(c, ids);
        for (size_t i = 0; i < n; i++)
            used[ids[i]] = true;
    }
    for (int id = CLI_END + 1; id < CLI_N_OPTIONS; id++)
        ck_assert_msg(used[id], "--%s", cli_option((enum cli_opt)id)->name);
}

/* Where the help of an option begins, in columns; 0: the line is about none. */
static size_t help_column(const char *line, size_t n)
{
    size_t columns = 0;
    bool gap = false;
    if (n < 8 || (strncmp(line, "  -", 3) != 0 && strncmp(line, "      --", 8) != 0))
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 8 && gap && line[i] != ' ')
            return columns;
        gap = i >= 8 && line[i] == ' ' && (gap || line[i + 1] == ' ' || columns == 28);
        columns += ((unsigned char)line[i] & 0xc0) != 0x80;
    }
    return 0;
}

START_TEST(the_help_of_options_stands_in_one_column_and_no_line_ends_blank)
{
    struct gd_buf page = {0};
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        gd_buf_reset(&page);
        cli_put_command_help(&page, c);
        gd_buf_putc(&page, '\0');
        ck_assert_int_eq(gd_buf_error(&page), 0);
        for (const char *line = page.ptr; *line; line += strcspn(line, "\n") + 1) {
            size_t n = strcspn(line, "\n");
            size_t column = help_column(line, n);
            ck_assert_msg(column == 0 || column == 29, "%s: %.*s", c->name, (int)n, line);
            ck_assert_msg(n == 0 || line[n - 1] != ' ', "%s: \"%.*s\"", c->name, (int)n, line);
        }
    }
    gd_buf_free(&page);
}

/* At most 24 lines of at most 80 columns, and an example at the top. */
static void check_page(const struct gd_buf *page, const char *what)
{
    size_t lines = 0;
    size_t columns = 0;
    ck_assert_int_eq(gd_buf_error(page), 0);
    for (size_t i = 0; i < page->len; i++) {
        bool first_byte = ((unsigned char)page->ptr[i] & 0xc0) != 0x80;
        columns = page->ptr[i] == '\n' ? 0 : columns + first_byte;
        lines += page->ptr[i] == '\n';
        ck_assert_msg(columns <= 80, "%s: line %zu is too long", what, lines + 1);
    }
    ck_assert_msg(lines <= 24, "%s: %zu lines", what, lines);
}

START_TEST(help_fits_a_screen_and_begins_with_examples)
{
    struct gd_buf page = {0};
    cli_put_help(&page);
    check_page(&page, "help");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        gd_buf_reset(&page);
        cli_put_command_help(&page, c);
        check_page(&page, c->name);
        ck_assert_msg(strncmp(page.ptr, "  $ gather ", 11) == 0 || strchr(page.ptr, '$'), "%s",
                      c->name);
    }
    gd_buf_free(&page);
}

START_TEST(the_topics_are_there_and_fit_a_screen)
{
    static const char *const topics[] = {"exit-codes", "ids", "output", "environment"};
    struct gd_buf page = {0};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        gd_buf_reset(&page);
        ck_assert(cli_put_topic(&page, topics[i]));
        check_page(&page, topics[i]);
    }
    ck_assert(!cli_put_topic(&page, "weather"));
    gd_buf_free(&page);
}

int main(void)
{
    TCase *tc = tcase_create("options");
    tcase_add_checked_fixture(tc, forget, forget);
    tcase_add_test(tc, values_arrive_however_they_are_written);
    tcase_add_test(tc, an_option_may_be_given_again);
    tcase_add_test(tc, the_options_of_a_command_to_run_are_its_own);
    tcase_add_test(tc, one_name_means_what_the_command_makes_of_it);
    tcase_add_test(tc, mistakes_are_named_with_what_was_meant);
    tcase_add_test(tc, no_two_options_of_a_command_look_alike);
    tcase_add_test(tc, every_option_belongs_to_some_command);
    tcase_add_test(tc, help_fits_a_screen_and_begins_with_examples);
    tcase_add_test(tc, the_help_of_options_stands_in_one_column_and_no_line_ends_blank);
    tcase_add_test(tc, the_topics_are_there_and_fit_a_screen);
    return suite_main("client_options", tc);
}
