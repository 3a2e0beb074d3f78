#include "daemon/fetcher/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read at once when an old part is read through. */
#define CHUNK_BYTES 262144

/* How often somebody may rename the part between our opening and locking it. */
#define OPEN_TRIES 8

static int failed(struct gd_part *p, const char *step)
{
    p->step = step;
    return -errno;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void gd_part_file_close(struct gd_part *p)
{
    close_fd(&p->fd);
    close_fd(&p->old_fd);
    close_fd(&p->dir_fd);
}

void gd_part_file_remove(struct gd_part *p)
{
    (void)unlinkat(p->dir_fd, p->part_name, 0);
    if (p->resume)
        (void)unlinkat(p->dir_fd, p->validator_name, 0);
}

/* --- open */

static int open_dir(struct gd_part *p)
{
    p->dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* One may be allowed to make files in a directory that one may not read. */
    if (p->dir_fd < 0 && errno == EACCES)
        p->dir_fd = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0)
        return failed(p, "open the directory of");
    struct stat st;
    if (fstatat(p->dir_fd, p->name, &st, 0) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return failed(p, "open");
    }
    return 0;
}

/* Errors: -EBUSY; the part is not ours then, and not open. Where files cannot be
 * locked at all, they are not. */
static int lock(struct gd_part *p)
{
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    close_fd(&p->fd);
    p->step = "lock";
    return -EBUSY;
}

/* Makes the part, which must not be there. */
static int create(struct gd_part *p)
{
    p->size = 0;
    p->fd =
        openat(p->dir_fd, p->part_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->fd < 0)
        return failed(p, "create");
    /* The daemon's own files are for nobody else, and so is its umask; a download is as if a
     * command had made it. */
    if (fchmod(p->fd, 0644) < 0)
        return failed(p, "set the mode of");
    return lock(p);
}

static int create_anew(struct gd_part *p)
{
    if (unlinkat(p->dir_fd, p->part_name, 0) < 0 && errno != ENOENT)
        return failed(p, "remove the old part of");
    return create(p);
}

int gd_part_file_replace(struct gd_part *p)
{
    close_fd(&p->old_fd);
    /* The last close of a large file takes its time: later, in the pool. */
    p->old_fd = p->fd;
    p->fd = -1;
    return create_anew(p);
}

/* Whoever had the lock before us may have published the file meanwhile. */
static bool is_named(const struct gd_part *p, const struct stat *opened)
{
    struct stat named;
    return fstatat(p->dir_fd, p->part_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_ino == opened->st_ino && named.st_dev == opened->st_dev;
}

/* Opens a part that is there. 1: there is none, or it went away; -errno. What is
 * not a plain file of ours with one name is put aside. */
static int open_old(struct gd_part *p)
{
    struct stat st;
    p->fd =
        openat(p->dir_fd, p->part_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (p->fd < 0 && errno == ENOENT)
        return 1;
    if (p->fd < 0 || fstat(p->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
        st.st_uid != geteuid()) {
        close_fd(&p->fd);
        return create_anew(p);
    }
    int rc = lock(p);
    if (rc == 0 && !is_named(p, &st)) {
        close_fd(&p->fd);
        rc = 1;
    }
    if (rc == 0)
        p->size = (uint64_t)st.st_size;
    return rc;
}

static int open_part(struct gd_part *p)
{
    if (!p->resume)
        return create_anew(p); /* what is there is of an attempt that was lost */
    for (unsigned i = 0; i < OPEN_TRIES; i++) {
        int rc = open_old(p);
        if (rc == 1)
            rc = create(p);
        if (rc != -EEXIST)
            return rc;
    }
    errno = EBUSY;
    return failed(p, "open");
}

/* Adds the old bytes to the digest. */
static int read_through(struct gd_part *p)
{
    char *chunk = malloc(CHUNK_BYTES);
    if (!chunk) {
        errno = ENOMEM;
        return failed(p, "read");
    }
    int rc = 0;
    uint64_t done = 0;
    while (done < p->size && rc == 0) {
        ssize_t n = pread(p->fd, chunk, CHUNK_BYTES, (off_t)done);
        if (atomic_load(&p->gate) == GD_GATE_CLOSED) {
            rc = -ECANCELED;
        } else if (n > 0) {
            gd_digest_put(&p->digest, chunk, (size_t)n);
            done += (uint64_t)n;
        } else if (n == 0) {
            p->size = done; /* somebody cut it */
        } else if (errno != EINTR) {
            rc = failed(p, "read");
        }
    }
    free(chunk);
    return rc;
}

/* Decides whether what is there can be gone on with. */
static int take_over(struct gd_part *p)
{
    int rc = gd_validator_init(&p->validator, p->url);
    if (rc < 0)
        return rc;
    if (p->size == 0)
        return 0;
    gd_validator_read(&p->validator, p->dir_fd, p->validator_name);
    if (p->size > p->max_bytes || (!p->has_digest && p->validator.text[0] == '\0')) {
        p->validator.text[0] = '\0';
        p->size = 0;
        if (ftruncate(p->fd, 0) < 0)
            return failed(p, "truncate");
        return 0;
    }
    rc = read_through(p);
    if (rc == 0 && lseek(p->fd, (off_t)p->size, SEEK_SET) < 0)
        rc = failed(p, "seek");
    return rc;
}

int gd_part_file_open(struct gd_part *p)
{
    int rc = gd_digest_init(&p->digest);
    if (rc == 0)
        rc = open_dir(p);
    if (rc == 0)
        rc = open_part(p);
    if (rc == 0 && p->resume)
        rc = take_over(p);
    if (rc == 0 && atomic_load(&p->gate) == GD_GATE_CLOSED)
        rc = -ECANCELED;
    return rc;
}

/* --- end */

/* The entry itself must be on disk, too. A directory that cannot be synced (EBADF: it
 * could not be opened for reading) is left to the system. */
static int sync_dir(struct gd_part *p)
{
    if (fsync(p->dir_fd) == 0 || errno == EBADF || errno == EINVAL)
        return 0;
    return failed(p, "fsync the directory of");
}

int gd_part_file_publish(struct gd_part *p)
{
    if (fsync(p->fd) < 0)
        return failed(p, "fsync");
    int expected = GD_GATE_OPEN;
    if (!atomic_compare_exchange_strong(&p->gate, &expected, GD_GATE_PASSED))
        return -ECANCELED;
    if (renameat(p->dir_fd, p->part_name, p->dir_fd, p->name) < 0)
        return failed(p, "rename");
    if (p->resume)
        (void)unlinkat(p->dir_fd, p->validator_name, 0);
    close_fd(&p->fd);
    int rc = sync_dir(p);
    gd_part_file_close(p);
    return rc;
}

int gd_part_file_discard(struct gd_part *p)
{
    if (p->fd >= 0 && (!p->keep || p->size == 0))
        gd_part_file_remove(p);
    gd_part_file_close(p);
    return 0;
}
