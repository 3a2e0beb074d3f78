#include "client/cli_source.h"

#include "client/cli.h"
#include "client/cli_exit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536U

/* Reads at `offset`; 0: the end; -1: errno. */
static ssize_t read_at(int fd, char *to, size_t n, int64_t offset)
{
    ssize_t got = -1;
    do
        got = pread(fd, to, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

/* Copies what `from` still gives into a file without a name. -1: errno. */
static int spool(int from)
{
    char piece[PIECE];
    FILE *f = tmpfile();
    int fd = f ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 3) : -1;
    int failed = fd < 0 ? errno : 0;
    if (f)
        (void)fclose(f);
    while (!failed) {
        ssize_t n = read(from, piece, sizeof(piece));
        if (n == 0)
            return fd;
        if ((n < 0 && errno != EINTR) || (n > 0 && !write_all(fd, piece, (size_t)n)))
            failed = errno;
    }
    if (fd >= 0)
        (void)close(fd);
    errno = failed;
    return -1;
}

/* Fills in fd, start and length. False: errno. */
static bool open_file(struct cli_source *s, const char *path)
{
    struct stat st;
    bool is_stdin = strcmp(path, "-") == 0;
    s->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    s->own_fd = !is_stdin;
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return false;
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        int fd = spool(s->fd);
        if (s->own_fd)
            (void)close(s->fd);
        s->fd = fd;
        s->own_fd = true;
        if (fd < 0 || fstat(fd, &st) < 0)
            return false;
    } else if (is_stdin) {
        s->start = lseek(s->fd, 0, SEEK_CUR);
    }
    s->length = st.st_size > s->start ? st.st_size - s->start : 0;
    return s->start >= 0;
}

static bool find_shape(struct cli_source *s)
{
    struct cli_looking l = {0};
    char piece[PIECE];
    int64_t at = 0;
    ssize_t n = 1;
    while (n > 0 && !l.sure) {
        n = read_at(s->fd, piece, sizeof(piece), s->start + at);
        if (n > 0)
            cli_look(&l, piece, (size_t)n);
        at += n;
    }
    s->shape = l.shape;
    return n >= 0;
}

static int64_t on_read(void *arg, char *to, size_t n)
{
    struct cli_source *s = arg;
    if (s->at >= s->source.bytes || n == 0)
        return 0;
    int64_t in_file = s->at - s->wrapped;
    if (in_file < 0 || in_file >= s->length) {
        *to = in_file < 0 ? '[' : ']';
        s->at++;
        return 1;
    }
    if ((int64_t)n > s->length - in_file)
        n = (size_t)(s->length - in_file);
    ssize_t got = read_at(s->fd, to, n, s->start + in_file);
    s->at += got > 0 ? got : 0;
    return got > 0 ? got : -1; /* an end before the end: somebody cut it short */
}

static bool on_rewind(void *arg)
{
    struct cli_source *s = arg;
    s->at = 0;
    return true;
}

int cli_source_open(struct cli *cli, const char *path, struct cli_source *ret)
{
    *ret = (struct cli_source){.fd = -1};
    if (!open_file(ret, path) || !find_shape(ret)) {
        int failed = errno;
        cli_complain(cli, "%s: %s", strcmp(path, "-") == 0 ? "stdin" : path,
                     strerrordesc_np(failed));
        cli_source_close(ret);
        return CLI_USAGE;
    }
    ret->wrapped = ret->shape == CLI_SHAPE_JOB;
    ret->source = (struct gather_source){
        .content_type = ret->shape == CLI_SHAPE_LINES ? "application/x-ndjson" : "application/json",
        .bytes = ret->length + (ret->wrapped ? 2 : 0),
        .read = on_read,
        .rewind = on_rewind,
        .arg = ret,
    };
    return 0;
}

void cli_source_close(struct cli_source *s)
{
    if (s->fd >= 0 && s->own_fd)
        (void)close(s->fd);
    s->fd = -1;
}
