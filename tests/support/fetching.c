#include "tests/support/fetching.h"

#include "base/log.h"
#include "daemon/fetcher/digest.h"
#include "daemon/fetcher/fetcher.h"

#include "tests/support/rng.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 1000

char fetching_dir[64];
struct httpd *fetching_server;
struct peer *fetching_peer;
void (*fetching_prepare)(void);
static pid_t worker;

/* The next worker waits in line: forked once the server has threads, it would hold
 * their memory and call it leaked. */
static pid_t spare;
static int go[2]; /* a byte: begin; the end: there is no need to */

/* --- the three */

static int serve(const char *state_dir)
{
    struct gd_err err = {0};
    gd_log_init(GD_LOG_ERROR);
    if (fetching_prepare)
        fetching_prepare();
    if (gd_fetcher_run(state_dir, &err) == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "%s\n", err.text);
    return EXIT_FAILURE;
}

static int serve_later(const char *state_dir)
{
    char byte = 0;
    (void)close(go[1]);
    return read(go[0], &byte, 1) == 1 ? serve(state_dir) : EXIT_SUCCESS;
}

void fetching_reconnect(void)
{
    fetching_peer = peer_connect(fetching_dir, "fetcher");
    peer_limits(fetching_peer, SLOTS);
}

void fetching_start(const struct httpd_route *routes)
{
    (void)snprintf(fetching_dir, sizeof(fetching_dir), "/tmp/gatherd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fetching_dir));
    worker = peer_spawn(serve, fetching_dir);
    ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
    spare = peer_spawn(serve_later, fetching_dir);
    (void)close(go[0]);
    fetching_server = httpd_start(routes);
    fetching_reconnect();
}

pid_t fetching_worker(void)
{
    return worker;
}

void fetching_restart(int signo)
{
    peer_close(fetching_peer);
    if (signo == SIGKILL) {
        ck_assert_int_eq(kill(worker, SIGKILL), 0);
        ck_assert_int_eq(waitpid(worker, NULL, 0), worker);
    } else {
        peer_reap(worker, signo, EXIT_SUCCESS);
    }
    ck_assert_int_gt(spare, 0);
    ck_assert_int_eq(write(go[1], "", 1), 1);
    worker = spare;
    spare = 0;
    fetching_reconnect();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fetching_stop(void)
{
    peer_close(fetching_peer);
    fetching_peer = NULL;
    peer_reap(worker, SIGTERM, EXIT_SUCCESS);
    (void)close(go[1]);
    if (spare)
        peer_reap(spare, 0, EXIT_SUCCESS);
    httpd_stop(fetching_server);
    fetching_server = NULL;
    ck_assert_int_eq(nftw(fetching_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- names and bytes */

static char *next_text(void)
{
    static char texts[8][512];
    static unsigned n;
    return texts[n++ % 8];
}

const char *fetching_url(const char *path)
{
    char *text = next_text();
    (void)snprintf(text, 512, "http://127.0.0.1:%u%s", httpd_port(fetching_server), path);
    return text;
}

const char *fetching_path(const char *name)
{
    if (name[0] == '/')
        return name;
    char *text = next_text();
    (void)snprintf(text, 512, "%s/%s", fetching_dir, name);
    return text;
}

void fetch_fill(char *bytes, size_t n)
{
    uint64_t state = 42;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)rng_next(&state);
}

const char *fetch_sha256(const void *bytes, size_t n)
{
    static char text[GD_DIGEST_TEXT];
    struct gd_digest d;
    ck_assert_int_eq(gd_digest_init(&d), 0);
    gd_digest_put(&d, bytes, n);
    gd_digest_take(&d, text);
    gd_digest_done(&d);
    return text;
}

void fetch_write_file(const char *to, const void *bytes, size_t n)
{
    int fd = open(fetching_path(to), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    (void)close(fd);
}

static void file_has(const char *path, const void *bytes, size_t n)
{
    struct stat st;
    char *have = malloc(n + 1);
    ck_assert_ptr_nonnull(have);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq(st.st_size, n);
    ck_assert_int_eq(read(fd, have, n + 1), (ssize_t)n);
    ck_assert_msg(n == 0 || memcmp(have, bytes, n) == 0, "%s: other bytes", path);
    (void)close(fd);
    free(have);
}

void fetch_has_file(const char *to, const void *bytes, size_t n)
{
    const char *path = fetching_path(to);
    if (bytes)
        file_has(path, bytes, n);
    else
        ck_assert_msg(access(path, F_OK) < 0, "%s is there", path);
}

/* --- fetches */

static void put_headers(struct gd_msg *m, const char *const *headers)
{
    if (!headers)
        return;
    size_t opened = gd_msg_open(m, GD_FIELD_HEADERS);
    for (; *headers; headers++)
        gd_buf_put(&m->fields, *headers, strlen(*headers) + 1);
    gd_msg_close(m, opened);
}

void fetch_start(uint64_t task, struct fetch f)
{
    struct gd_msg m;
    struct gd_msg_group group = {.key = f.group, .limit = f.group_limit};
    gd_msg_init(&m, GD_MSG_START, task, 1);
    gd_msg_str(&m, GD_FIELD_URL, f.url ? f.url : fetching_url(f.path));
    gd_msg_str(&m, GD_FIELD_METHOD, f.method);
    put_headers(&m, f.headers);
    gd_msg_str(&m, GD_FIELD_BODY, f.body);
    gd_msg_str(&m, GD_FIELD_TO, f.to ? fetching_path(f.to) : NULL);
    gd_msg_str(&m, GD_FIELD_SHA256, f.sha256);
    if (f.max_bytes)
        gd_msg_u64(&m, GD_FIELD_MAX_BYTES, f.max_bytes == UINT64_MAX ? 0 : f.max_bytes);
    if (f.timeout_ms)
        gd_msg_u64(&m, GD_FIELD_TIMEOUT_MS, (uint64_t)f.timeout_ms);
    if (f.resume)
        gd_msg_u64(&m, GD_FIELD_RESUME, 1);
    if (f.group)
        gd_msg_put(&m, GD_FIELD_GROUP, &group, sizeof(group));
    peer_send(fetching_peer, &m);
}

const struct gd_msg_view *fetch_run(uint64_t task, struct fetch f)
{
    fetch_start(task, f);
    return peer_end(fetching_peer, task);
}

static const char *text_of(const struct gd_msg_view *end, enum gd_msg_field field)
{
    return peer_text(fetching_peer, end, field);
}

static bool has(const struct gd_msg_view *end, enum gd_msg_field field)
{
    struct gd_span bytes;
    return gd_msg_find(end, field, &bytes);
}

void fetch_good(const struct gd_msg_view *end, unsigned status)
{
    const char *word = text_of(end, GD_FIELD_FAILURE);
    ck_assert_msg(!word, "failed: %s: %s", word, text_of(end, GD_FIELD_MESSAGE));
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_CODE, 99), 0);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STATUS, 0), status);
    ck_assert(has(end, GD_FIELD_STARTED_AT) && has(end, GD_FIELD_ENDED_AT));
}

void fetch_bad(const struct gd_msg_view *end, const char *word, unsigned status)
{
    const char *message = text_of(end, GD_FIELD_MESSAGE);
    const char *have = text_of(end, GD_FIELD_FAILURE);
    ck_assert_msg(have && strcmp(have, word) == 0, "%s (%s) instead of %s", have ? have : "nothing",
                  message ? message : "-", word);
    ck_assert(message && *message);
    ck_assert(!has(end, GD_FIELD_CODE) && !has(end, GD_FIELD_ERRNO));
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STATUS, 0), status);
}

