/* What libcurl calls while a transfer is received, and what an answer means.
 *
 * The callbacks return "stop" to libcurl by refusing what it hands out; why is in
 * t->failure or t->again then.
 */
#include "base/clock.h"
#include "daemon/fetcher/transfer.h"

#include <errno.h>
#include <string.h>

/* --- progress */

static void tell_now(struct gd_transfer *t)
{
    t->told_ms = gd_mono_ms();
    gd_unit_progress(&t->unit, (int64_t)t->bytes, t->total);
}

static void tell_late(struct gd_timer *timer)
{
    tell_now(GD_OWNER(timer, struct gd_transfer, tell));
}

/* At once, or when it is time again, so that the last bytes before a pause are told.
 * The last byte of a body in memory is its end, which tells more. */
static void note_progress(struct gd_transfer *t)
{
    int64_t due_ms = t->told_ms + GD_PROGRESS_MS;
    if (gd_timer_is_set(&t->tell) || (!t->part && (int64_t)t->bytes == t->total))
        return;
    if (t->told_ms == 0 || gd_mono_ms() >= due_ms ||
        gd_timer_at(gd_worker_loop(t->unit.worker), &t->tell, due_ms) < 0)
        tell_now(t);
}

/* --- what an answer means */

static bool refuse(struct gd_transfer *t, enum gd_failure_kind kind, const char *text)
{
    gd_failure_set(&t->failure, kind, "%s", text);
    return false;
}

static bool refuse_too_large(struct gd_transfer *t, uint64_t bytes)
{
    gd_failure_set(&t->failure, GD_FAILURE_TOO_LARGE,
                   "the body has %s%llu bytes, the limit is %llu", t->total < 0 ? "at least " : "",
                   (unsigned long long)bytes, (unsigned long long)t->request.max_bytes);
    return false;
}

/* The server has nothing after the part that we have: either that is all there is,
 * or it is a part of something else. */
static bool judge_unsatisfied(struct gd_transfer *t)
{
    struct gd_content_range r;
    if (gd_answer_range(&t->answer, &r) && r.unsatisfied && r.total == (int64_t)t->offset) {
        t->is_whole = true;
        t->total = r.total;
        t->bytes = t->offset;
        return true;
    }
    t->again = true;
    return false;
}

/* 206: the rest must begin where our part ends, and be of the same version. */
static bool judge_rest(struct gd_transfer *t)
{
    struct gd_content_range r;
    const char *etag = gd_answer_get(&t->answer, "etag");
    const char *ours = gd_part_validator(t->part);
    if (!gd_answer_range(&t->answer, &r) || r.unsatisfied || r.first != t->offset ||
        (etag && ours && ours[0] == '"' && strcmp(etag, ours) != 0)) {
        t->again = true;
        return false;
    }
    t->bytes = t->offset;
    t->total = r.total;
    if (r.total > 0 && (uint64_t)r.total > t->request.max_bytes)
        return refuse_too_large(t, (uint64_t)r.total);
    return true;
}

/* All of it comes, from the first byte on. */
static bool judge_whole(struct gd_transfer *t)
{
    int64_t length = gd_answer_length(&t->answer);
    bool has_body = !(t->request.method && strcmp(t->request.method, "HEAD") == 0);
    t->bytes = 0;
    t->total = length;
    if (t->offset > 0) {
        int rc = gd_part_restart(t->part);
        if (rc < 0) {
            gd_failure_set_errno(&t->failure, GD_FAILURE_FILE, gd_part_step(t->part), rc);
            return false;
        }
    }
    if (has_body && length > 0 && (uint64_t)length > t->request.max_bytes)
        return refuse_too_large(t, (uint64_t)length);
    if (t->part)
        gd_part_remember(t->part, gd_answer_validator(&t->answer));
    return true;
}

/* Once for an answer that is neither interim nor followed. */
static bool judge(struct gd_transfer *t)
{
    t->judged = true;
    if (t->status == 416 && t->offset > 0)
        return judge_unsatisfied(t);
    if (t->status >= 400) {
        t->is_error = true;
        return true;
    }
    if (t->status == 206 && t->offset > 0)
        return judge_rest(t);
    return judge_whole(t);
}

/* --- callbacks */

/* libcurl follows the first Location only. */
static bool check_redirect(struct gd_transfer *t)
{
    const char *location = gd_answer_get(&t->answer, "location");
    char *from = NULL;
    if (!location || !*location)
        return true;
    /* See Other says GET, whatever the method was; libcurl keeps it if it knows it by
     * name only. */
    if (t->status == 303 && curl_easy_setopt(t->easy.curl, CURLOPT_CUSTOMREQUEST, NULL) != CURLE_OK)
        return refuse(t, GD_FAILURE_OTHER, "libcurl refuses an option");
    (void)curl_easy_getinfo(t->easy.curl, CURLINFO_EFFECTIVE_URL, &from);
    return gd_request_check_redirect(from, location, &t->failure);
}

static bool take_head(struct gd_transfer *t)
{
    (void)curl_easy_getinfo(t->easy.curl, CURLINFO_RESPONSE_CODE, &t->status);
    if (t->status >= 300 && t->status < 400)
        return check_redirect(t);
    return t->status < 200 || judge(t);
}

