#include "client/cli_ref.h"

#include "base/parse.h"
#include "client/cli.h"
#include "client/cli_exit.h"

#include <string.h>

/* Takes `word` from the front of the text. */
static bool take(const char **text, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*text, word, n) != 0)
        return false;
    *text += n;
    return true;
}

/* Takes a number; it must be there. */
static bool take_number(const char **text, uint64_t least, uint64_t *ret)
{
    struct gd_span digits = {*text, strspn(*text, "0123456789")};
    *text += digits.len;
    if (digits.len > 1 && digits.ptr[0] == '0')
        return false;
    return gd_parse_u64(digits, INT64_MAX, ret) == 0 && *ret >= least;
}

bool cli_ref_parse(const char *text, struct cli_ref *ret)
{
    struct cli_ref ref = {0};
    bool is_task = false;
    if (take(&text, "last")) {
        ref.is_last = true;
    } else {
        ref.is_batch = take(&text, "batch/") || take(&text, "b");
        is_task = !ref.is_batch && (take(&text, "task/") || take(&text, "t"));
        if (!take_number(&text, 1, &ref.id))
            return false;
    }
    if (!is_task && take(&text, "/")) {
        ref.has_index = true;
        ref.is_batch = true;
        if (!take_number(&text, 0, &ref.index))
            return false;
    }
    if (*text)
        return false;
    *ret = ref;
    return true;
}

void cli_ref_put(struct gd_buf *to, bool is_batch, uint64_t id)
{
    if (is_batch)
        gd_buf_putc(to, 'b');
    gd_buf_u64(to, id);
}

static int resolve_last(struct cli *cli, const char *text, struct cli_ref *ref)
{
    bool is_batch = false;
    if (!cli_last_recall(gather_url(cli->client), &is_batch, &ref->id)) {
        cli_complain(cli, "%s: nothing was submitted from here to %s yet", text,
                     gather_url(cli->client));
        return CLI_NOT_FOUND;
    }
    if (ref->has_index && !is_batch)
        return cli_usage(cli, "%s: the last one is task %llu, which has no parts", text,
                         (unsigned long long)ref->id);
    ref->is_batch = is_batch;
    return 0;
}

/* Reads one argument. */
static int read_ref(struct cli *cli, const char *text, struct cli_ref *ret)
{
    if (cli_ref_parse(text, ret))
        return 0;
    return cli_usage(cli, "\"%s\" is no id; ids are 17 (a task), b5 (a batch), 5/3 or last", text);
}

static int not_a_task(struct cli *cli, const char *text, uint64_t batch)
{
    return cli_usage(cli, "%s is a batch; name one of its tasks: %llu/0", text,
                     (unsigned long long)batch);
}

int cli_check_ids(struct cli *cli, int first, bool only_tasks)
{
    int status = 0;
    for (int i = first; status == 0 && i < cli->n_args; i++) {
        struct cli_ref ref = {0};
        status = read_ref(cli, cli->args[i], &ref);
        if (status == 0 && only_tasks && ref.is_batch && !ref.has_index)
            status = not_a_task(cli, cli->args[i], ref.id);
    }
    return status;
}

int cli_resolve(struct cli *cli, const char *text, struct cli_target *ret)
{
    struct cli_ref ref = {0};
    int status = read_ref(cli, text, &ref);
    if (status == 0 && ref.is_last)
        status = resolve_last(cli, text, &ref);
    if (status)
        return status;
    *ret = (struct cli_target){.is_batch = ref.is_batch, .id = ref.id};
    if (!ref.has_index)
        return 0;
    ret->is_batch = false;
    if (gather_batch_task(cli->client, ref.id, ref.index, &ret->id, &cli->err) != GATHER_OK)
        return cli_fail(cli);
    return 0;
}

int cli_resolve_task(struct cli *cli, const char *text, uint64_t *ret)
{
    struct cli_target target = {0};
    int status = cli_resolve(cli, text, &target);
    if (status)
        return status;
    if (target.is_batch)
        return not_a_task(cli, text, target.id);
    *ret = target.id;
    return 0;
}