void fetch_stopped(const struct gd_msg_view *end, enum gd_msg_field why)
{
    ck_assert_uint_eq(gd_msg_num(end, why, 0), 1);
    ck_assert(!has(end, GD_FIELD_CODE) && !has(end, GD_FIELD_FAILURE));
    ck_assert(!has(end, GD_FIELD_ERRNO));
}

const char *fetch_header(const struct gd_msg_view *end, const char *name)
{
    struct gd_span all;
    if (!gd_msg_find(end, GD_FIELD_ANSWER_HEADERS, &all))
        return NULL;
    size_t n = strlen(name);
    for (size_t at = 0; at < all.len; at += strlen(all.ptr + at) + 1)
        if (strncmp(all.ptr + at, name, n) == 0 && strncmp(all.ptr + at + n, ": ", 2) == 0)
            return all.ptr + at + n + 2;
    return NULL;
}

void fetch_has_body(const struct gd_msg_view *end, const void *bytes, size_t n)
{
    struct gd_span body = {0};
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STDOUT_BYTES, UINT64_MAX), n);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STDOUT_KEPT, UINT64_MAX), n);
    if (gd_msg_num(end, GD_FIELD_STDOUT_FILE, 0)) {
        char name[64];
        (void)snprintf(name, sizeof(name), "output/%llu-%u.stdout", (unsigned long long)end->task,
                       end->attempt);
        file_has(fetching_path(name), bytes, n);
        return;
    }
    ck_assert(gd_msg_find(end, GD_FIELD_STDOUT, &body) || n == 0);
    ck_assert_uint_eq(body.len, n);
    ck_assert_mem_eq(n ? body.ptr : "", n ? bytes : "", n);
}
