#include "daemon/fetcher/validator.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE "gatherd-part 1"
#define FILE_BYTES 512

static void read_boot_id(char *text, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

int gd_validator_init(struct gd_validator *v, const char *url)
{
    *v = (struct gd_validator){0};
    struct gd_digest d;
    int rc = gd_digest_init(&d);
    if (rc < 0)
        return rc;
    gd_digest_put(&d, url, strlen(url));
    gd_digest_take(&d, v->url);
    gd_digest_done(&d);
    read_boot_id(v->boot_id, sizeof(v->boot_id));
    return 0;
}

static int format_head(const struct gd_validator *v, char text[FILE_BYTES])
{
    return snprintf(text, FILE_BYTES, FIRST_LINE "\n%s\n%s\n", v->boot_id, v->url);
}

void gd_validator_read(struct gd_validator *v, int dir_fd, const char *name)
{
    v->text[0] = '\0';
    char text[FILE_BYTES];
    char head[FILE_BYTES];
    struct stat st;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    bool ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
    ssize_t n = ours ? read(fd, text, sizeof(text) - 1) : -1;
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    int n_head = format_head(v, head);
    if (n <= n_head || memcmp(text, head, (size_t)n_head) != 0)
        return;
    const char *from = text + n_head;
    size_t len = strcspn(from, "\n");
    /* Without its end it is a file that somebody was just writing. */
    if (len <= GD_VALIDATOR_MAX && from[len] == '\n') {
        memcpy(v->text, from, len);
        v->text[len] = '\0';
    }
}

void gd_validator_write(struct gd_validator *v, int dir_fd, const char *name, const char *text)
{
    char file[FILE_BYTES];
    v->text[0] = '\0';
    (void)unlinkat(dir_fd, name, 0);
    if (!text || strlen(text) > GD_VALIDATOR_MAX || v->boot_id[0] == '\0')
        return;
    int n = format_head(v, file);
    n += snprintf(file + n, FILE_BYTES - (size_t)n, "%s\n", text);
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    bool written = write(fd, file, (size_t)n) == n;
    close(fd);
    if (written)
        (void)snprintf(v->text, sizeof(v->text), "%s", text);
    else
        (void)unlinkat(dir_fd, name, 0);
}
