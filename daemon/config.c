#include "daemon/config.h"

#include "base/limits.h"
#include "base/parse.h"
#include "base/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char gd_config_help[] =
    "usage: gatherd [options]\n"
    "Runs batches of jobs for HTTP clients and gathers their results.\n"
    "\n"
    "  --listen ADDR         127.0.0.1:4284 (default), [::1]:0, unix:/path; may be repeated\n"
    "  --state-dir DIR       default: $STATE_DIRECTORY, else $XDG_STATE_HOME/gatherd\n"
    "  --slots N             commands at once (default: processors)\n"
    "  --fetches N           fetches at once (256)\n"
    "  --fetches-a-host N    fetches from one host at once (16)\n"
    "  --host NAME           a further Host name that is answered; may be repeated\n"
    "  --max-tasks N         unfinished tasks in all (5000000)\n"
    "  --max-connections N   default: what descriptors allow\n"
    "  --max-body SIZE       largest JSON body (256M)\n"
    "  --durability WORD     full (default), or relaxed: a power cut may lose the last second\n"
    "  --cgroup WHERE        one control group per command: auto (default), off, or a directory\n"
    "  --port-file FILE      written once it accepts: one port a line\n"
    "  --config FILE         settings, one `name = value` a line\n"
    "  --log-level LEVEL     error, warning, info (default), debug\n"
    "  --help, --version\n";

/* --- values */

static int set_string(char **to, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(*to);
    *to = copy;
    return 0;
}

static size_t length(char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static int add_string(char ***list, const char *value)
{
    size_t n = length(*list);
    char **more = realloc(*list, (n + 2) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    *list = more;
    more[n + 1] = NULL;
    more[n] = strdup(value);
    return more[n] ? 0 : -ENOMEM;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static int set_number(size_t *to, const char *name, const char *value, size_t min, size_t max,
                      struct gd_err *err)
{
    uint64_t n = 0;
    if (gd_parse_u64((struct gd_span){value, strlen(value)}, max, &n) < 0 || n < min)
        return gd_err_set(err, -EINVAL, "%s must be a number between %zu and %zu, not \"%.64s\"",
                          name, min, max, value);
    *to = (size_t)n;
    return 0;
}

static int set_size(size_t *to, const char *name, const char *value, struct gd_err *err)
{
    uint64_t n = 0;
    if (gd_parse_size(value, GD_BUF_MAX, &n) < 0 || n == 0)
        return gd_err_set(err, -EINVAL, "%s must be a size such as 64M, not \"%.64s\"", name,
                          value);
    *to = (size_t)n;
    return 0;
}

static int set_level(struct gd_config *c, const char *value, struct gd_err *err)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (!gd_log_level_parse(value, &c->level))
        return gd_err_set(err, -EINVAL, "log-level must be error, warning, info or debug");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], value) == 0)
            c->level_name = names[i];
    return 0;
}

static int set_durability(struct gd_config *c, const char *value, struct gd_err *err)
{
    c->relaxed = strcmp(value, "relaxed") == 0;
    if (c->relaxed || strcmp(value, "full") == 0)
        return 0;
    return gd_err_set(err, -EINVAL, "durability must be full or relaxed, not \"%.64s\"", value);
}

/* --- settings, by the names of the options */

enum setting {
    LISTEN = 1,
    STATE_DIR,
    SLOTS,
    FETCHES,
    FETCHES_A_HOST,
    HOST,
    MAX_TASKS,
    MAX_CONNECTIONS,
    MAX_BODY,
    DURABILITY,
    CGROUP,
    PORT_FILE,
    LOG_LEVEL,
    CONFIG,
    HELP,
    VERSION,
};

static const struct option options[] = {
    {"listen", required_argument, NULL, LISTEN},
    {"state-dir", required_argument, NULL, STATE_DIR},
    {"slots", required_argument, NULL, SLOTS},
    {"fetches", required_argument, NULL, FETCHES},
    {"fetches-a-host", required_argument, NULL, FETCHES_A_HOST},
    {"host", required_argument, NULL, HOST},
    {"max-tasks", required_argument, NULL, MAX_TASKS},
    {"max-connections", required_argument, NULL, MAX_CONNECTIONS},
    {"max-body", required_argument, NULL, MAX_BODY},
    {"durability", required_argument, NULL, DURABILITY},
    {"cgroup", required_argument, NULL, CGROUP},
    {"port-file", required_argument, NULL, PORT_FILE},
    {"log-level", required_argument, NULL, LOG_LEVEL},
    {"config", required_argument, NULL, CONFIG},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {0},
};

