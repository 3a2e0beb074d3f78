#include "base/limits.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536U

/* --- making the job */

static int apply_env(struct cli *cli, struct gather_job *job)
{
    size_t pos = 0;
    for (const char *text = cli_values_next(&cli->values, CLI_ENV, &pos); text;
         text = cli_values_next(&cli->values, CLI_ENV, &pos)) {
        char *name = NULL;
        const char *value = NULL;
        if (cli_split(text, '=', &name, &value))
            gather_job_add_env(job, name, value);
        else if (*text == '=' || !*text)
            return cli_usage(cli, "--env %s is not of the form NAME=VALUE", text);
        else if (getenv(text))
            gather_job_add_env(job, text, getenv(text));
        else
            return cli_usage(cli, "--env %s: there is no such variable here; set one with %s=…",
                             text, text);
        free(name);
    }
    return 0;
}

/* Reads a file to its end, up to what a job may hold. */
static int read_input(struct cli *cli, const char *path, struct gd_buf *to)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    to->max = (size_t)GD_MAX_JOB_BYTES + READ_BYTES;
    while (n > 0) {
        char *room = gd_buf_reserve(to, READ_BYTES);
        n = room ? read(fd, room, READ_BYTES) : 0;
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            to->len += (size_t)n;
    }
    int failed = n < 0 ? errno : 0;
    if (fd >= 0 && !is_stdin)
        (void)close(fd);
    if (failed)
        return cli_usage(cli, "--stdin %s: %s", path, strerrordesc_np(failed));
    if (gd_buf_error(to) || to->len > GD_MAX_JOB_BYTES)
        return cli_usage(cli, "--stdin %s: a job holds no more than %d bytes of it", path,
                         (int)GD_MAX_JOB_BYTES);
    return 0;
}

static int apply_stdin(struct cli *cli, struct gather_job *job)
{
    const char *path = cli_get(cli, CLI_STDIN);
    struct gd_buf text = {0};
    int status = path ? read_input(cli, path, &text) : 0;
    if (status == 0 && text.len > 0)
        gather_job_set_stdin(job, text.ptr, text.len);
    gd_buf_free(&text);
    return status;
}

static int apply_cwd(struct cli *cli, struct gather_job *job)
{
    const char *given = cli_get(cli, CLI_CWD);
    char *path = cli_absolute(cli, given ? given : "");
    if (!path)
        return CLI_BROKEN;
    gather_job_set_cwd(job, path);
    free(path);
    return 0;
}

static int apply_max_output(struct cli *cli, struct gather_job *job)
{
    int64_t bytes = -1;
    char digits[24];
    int status = cli_size(cli, CLI_MAX_OUTPUT, GD_MAX_OUTPUT_BYTES, &bytes);
    if (status || bytes < 0)
        return status;
    (void)snprintf(digits, sizeof(digits), "%lld", (long long)bytes);
    gather_job_set(job, "max_output", digits);
    return 0;
}

/* An option that takes one of some words; `words` ends with NULL. */
static int apply_word(struct cli *cli, struct gather_job *job, enum cli_opt id, const char *member,
                      const char *const *words)
{
    const char *text = cli_get(cli, id);
    struct gd_buf json = {0};
    if (!text)
        return 0;
    while (*words && strcmp(*words, text) != 0)
        words++;
    if (!*words)
        return cli_usage(cli, "--%s %s: it is %s", cli_option(id)->name, text,
                         id == CLI_RESULT ? "full, stdout or json" : "fail or rerun");
    gd_buf_printf(&json, "\"%s\"", *words);
    gather_job_set(job, member, gd_buf_error(&json) ? "" : json.ptr);
    gd_buf_free(&json);
    return 0;
}

/* What its end means, and what is kept of it. */
static int apply_outcome(struct cli *cli, struct gather_job *job)
{
    static const char *const forms[] = {"full", "stdout", "json", NULL};
    static const char *const lost[] = {"fail", "rerun", NULL};
    if (cli_get(cli, CLI_NO_CHECK))
        gather_job_set(job, "check", "false");
    int status = apply_word(cli, job, CLI_RESULT, "result", forms);
    if (status == 0)
        status = apply_word(cli, job, CLI_ON_LOST, "on_lost", lost);
    return status ? status : apply_max_output(cli, job);
}

static int make_job(struct cli *cli, struct gather_job **ret)
{
    const char *line = cli_get(cli, CLI_SHELL);
    if (line && cli->n_args > 0)
        return cli_usage(cli, "either -c LINE or a command, not both");
    if (!line && cli->n_args == 0)
        return cli_usage(cli, "there is no command to run");
    struct gather_job *job =
        line ? gather_job_shell(line) : gather_job_run((const char *const *)cli->args);
    if (!job) {
        cli_complain(cli, "out of memory");
        return CLI_BROKEN;
    }
    int status = cli_apply_common(cli, job);
    if (status == 0)
        status = apply_env(cli, job);
    if (status == 0)
        status = apply_cwd(cli, job);
    if (status == 0)
        status = apply_outcome(cli, job);
    if (status == 0)
        status = apply_stdin(cli, job);
    if (status)
        gather_job_free(job);
    else
        *ret = job;
    return status;
}

