#include "daemon/listen.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static int refuse(const char *text, const char *why, struct gd_err *err)
{
    return gd_err_set(err, -EINVAL, "--listen %.200s: %s", text, why);
}

static int parse_ip(const char *text, union address *a, socklen_t *n, struct gd_err *err)
{
    char host[64];
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');
    if (!colon || gd_parse_u64((struct gd_span){colon + 1, strlen(colon + 1)}, 65535, &port) < 0)
        return refuse(text, "must be HOST:PORT or unix:/path", err);
    size_t len = (size_t)(colon - text);
    bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    (void)snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof(host), "127.0.0.1");
    *a = (union address){0};
    if (brackets && inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons((uint16_t)port);
        *n = sizeof(a->in6);
        return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr) ? 0 : -EPERM;
    }
    if (!brackets && inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = htons((uint16_t)port);
        *n = sizeof(a->in);
        return ntohl(a->in.sin_addr.s_addr) >> 24 == 127 ? 0 : -EPERM;
    }
    return refuse(text, "must be 127.0.0.1:PORT, [::1]:PORT, localhost:PORT or unix:/path", err);
}

static int parse_unix(const char *text, union address *a, socklen_t *n, struct gd_err *err)
{
    const char *path = text + strlen("unix:");
    *a = (union address){0};
    a->un.sun_family = AF_UNIX;
    if (path[0] != '/')
        return refuse(text, "the path must be absolute", err);
    if (strlen(path) >= sizeof(a->un.sun_path))
        return refuse(text, "the path has more than 107 bytes", err);
    (void)snprintf(a->un.sun_path, sizeof(a->un.sun_path), "%s", path);
    *n = sizeof(a->un);
    return 0;
}

static bool is_unix(const char *text)
{
    return strncmp(text, "unix:", 5) == 0;
}

/* A socket file that nobody listens on is a left-over of a daemon that was killed. */
static void remove_leftover(const union address *a)
{
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && lstat(a->un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, &a->any, sizeof(a->un)) < 0 && errno == ECONNREFUSED)
        (void)unlink(a->un.sun_path);
    if (fd >= 0)
        close(fd);
}

static unsigned port_of(int fd)
{
    union address a = {0};
    socklen_t n = sizeof(a);
    if (getsockname(fd, &a.any, &n) < 0)
        return 0;
    if (a.any.sa_family == AF_INET)
        return ntohs(a.in.sin_port);
    return a.any.sa_family == AF_INET6 ? ntohs(a.in6.sin6_port) : 0;
}

int gd_listen_open(const char *address, int *ret_fd, unsigned *ret_port, struct gd_err *err)
{
    union address a = {0};
    socklen_t n = 0;
    int rc = is_unix(address) ? parse_unix(address, &a, &n, err) : parse_ip(address, &a, &n, err);
    if (rc == -EPERM)
        return refuse(address,
                      "not a loopback address. Whoever can connect may run commands as this user; "
                      "until callers can be told apart, gatherd listens on 127.0.0.0/8, ::1 and "
                      "unix sockets only. From elsewhere: ssh -L, or a proxy that signs callers in",
                      err);
    if (rc < 0)
        return rc;
    int one = 1;
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return gd_err_set(err, -errno, "--listen %.200s: %s", address, gd_err_text(-errno));
    if (is_unix(address))
        remove_leftover(&a);
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    mode_t before = umask(0177); /* a socket file for this user alone */
    rc = bind(fd, &a.any, n) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
    (void)umask(before);
    if (rc < 0) {
        close(fd);
        return gd_err_set(err, rc, "--listen %.200s: %s", address, gd_err_text(rc));
    }
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return 0;
}

void gd_listen_unlink(const char *address)
{
    if (is_unix(address))
        (void)unlink(address + strlen("unix:"));
}