/* What has been set so far from the command line or the file: lists start anew once. */
struct seen {
    bool listen;
    bool hosts;
};

static int set_list(char ***list, bool *seen, const char *value)
{
    if (!*seen) {
        free_list(*list);
        *list = NULL;
        *seen = true;
    }
    return add_string(list, value);
}

static int set(struct gd_config *c, struct seen *seen, enum setting which, const char *value,
               struct gd_err *err)
{
    switch (which) {
    case LISTEN:
        return set_list(&c->listen, &seen->listen, value);
    case HOST:
        return set_list(&c->hosts, &seen->hosts, value);
    case STATE_DIR:
        return set_string(&c->state_dir, value);
    case CGROUP:
        return set_string(&c->cgroup, value);
    case PORT_FILE:
        return set_string(&c->port_file, value);
    case SLOTS:
        return set_number(&c->slots, "slots", value, 1, 100000, err);
    case FETCHES:
        return set_number(&c->fetches, "fetches", value, 1, 100000, err);
    case FETCHES_A_HOST:
        return set_number(&c->fetches_a_host, "fetches-a-host", value, 1, 100000, err);
    case MAX_TASKS:
        return set_number(&c->max_tasks, "max-tasks", value, 1, SIZE_MAX / 1024, err);
    case MAX_CONNECTIONS:
        return set_number(&c->max_connections, "max-connections", value, 1, 10000000, err);
    case MAX_BODY:
        return set_size(&c->max_body, "max-body", value, err);
    case DURABILITY:
        return set_durability(c, value, err);
    case LOG_LEVEL:
        return set_level(c, value, err);
    case CONFIG:
    case HELP:
    case VERSION:
        break;
    }
    return gd_err_set(err, -EINVAL, "not a setting");
}