/* --- following it */

struct following {
    struct cli *cli;
    struct cli_out err_out; /* its stderr goes to ours */
    struct gather_follow f;
};

static size_t on_output(void *arg, enum gather_stream which, const char *bytes, size_t n)
{
    struct following *o = arg;
    struct cli_out *to = which == GATHER_STDOUT ? &o->cli->out : &o->err_out;
    cli_live_clear(&o->cli->live);
    size_t done = cli_out_write(to, bytes, n);
    /* Nobody reads its messages: no reason to stop it. */
    if (which == GATHER_STDERR && to->err && to->err != -EINTR) {
        to->err = 0;
        return n;
    }
    return done;
}

/* Someone who waits in the queue wants to know that and why. */
static void on_task(void *arg, const struct gather_task *task)
{
    struct following *o = arg;
    if (task->state == GATHER_PENDING) {
        cli_live_task(&o->cli->live, task);
        return;
    }
    cli_live_clear(&o->cli->live);
    o->f.every_ms = 0;
}

/* Nobody takes the output any more, as when a pipe's reader ended: so ends the
 * command. */
static int output_failed(struct cli *cli, uint64_t id)
{
    bool is_pipe = cli->out.err == -EPIPE;
    const char *why = is_pipe ? "nobody reads its output" : "its output cannot be written";
    if (!is_pipe) /* main tells what is wrong with it */
        cli_complain(cli, "cancelling %llu, whose output cannot be written",
                     (unsigned long long)id);
    if (gather_task_cancel(cli->client, id, why, -1, NULL, &cli->err) != GATHER_OK)
        return cli_fail(cli);
    return is_pipe ? CLI_SIGNAL + SIGPIPE : CLI_BROKEN;
}

/* Why following stopped before the end. 0: follow on. */
static int stopped(struct following *o, struct cli_interrupt *i)
{
    struct cli *cli = o->cli;
    bool by_signal =
        cli->err.code == GATHER_E_INTERRUPTED || cli->out.err == -EINTR || o->err_out.err == -EINTR;
    if (by_signal) {
        cli->out.err = o->err_out.err = 0;
        return cli_interrupted(cli, i);
    }
    if (cli->err.code == GATHER_E_STOPPED)
        return output_failed(cli, i->target.id);
    (void)cli_fail(cli);
    cli_complain(cli, "%llu may go on: gather wait %llu", (unsigned long long)i->target.id,
                 (unsigned long long)i->target.id);
    return CLI_BROKEN;
}

/* The exit status says enough of a command that exited. */
static void say_end(struct cli *cli, const struct gather_task *task)
{
    if (task->state != GATHER_SUCCEEDED &&
        !(task->exception.type && strcmp(task->exception.type, "ExitError") == 0))
        cli_say_task_end(cli, task);
}

static void tell_truncated(struct cli *cli, const struct gather_task *task,
                           const struct gather_follow *f)
{
    struct gd_span value;
    bool whole = /* a result of another form may have a member of that name */
        task->result && !cli_get(cli, CLI_RESULT) &&
        cli_member(task->result, "truncated", &value) && value.ptr[0] == 'f';
    if (!whole)
        cli_tell_truncated(cli, task->id, f);
}

static int follow(struct cli *cli, struct gather_task *task)
{
    struct following o = {
        .cli = cli,
        .err_out = {.fd = STDERR_FILENO, .signal_fd = cli->signal_fd},
        .f = {.want = {true, true},
              .until_done = true,
              .tail = -1,
              .every_ms = cli_live_every_ms(&cli->live, false),
              .on_output = on_output,
              .on_task = on_task},
    };
    o.f.arg = &o;
    struct cli_interrupt i = {.target = {.id = task->id}, .cancels = true};
    int status = 0;
    while (status == 0) {
        enum gather_code code = gather_task_follow(cli->client, task->id, &o.f, task, &cli->err);
        cli_live_clear(&cli->live);
        if (code == GATHER_OK) {
            say_end(cli, task);
            tell_truncated(cli, task, &o.f);
            return cli_end_of_task(task, &i);
        }
        status = stopped(&o, &i);
    }
    return status;
}

int cmd_run(struct cli *cli)
{
    struct gather_task task = {0};
    struct gather_job *job = NULL;
    int status = make_job(cli, &job);
    if (status == 0)
        status = cli_create(cli, job, &task);
    if (status == 0 && cli_get(cli, CLI_DETACH)) {
        cli_print_task(cli, &task);
    } else if (status == 0 && cli_for_programs(cli)) {
        status = cli_see_through(cli, &task);
        if (task.done)
            say_end(cli, &task);
    } else if (status == 0) {
        status = follow(cli, &task);
    }
    gather_task_clear(&task);
    return status;
}
