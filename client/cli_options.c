#include "client/cli_options.h"

#include "base/suggest.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long returns for an option: beyond every letter. */
#define VALUE_OF(id) (256 + (int)(id))

static const struct cli_option options[CLI_N_OPTIONS] = {
#define X(id_, letter_, name_, arg_, help_) \
    [CLI_##id_] = {.letter = (letter_), .name = (name_), .arg = (arg_), .help = (help_)},
    CLI_OPTIONS(X)
#undef X
};

const enum cli_opt cli_global_options[] = {CLI_URL,   CLI_OUTPUT, CLI_QUIET,
                                           CLI_COLOR, CLI_HELP,   CLI_END};

const struct cli_option *cli_option(enum cli_opt id)
{
    return &options[id];
}

const struct cli_command *cli_command_find(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

const char **cli_command_names(void)
{
    size_t n = 0;
    while (cli_commands[n].name)
        n++;
    const char **names = calloc(n + 1, sizeof(*names));
    for (size_t i = 0; names && i < n; i++)
        names[i] = cli_commands[i].name;
    return names;
}

void cli_values_free(struct cli_values *v)
{
    free(v->items);
    *v = (struct cli_values){0};
}

const char *cli_values_last(const struct cli_values *v, enum cli_opt id)
{
    for (size_t i = v->n; i > 0; i--)
        if (v->items[i - 1].id == id)
            return v->items[i - 1].text;
    return NULL;
}

const char *cli_values_next(const struct cli_values *v, enum cli_opt id, size_t *pos)
{
    while (*pos < v->n)
        if (v->items[(*pos)++].id == id)
            return v->items[*pos - 1].text;
    return NULL;
}

static bool add_value(struct cli_values *v, enum cli_opt id, const char *text)
{
    struct cli_value *more = reallocarray(v->items, v->n + 1, sizeof(*more));
    if (!more)
        return false;
    v->items = more;
    more[v->n++] = (struct cli_value){.id = id, .text = text ? text : ""};
    return true;
}

/* The options of one command, as getopt_long wants them. */
struct grammar {
    enum cli_opt ids[CLI_N_OPTIONS];
    size_t n;
    struct option longs[CLI_N_OPTIONS + 1];
    char shorts[2 * CLI_N_OPTIONS + 3]; /* two an option, "+:" and the end */
    size_t n_shorts;
};

static void add_options(struct grammar *g, const enum cli_opt *ids)
{
    for (; *ids != CLI_END; ids++) {
        const struct cli_option *o = &options[*ids];
        g->longs[g->n] = (struct option){
            .name = o->name,
            .has_arg = o->arg ? required_argument : no_argument,
            .val = VALUE_OF(*ids),
        };
        g->ids[g->n++] = *ids;
        if (o->letter)
            g->shorts[g->n_shorts++] = o->letter;
        if (o->letter && o->arg)
            g->shorts[g->n_shorts++] = ':';
    }
}

static void make_grammar(struct grammar *g, const struct cli_command *command)
{
    *g = (struct grammar){0};
    /* ':' asks for its own code when a value is missing, '+' for no reordering. */
    if (!command || command->stop_at_args)
        g->shorts[g->n_shorts++] = '+';
    g->shorts[g->n_shorts++] = ':';
    if (command)
        add_options(g, command->options);
    add_options(g, cli_global_options);
}

static enum cli_opt find_letter(const struct grammar *g, int letter)
{
    for (size_t i = 0; i < g->n; i++)
        if (options[g->ids[i]].letter == letter)
            return g->ids[i];
    return CLI_END;
}

static void suggest_option(const struct grammar *g, const char *word, struct gd_buf *problem)
{
    const char *names[CLI_N_OPTIONS + 1] = {0};
    for (size_t i = 0; i < g->n; i++)
        names[i] = options[g->ids[i]].name;
    struct gd_span text = {word + 2, strcspn(word + 2, "=")};
    const char *name = gd_suggest(text, names);
    if (name)
        gd_buf_printf(problem, "; did you mean --%s?", name);
}

/* Why getopt_long did not take `word`. */
static void explain(const struct grammar *g, int code, const char *word, struct gd_buf *problem)
{
    bool is_long = optopt == 0 || optopt >= VALUE_OF(0);
    int name_len = is_long ? (int)strcspn(word, "=") : 0;
    if (code == ':' && is_long) {
        gd_buf_printf(problem, "%s needs a value", word);
    } else if (code == ':') {
        gd_buf_printf(problem, "-%c needs a value", optopt);
    } else if (is_long && optopt) {
        gd_buf_printf(problem, "%.*s takes no value", name_len, word);
    } else if (is_long) {
        gd_buf_printf(problem, "there is no option %.*s", name_len, word);
        suggest_option(g, word, problem);
    } else {
        gd_buf_printf(problem, "there is no option -%c", optopt);
    }
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_values *values,
               int *ret_first, struct gd_buf *problem)
{
    struct grammar g;
    make_grammar(&g, command);
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    for (;;) {
        int code = getopt_long(argc, argv, g.shorts, g.longs, NULL);
        if (code == -1)
            break;
        enum cli_opt id =
            code >= VALUE_OF(0) ? (enum cli_opt)(code - VALUE_OF(0)) : find_letter(&g, code);
        if (code == '?' || code == ':' || id == CLI_END) {
            explain(&g, code, argv[optind - 1], problem);
            return false;
        }
        if (!add_value(values, id, optarg))
            return false;
    }
    *ret_first = optind;
    return true;
}