/* CURLOPT_HEADERFUNCTION. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct gd_transfer *t = arg;
    n *= size;
    if (t->judged)
        return n; /* a trailer */
    int rc = gd_answer_line(&t->answer, line, n);
    if (rc == -E2BIG)
        (void)refuse(t, GD_FAILURE_PROTOCOL, "the answer's head is too large");
    else if (rc < 0)
        gd_failure_set_errno(&t->failure, GD_FAILURE_OTHER, "the answer's head", rc);
    else if (!t->answer.complete || take_head(t))
        return n;
    return 0;
}

/* The body may have been dropped by a sink that could not be written. */
static void check_sink(struct gd_transfer *t)
{
    if (t->sink.kept < t->sink.total)
        gd_failure_set_errno(&t->failure, GD_FAILURE_FILE, "keep the output",
                             t->sink.err < 0 ? t->sink.err : -ENOMEM);
}

/* The error page: as much as is kept, then no more is read. */
static size_t take_error_body(struct gd_transfer *t, const char *bytes, size_t n)
{
    size_t room = GD_ERROR_BODY_MAX - (size_t)t->sink.total;
    gd_sink_put(&t->sink, bytes, n < room ? n : room);
    return n < room ? n : 0;
}

/* CURLOPT_WRITEFUNCTION. */
static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct gd_transfer *t = arg;
    n *= size;
    if (t->is_whole || !t->judged)
        return n; /* of a 416, or of a redirect that leads nowhere */
    if (t->is_error)
        return take_error_body(t, bytes, n);
    if (n > t->request.max_bytes - t->bytes) {
        (void)refuse_too_large(t, t->bytes + n);
        return 0;
    }
    if (t->part) {
        int rc = gd_part_write(t->part, bytes, n);
        if (rc < 0)
            gd_failure_set_errno(&t->failure, GD_FAILURE_FILE, gd_part_step(t->part), rc);
    } else {
        gd_digest_put(&t->own_digest, bytes, n);
        gd_sink_put(&t->sink, bytes, n);
        check_sink(t);
    }
    if (t->failure.kind != GD_FAILURE_NONE)
        return 0;
    t->bytes += n;
    note_progress(t);
    return n;
}

/* --- start and end */

static CURLcode set_up(struct gd_transfer *t)
{
    CURL *easy = t->easy.curl;
    CURLcode rc = gd_request_apply(&t->request, easy);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_text);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    return rc;
}

bool gd_receive_start(struct gd_transfer *t)
{
    struct gd_multi *multi = gd_worker_arg(t->unit.worker);
    gd_answer_free(&t->answer);
    t->judged = t->again = t->is_whole = t->is_error = false;
    t->status = 0;
    t->bytes = 0;
    t->total = -1;
    t->tell.fn = tell_late;
    t->curl_text[0] = '\0';
    const char *validator = t->part ? gd_part_validator(t->part) : NULL;
    t->headers = gd_request_headers(&t->request, t->offset, validator);
    int rc = t->headers ? gd_easy_open(&t->easy) : -ENOMEM;
    CURLcode code = rc == 0 ? set_up(t) : CURLE_OK;
    if (rc == 0 && code == CURLE_OK)
        rc = gd_multi_add(multi, &t->easy);
    if (rc < 0)
        gd_failure_set_errno(&t->failure, GD_FAILURE_OTHER, "libcurl", rc);
    else if (code != CURLE_OK)
        gd_failure_set_curl(&t->failure, t->easy.curl, code, t->curl_text);
    return t->failure.kind == GD_FAILURE_NONE;
}

void gd_receive_stop(struct gd_transfer *t)
{
    gd_timer_stop(gd_worker_loop(t->unit.worker), &t->tell);
    gd_easy_close(&t->easy);
    curl_slist_free_all(t->headers);
    t->headers = NULL;
}

static void check_end(struct gd_transfer *t)
{
    if (t->is_error)
        gd_failure_set(&t->failure, GD_FAILURE_STATUS, "the server answered %ld", t->status);
    else if (!t->judged && t->status != 304)
        gd_failure_set(&t->failure, GD_FAILURE_REDIRECT, "status %ld without a Location",
                       t->status);
    else if (t->part && t->total >= 0 && t->bytes != (uint64_t)t->total)
        gd_failure_set(&t->failure, GD_FAILURE_CLOSED, "the body has %llu bytes instead of %lld",
                       (unsigned long long)t->bytes, (long long)t->total);
}

static void check_digest(struct gd_transfer *t)
{
    gd_digest_take(t->part ? gd_part_digest(t->part) : &t->own_digest, t->digest);
    if (t->request.sha256 && strcmp(t->request.sha256, t->digest) != 0)
        gd_failure_set(&t->failure, GD_FAILURE_CHECKSUM, "the body's SHA-256 is %s, not %s",
                       t->digest, t->request.sha256);
}

void gd_receive_finish(struct gd_transfer *t, CURLcode code)
{
    if (t->again || t->failure.kind != GD_FAILURE_NONE)
        return;
    if (code != CURLE_OK && !t->is_error)
        gd_failure_set_curl(&t->failure, t->easy.curl, code, t->curl_text);
    else
        check_end(t);
    if (t->failure.kind == GD_FAILURE_NONE && t->judged)
        check_digest(t);
}