/* --- the file */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts blanks at both ends. */
static struct gd_span trim(struct gd_span s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static enum setting find(struct gd_span name)
{
    for (const struct option *o = options; o->name; o++) {
        size_t i = 0;
        while (i < name.len && o->name[i] &&
               (o->name[i] == name.ptr[i] || (o->name[i] == '-' && name.ptr[i] == '_')))
            i++;
        if (i == name.len && o->name[i] == '\0' && o->val < CONFIG)
            return (enum setting)o->val;
    }
    return CONFIG;
}

static int unknown(struct gd_span name, const char *file, size_t line, struct gd_err *err)
{
    const char *names[sizeof(options) / sizeof(options[0])] = {NULL};
    size_t n = 0;
    for (const struct option *o = options; o->name; o++)
        if (o->val < CONFIG)
            names[n++] = o->name;
    const char *meant = gd_suggest(name, names);
    if (meant)
        return gd_err_set(err, -EINVAL, "%s:%zu: unknown setting \"%.*s\"; did you mean \"%s\"?",
                          file, line, (int)name.len, name.ptr, meant);
    return gd_err_set(err, -EINVAL, "%s:%zu: unknown setting \"%.*s\"", file, line, (int)name.len,
                      name.ptr);
}

/* Up to a '#' that is not in quotes. */
static struct gd_span without_comment(struct gd_span line)
{
    bool quoted = false;
    for (size_t i = 0; i < line.len; i++) {
        quoted = quoted != (line.ptr[i] == '"');
        if (line.ptr[i] == '#' && !quoted)
            line.len = i;
    }
    return trim(line);
}

static int parse_line(struct gd_config *c, struct seen *seen, struct gd_span line, const char *file,
                      size_t number, struct gd_err *err)
{
    char value[PATH_MAX];
    line = without_comment(line);
    if (line.len == 0)
        return 0;
    const char *equals = memchr(line.ptr, '=', line.len);
    if (!equals)
        return gd_err_set(err, -EINVAL, "%s:%zu: must be name = value", file, number);
    struct gd_span name = trim((struct gd_span){line.ptr, (size_t)(equals - line.ptr)});
    struct gd_span text =
        trim((struct gd_span){equals + 1, line.len - (size_t)(equals + 1 - line.ptr)});
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        text = (struct gd_span){text.ptr + 1, text.len - 2};
    enum setting which = find(name);
    if (which == CONFIG)
        return unknown(name, file, number, err);
    if (text.len == 0 || text.len >= sizeof(value) || memchr(text.ptr, '\0', text.len))
        return gd_err_set(err, -EINVAL, "%s:%zu: the value is empty or too long", file, number);
    memcpy(value, text.ptr, text.len);
    value[text.len] = '\0';
    struct gd_err why = {0};
    int rc = set(c, seen, which, value, &why);
    return rc < 0 ? gd_err_set(err, rc, "%s:%zu: %.400s", file, number,
                               rc == -ENOMEM ? "out of memory" : why.text)
                  : 0;
}

int gd_config_parse(struct gd_config *c, const char *name, const char *text, size_t n,
                    struct gd_err *err)
{
    struct seen seen = {0};
    size_t number = 0;
    int rc = 0;
    while (rc == 0 && n > 0) {
        const char *newline = memchr(text, '\n', n);
        size_t len = newline ? (size_t)(newline - text) : n;
        rc = parse_line(c, &seen, (struct gd_span){text, len}, name, ++number, err);
        n -= len + (newline != NULL);
        text += len + (newline != NULL);
    }
    return rc;
}

static int read_file(struct gd_config *c, const char *path, struct gd_err *err)
{
    struct gd_buf text = {.max = 1 << 20};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : 0;
    for (ssize_t n = 1; rc == 0 && n > 0;) {
        char *to = gd_buf_reserve(&text, 4096);
        n = to ? read(fd, to, 4096) : 0;
        rc = n < 0 ? -errno : gd_buf_error(&text);
        text.len += n > 0 ? (size_t)n : 0;
    }
    rc = rc < 0 ? gd_err_set(err, rc, "%s: %s", path, gd_err_text(rc))
                : gd_config_parse(c, path, text.ptr ? text.ptr : "", text.len, err);
    if (fd >= 0)
        close(fd);
    gd_buf_free(&text);
    return rc;
}

/* --- all */

int gd_config_defaults(struct gd_config *c)
{
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
    *c = (struct gd_config){
        .slots = n_processors > 0 ? (size_t)n_processors : 1,
        .fetches = 256,
        .fetches_a_host = 16,
        .max_tasks = 5000000,
        .max_body = GD_MAX_BODY_BYTES,
        .level = GD_LOG_INFO,
        .level_name = "info",
    };
    int rc = add_string(&c->listen, GD_DEFAULT_LISTEN);
    if (rc == 0)
        rc = set_string(&c->cgroup, "auto");
    return rc;
}

static int default_state_dir(struct gd_config *c, struct gd_err *err)
{
    const char *given = getenv("STATE_DIRECTORY");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char path[PATH_MAX];
    if (c->state_dir)
        return 0;
    if (given && *given) /* systemd.exec(5): several are separated by colons */
        (void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(given, ":"), given);
    else if (xdg && xdg[0] == '/')
        (void)snprintf(path, sizeof(path), "%s/gatherd", xdg);
    else if (home && home[0] == '/')
        (void)snprintf(path, sizeof(path), "%s/.local/state/gatherd", home);
    else
        return gd_err_set(err, -EINVAL, "no state directory: give --state-dir");
    return set_string(&c->state_dir, path);
}

/* The file first, whatever the order on the command line. */
static int read_config_option(struct gd_config *c, int argc, char **argv, struct gd_err *err)
{
    int rc = 0;
    opterr = 0;
    optind = 1;
    for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (o == CONFIG)
            rc = read_file(c, optarg, err);
    optind = 1;
    return rc;
}

enum gd_config_verdict gd_config_read(struct gd_config *c, int argc, char **argv,
                                      struct gd_err *err)
{
    struct seen seen = {0};
    int rc = gd_config_defaults(c);
    if (rc < 0)
        (void)gd_err_set(err, rc, "out of memory");
    else
        rc = read_config_option(c, argc, argv, err);
    for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP)
            return GD_CONFIG_HELP;
        if (o == VERSION)
            return GD_CONFIG_VERSION;
        if (o == '?')
            rc = gd_err_set(err, -EINVAL, "unknown option, or one without its value: %s",
                            argv[optind - 1]);
        else if (o != CONFIG)
            rc = set(c, &seen, (enum setting)o, optarg, err);
    }
    if (rc == 0 && optind < argc)
        rc = gd_err_set(err, -EINVAL, "unexpected argument: %s", argv[optind]);
    if (rc == 0)
        rc = default_state_dir(c, err);
    return rc < 0 ? GD_CONFIG_BAD : GD_CONFIG_RUN;
}

void gd_config_free(struct gd_config *c)
{
    free_list(c->listen);
    free_list(c->hosts);
    free(c->state_dir);
    free(c->port_file);
    free(c->cgroup);
    *c = (struct gd_config){0};
}
