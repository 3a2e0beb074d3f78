/* tests/demo/fileserver.c — an HTTP server that sends files slowly.
 *
 *   fileserver DIRECTORY BYTES_PER_SECOND
 *
 * Listens on 127.0.0.1, on a port that the kernel chooses, and prints that port. Each
 * connection has a thread and the whole rate to itself, so the last byte of a file of
 * N bytes leaves N / BYTES_PER_SECOND seconds after it was asked for. One GET a
 * connection. Ends with its parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX        8192
#define PIECES_A_SECOND 50
#define NS_A_SECOND     INT64_C(1000000000)

struct server {
    int dir;
    int64_t rate; /* bytes a second */
};

struct connection {
    const struct server *server;
    int fd;
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_A_SECOND + t.tv_nsec;
}

static void sleep_until(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_A_SECOND, .tv_nsec = ns % NS_A_SECOND};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* Reads the head of a request; the name asked for, in `head`, or NULL. */
static const char *read_name(int fd, char head[HEAD_MAX])
{
    size_t n = 0;
    memset(head, 0, HEAD_MAX);
    while (!strstr(head, "\r\n\r\n")) {
        ssize_t got = n < HEAD_MAX - 1 ? recv(fd, head + n, HEAD_MAX - 1 - n, 0) : 0;
        if (got <= 0)
            return NULL;
        n += (size_t)got;
    }
    char *end = strstr(head, " HTTP/1.");
    if (strncmp(head, "GET /", 5) != 0 || !end)
        return NULL;
    *end = '\0';
    const char *name = head + 5;
    return strchr(name, '/') ? NULL : name;
}

/* Each piece is due when the rate allows its last byte. */
static void send_slowly(int to, int file, int64_t size, int64_t rate)
{
    int64_t start = now_ns();
    int64_t piece = rate / PIECES_A_SECOND;
    off_t at = 0;
    while (at < size) {
        int64_t end = at + piece < size ? at + piece : size;
        sleep_until(start + end * NS_A_SECOND / rate);
        while (at < end) {
            if (sendfile(to, file, &at, (size_t)(end - at)) <= 0)
                return; /* the peer has gone */
        }
    }
}

static void *serve(void *arg)
{
    struct connection c = *(struct connection *)arg;
    free(arg);
    char head[HEAD_MAX];
    const char *name = read_name(c.fd, head);
    int file = name ? openat(c.server->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    struct stat st;
    if (file >= 0 && fstat(file, &st) == 0 && S_ISREG(st.st_mode)) {
        (void)dprintf(c.fd,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                      "Content-Length: %jd\r\nConnection: close\r\n\r\n",
                      (intmax_t)st.st_size);
        send_slowly(c.fd, file, st.st_size, c.server->rate);
    } else {
        (void)dprintf(c.fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
                            "Connection: close\r\n\r\n");
    }
    if (file >= 0)
        close(file);
    close(c.fd);
    return NULL;
}

static int listen_anywhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return -1;
    printf("%u\n", ntohs(a.sin_port));
    return fflush(stdout) == 0 ? fd : -1;
}

static void accept_one(const struct server *s, int listener)
{
    pthread_t thread;
    struct connection *c = malloc(sizeof(*c));
    if (!c)
        abort();
    *c = (struct connection){.server = s, .fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
    if (c->fd >= 0 && pthread_create(&thread, NULL, serve, c) == 0) {
        (void)pthread_detach(thread);
        return;
    }
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

int main(int argc, char **argv)
{
    struct server s = {.dir = -1};
    if (argc == 3) {
        s.dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        s.rate = strtoimax(argv[2], NULL, 10);
    }
    if (argc != 3 || s.rate < PIECES_A_SECOND) {
        (void)fprintf(stderr, "usage: fileserver DIRECTORY BYTES_PER_SECOND\n");
        return 2;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)signal(SIGPIPE, SIG_IGN);
    int listener = s.dir >= 0 ? listen_anywhere() : -1;
    if (listener < 0) {
        perror("fileserver");
        return 1;
    }
    for (;;)
        accept_one(&s, listener);
}
