/* The file has a line per daemon, newest first: an id, a space, the address. It is
 * replaced as a whole, so that a reader never sees half of it; of two writers at
 * once one wins. */
#include "client/cli_ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Daemons that are remembered. */
#define MOST_LINES 32U
#define MOST_BYTES ((size_t)65536)

/* The folder of the file, as a path that ends with '/'. False: there is no place. */
static bool put_folder(struct gd_buf *path)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (state && state[0] == '/')
        gd_buf_printf(path, "%s/gather/", state);
    else if (home && home[0] == '/')
        gd_buf_printf(path, "%s/.local/state/gather/", home);
    return path->len > 0 && !gd_buf_error(path);
}

static char *path_of(const char *name)
{
    struct gd_buf path = {0};
    bool ok = put_folder(&path);
    gd_buf_puts(&path, name);
    char *text = ok ? gd_buf_take(&path, NULL) : NULL;
    gd_buf_free(&path);
    return text;
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* if it does not work, opening the file tells */
        *slash = '/';
    }
}

/* All lines; empty if there is no such file. */
static void read_lines(struct gd_buf *to)
{
    char *path = path_of("last");
    FILE *f = path ? fopen(path, "re") : NULL;
    char *room = f ? gd_buf_reserve(to, MOST_BYTES) : NULL;
    if (room)
        to->len += fread(room, 1, MOST_BYTES - 1, f);
    if (f)
        (void)fclose(f);
    free(path);
    gd_buf_putc(to, '\0');
}

/* The address in a line "b5 http://…"; NULL: it is not such a line. */
static const char *url_in(const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    return space ? space + 1 : NULL;
}

static bool is_of(const char *line, size_t n, const char *url)
{
    const char *found = url_in(line, n);
    return found && (size_t)(line + n - found) == strlen(url) &&
           strncmp(found, url, strlen(url)) == 0;
}

static bool write_file(const char *temp, const struct gd_buf *text)
{
    FILE *f = fopen(temp, "we");
    if (!f)
        return false;
    struct gd_span all = gd_buf_view(text);
    bool ok = fwrite(all.ptr, 1, all.len, f) == all.len;
    return (fclose(f) == 0) && ok;
}

void cli_last_remember(const char *url, bool is_batch, uint64_t id)
{
    struct gd_buf old = {0};
    struct gd_buf text = {0};
    struct gd_buf name = {0};
    cli_ref_put(&text, is_batch, id);
    gd_buf_printf(&text, " %s\n", url);
    read_lines(&old);
    unsigned lines = 1;
    for (const char *p = old.ptr ? old.ptr : ""; *p && lines < MOST_LINES;) {
        size_t n = strcspn(p, "\n");
        if (p[n] == '\n' && !is_of(p, n, url)) {
            gd_buf_put(&text, p, n + 1);
            lines++;
        }
        p += n + (p[n] == '\n');
    }
    gd_buf_printf(&name, "last.%ld", (long)getpid());
    char *temp = gd_buf_error(&name) ? NULL : path_of(name.ptr);
    char *path = path_of("last");
    if (temp && path && !gd_buf_error(&text)) {
        make_folders(temp);
        if (!write_file(temp, &text) || rename(temp, path) < 0)
            (void)unlink(temp);
    }
    free(temp);
    free(path);
    gd_buf_free(&name);
    gd_buf_free(&text);
    gd_buf_free(&old);
}

bool cli_last_recall(const char *url, bool *ret_is_batch, uint64_t *ret_id)
{
    struct gd_buf old = {0};
    struct cli_ref ref = {0};
    bool found = false;
    read_lines(&old);
    for (char *p = old.ptr; p && *p && !found;) {
        size_t n = strcspn(p, "\n");
        char *next = p + n + (p[n] == '\n');
        if (is_of(p, n, url)) {
            *strchr(p, ' ') = '\0';
            found = cli_ref_parse(p, &ref) && !ref.is_last && !ref.has_index;
        }
        p = next;
    }
    gd_buf_free(&old);
    if (found) {
        *ret_is_batch = ref.is_batch;
        *ret_id = ref.id;
    }
    return found;
}
